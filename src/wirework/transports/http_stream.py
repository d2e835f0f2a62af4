"""Connections over plain HTTP, on any ASGI server (ASGI specification, "HTTP", version 2.3).

What we say streams out of one response, what the peer says comes in requests of their own. Which
paths they have, and what the messages look like, a dialect says: `dialects.base.Endpoints`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, Protocol
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary

import msgspec

from .. import closecodes
from ..connection import Mailbox, State
from ..fallbacks import Fallback, Farewell
from ..mailboxes import Mailboxes
from ..outbox import Waiting
from ..security.redaction import redact_query
from ..timers import wheel
from ..types import HeaderList, Receive, Scope, SendMessage
from .asgi import AsgiLink
from .base import Application
from .head import fault_of

__all__ = ["StreamLink", "serve"]

logger = logging.getLogger("wirework")

_CHUNK: Final = 64 * 1024
"""Bytes that are written at once, about."""
_ENVELOPE: Final = 4096
"""Bytes around the message in the body of a request."""
_LOOK: Final = 0.5
"""Seconds between two looks at the server."""
_PREFLIGHT_AGE: Final = 600
"""Seconds for which browsers keep what a preflight has said."""


class Host(Application, Protocol):
    """The application, as this transport sees it."""

    mailboxes: Mailboxes
    """Where messages of its connections arrive."""


class _Posted(msgspec.Struct):
    """The body of a request with a message."""

    data: str
    session: str = ""
    node: str = ""


class _NotTaken(Exception):
    """A request that is answered with a status, and nothing else."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _Gone(Exception):
    """The peer has gone before its request was complete."""


async def serve(
    app: Host,
    place: Fallback,
    scope: Scope,
    receive: Receive,
    send: SendMessage,
    *,
    seen: Scope,
) -> None:
    """Serve one `http` scope at a path of a dialect: a stream, a message or a preflight.

    `seen` is the scope as the client's own request would have made it, without proxies.
    """
    exchange = _Exchange(app, place, scope, receive, send)
    exchange.judge_origin(seen)
    try:
        await exchange.serve()
    except _NotTaken as error:
        await exchange.answer(error.status, error.text)
    except _Gone:
        return


