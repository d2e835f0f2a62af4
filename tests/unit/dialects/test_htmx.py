from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, cast

import htpy
import pytest
from fasthtml.common import Div
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.frames import LEAVES
from tests.unit.dialects.vectors import Html, check, load
from wirework.commands import Call, Event, Failure, Result
from wirework.dialects import Codec, Dialect, Fragment, Htmx, HtmxHeaders
from wirework.errors import MalformedMessage
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter

JSON = MsgspecAdapter()
VERSION_2 = '{"HEADERS": {"HX-Trigger": "f", "HX-Target": "log"}}'
VERSION_4 = '{"headers": {"HX-Source": "form#f%20g", "HX-Target": "div#log"}}'
FIRST: list[str | None] = [None, VERSION_2, VERSION_4]


class Tags(HTMLParser):
    """Every start tag with its attributes, as Python's own parser sees them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def codec(first: str | None = None, **options: Any) -> Codec:
    opened = Htmx(**options).open(JSON)
    if first is not None:
        opened.decode(first)
    return opened


def headers_of(frame: str) -> HtmxHeaders:
    [call] = codec().decode(frame)
    assert isinstance(call, Call)
    return cast(HtmxHeaders, call.meta)


@pytest.mark.parametrize("json", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
@pytest.mark.parametrize("vector", load("htmx"))
def test_the_vectors_hold_with_every_json_adapter(
    vector: dict[str, Any], json: JsonAdapter
) -> None:
    check(vector, Htmx(**vector.get("dialect", {})).open(json))


def test_htmx_is_a_dialect_that_carries_forms_and_fills_a_parameter() -> None:
    dialect: Dialect = Htmx()
    assert (dialect.name, dialect.body) == ("htmx", "form")
    assert dict(dialect.parameters) == {"htmx": HtmxHeaders}


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2, 4 or None, got 3"):
        Htmx(version=cast(Any, 3))


def test_any_header_is_found_by_its_name_in_any_case() -> None:
    headers = headers_of('{"headers": {"X-Room": "lobby"}}')
    assert headers.get("x-room") == headers.get("X-ROOM") == "lobby"
    assert headers.get("X-Absent") is None
    assert headers.get("X-Absent", "none") == "none"


def test_the_ids_of_trigger_and_target_are_the_same_in_both_versions() -> None:
    assert (headers_of(VERSION_2).trigger_id, headers_of(VERSION_2).target_id) == ("f", "log")
    assert (headers_of(VERSION_4).trigger_id, headers_of(VERSION_4).target_id) == ("f g", "log")


def test_an_element_without_an_id_has_none() -> None:
    headers = headers_of('{"headers": {"HX-Source": "form", "HX-Target": "body"}}')
    assert (headers.trigger_id, headers.target_id) == (None, None)
    assert (HtmxHeaders().trigger_id, HtmxHeaders(version=4).target_id) == (None, None)


def test_connections_of_one_dialect_keep_their_versions_apart() -> None:
    dialect = Htmx()
    old, new = dialect.open(JSON), dialect.open(JSON)
    old.decode(VERSION_2)
    new.decode(VERSION_4)
    answer = Result(Fragment("x", target="#a"))
    assert old.encode(answer) == '<div hx-swap-oob="innerHTML:#a">x</div>'
    assert new.encode(answer) == '{"content":"x","target":"#a"}'


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize(
    "element", [Div("Hello <you>", id="greeting"), htpy.div(id="greeting")["Hello <you>"]]
)
def test_real_elements_arrive_marked_out_of_band(first: str | None, element: object) -> None:
    frame = codec(first).encode(Event(element))
    assert frame == '<div hx-swap-oob="true" id="greeting">Hello &lt;you&gt;</div>'


def test_a_list_around_markup_that_belongs_together_is_read_as_one() -> None:
    parts = [Html('<ul id="a">'), Html('<li id="b">x</li>'), Html("</ul>")]
    frame = codec().encode(Result(parts))
    assert frame == '<ul hx-swap-oob="true" id="a"><li id="b">x</li></ul>'


@pytest.mark.parametrize("value", [{"a": 1}, b"x", True, (Div("a"), {"a": 1})])
def test_what_cannot_be_said_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="htmx: expected an element"):
        codec().encode(Result(value))


def test_failures_are_said_in_ones_own_way() -> None:
    own = codec(error=lambda failure: Div(failure.message, id="errors"))
    frame = own.encode(Failure("invalid", "not <so>"))
    assert frame == '<div hx-swap-oob="true" id="errors">not &lt;so&gt;</div>'


def test_a_failure_without_words_ends_the_connection() -> None:
    assert codec(error=lambda failure: None).encode(Failure("invalid", "no")) is None


def test_details_that_are_no_problems_are_left_out() -> None:
    frame = codec().encode(Failure("x", "no", details=["a", 1, {"msg": "b"}]))
    assert frame == '<div id="ws-error" hx-swap-oob="innerHTML">no<ul><li>b</li></ul></div>'


markup_text = st.text() | st.lists(
    st.sampled_from(["<", ">", "/", '"', "'", "=", "&", "!--", "b", "script", "hx-partial", " "])
).map("".join)


@given(text=markup_text, first=st.sampled_from(FIRST))
def test_a_str_never_becomes_an_element_or_an_attribute(text: str, first: str | None) -> None:
    frame = codec(first).encode(Result(text))
    assert frame is None if not text else Tags(cast(str, frame)).found == []


@given(text=markup_text, place=markup_text, first=st.sampled_from(FIRST))
def test_a_failure_never_brings_an_element_or_an_attribute_of_its_own(
    text: str, place: str, first: str | None
) -> None:
    problem = {"loc": [place], "type": text, "msg": text}
    frame = codec(first).encode(Failure(text, text, [problem]))
    assert Tags(cast(str, frame)).found == [
        ("div", [("id", "ws-error"), ("hx-swap-oob", "innerHTML")]),
        ("ul", []),
        ("li", []),
    ]


@given(target=markup_text.filter(bool), swap=markup_text, first=st.sampled_from(FIRST))
def test_a_fragment_never_breaks_out_of_its_place(
    target: str, swap: str, first: str | None
) -> None:
    fragment = Fragment("x", target=target, swap=f"beforeend {swap}")
    frame = codec(first).encode(Result(("y", fragment)))
    [(tag, attributes)] = Tags(cast(str, frame)).found
    assert tag in ("div", "hx-partial")
    assert {name for name, _ in attributes} <= {"hx-swap-oob", "hx-target", "hx-swap"}


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=LEAVES,
)
names = st.sampled_from(["headers", "HEADERS", "values", "body", "type", "request_id", "x"])
messages = st.dictionaries(names, json_values | st.just("request"))


@given(st.text() | st.binary() | messages.map(lambda message: JSON.encode(message).decode()))
def test_no_frame_does_worse_than_being_malformed(frame: str | bytes) -> None:
    opened = Htmx().open(JSON)
    try:
        [call] = opened.decode(frame)
    except MalformedMessage:
        pass
    else:
        assert isinstance(call, Call)
        assert isinstance(call.body, dict)
        assert isinstance(call.meta, HtmxHeaders)
        assert all(isinstance(text, str) for text in call.meta.sent.values())


def test_a_message_nested_too_deeply_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        codec().decode("[" * 100_000)


fields = st.dictionaries(
    st.text().filter(lambda name: name not in ("HEADERS", "headers")),
    st.text() | st.lists(st.text(), min_size=2),
)


@given(
    form=fields, sent=st.dictionaries(st.from_regex(r"HX-[a-z]{1,9}", fullmatch=True), st.text())
)
def test_forms_arrive_alike_from_both_versions(form: dict[str, Any], sent: dict[str, str]) -> None:
    for key, version in (("HEADERS", 2), ("headers", 4)):
        [call] = codec().decode(JSON.encode({**form, key: sent}).decode())
        assert isinstance(call, Call)
        assert call.body == form
        assert call.meta.version == version
        assert call.meta.sent == {name.lower(): text for name, text in sent.items()}


answers: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.text() | st.integers() | st.floats() | st.builds(Html, st.text()),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple),
    max_leaves=LEAVES,
)


@given(
    value=answers | st.builds(Fragment, answers, st.none() | st.text(min_size=1)),
    first=st.sampled_from(FIRST),
)
def test_every_answer_leaves_as_text_or_not_at_all(value: object, first: str | None) -> None:
    frame = codec(first).encode(Result(value))
    assert frame is None or (isinstance(frame, str) and frame)
