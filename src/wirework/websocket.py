"""The connection as a handler holds it: VelociPy's and Starlette's verbs on one object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from starlette.datastructures import URL, Headers, QueryParams, State

from . import closecodes
from .commands import Disconnect, Event, Subscribed
from .connection import BINARY, TEXT, Connection, Outgoing
from .connection import State as ConnectionState
from .dialects.base import Codec, Dialect
from .errors import ConnectionClosed, Refuse, StateError, WrongFrame, header_pairs
from .handshake import Handshake
from .json import JsonAdapter
from .outbox import Waiting
from .publications import Position
from .types import Frame, HeaderList

if TYPE_CHECKING:
    from .security.sessions import Session

__all__ = ["Send", "WebSocket", "outgoing", "own_frame", "speak"]

_OPEN = ConnectionState.OPEN

T = TypeVar("T")


class Send(Protocol):
    """The `send` parameter of message handlers: says a value in the route's dialect."""

    async def __call__(self, value: Any, /) -> None:
        """Say `value` to the peer."""


class Conversation(Protocol):
    """What a session lets its connection do."""

    is_begun: bool
    """Whether the message that must come first, such as a token, has come."""

    @property
    def has_names(self) -> bool:
        """Whether its messages have names."""

    @property
    def has_html(self) -> bool:
        """Whether its client shows HTML that the server has made."""

    def collects(self, output: Subscribed) -> bool:
        """Whether the client is told later, with `Ready`, that it is subscribed."""

    def ask(self, name: str, value: Any, timeout: float, kind: Any) -> Awaitable[Any]:
        """Send a request and return the client's answer."""


class Host(Protocol):
    """What a connection needs of the application it belongs to."""

    @property
    def json(self) -> JsonAdapter: ...

    @property
    def channels(self) -> Any:
        """All channels; see `channels.directory`."""

    async def session_headers(self, handshake: Handshake) -> HeaderList:
        """Save the session before the answer; return the Set-Cookie header that it needs, if any.

        Raises:
            SessionError: what was written to it cannot be kept.
        """

    async def serve_messages(
        self, ws: WebSocket, on_receive: Callable[..., Any], **options: Any
    ) -> None:
        """Run a session with these functions until the connection has ended."""


