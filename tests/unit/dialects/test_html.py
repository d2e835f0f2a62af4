from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework.dialects.html import add_attribute, find_roots

ROOTS = {
    "": [],
    "text & more": [],
    "<div>a</div><p>b</p>": ["div", "p"],
    "<DIV>a</Div><P>b": ["div", "p"],
    "<div><p><b>x</b></p></div><i></i>": ["div", "i"],
    "<br><img src=x/><input disabled /><hr/>": ["br", "img", "input", "hr"],
    "<div/><i>inside the div</i>": ["div"],
    "<p>a<p>b<div>c</div>": ["p", "p", "div"],
    "<p><span>a<div>b</div>": ["p", "div"],
    "<p><button><div>b</div></button></p><i>": ["p", "i"],
    "<li>a<li>b": ["li", "li"],
    "<li><div>a<li>b": ["li", "li"],
    "<li>a<ul><li>b<li>c</ul><li>d": ["li", "li"],
    "<dt>a<dd>b<dt>c": ["dt", "dd", "dt"],
    "<option>a<option>b<optgroup><option>c": ["option", "option", "optgroup"],
    "<select><option>a<option>b</select><i>": ["select", "i"],
    "<tr><td>a<td>b<tr><th>c": ["tr", "tr"],
    "<td>a<td>b": ["td", "td"],
    "<caption>a<colgroup><col><thead><tr><td>b<tbody>": ["caption", "colgroup", "thead", "tbody"],
    "<caption><p>a<colgroup>": ["caption", "colgroup"],
    "<table><tr><td><p>a<tr><td><table><tr><td>b</table></table><i>": ["table", "i"],
    "<td></div></td><td>": ["td", "td"],
    "</div></p><i>": ["i"],
    "<!-- <b> --><i>": ["i"],
    "<!--><i>--><b>": ["i"],
    "<!---><i>": ["i"],
    "<!-- <b> --!><i>": ["i"],
    "<!-- <b>": [],
    "<!doctype html><i>": ["i"],
    "<?php <b> ?><i>": ["i"],
    "<![CDATA[<b>]]><i>": ["i"],
    "</ <b> ><i>": ["i"],
    "</><i>": ["i"],
    "<1><i>": ["i"],
    "a < b <i>": ["i"],
    '<div title="a>b"><i></i></div><b>': ["div", "b"],
    "<div title='a>b'><i></i></div><b>": ["div", "b"],
    "<p title=it's>a</p><i>": ["p", "i"],
    '<p a"b>x</p><i>': ["p", "i"],
    "<p title = '>' / hidden>x</p title='>'><i>": ["p", "i"],
    "<p title=>x</p><i>": ["p", "i"],
    '<p title="<i>': [],
    "<p": [],
    "<b></b><p <i>": ["b", "p"],
    "<script>if (a < b) '<p>'</script><i>": ["script", "i"],
    "<script></scripts></script ><i>": ["script", "i"],
    "<style>a > b {}</STYLE><i>": ["style", "i"],
    "<textarea><p></textarea><title><p></title><i>": ["textarea", "title", "i"],
    "<script>'<p>'": ["script"],
    "<template><tr></tr><div></template><i>": ["template", "i"],
    "<div><template></div></template></div><i>": ["div", "i"],
    "<hx-partial><p></p></hx-partial><i>": ["hx-partial", "i"],
    "<svg><circle/><path></path></svg><i>": ["svg", "i"],
    "<svg/><i>": ["svg", "i"],
    "<svg><![CDATA[</svg>]]></svg><i>": ["svg", "i"],
    "<svg><![CDATA[<b>": ["svg"],
    "<svg><style/><g></g></svg><i>": ["svg", "i"],
    "<svg><foreignObject><br/><p>a<div/></div></foreignObject></svg><i>": ["svg", "i"],
    "<math><mi/></math><i>": ["math", "i"],
}
"""What Chromium makes of each, parsed as the content of a template."""


@pytest.mark.parametrize("html", ROOTS)
def test_the_top_level_elements_are_those_that_a_browser_finds(html: str) -> None:
    assert [root.tag for root in find_roots(html)] == ROOTS[html]


def test_attributes_are_read_as_a_browser_reads_them() -> None:
    html = """<p ID=a class='x "y"' title="1 &gt; 0" hidden data-u=a/b ID=second =odd x = y>"""
    [root] = find_roots(html)
    assert root.attributes(html) == {
        "id": "a",
        "class": 'x "y"',
        "title": "1 > 0",
        "hidden": "",
        "data-u": "a/b",
        "=odd": "",
        "x": "y",
    }


def test_an_added_attribute_is_escaped_and_wins() -> None:
    html = '<p id="old">x</p>'
    added = add_attribute(html, find_roots(html)[0], "id", 'a"<b')
    assert added == '<p id="a&quot;&lt;b" id="old">x</p>'
    assert find_roots(added)[0].attributes(added) == {"id": 'a"<b'}


@given(st.text() | st.lists(st.sampled_from("<>/\"'=! -a\n")).map("".join))
def test_no_text_breaks_the_reader_and_roots_lie_in_order_inside_it(html: str) -> None:
    ends = [(root.name_end, root.tag_end) for root in find_roots(html)]
    assert ends == sorted(ends)
    for name_end, tag_end in ends:
        assert name_end < tag_end
        assert html[tag_end - 1] == ">"
