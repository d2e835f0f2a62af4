from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import htpy
import pytest
from fastcore.foundation import L
from fasthtml.common import Div, Li, Script
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tests.unit.dialects.frames import LEAVES
from tests.unit.dialects.vectors import Html
from wirework.dialects import Fragment
from wirework.dialects.markup import as_text, mark_out_of_band, out_of_band, partial, render
from wirework.json import MsgspecAdapter


class Card:
    """A component in FastHTML's way."""

    def __init__(self, *content: object) -> None:
        self.content = content

    def __ft__(self) -> object:
        return Div(*self.content, id="card")


class Broken:
    def __html__(self) -> bytes:
        return b"<p>"


@pytest.mark.parametrize(
    ("value", "html"),
    [
        (Div("a<b", id="x"), '<div id="x">a&lt;b</div>'),
        (Div(Li("one"), Li("two")), "<div><li>one</li><li>two</li></div>"),
        (Card("a<b"), '<div id="card">a&lt;b</div>'),
        (L(Div("a"), "b<"), "<div>a</div>b&lt;"),
        (htpy.div(id="x")["a<b"], '<div id="x">a&lt;b</div>'),
        (htpy.fragment[htpy.p["a"], htpy.p["b"]], "<p>a</p><p>b</p>"),
        (htpy.br, "<br>"),
        (Markup("<b>{}</b>").format("<"), "<b>&lt;</b>"),
        (Html("<b>"), "<b>"),
        ((Markup("<b>"), "<b>", [Div("c"), None]), "<b>&lt;b&gt;<div>c</div>"),
        ("<b>", "&lt;b&gt;"),
        (5, "5"),
        (1.5, "1.5"),
        (None, ""),
        ([], ""),
    ],
)
def test_an_answer_is_rendered(value: object, html: str) -> None:
    rendered = render(value)
    assert rendered == html
    assert type(rendered) is str


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, True, b"<p>", bytearray(b"<p>"), memoryview(b"<p>"), object(), Decimal(1), Markup],
)
def test_what_is_no_answer_is_a_type_error_that_says_what_is(value: object) -> None:
    with pytest.raises(TypeError, match=r"expected an element .* a Fragment, or a list or tuple"):
        render((value,))


def test_html_that_is_no_str_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"expected a str from __html__\(\), got bytes"):
        render(Broken())


def test_a_fragment_inside_other_content_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="not inside other content"):
        render(Fragment(Fragment("a")))


@pytest.mark.parametrize(
    ("html", "marked"),
    [
        ("<p id=a>x</p><p>y</p>", '<p hx-swap-oob="true" id=a>x</p><p>y</p>'),
        ("<P ID='a'>x</P>", "<P hx-swap-oob=\"true\" ID='a'>x</P>"),
        ("<p id=a><b id=b>x</b></p>", '<p hx-swap-oob="true" id=a><b id=b>x</b></p>'),
        ("<li id=a>x<li id=b>", '<li hx-swap-oob="true" id=a>x<li hx-swap-oob="true" id=b>'),
        ("<tr id=a><td id=b>x", '<tr hx-swap-oob="true" id=a><td id=b>x'),
        (
            "<br id=a><input id=b />",
            '<br hx-swap-oob="true" id=a><input hx-swap-oob="true" id=b />',
        ),
        ("<p title='id=a>'>x</p>", "<p title='id=a>'>x</p>"),
    ],
)
def test_top_level_elements_with_an_id_are_marked(html: str, marked: str) -> None:
    assert mark_out_of_band(html) == marked


@pytest.mark.parametrize(
    "html",
    [
        '<p id="a" hx-swap-oob="beforeend:#b">x</p>',
        '<p id="a" HX-SWAP-OOB>x</p>',
        '<p id="a" data-hx-swap-oob="true">x</p>',
        '<p id="">x</p>',
        "<p id>x</p>",
        '<template id="a"></template>',
        '<hx-partial id="a"></hx-partial>',
        '<html id="a"><body id="b"></body></html>',
        '<!-- <p id="a"></p> -->',
    ],
)
def test_what_needs_no_mark_stays_as_it_is(html: str) -> None:
    assert mark_out_of_band(html) == html


def test_scripts_of_an_element_are_not_read_as_markup() -> None:
    html = render(Div(Script("if (a<b) '<p id=x>'"), id="a"))
    assert mark_out_of_band(html).count("hx-swap-oob") == 1


@pytest.mark.parametrize(
    ("say", "fragment", "problem"),
    [
        (out_of_band, Fragment("x", select="#a"), "cannot select"),
        (out_of_band, Fragment("x", swap="beforeend"), "`swap` needs a `target`"),
        (out_of_band, Fragment("x", target="#a", swap="outerHTML"), "top-level element .* got 0"),
        (
            out_of_band,
            Fragment((Div("a"), Div("b")), target="#a", swap="outerMorph"),
            "one top-level element for swap='outerMorph', got 2",
        ),
        (partial, Fragment("x", target="#a", select="#b"), "must be the whole answer"),
        (partial, Fragment("x", swap="beforeend"), "must be the whole answer"),
    ],
)
def test_a_fragment_that_cannot_be_said_is_a_type_error_with_the_remedy(
    say: Callable[[Fragment], str], fragment: Fragment, problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        say(fragment)


@pytest.mark.parametrize(
    ("tag", "wrapper"),
    [
        ("tr", "tbody"),
        ("td", "tr"),
        ("th", "tr"),
        ("tbody", "table"),
        ("col", "colgroup"),
        ("li", "div"),
        ("option", "div"),
    ],
)
def test_an_out_of_band_wrapper_is_one_that_browsers_keep_the_content_in(
    tag: str, wrapper: str
) -> None:
    html = out_of_band(Fragment(Html(f"<{tag}>x"), target="#a", swap="beforeend"))
    assert html == f'<{wrapper} hx-swap-oob="beforeend:#a"><{tag}>x</{wrapper}>'


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=LEAVES,
)


@given(value=json_values, space=st.text("\t\n\r "))
def test_no_text_can_be_taken_for_json(value: object, space: str) -> None:
    text = as_text(space + MsgspecAdapter().encode(value).decode())
    assert text.lstrip()[0] == "&"


@pytest.mark.parametrize("text", ["", "  ", "<p>[1]</p>", "hello", "true story", "12 apples", "-"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert as_text(text) == text