class WebSocket:
    """One connection, from its handshake to its end.

    Every send and receive raises `ConnectionClosed` once the peer is gone, on every transport
    alike. A send from the connection's own handler waits while its outbox is more than half
    full; a send from anywhere else never waits for the peer: a full outbox meets the overflow
    policy. Not safe to use from other threads.
    """

    __slots__ = (
        "__weakref__",
        "_json",
        "_state",
        "agreed",
        "app",
        "codec",
        "connection",
        "controller",
        "conversation",
        "handler",
        "handshake",
        "holds_sends",
        "identity",
        "positions",
        "user",
        "watch",
    )

    def __init__(self, connection: Connection, handshake: Handshake, app: Host) -> None:
        self.connection = connection
        self.handshake = handshake
        self.app: Any = app
        self.user: Any = None
        """What authentication returned; None without it."""
        self.identity: Any = None
        self.positions: Mapping[str, Position] = {}
        """Where the client stands in channels that the server subscribes it to."""
        """The `Identity` of the user: until when, and what that allows; None without one."""
        self.watch: Any = None
        """What looks after the user's credentials."""
        self.agreed: str | None = None
        """The subprotocol to agree where the handler names none."""
        self.codec: Codec | None = None
        """The route's dialect at work on this connection; None for connection handlers."""
        self.conversation: Conversation | None = None
        """The session that speaks the dialect; None for connection handlers."""
        self.handler: Any = None
        """The connection handler that serves it; None for message styles."""
        self.controller: Any = None
        """The object that handles this connection, where its route is a controller's."""
        self.holds_sends = False
        """Whether sends before the handshake's answer are kept for after it (in `conn` hooks)."""
        self._json = app.json
        self._state: State | None = None

    def __repr__(self) -> str:
        return f"<WebSocket {self.handshake.path} {self.connection!r}>"

    # --- the handshake ------------------------------------------------------------------------

    async def accept(
        self,
        subprotocol: str | None = None,
        headers: Mapping[str, str] | HeaderList = (),
    ) -> None:
        """Answer the handshake: from here on frames flow.

        Args:
            subprotocol: one of those that the client offers, or None.
            headers: more headers for the answer, as pairs or a mapping.

        Raises:
            StateError: answered already.
            Refuse: the client did not offer `subprotocol`; uncaught, it is refused with 400, since
                browsers fail an answer that they did not ask for (RFC 6455 section 4.1).
            ValueError: a header that HTTP cannot carry.
            ConnectionClosed: the client left meanwhile.
        """
        subprotocol = self.agreed if subprotocol is None else subprotocol
        if subprotocol is not None and subprotocol not in self.handshake.subprotocols:
            offered = ", ".join(self.handshake.subprotocols) or "none"
            raise Refuse(400, f"expected the subprotocol {subprotocol}, offered: {offered}")
        answer = [*header_pairs(headers), *await self.app.session_headers(self.handshake)]
        await self.connection.accept(subprotocol, answer)
        if self.handshake.has_session:
            self.handshake.session.lock()

    async def refuse(
        self,
        status: int = 403,
        body: str | bytes = b"",
        headers: Mapping[str, str] | HeaderList = (),
    ) -> None:
        """Answer the handshake with an HTTP response instead of a WebSocket.

        Raises:
            StateError: answered already.
            ValueError: `status` is not 300-599.
        """
        refusal = Refuse(status, body, headers)
        answer = [*refusal.headers, *await self.app.session_headers(self.handshake)]
        await self.connection.refuse(refusal.status, answer, refusal.body)
        if self.handshake.stored is not None:
            self.handshake.stored.lock()

    @property
    def accepted(self) -> bool:
        """Whether the handshake was answered with a WebSocket."""
        return self.connection.is_accepted

    @property
    def closed(self) -> bool:
        """Whether the connection has ended: the peer is gone, or `close` was called."""
        return self.connection.is_ended

    # --- receiving ----------------------------------------------------------------------------

    async def receive(self) -> Frame:
        """Return the next message: str for a text frame, bytes for a binary one.

        Raises:
            ConnectionClosed: the connection has ended and nothing is left to read.
            StateError: not accepted yet, or another task is receiving.
        """
        return await self.connection.receive()

    async def receive_text(self) -> str:
        """Return the next message, which must be text (`WrongFrame` otherwise)."""
        frame = await self.connection.receive()
        if isinstance(frame, str):
            return frame
        raise WrongFrame("text", "binary")

    async def receive_bytes(self) -> bytes:
        """Return the next message, which must be binary (`WrongFrame` otherwise)."""
        frame = await self.connection.receive()
        if isinstance(frame, bytes):
            return frame
        raise WrongFrame("binary", "text")

    @overload
    async def receive_json(self) -> Any: ...
    @overload
    async def receive_json(self, type: type[T]) -> T: ...
    @overload
    async def receive_json(self, type: Any) -> Any: ...
    async def receive_json(self, type: Any = Any) -> Any:
        """Return the next message, decoded from JSON into `type` and validated.

        Text and binary frames are both read.

        Raises:
            MalformedMessage: it is not JSON. The connection stays open.
            ValidationError: it does not fit `type`; `problems` lists every reason.
        """
        frame = await self.connection.receive()
        return self._json.decode(frame, type)

    async def iter_text(self) -> AsyncIterator[str]:
        """Yield text messages until the connection ends."""
        connection = self.connection
        while True:
            while connection.inbox:
                frame = connection.next_frame()
                if not isinstance(frame, str):
                    raise WrongFrame("text", "binary")
                yield frame
            try:
                await connection.wait_frame()
            except ConnectionClosed:
                return

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield binary messages until the connection ends."""
        try:
            while True:
                yield await self.receive_bytes()
        except ConnectionClosed:
            return

    @overload
    def iter_json(self) -> AsyncIterator[Any]: ...
    @overload
    def iter_json(self, type: type[T]) -> AsyncIterator[T]: ...
    @overload
    def iter_json(self, type: Any) -> AsyncIterator[Any]: ...
    async def iter_json(self, type: Any = Any) -> AsyncIterator[Any]:
        """Yield messages decoded into `type` until the connection ends; see `receive_json`."""
        decode = self._json.decoder(type)
        try:
            while True:
                yield decode(await self.connection.receive())
        except ConnectionClosed:
            return

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Frame]:
        try:
            while True:
                yield await self.connection.receive()
        except ConnectionClosed:
            return

    # --- sending ------------------------------------------------------------------------------

    async def send(self, value: Any) -> None:
        """Send `value` in the route's dialect; without one str as text, bytes as binary, else JSON.

        Before the handshake is answered (in `conn` hooks) it is kept and leaves right after.
        """
        if self.codec is not None:
            frame = self.codec.encode(Event(value))
            if frame is not None:
                await self.send_frame(frame)
        elif isinstance(value, str):
            await self.send_text(value)
        elif isinstance(value, (bytes, bytearray, memoryview)):
            await self.send_bytes(value)
        else:
            await self.send_json(value)

    async def send_text(self, data: str) -> None:
        """Send one text frame."""
        if not isinstance(data, str):
            raise TypeError(f"send_text: expected a str, got {type(data).__name__}")
        connection = self.connection
        if connection.state is _OPEN and not connection.outbox.is_congested:
            connection.push(data.encode())
        else:
            await self._push(data.encode())

    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send one binary frame."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"send_bytes: expected bytes, got {type(data).__name__}")
        await self._push(Outgoing(BINARY, bytes(data)))

    async def send_json(self, data: Any) -> None:
        """Send `data` as JSON in one text frame, encoded by the application's adapter.

        Raises:
            TypeError: `data` holds something that JSON cannot say.
        """
        await self._push(self._json.encode(data))

    async def send_event(self, name: str, data: Any = None) -> None:
        """Send a message called `name` that answers nothing, in the route's dialect.

        Raises:
            StateError: a connection handler's route has no dialect, and some dialects no names.
        """
        if self.conversation is None and self.closed:
            raise self.connection.closed_error()
        if self.codec is None or self.conversation is None:
            raise StateError("send_event: the route has no dialect; use send_json")
        if not self.conversation.has_names:
            raise StateError(
                "send_event: what the server sends has no name in this dialect; use send"
            )
        frame = self.codec.encode(Event(data, name))
        if frame is None:
            raise StateError("send_event: the route's dialect has no words for it")
        await self.send_frame(frame)

    @overload
    async def request(self, name: str, data: Any = None, *, timeout: float = 10.0) -> Any: ...
    @overload
    async def request(
        self, name: str, data: Any = None, *, type: type[T], timeout: float = 10.0
    ) -> T: ...
    async def request(
        self, name: str, data: Any = None, *, type: Any = Any, timeout: float = 10.0
    ) -> Any:
        """Ask the client something and return its answer, decoded into `type`.

        Other messages of the client wait meanwhile if a handler of this connection asks; its
        answer does not.

        Raises:
            TimeoutError: no answer within `timeout` seconds; a late one is dropped.
            RequestFailed: the client answered with an error, or what does not fit `type`.
            ConnectionClosed: the connection ended first.
            StateError: the route's dialect has no requests, or 1,000 of them wait already.
        """
        if self.conversation is None and self.closed:
            raise self.connection.closed_error()
        if self.conversation is None:
            raise StateError("request: the route has no dialect")
        return await self.conversation.ask(name, data, timeout, type)

    async def serve(
        self,
        on_receive: Callable[..., Any],
        *,
        on_connect: Callable[..., Any] | None = None,
        on_disconnect: Callable[..., Any] | None = None,
        dialect: Dialect | None = None,
    ) -> None:
        """Handle messages with callbacks until the connection has ended.

        For connection handlers: `on_receive` is called for each message, its parameters and
        what it returns are those of a message handler. All three may be functions defined in
        the handler, or bound methods. If the handshake is not answered yet, `on_connect` runs
        before it is and may refuse it. Returns when `on_disconnect` is done.

        Args:
            on_receive: called for each message.
            on_connect: called once, first.
            on_disconnect: called once, last; may take `code` and `reason`.
            dialect: how messages look on the wire; default: that of the router, or `Raw()`.

        Raises:
            RegistrationError: a parameter of a function cannot be filled.
            StateError: the connection is served already.
        """
        if self.codec is not None:
            raise StateError("serve: this connection is served already")
        await self.app.serve_messages(
            self, on_receive, conn=on_connect, disconn=on_disconnect, dialect=dialect
        )

    async def drain(self) -> None:
        """Wait until the outbox is at most half full, or the connection has ended.

        For producers that are not the connection's own handler and want to follow its pace.
        """
        await self.connection.drain()

    async def close(self, code: int = closecodes.NORMAL, reason: str = "") -> None:
        """Close with `code` and `reason`; what was sent before goes first. Twice is fine.

        Before the handshake is answered it refuses it, with the HTTP status nearest to the code.

        Raises:
            ValueError: a code that may not be sent, or a reason over 123 bytes.
        """
        if self.closed:
            return
        closecodes.check_close(code, reason)
        if self.connection.state is ConnectionState.CONNECTING:
            await self.refuse(closecodes.http_status(code), reason)
        else:
            self.end(code, reason)

    def end(self, code: int, reason: str = "") -> None:
        """Begin to close an accepted connection; what was sent goes first.

        A transport that carries no close codes gets the verdict as a frame, where the dialect
        has one.
        """
        connection = self.connection
        is_mute = not connection.link.carries_codes and connection.is_open
        if is_mute and self.codec is not None:
            frame = self.codec.encode(Disconnect(code, reason))
            if frame is not None:
                with suppress(ConnectionClosed):  # a full outbox: the close alone, then
                    connection.push(own_frame(frame))
        connection.close(code, reason)

    # --- about the connection -----------------------------------------------------------------

    @property
    def id(self) -> str:
        """Unique among all connections of this process, and in logs."""
        return self.connection.id

    @property
    def close_code(self) -> int | None:
        """The code it ended with, whoever began; None while it is open."""
        return self.connection.close_code

    @property
    def close_reason(self) -> str:
        """The reason it ended with."""
        return self.connection.close_reason

    @property
    def round_trip(self) -> float | None:
        """Seconds that the answer to our last ping took; None before the first.

        Only the native transport can ping.
        """
        return self.connection.deadlines.round_trip

    @property
    def subprotocol(self) -> str | None:
        """What was agreed at `accept`."""
        return self.connection.subprotocol

    @property
    def state(self) -> State:
        """A place for the application's own values, one per connection.

        It begins with what the lifespan yielded.
        """
        if self._state is None:
            self._state = State(dict(self.handshake.state))
        return self._state

    @property
    def path_params(self) -> dict[str, Any]:
        """Converted values of the route's parameters."""
        return self.handshake.path_params

    @property
    def headers(self) -> Headers:
        """Request headers, multi-valued and case-insensitive."""
        return self.handshake.headers

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return the first header called `name`, in any case, or `default`."""
        return self.handshake.header(name, default)

    @property
    def query_string(self) -> str:
        """The query as it was sent."""
        return self.handshake.query_string

    @property
    def query(self) -> QueryParams:
        """Decoded query parameters."""
        return self.handshake.query

    @property
    def cookies(self) -> Mapping[str, str]:
        """Cookies of the handshake."""
        return self.handshake.cookies

    @property
    def session(self) -> Session:
        """The session: readable always, writable until `accept`; with a store, after it too."""
        return self.handshake.session

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the peer."""
        return self.handshake.client

    @property
    def url(self) -> URL:
        """The absolute URL of the handshake."""
        return self.handshake.url

    def url_for(self, name: str, /, **params: Any) -> str:
        """Return the absolute URL of the route called `name`."""
        return self.handshake.url_for(name, **params)

    async def send_frame(self, frame: Frame) -> None:
        """Send a frame as it is: str as text, bytes as binary."""
        await self._push(own_frame(frame))

    async def _push(self, frame: Waiting) -> None:
        connection = self.connection
        if connection.state is ConnectionState.CONNECTING and not self.holds_sends:
            raise StateError("send: the handshake is not answered; call accept() first")
        if connection.outbox.is_congested:
            await connection.make_room()
        connection.push(frame)


def speak(ws: WebSocket, dialect: Dialect) -> Codec:
    """Give a connection the codec of its dialect, in the format that the client offers."""
    known = dialect.subprotocols
    offered = ws.handshake.subprotocols if known else ()
    agreed = next((each for each in offered if each in known), None)
    if agreed is None:
        ws.codec = dialect.open(ws.app.json)
    else:
        ws.codec, ws.agreed = dialect.open_as(agreed, ws.app.json), agreed
    if ws.connection.link.joins_texts:
        ws.connection.outbox.separator = dialect.separator
    return ws.codec


def own_frame(frame: Frame) -> Waiting:
    """Return what writes `frame` to one connection alone."""
    return frame.encode() if isinstance(frame, str) else Outgoing(BINARY, frame)


def outgoing(frame: Frame) -> Outgoing:
    """Return what writes `frame`: str as text, bytes as binary."""
    if isinstance(frame, str):
        return Outgoing(TEXT, frame.encode())
    return Outgoing(BINARY, frame)
