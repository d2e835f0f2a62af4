"""What is published, as JSON and back; HTML travels as an object that says so."""

from __future__ import annotations

from typing import Any

from ..dialects.html import find_roots
from ..dialects.markup import Fragment, is_markup, render
from ..json import JsonAdapter

__all__ = ["encoded", "is_html", "key_of"]


def is_html(value: Any) -> bool:
    """Whether a value is HTML that the server has made: an element or a `Fragment`."""
    return isinstance(value, Fragment) or is_markup(value)


def encoded(value: Any, json: JsonAdapter) -> bytes:
    """Return a value as the JSON of a publication.

    HTML becomes `{"html", "target"?, "swap"?, "select"?}`, which HTMX gets as the fragment and
    every other dialect as that object.

    Raises:
        TypeError: it cannot be encoded.
    """
    if isinstance(value, Fragment):
        options = {"target": value.target, "swap": value.swap, "select": value.select}
        given = {name: text for name, text in options.items() if text is not None}
        return json.encode({"html": render(value.content), **given})
    if is_markup(value):
        return json.encode({"html": render(value)})
    return json.encode(value)


def key_of(value: Any) -> str:
    """Return which of a page's elements HTML is for: the id of its one element, or its target."""
    if isinstance(value, Fragment):
        return value.target or ""
    if not is_markup(value):
        return ""
    html = render(value)
    roots = find_roots(html)
    return roots[0].attributes(html).get("id", "") if len(roots) == 1 else ""
