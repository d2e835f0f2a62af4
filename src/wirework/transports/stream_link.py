"""The link of a connection over plain HTTP, and its life in one request."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import ClassVar, Final, Protocol
from weakref import WeakKeyDictionary

from .. import closecodes
from ..connection import State
from ..fallbacks import Farewell
from ..mailboxes import Mailboxes
from ..outbox import Waiting
from ..timers import wheel
from ..types import Frame, HeaderList, Receive, Scope, SendMessage
from .asgi import AsgiLink
from .base import Application

__all__ = ["BytesLink", "EventsLink", "Host", "LinesLink", "StreamLink", "carry", "encode"]

_CHUNK: Final = 64 * 1024
"""Bytes that are written at once, about."""
_LOOK: Final = 0.5
"""Seconds between two looks at the server."""


class Host(Application, Protocol):
    """The application, as this transport sees it."""

    mailboxes: Mailboxes
    """Where messages of its connections arrive."""


async def carry(app: Host, link: StreamLink, scope: Scope) -> None:
    """Serve one stream: returns when its connection has ended and handlers are done."""
    link.connection = connection = app.new_connection(link)
    mailbox = connection.mailbox = app.mailboxes.open(link)
    connection.on_finished = link.finished.set
    link.reader = asyncio.create_task(link.read())
    link.opening = asyncio.current_task()
    _watch_server(app)
    try:
        await app.connect(connection, scope)
        link.opening = None
        await link.finished.wait()
        await link.flushed()
        await link.complete()
    except asyncio.CancelledError:
        if not await link.refuse_late():
            await link.end()
            raise
    finally:
        app.mailboxes.close(mailbox)
        link.reader.cancel()
        link.stop()
        connection.lost()
        link.resume_reading()


class _Lookout:
    """Notices that Uvicorn stops: it waits for streams to end, and tells nobody."""

    def __init__(self) -> None:
        self.apps: set[Host] = set()
        """Applications that have streams."""

    def tick(self, now: float) -> float | None:
        """Look; the wheel calls it."""
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if getattr(server, "should_exit", False):
            for app in self.apps:
                app.shut_down()
            self.apps.clear()
        self.apps = {app for app in self.apps if app.mailboxes}
        return now + _LOOK if self.apps else None


_lookouts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lookout] = WeakKeyDictionary()


def _watch_server(app: Host) -> None:
    lookout = _lookouts.setdefault(asyncio.get_running_loop(), _Lookout())
    if not lookout.apps:
        clock = wheel()
        clock.watch(lookout, clock.now() + _LOOK)
    lookout.apps.add(app)


class StreamLink(AsgiLink):
    """The side of one connection that streams what it says."""

    name: ClassVar[str] = "http_stream"
    joins_texts: ClassVar[bool] = False
    media_type: ClassVar[str]

    def __init__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        super().__init__(scope, receive, send)
        self.farewell: Farewell
        self.headers: HeaderList = ()
        self.first: Frame = ""
        self._turn = asyncio.Lock()
        self._in_flight = 0
        self._held = 0
        """How much waits for room in the inbox: characters."""

    def wrapped(self, messages: Sequence[bytes]) -> bytes:
        """Return what goes into the body for these messages."""
        raise NotImplementedError

    # --- the peer's messages --------------------------------------------------------------------

    async def put(self, message: Frame) -> None:
        """Feed a message, in turn, when there is room for it.

        No more than an inbox of them may wait.
        """
        if self._held > self.connection.bounds.inbox_bytes:
            self._end_flood("inbox_bytes")
            return
        self._held += len(message)
        try:
            async with self._turn:
                await self._readable.wait()
                self.connection.feed(message)
        finally:
            self._held -= len(message)

    def put_at_once(self, message: Frame) -> None:
        """Feed a message that another worker has answered already."""
        connection = self.connection
        bounds = connection.bounds
        if (
            connection.inbox_size > 2 * bounds.inbox_bytes
            or len(connection.inbox) > 2 * bounds.inbox_frames
        ):
            self._end_flood("inbox_frames")
        else:
            connection.feed(message)

    def _end_flood(self, limit: str) -> None:
        self.connection.met(limit)
        self.connection.close(closecodes.TOO_MANY_MESSAGES, "too many messages", discard=True)

    async def read(self) -> None:
        """Wait until the peer has gone."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Exception as error:
            self._gone(error)
        else:
            self.connection.lost(closecodes.NO_STATUS)

    # --- the connection's calls -----------------------------------------------------------------

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        """Begin the response, and feed what came with the request."""
        answer = [
            *self.headers,
            ("content-type", self.media_type),
            ("cache-control", "no-store, no-transform"),
            ("x-accel-buffering", "no"),
            *headers,
        ]
        start = {"type": "http.response.start", "status": 200, "headers": encode(answer)}
        await self._try_to_send(start)
        await self._try_to_send({"type": "http.response.body", "body": b"", "more_body": True})
        self.connection.feed(self.first)

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer the request with something else."""
        given = {name.lower() for name, _ in headers}
        answer = [*self.headers, *headers]
        if "content-length" not in given:
            answer.append(("content-length", str(len(body))))
        if body and "content-type" not in given:
            answer.append(("content-type", "text/plain; charset=utf-8"))
        start = {"type": "http.response.start", "status": status, "headers": encode(answer)}
        await self._try_to_send(start)
        await self._try_to_send({"type": "http.response.body", "body": body})

    async def complete(self) -> None:
        """End a response whose peer has gone, for servers that miss the end."""
        if self.connection.is_accepted and self.connection.by_peer:
            await self._try_to_send({"type": "http.response.body", "body": b""})

    @property
    def backlog(self) -> int:
        """Bytes that the server has not taken yet."""
        return self._in_flight

    # --- writing --------------------------------------------------------------------------------

    async def _write(self) -> None:
        connection = self.connection
        try:
            while frames := connection.take_many(_CHUNK)[0]:
                await self._write_body(self.wrapped([*map(_data, frames)]))
            if connection.state is State.CLOSING:
                await self._say_farewell()
                connection.lost()
        except Exception as error:
            self._gone(error)
        finally:
            self._in_flight = 0
            self._writer = None

    async def _write_body(self, body: bytes, *, is_last: bool = False) -> None:
        self._in_flight = len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": not is_last})

    async def _say_farewell(self) -> None:
        """End the response, with a message that says why: there is no close frame."""
        connection = self.connection
        code, reason = connection.close_code or closecodes.NORMAL, connection.close_reason
        said = self.farewell(code, reason, connection.subprotocol)
        await self._write_body(self.wrapped([] if said is None else [said]), is_last=True)


class LinesLink(StreamLink):
    """A message is a line."""

    media_type: ClassVar[str] = "application/x-ndjson"

    def wrapped(self, messages: Sequence[bytes]) -> bytes:
        """Return one line for each message."""
        return b"".join([part for each in messages for part in (each, b"\n")])


class BytesLink(StreamLink):
    """A message says itself where it ends."""

    media_type: ClassVar[str] = "application/octet-stream"

    def wrapped(self, messages: Sequence[bytes]) -> bytes:
        """Return the messages."""
        return b"".join(messages)


class EventsLink(StreamLink):
    """A message is an event (HTML standard, 9.2)."""

    name: ClassVar[str] = "sse"
    media_type: ClassVar[str] = "text/event-stream"

    def wrapped(self, messages: Sequence[bytes]) -> bytes:
        """Return one event for each message; a carriage return, which JSON may hold, ends none."""
        lines = (each.replace(b"\r", b" ").replace(b"\n", b"\ndata: ") for each in messages)
        return b"".join([part for line in lines for part in (b"data: ", line, b"\n\n")])


def encode(headers: HeaderList) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI takes them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _data(frame: Waiting) -> bytes:
    return frame if isinstance(frame, bytes) else frame.data
