"""What RSGI hands to an application, and its scopes in ASGI's shape (RSGI specification 1.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from ..types import Scope

__all__ = [
    "HttpProtocol",
    "Inbound",
    "RsgiScope",
    "StreamTransport",
    "WebSocketProtocol",
    "WebSocketTransport",
    "asgi_scope",
]

_VERSIONS = {"1": "1.0"}
_UNQUOTED = "/:@!$&'()*+,;=~"
"""What a path may hold as it is (RFC 3986 section 3.3)."""


class RsgiHeaders(Protocol):
    """Request headers, in lower case. Values with bytes beyond ASCII cannot be read."""

    def items(self) -> list[tuple[str, str]]:
        """Return every readable name and value."""

    def keys(self) -> list[str]:
        """Return every name once, also of values that cannot be read."""


class RsgiScope(Protocol):
    """One request or handshake."""

    proto: str
    """"http" or "ws"."""
    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    """Percent-decoded by the server."""
    query_string: str
    authority: str | None
    headers: RsgiHeaders


class Inbound(Protocol):
    """One message from the peer; `kind` is 0 for its close, which has no data and no code."""

    kind: int
    data: str | bytes


class WebSocketTransport(Protocol):
    """An accepted WebSocket."""

    def receive(self) -> Awaitable[Inbound]:
        """Return the next message; RSGIProtocolClosed once there is none."""

    def send_bytes(self, data: bytes, /) -> Awaitable[None]:
        """Send a binary frame."""

    def send_str(self, data: str, /) -> Awaitable[None]:
        """Send a text frame."""


class WebSocketProtocol(Protocol):
    """A handshake, and then the end of its connection."""

    def accept(self) -> Awaitable[WebSocketTransport]:
        """Answer 101. A second call ends the worker process."""

    def close(self, status: int | None = None, /) -> Any:
        """Refuse with `status`, or close without a code; calls after the first do nothing.

        A status outside of 100-999 ends the worker process.
        """


class StreamTransport(Protocol):
    """The body of a response that is sent piece by piece. It never waits for the peer."""

    def send_bytes(self, data: bytes, /) -> Awaitable[None]:
        """Send a piece; RSGIProtocolClosed once the peer has gone."""


class HttpProtocol(Protocol):
    """One HTTP request and its response."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the pieces of the body. The last one is empty; an interrupted body ends so too."""

    def client_disconnect(self) -> Awaitable[None]:
        """Wait until the client has gone before the response was complete."""

    def response_empty(self, status: int, headers: list[tuple[str, str]], /) -> None:
        """Answer without a body."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes, /) -> None:
        """Answer with a whole body."""

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str, /) -> None:
        """Answer with a file; 404 where it cannot be opened."""

    def response_stream(self, status: int, headers: list[tuple[str, str]], /) -> StreamTransport:
        """Begin an answer whose body follows."""


def asgi_scope(scope: RsgiScope, state: Mapping[str, Any]) -> Scope:
    """Return `scope` in the shape of ASGI's `http` or `websocket` scope.

    The path is decoded once, by the server; `raw_path` is that path encoded again, because RSGI
    does not tell how the client spelled it. A header whose value cannot be read is there, empty:
    an Origin must not vanish, since an absent one is let through.
    """
    is_http = scope.proto == "http"
    headers = _headers(scope)
    found: Scope = {
        "type": "http" if is_http else "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4" if is_http else "2.5"},
        "http_version": _VERSIONS.get(scope.http_version, scope.http_version),
        "scheme": scope.scheme if is_http else scope.scheme.replace("http", "ws"),
        "path": scope.path,
        "raw_path": quote(scope.path, safe=_UNQUOTED).encode(),
        "query_string": scope.query_string.encode(),
        "root_path": "",
        "headers": headers,
        "client": _address(scope.client),
        "server": _address(scope.server),
        "state": dict(state),
        "extensions": {},
    }
    if is_http:
        found["method"] = scope.method
    else:
        found["subprotocols"] = _subprotocols(headers)
    return found


def _headers(scope: RsgiScope) -> list[tuple[bytes, bytes]]:
    items = scope.headers.items()
    readable = {name for name, _ in items}
    items += [(name, "") for name in scope.headers.keys() if name not in readable]  # noqa: SIM118
    if scope.authority and not any(name == "host" for name, _ in items):
        items.insert(0, ("host", scope.authority))
    return [(name.encode(), value.encode()) for name, value in items]


def _subprotocols(headers: list[tuple[bytes, bytes]]) -> list[str]:
    values = [value.decode() for name, value in headers if name == b"sec-websocket-protocol"]
    return [found for name in ",".join(values).split(",") if (found := name.strip())]


def _address(text: str) -> tuple[str, int] | None:
    """Return `127.0.0.1:80` or `[::1]:80` as host and port; None for a Unix socket."""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None
