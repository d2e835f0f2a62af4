"""The HTTP paths of a dialect whose clients can do without a WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from .commands import Disconnect
from .dialects.base import Codec, Dialect, Endpoints, Format
from .errors import RegistrationError
from .json import JsonAdapter
from .routing.paths import RouteTable
from .routing.routes import WebSocketRoute
from .security.origin import OriginPolicy

if TYPE_CHECKING:
    from .reception import Target

__all__ = ["Farewell", "Fallback", "Fallbacks", "endpoints_of"]

Kind: TypeAlias = Literal["lines", "events", "messages"]

_WORDS: Final[dict[Kind, str]] = {
    "lines": "HTTP stream",
    "events": "server-sent events",
    "messages": "messages of streams",
}

Farewell: TypeAlias = Callable[[int, str, str | None], bytes | None]
"""From our close code, the reason and what was agreed as subprotocol to the message that says so;
None: there are no words."""


class Fallback(NamedTuple):
    """What an HTTP path of a dialect leads to."""

    kind: Kind
    """A stream of lines or of server-sent events, or requests with messages for either."""
    target: Target | None
    """What serves the connections of a stream."""
    first: str
    """The query parameter with the first message, of server-sent events."""
    formats: dict[str, Format]
    """From a media type to the format that it stands for; other requests bring text."""
    farewell: Farewell
    origins: list[OriginPolicy]
    """Who may ask: origins that one of them allows."""
    sizes: list[int]
    """Largest messages that connections take, in bytes."""

    @property
    def method(self) -> str:
        """The HTTP method of its requests."""
        return "GET" if self.kind == "events" else "POST"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return _WORDS[self.kind]

    def allows(self, origins: list[str], host: str | None, scheme: str) -> bool:
        """Whether a page may ask, as its Origin header says."""
        return any(policy.check(origins, host, scheme) for policy in self.origins)


class Fallbacks:
    """All such paths of an application."""

    def __init__(self, json: JsonAdapter) -> None:
        self.table: RouteTable[Fallback] = RouteTable()
        self._json = json

    def add(self, path: str, target: Target, dialect: Dialect, endpoints: Endpoints) -> None:
        """Add the paths beside a socket; `path` is what they all begin with.

        Raises:
            RegistrationError: another route has one of them.
        """
        farewell = self._farewell(dialect)
        size = target.settings.max_message_size
        formats = dict(endpoints.formats)
        own = target, endpoints.first, formats, farewell, [target.origin], [size]
        self.table.add(path + endpoints.lines, Fallback("lines", *own))
        self.table.add(path + endpoints.events, Fallback("events", *own))
        known = self.table.find(endpoints.messages)
        if known is None:
            rest = formats, farewell, [target.origin], [size]
            place = Fallback("messages", None, "", *rest)
            self.table.add(endpoints.messages, place)
        elif known.target.kind == "messages":
            known.target.formats.update(formats)
            known.target.origins.append(target.origin)
            known.target.sizes.append(size)
        else:
            raise RegistrationError(endpoints.messages, "a stream has this path")

    def refuse_page(self, where: str, path: str, methods: set[str]) -> None:
        """Refuse a page at a path of these.

        Raises:
            RegistrationError: there is one, of one of these methods.
        """
        for route in self.table:
            if route.template.text == path and route.target.method in methods:
                raise RegistrationError(where, f"{route.target.method} {path} is a stream's")

    def _farewell(self, dialect: Dialect) -> Farewell:
        codecs: dict[str | None, Codec] = {None: dialect.open(self._json)}
        codecs |= {each: dialect.open_as(each, self._json) for each in dialect.subprotocols}

        def farewell(code: int, reason: str, subprotocol: str | None) -> bytes | None:
            codec = codecs.get(subprotocol, codecs[None])
            frame = codec.encode(Disconnect(code, reason))
            return frame.encode() if isinstance(frame, str) else frame

        return farewell


def endpoints_of(route: WebSocketRoute) -> Endpoints | None:
    """Return the endpoints of a route's dialect; None where it has none, or names its socket."""
    endpoints = getattr(route.dialect, "endpoints", None)
    if not route.is_per_message or endpoints is None:
        return None
    found: Endpoints = endpoints
    return None if route.path.endswith(found.socket) else found
