"""The HTMX dialect: forms come in as JSON, HTML goes out, for versions 2 and 4 alike.

Formats: `htmx-ext-ws` 2.0.4 for version 2; `hx-ws.js` of htmx 4.0.1, and of the alphas and betas
before it where their messages cannot be mistaken, for version 4.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, ClassVar, Final, Literal, TypeAlias
from urllib.parse import unquote

import msgspec

from ..closecodes import GOING_AWAY, INTERNAL_ERROR, MEANINGS, NORMAL, OVERLOADED, RESTARTING
from ..commands import Call, Command, Disconnect, Event, Failure, Output, Result
from ..errors import MalformedMessage, WrongFrame
from ..json import JsonAdapter
from ..json.depth import plain
from ..publications import Message, Publication
from ..types import Body, Frame
from .base import Codec, Dialect
from .markup import Fragment, as_text, is_markup, mark_out_of_band, out_of_band, partial, render
from .problems import kind_of

__all__ = ["Fragment", "Htmx", "HtmxHeaders"]

Version: TypeAlias = Literal[2, 4]


class HtmxHeaders(msgspec.Struct, frozen=True, gc=False):
    """What HTMX tells beside the form: the HX-* headers as they were sent, None where absent.

    Version 2 sends `trigger`, `trigger_name` and `target` as bare ids and names; version 4 sends
    `source` instead of `trigger`, and both `source` and `target` as "tag#id". `trigger_id` and
    `target_id` give the id whichever version it was. All of it is said by the client: never
    take it for a proof of anything.
    """

    version: Version = 2
    request: str | None = None
    trigger: str | None = None
    trigger_name: str | None = None
    source: str | None = None
    target: str | None = None
    current_url: str | None = None
    boosted: str | None = None
    prompt: str | None = None
    sent: Mapping[str, str] = {}
    """All headers of the message, names in lower case."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the header `name`, upper or lower case alike, or `default`."""
        return self.sent.get(name.lower(), default)

    @property
    def trigger_id(self) -> str | None:
        """The id of the element that sent the message; None where it has none."""
        return self.trigger if self.source is None else _id_of(self.source)

    @property
    def target_id(self) -> str | None:
        """The id of the element that is to be swapped; None where it has none."""
        return self.target if self.version == 2 or self.target is None else _id_of(self.target)


