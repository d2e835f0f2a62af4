"""Which elements of a piece of HTML are top-level, found as a browser would find them.

Browsers parse an HTMX answer as the content of a `<template>`. This follows their tokenizer
(HTML Living Standard, section 13.2.5) and, of the tree construction (section 13.2.6), what
decides nesting: void elements, raw text, implied end tags, table parts, SVG and MathML.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Final

import msgspec

__all__ = ["Root", "add_attribute", "find_roots"]


class Root(msgspec.Struct, frozen=True, gc=False):
    """A top-level element: its tag in lower case, and where its name and its start tag end."""

    tag: str
    name_end: int
    tag_end: int

    def attributes(self, html: str) -> dict[str, str]:
        """Return its attributes in `html`, names in lower case; of duplicates the first counts."""
        found: dict[str, str] = {}
        for match in _ATTRIBUTE.finditer(html, self.name_end, self.tag_end):
            value = match.group(2) or ""
            text = value[1:-1] if value[:1] in ('"', "'") else value
            found.setdefault(match.group(1).lower(), unescape(text))
        return found


def find_roots(html: str) -> list[Root]:
    """Return the top-level elements of `html` in order; broken HTML is read as browsers read it."""
    tree = _Tree()
    roots: list[Root] = []
    position = 0
    while (token := _TOKEN.search(html, position)) is not None:
        position = token.end()
        opened, self_closing, closed = token.group(1, 2, 3)
        if opened is not None:
            name = opened.lower()
            is_raw = name in _RAW_TEXT and not tree.is_foreign(name)
            if tree.open(name, self_closes=bool(self_closing)):
                roots.append(Root(name, token.end(1), position))
            if is_raw:
                position = _end_of_raw_text(html, name, position)
        elif closed is not None:
            tree.close(closed.lower())
        elif html.startswith("<![CDATA[", token.start()) and tree.is_foreign():
            position = _behind(html, "]]>", token.start())
    return roots


def add_attribute(html: str, root: Root, name: str, value: str) -> str:
    """Return `html` with the attribute on `root`; it wins over one of this name already there.

    The positions of all roots behind it move: add to the last one first.
    """
    return f'{html[: root.name_end]} {name}="{escape(value)}"{html[root.name_end :]}'


class _Tree:
    """The names of the open elements, innermost last."""

    def __init__(self) -> None:
        self._open: list[str] = []

    def open(self, name: str, *, self_closes: bool) -> bool:
        """Take a start tag; return whether its element is top-level."""
        for closed, boundary in _IMPLIED_ENDS.get(name, ()):
            self._close_implied(closed, boundary)
        is_root = not self._open
        if name not in _VOID and not (self_closes and self.is_foreign(name)):
            self._open.append(name)
        return is_root

    def close(self, name: str) -> None:
        """Take an end tag; one that ends nothing is ignored."""
        boundary = _TABLE_SCOPE if name in _TABLE_PARTS else _SCOPE
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index] == name:
                del self._open[index:]
                return
            if self._open[index] in boundary:
                return

    def is_foreign(self, name: str = "") -> bool:
        """Whether `name`, were it opened here, is SVG or MathML, where `<x/>` closes itself."""
        if name in _FOREIGN:
            return True
        for outer in reversed(self._open):
            if outer in _FOREIGN or outer in _HTML_IN_FOREIGN:
                return outer in _FOREIGN
        return False

    def _close_implied(self, closed: frozenset[str], boundary: frozenset[str]) -> None:
        cut = len(self._open)
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index] in closed:
                cut = index
            elif self._open[index] in boundary:
                break
        del self._open[cut:]


def _end_of_raw_text(html: str, name: str, position: int) -> int:
    end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE | re.ASCII).search(html, position)
    return end.start() if end else len(html)


def _behind(html: str, mark: str, position: int) -> int:
    found = html.find(mark, position)
    return len(html) if found < 0 else found + len(mark)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAME: Final = r"[^\s/>][^\s/>=]*+"
_VALUE: Final = r"""(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+|(?=>))"""
_ATTRIBUTE: Final = re.compile(rf"({_NAME})(?:\s*+=\s*+({_VALUE}))?", re.ASCII)
_INSIDE_TAG: Final = rf"(?:\s++|/(?!>)|{_NAME}(?:\s*+=\s*+{_VALUE}|(?!\s*+=)))*+"
_TOKEN: Final = re.compile(
    rf"<([a-z][^\s/>]*+){_INSIDE_TAG}(/?)>"
    rf"|</([a-z][^\s/>]*+){_INSIDE_TAG}/?>"
    r"|<!--(?:-?>|.*?(?:--!?>|\Z))"  # comment
    r"|<(?:[!?]|/(?=[^a-z>]))[^>]*+(?:>|\Z)"  # doctype, and what is read as a comment
    r"|</?[a-z].*\Z",  # a tag without an end
    re.ASCII | re.DOTALL | re.IGNORECASE,
)

_VOID: Final = _names(
    "area base basefont bgsound br col embed frame hr img input keygen link meta param source "
    "track wbr"
)
_RAW_TEXT: Final = _names("iframe noembed noframes script style textarea title xmp")
_FOREIGN: Final = _names("math svg")
_HTML_IN_FOREIGN: Final = _names("annotation-xml desc foreignobject mi mn mo ms mtext title")

_TABLE_PARTS: Final = _names("caption col colgroup table tbody td tfoot th thead tr template")
_TABLE_SCOPE: Final = _names("table template")
_SCOPE: Final = _TABLE_SCOPE | _names("caption marquee object td th")
_P_SCOPE: Final = _SCOPE | _FOREIGN | _names("button")
_SELECT_SCOPE: Final = _SCOPE | _names("datalist select")
_P: Final = _names("p")
_CLOSES_P: Final = _names(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p "
    "plaintext pre search section summary ul xmp"
)
_LIST_SCOPE: Final = _SCOPE | (
    _names(
        "article aside blockquote button center datalist details dir dl fieldset figcaption "
        "figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup iframe listing main menu "
        "nav noscript ol pre search section select summary ul"
    )
)
_CELLS: Final = _names("td th")
_ROWS: Final = _CELLS | _names("tr")
_SECTIONS: Final = _ROWS | _names("caption colgroup tbody tfoot thead")

_IMPLIED_ENDS: Final[dict[str, tuple[tuple[frozenset[str], frozenset[str]], ...]]] = {
    **dict.fromkeys(_CLOSES_P, ((_P, _P_SCOPE),)),
    "li": ((_names("li"), _LIST_SCOPE), (_P, _P_SCOPE)),
    **dict.fromkeys(["dd", "dt"], ((_names("dd dt"), _LIST_SCOPE), (_P, _P_SCOPE))),
    "option": ((_names("option"), _SELECT_SCOPE | _names("optgroup")),),
    "optgroup": ((_names("option"), _SELECT_SCOPE),),
    **dict.fromkeys(_CELLS, ((_CELLS, _TABLE_SCOPE),)),
    "tr": ((_ROWS, _TABLE_SCOPE),),
    **dict.fromkeys(_SECTIONS - _ROWS, ((_SECTIONS, _TABLE_SCOPE),)),
}
"""For each start tag: which open elements it ends, and the elements beyond which it ends none."""
