"""HTTP on RSGI: one request and its response, as ASGI's messages (ASGI specification, "HTTP")."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from ..types import ASGIApp, Message
from .rsgi_scope import HttpProtocol, RsgiScope, StreamTransport, asgi_scope

__all__ = ["HttpExchange", "serve_http"]

logger = logging.getLogger("wirework")

_BODILESS = (204, 304)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""RFC 9110 section 5: what a header's name is made of, and what its value never holds."""


async def serve_http(
    app: ASGIApp, scope: RsgiScope, protocol: HttpProtocol, state: Mapping[str, Any]
) -> None:
    """Serve one request with an ASGI application.

    What it raises is raised, for the server to log; without an answer the client gets 500.
    """
    http = asgi_scope(scope, state)
    http["extensions"]["http.response.pathsend"] = {}
    exchange = HttpExchange(protocol, http)
    try:
        await app(http, exchange.receive, exchange.send)
        if not exchange.is_complete:
            logger.error("%s %s: the response was not completed", scope.method, scope.path)
    finally:
        exchange.end()


class HttpExchange:
    """The `receive` and `send` of one request."""

    def __init__(self, protocol: HttpProtocol, scope: Mapping[str, Any]) -> None:
        self.is_complete = False
        """Whether the whole response was sent."""
        self._protocol = protocol
        self._is_head = scope["method"] == "HEAD"
        self._body = _Body(protocol, scope["http_version"], dict(scope["headers"]))
        self._start: tuple[int, list[tuple[str, str]]] | None = None
        self._stream: StreamTransport | None = None
        self._completed = asyncio.Event()
        self._client_left: asyncio.Future[None] | None = None

    async def receive(self) -> Message:
        """Return the next piece of the body; after the last, wait for the end of the exchange."""
        if self._body.has_more:
            piece = await self._body.read()
            if piece is not None:
                more = self._body.has_more
                return {"type": "http.request", "body": piece, "more_body": more}
        if not self._body.is_broken:
            await self._until_over()
        return {"type": "http.disconnect"}

    async def _until_over(self) -> None:
        """Wait until the client has gone or the response is complete."""
        if self._client_left is None:
            self._client_left = asyncio.ensure_future(self._protocol.client_disconnect())
        completed = asyncio.create_task(self._completed.wait())
        over: tuple[asyncio.Future[Any], ...] = (self._client_left, completed)
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            completed.cancel()

    async def send(self, message: Message) -> None:
        """Do what `message` says.

        Raises:
            OSError: the client has gone.
            ValueError: a status that is not 200-599 (one ends the worker process), or a header
                that Granian leaves out.
            RuntimeError: not a message for this state of the response.
        """
        kind = message["type"]
        if self.is_complete:
            raise RuntimeError(f"{kind} after the response was complete")
        if self._start is None:
            if kind != "http.response.start":
                raise RuntimeError(f"expected http.response.start, got {kind}")
            self._start = _status(message["status"]), _decoded(message.get("headers") or ())
        elif kind == "http.response.body":
            await self._send_body(message.get("body") or b"", bool(message.get("more_body")))
        elif kind == "http.response.pathsend" and self._stream is None:
            self._protocol.response_file(*self._start, str(message["path"]))
            self._complete()
        else:
            raise RuntimeError(f"expected http.response.body, got {kind}")

    async def _send_body(self, body: bytes, more: bool) -> None:
        assert self._start is not None
        status, headers = self._start
        if self._is_head or status in _BODILESS:
            self._protocol.response_empty(status, headers)
        elif self._stream is None and not more:
            # hyper counts the bytes itself; it would believe a wrong count, and send both
            headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            self._protocol.response_bytes(status, headers, bytes(body))
        else:
            if self._stream is None:
                self._stream = self._protocol.response_stream(status, headers)
            if body:
                await self._send_piece(self._stream, bytes(body))
        if not more:
            self._complete()

    async def _send_piece(self, stream: StreamTransport, piece: bytes) -> None:
        try:
            await stream.send_bytes(piece)
        except Exception as error:
            raise ConnectionResetError("the client has gone") from error

    def _complete(self) -> None:
        self.is_complete = True
        self._stream = None
        self._completed.set()

    def end(self) -> None:
        """Let go of the request; a body that is still being sent ends here."""
        self._stream = None
        self._completed.set()
        if self._client_left is not None:
            self._client_left.cancel()


class _Body:
    """The pieces of a request's body.

    RSGI ends an interrupted body like a complete one, but for one empty piece more. So the length
    is counted where it is known; on HTTP/2, where empty pieces are common, only then.
    """

    def __init__(
        self, protocol: HttpProtocol, version: str, headers: Mapping[bytes, bytes]
    ) -> None:
        self._protocol = protocol
        self._pieces: AsyncIterator[bytes] | None = None
        self._is_http1 = version.startswith("1")
        self._missing: int | None = None
        """Bytes still to come, where that is known."""
        length = headers.get(b"content-length", b"")
        if length.isdigit():
            self._missing = int(length)
        elif self._is_http1 and b"transfer-encoding" not in headers:
            self._missing = 0
        self.has_more = True
        """Whether `read` has something left to say, be it that there is no body."""
        self.is_broken = False
        """Whether the client has gone before the end."""

    async def read(self) -> bytes | None:
        """Return the next piece, empty only at the end; None if the client has gone before it."""
        piece = b"" if self._missing == 0 else await self._next()
        while piece == b"" and self._missing is None and not self._is_http1:
            piece = await self._next()
        if piece:
            if self._missing is not None:
                self._missing -= len(piece)
                self.has_more = self._missing > 0
            return piece
        self.has_more = False
        if self._missing is None:
            self.is_broken = piece is not None and await self._next() is not None
        else:
            self.is_broken = self._missing > 0
        return None if self.is_broken else b""

    async def _next(self) -> bytes | None:
        if self._pieces is None:
            self._pieces = aiter(self._protocol)
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            return None


def _status(status: int) -> int:
    if not 200 <= status <= 599:
        raise ValueError(f"response status: expected 200-599, got {status}")
    return int(status)


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return headers as text that Granian encodes, in UTF-8, to the same bytes where it can."""
    found = []
    for name, value in headers:
        pair = _text(name), _text(value)
        if not _NAME.fullmatch(pair[0]) or _CONTROL.search(pair[1]):
            raise ValueError(f"response header: cannot be sent: {pair[0]!r}: {pair[1]!r}")
        found.append(pair)
    return found


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