class _Exchange:
    """One request at such a path."""

    def __init__(
        self, app: Host, place: Fallback, scope: Scope, receive: Receive, send: SendMessage
    ) -> None:
        self._app = app
        self._place = place
        self._scope = scope
        self._receive = receive
        self._send = send
        self._origins = _values(scope, b"origin")
        self._is_allowed = False

    def judge_origin(self, seen: Scope) -> None:
        """Find out whether the page that asks may."""
        hosts = _values(seen, b"host")
        scheme = str(seen.get("scheme", "http"))
        self._is_allowed = self._place.allows(self._origins, hosts[0] if hosts else None, scheme)

    async def serve(self) -> None:
        """Do what the request asks for.

        Raises:
            _NotTaken: what it is answered with, and nothing was done.
        """
        place, method = self._place, self._scope["method"]
        if method == "OPTIONS":
            await self._answer_preflight()
        elif method != place.method:
            raise _NotTaken(405, f"expected {place.method}, got {method}")
        elif fault := fault_of(_without_body(self._scope["headers"])):
            raise _NotTaken(400, fault)
        elif place.kind == "messages":
            await self._take_message()
        else:
            await self._stream()

    async def answer(self, status: int, text: str = "", more: HeaderList = ()) -> None:
        """Answer with a status."""
        headers: list[tuple[str, str]] = [*self._cors(), *more]
        if status == 405:
            headers.append(("allow", f"{self._place.method}, OPTIONS"))
        if text:
            headers.append(("content-type", "text/plain; charset=utf-8"))
        body = text.encode()
        if status != 204:
            headers.append(("content-length", str(len(body))))
        start = {"type": "http.response.start", "status": status, "headers": _encode(headers)}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    # --- pages of other origins -----------------------------------------------------------------

    def _cors(self) -> HeaderList:
        """Let the page read the answer, if its origin may connect (Fetch standard, 3.2)."""
        if not (self._is_allowed and self._origins):
            return (("vary", "Origin"),)
        return (
            ("access-control-allow-origin", self._origins[0]),
            ("access-control-allow-credentials", "true"),
            ("vary", "Origin"),
        )

    async def _answer_preflight(self) -> None:
        if not (self._is_allowed and self._origins):
            raise _NotTaken(403, "Forbidden")
        asked = _values(self._scope, b"access-control-request-headers")
        allowed = (
            ("access-control-allow-methods", self._place.method),
            ("access-control-allow-headers", ", ".join(asked) or "content-type"),
            ("access-control-max-age", str(_PREFLIGHT_AGE)),
        )
        await self.answer(204, more=allowed)

    def _check_site(self) -> None:
        """Refuse what a page of another site can ask for without saying its origin (an image)."""
        sites = _values(self._scope, b"sec-fetch-site")
        if not self._origins and any(site in ("cross-site", "same-site") for site in sites):
            raise _NotTaken(403, "Forbidden")

    # --- a message ------------------------------------------------------------------------------

    async def _take_message(self) -> None:
        if not self._is_allowed:
            raise _NotTaken(403, "Forbidden")
        limit = 2 * max(self._place.sizes) + _ENVELOPE  # quoted, a message can be twice as long
        body = await self._body(limit)
        try:
            posted = msgspec.json.decode(body, type=_Posted)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _NotTaken(400, f"expected session, node and data: {error}") from None
        mailbox = Mailbox(posted.session, posted.node)
        await self.answer(await self._app.mailboxes.post(mailbox, posted.data))

    async def _body(self, limit: int) -> bytes:
        """Return the body of the request, of at most `limit` bytes."""
        parts: list[bytes] = []
        size, is_complete = 0, False
        try:
            async with asyncio.timeout(self._app.settings.handshake_timeout):
                while not is_complete:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        raise _Gone
                    parts.append(bytes(message.get("body") or b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise _NotTaken(413, f"expected at most {limit} bytes")
                    is_complete = not message.get("more_body")
        except TimeoutError:
            raise _NotTaken(408, "the request took too long") from None
        return b"".join(parts)

    # --- a stream -------------------------------------------------------------------------------

    async def _stream(self) -> None:
        place = self._place
        if place.kind == "events":
            self._check_site()
        first = await self._first()
        make = _EventsLink if place.kind == "events" else _LinesLink
        link = make(self._scope, self._receive, self._send)
        link.farewell, link.headers, link.first = place.farewell, self._cors(), first
        await _carry(self._app, link, self._scope)

    async def _first(self) -> str:
        """Return the message that the peer begins with.

        One of the query is alone: any page can have a browser ask for an address, with cookies.
        """
        place, scope = self._place, self._scope
        limit = max(place.sizes)
        if place.kind == "lines":
            try:
                return (await self._body(limit)).decode()
            except UnicodeDecodeError:
                raise _NotTaken(400, "expected UTF-8") from None
        await self._body(limit)
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        found = parse_qs(query).get(place.first, [""])[-1].strip()
        # Its token is not for logs, which servers write from the same scope.
        scope["query_string"] = redact_query(query, (place.first,)).encode("latin-1")
        if not found or "\n" in found:
            raise _NotTaken(400, f"expected one message as the query's {place.first}")
        return found


async def _carry(app: Host, link: StreamLink, scope: Scope) -> None:
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
    media_type: ClassVar[str]

    def __init__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        super().__init__(scope, receive, send)
        self.farewell: Farewell
        self.headers: HeaderList = ()
        self.first = ""
        self._turn = asyncio.Lock()
        self._in_flight = 0
        self._held = 0
        """How much waits for room in the inbox: characters."""

    def wrapped(self, messages: Sequence[bytes]) -> bytes:
        """Return what goes into the body for these messages."""
        raise NotImplementedError

    # --- the peer's messages --------------------------------------------------------------------

    async def put(self, message: str) -> None:
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

    def put_at_once(self, message: str) -> None:
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
        start = {"type": "http.response.start", "status": 200, "headers": _encode(answer)}
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
        start = {"type": "http.response.start", "status": status, "headers": _encode(answer)}
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
        said = self.farewell(connection.close_code or closecodes.NORMAL, connection.close_reason)
        await self._write_body(self.wrapped([] if said is None else [said]), is_last=True)


class _LinesLink(StreamLink):
    """A message is a line."""

    media_type: ClassVar[str] = "application/x-ndjson"

    def wrapped(self, messages: Sequence[bytes]) -> bytes:
        """Return one line for each message."""
        return b"".join([part for each in messages for part in (each, b"\n")])


class _EventsLink(StreamLink):
    """A message is an event (HTML standard, 9.2)."""

    name: ClassVar[str] = "sse"
    media_type: ClassVar[str] = "text/event-stream"

    def wrapped(self, messages: Sequence[bytes]) -> bytes:
        """Return one event for each message; a carriage return, which JSON may hold, ends none."""
        lines = (each.replace(b"\r", b" ").replace(b"\n", b"\ndata: ") for each in messages)
        return b"".join([part for line in lines for part in (b"data: ", line, b"\n\n")])


def _encode(headers: HeaderList) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _data(frame: Waiting) -> bytes:
    return frame if isinstance(frame, bytes) else frame.data


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _without_body(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers but those of a body, which a handshake may not have."""
    body = (b"transfer-encoding", b"content-length")
    return [(name, value) for name, value in headers if name not in body]