class Htmx(Dialect):
    """HTMX over WebSockets: `htmx-ext-ws` with htmx 2, `hx-ws` with htmx 4.

    The messages of a connection tell its version. `version` is what to take for granted before
    the first one: 2 or 4; None, the default, is HTML that both understand.

    An answer is an element (anything with `__html__` or `__ft__`), a str, which is always
    escaped, a number, a `Fragment`, or a list or tuple of these. Top-level elements with an id
    are swapped out-of-band by their id. For text and elements without an id the client decides:
    version 2 drops them, version 4 swaps them into the default target, which without `hx-target`
    is the `hx-ws:connect` element itself. Browsers drop table rows that come behind other
    elements; put them first, or alone.

    `error` makes the answer to a message that failed, from its `Failure`; None from it ends the
    connection. By default the message and the problems, escaped, become the content of the
    page's element with the id "ws-error"; a page without one shows nothing and goes on. Where a
    close code cannot travel it says the reason too, unless the end is a good one or the page is
    to come back.

    Raises:
        ValueError: `version` is not 2, 4 or None.
    """

    name: ClassVar[str] = "htmx"
    body: Body = "form"
    has_html: ClassVar[bool] = True
    parameters: ClassVar[Mapping[str, type]] = {"htmx": HtmxHeaders}

    def __init__(
        self,
        *,
        version: Version | None = None,
        error: Callable[[Failure], object] | None = None,
    ) -> None:
        if version not in (None, 2, 4):
            raise ValueError(f"htmx version: expected 2, 4 or None, got {version!r}")
        self._version = version
        self._error = error or _error_element

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection."""
        return _HtmxCodec(json, self._version, self._error)


class _HtmxCodec:
    def __init__(
        self, json: JsonAdapter, version: Version | None, error: Callable[[Failure], object]
    ) -> None:
        self._json = json
        self.version = version
        self._error = error

    @property
    def variant(self) -> Hashable:
        """The version that the client has told, and how errors are said."""
        return ("htmx", self.version, self._error)

    def decode(self, frame: Frame) -> Sequence[Command]:
        if not isinstance(frame, str):
            raise WrongFrame("text", "binary")
        message = self._json.decode(frame, Any)
        if not isinstance(message, dict):
            raise MalformedMessage(
                f"expected a JSON object with the fields of a form, got {kind_of(message)}"
            )
        fields, raw, version = _parted(message)
        self.version = version or self.version
        return (Call(fields, meta=_headers(raw, self.version or 2)),)

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, Failure):
            value = self._error(output)
        elif isinstance(output, (Result, Event)):
            value = output.value
        elif isinstance(output, Publication):
            value = self._published(output.message)
        elif isinstance(output, Disconnect) and output.code not in _QUIET_ENDS:
            reason = output.reason or MEANINGS.get(output.code, "closed")
            value = self._error(Failure(output.code, reason))
        else:
            return None
        parts = _parts(value)
        if self.version != 4:
            html = "".join([_old_form(part) for part in parts])
        elif len(parts) == 1 and isinstance(parts[0], Fragment):
            return self._json.encode(_new_form(parts[0])).decode()
        else:
            html = "".join([_beside_others(part) for part in parts])
        return as_text(html) or None

    def _published(self, message: Message) -> object:
        """Return what a publication shows: HTML where the server made it, else a text."""
        value = plain(self._json).decode(message.data)
        if not message.is_html:
            return value
        place = {name: value.get(name) for name in ("target", "swap", "select")}
        html = _Html(value["html"])
        return Fragment(html, **place) if any(place.values()) else html


_QUIET_ENDS: Final = {NORMAL, GOING_AWAY, INTERNAL_ERROR, RESTARTING, OVERLOADED, 1014}
"""Ends that nobody needs to read of: all is well, or the page comes back by itself."""


def _parted(message: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], Version | None]:
    """Part a message into fields, headers, and the version that its shape tells.

    Neither client sends a form field of its own as an object, and version 4 never one that is
    named "headers"; so an object under one of the two names is the headers.
    """
    upper, lower = message.get("HEADERS"), message.get("headers")
    if isinstance(upper, dict):
        return _without(message, "HEADERS"), upper, 2
    if isinstance(lower, dict):
        nested = _nested(message, lower)
        return _without(message, "headers") if nested is None else nested, lower, 4
    if "HEADERS" in message:
        raise MalformedMessage(f"HEADERS: expected an object of strings, got {kind_of(upper)}")
    return message, {}, None


def _nested(message: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any] | None:
    """Return the fields where a pre-release of version 4 put them a level down, else None."""
    values, body = message.get("values"), message.get("body")
    if isinstance(values, dict) and message.get("type") == "request":
        is_alpha = "request_id" in message and message.keys() <= _ALPHA_KEYS
        return values if is_alpha else None
    if isinstance(body, dict) and "HX-Request-ID" in headers:
        return body if message.keys() == {"headers", "body"} else None
    return None


_ALPHA_KEYS: Final = {"type", "request_id", "event", "headers", "values", "path", "id"}


def _without(message: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != key}


def _headers(raw: dict[str, Any], version: Version) -> HtmxHeaders:
    sent = {
        name.lower(): _header_text(name, value) for name, value in raw.items() if value is not None
    }
    known = {field: sent.get(header) for field, header in _KNOWN_HEADERS.items()}
    return HtmxHeaders(version=version, sent=sent, **known)


_KNOWN_HEADERS: Final = {
    "request": "hx-request",
    "trigger": "hx-trigger",
    "trigger_name": "hx-trigger-name",
    "source": "hx-source",
    "target": "hx-target",
    "current_url": "hx-current-url",
    "boosted": "hx-boosted",
    "prompt": "hx-prompt",
}


def _header_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):  # version 2 sends the numbers of `hx-headers` as numbers
        return str(value)
    raise MalformedMessage(f"header {name}: expected a string, got {kind_of(value)}")


def _id_of(identifier: str) -> str | None:
    return unquote(identifier.partition("#")[2]) or None


def _parts(value: object) -> list[str | Fragment]:
    """Return the HTML and the Fragments of an answer, in order; no two neighbours are HTML."""
    parts: list[str | Fragment] = []
    for part in _flat(value):
        if parts and isinstance(part, str) and isinstance(parts[-1], str):
            parts[-1] += part
        elif part:
            parts.append(part)
    return parts


def _flat(value: object) -> Iterator[str | Fragment]:
    if isinstance(value, Fragment):
        yield value
    elif isinstance(value, list | tuple) and not is_markup(value):
        for item in value:
            yield from _flat(item)
    else:
        yield render(value)


def _old_form(part: str | Fragment) -> str:
    return out_of_band(part) if isinstance(part, Fragment) else mark_out_of_band(part)


def _beside_others(part: str | Fragment) -> str:
    return partial(part) if isinstance(part, Fragment) else mark_out_of_band(part)


def _new_form(fragment: Fragment) -> dict[str, str]:
    content = render(fragment.content)
    options = {"target": fragment.target, "swap": fragment.swap, "select": fragment.select}
    message = {name: text for name, text in options.items() if text is not None}
    if not content.strip() and "swapEmpty" not in message.get("swap", "swapEmpty"):
        message["swap"] += " swapEmpty:true"  # without it hx-ws never empties an element
    return {"content": content, **message}


def _error_element(failure: Failure) -> object:
    problems = failure.details if isinstance(failure.details, list) else []
    items = "".join([_problem_item(problem) for problem in problems if isinstance(problem, dict)])
    details = f"<ul>{items}</ul>" if items else ""
    return _Html(
        f'<div id="ws-error" hx-swap-oob="innerHTML">{escape(failure.message)}{details}</div>'
    )


def _problem_item(problem: dict[str, Any]) -> str:
    place = ".".join(str(step) for step in problem.get("loc", ()))
    text = str(problem.get("msg", ""))
    return f"<li>{escape(f'{place}: {text}' if place else text)}</li>"


class _Html(str):
    __slots__ = ()

    def __html__(self) -> str:
        return self
