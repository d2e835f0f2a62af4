"""Values that a handler answers with, turned into the HTML that HTMX swaps into the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final

import msgspec

from .html import Root, add_attribute, find_roots

__all__ = [
    "Fragment",
    "as_text",
    "is_markup",
    "mark_out_of_band",
    "out_of_band",
    "partial",
    "render",
]

_OOB: Final = "hx-swap-oob"


class Fragment(msgspec.Struct, frozen=True):
    """HTML with the place where it goes, for answers that are not swapped by their ids.

    `content` is whatever a handler may return but a Fragment. `target` is a CSS selector, `swap`
    one of HTMX's swap styles ("innerHTML", "beforeend", ...; without one the page's default on
    version 4, "innerHTML" on version 2). `select` picks elements from the content; version 4 only.

    A version 4 peer gets JSON, `{"content", "target"?, "swap"?, "select"?}`, and without a target
    swaps into the default target of its `hx-ws:connect` element. A version 2 peer gets the
    same as an out-of-band swap: there `target` is needed as soon as `swap` is given, "outerHTML"
    needs content with exactly one top-level element, and modifiers of `swap` are left out.
    """

    content: Any
    target: str | None = None
    swap: str | None = None
    select: str | None = None


def render(value: object) -> str:
    """Return `value` as HTML; only what says that it is markup is not escaped.

    Raises:
        TypeError: the value is no markup, text or number; the text names what can be returned.
    """
    if value is None:
        return ""
    if isinstance(value, Fragment):
        raise TypeError(
            "htmx: a Fragment stands alone or in a list or tuple, not inside other content"
        )
    if is_markup(value):
        return _markup(value)
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return escape(str(value))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return "".join([render(item) for item in value])
    raise TypeError(_REMEDY.format(type(value).__name__))


_REMEDY: Final = (
    "htmx: expected an element (anything with __html__ or __ft__), a str, a number, a Fragment, "
    "or a list or tuple of these, got {}"
)


def is_markup(value: object) -> bool:
    """Whether `value` says by `__html__` or `__ft__` that it is HTML already."""
    if isinstance(value, type):
        return False
    return hasattr(value, "__html__") or hasattr(value, "__ft__")


def _markup(value: Any) -> str:
    if not hasattr(value, "__html__"):
        return render(value.__ft__())
    html = value.__html__()
    if not isinstance(html, str):
        raise TypeError(f"htmx: expected a str from __html__(), got {type(html).__name__}")
    # A subclass such as Markup escapes what is joined to it later: only its text goes on.
    return "".join((html,))


def mark_out_of_band(html: str) -> str:
    """Return `html` with `hx-swap-oob="true"` on each top-level element that has an id.

    Version 4 swaps by id only what says so; version 2 takes it for granted. Elements without an
    id stay as they are (version 4 swaps them into the default target, version 2 drops them), and
    so do those that have the attribute, templates, `<hx-partial>` and whole documents.
    """
    for root in reversed(find_roots(html)):
        attributes = root.attributes(html) if _can_be_marked(root) else {}
        if attributes.get("id") and not attributes.keys() & {_OOB, f"data-{_OOB}"}:
            html = add_attribute(html, root, _OOB, "true")
    return html


def _can_be_marked(root: Root) -> bool:
    return root.tag not in ("template", "html", "head", "body") and root.tag[:3] != "hx-"


def out_of_band(fragment: Fragment) -> str:
    """Return `fragment` as an out-of-band swap, which versions 2 and 4 both carry out.

    Raises:
        TypeError: it cannot be said like this; the text says what to change.
    """
    content = render(fragment.content)
    if fragment.select is not None:
        raise TypeError(
            "htmx 2 cannot select from a Fragment: leave out `select`, or Htmx(version=4)"
        )
    if fragment.target is None:
        if fragment.swap is not None:
            raise TypeError("htmx 2 swaps by id: a Fragment with `swap` needs a `target`")
        return mark_out_of_band(content)
    style = _old_style(fragment.swap or "")
    # Version 4 looks for the last colon before a space, and a selector may have colons too.
    gap = " " if ":" in fragment.target else ""
    place = f"{style}:{gap}{fragment.target}"
    roots = find_roots(content)
    if style == "outerHTML":
        if len(roots) != 1:
            raise TypeError(
                "htmx 2 replaces an element by exactly one: expected a Fragment with one "
                f"top-level element for swap={fragment.swap!r}, got {len(roots)}"
            )
        return add_attribute(content, roots[0], _OOB, place)
    wrapper = _WRAPPERS.get(roots[0].tag, "div") if roots else "div"
    return f'<{wrapper} {_OOB}="{escape(place)}">{content}</{wrapper}>'


_OLD_STYLES: Final = {
    "": "innerHTML",
    "innerMorph": "innerHTML",
    "outerMorph": "outerHTML",
    "outerSync": "outerHTML",
    "before": "beforebegin",
    "prepend": "afterbegin",
    "append": "beforeend",
    "after": "afterend",
}
"""Swap styles of version 4 by the one of version 2 that is nearest."""

_WRAPPERS: Final = {
    "tr": "tbody",
    "td": "tr",
    "th": "tr",
    "col": "colgroup",
    **dict.fromkeys(["caption", "colgroup", "tbody", "tfoot", "thead"], "table"),
}
"""What table parts must stand in: browsers drop them inside a div."""


def _old_style(swap: str) -> str:
    words = swap.split()
    style = words[0] if words and ":" not in words[0] else ""
    return _OLD_STYLES.get(style, style)


def partial(fragment: Fragment) -> str:
    """Return `fragment` as version 4's `<hx-partial>`, which can stand beside other elements.

    Raises:
        TypeError: it has `select`, or `swap` without a target: such a Fragment goes alone.
    """
    content = render(fragment.content)
    if fragment.select is not None or (fragment.swap and fragment.target is None):
        raise TypeError(
            "htmx: a Fragment with `select`, or with `swap` but no `target`, must be the whole "
            "answer, not one of several"
        )
    if fragment.target is None:
        return content
    swap = f' hx-swap="{escape(fragment.swap)}"' if fragment.swap else ""
    return f'<hx-partial hx-target="{escape(fragment.target)}"{swap}>{content}</hx-partial>'


def as_text(html: str) -> str:
    """Return `html` so that version 4 cannot take it for JSON: "42" would vanish as data."""
    start = html.lstrip(" \t\n\r")
    if not _MAYBE_JSON.match(start):
        return html
    return html.replace(start[0], f"&#{ord(start[0])};", 1)


_MAYBE_JSON: Final = re.compile(
    r'[\[{"]|(?:true|false|null|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*\Z', re.ASCII | re.IGNORECASE
)
