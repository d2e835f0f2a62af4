"""What every dialect is: a pure codec between frames and commands or outputs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from ..commands import Command, Id, Output
from ..errors import MalformedMessage
from ..json import JsonAdapter
from ..types import Body, Frame

__all__ = ["Codec", "Dialect", "Endpoints", "Format", "Posted", "Quick", "SpoiledFrame"]


class Codec(Protocol):
    """A dialect at work on one connection. Pure: no asyncio, no sockets, no clock."""

    @property
    def variant(self) -> Hashable:
        """Codecs of equal variant encode an output alike: a broadcast encodes once for them all."""

    def decode(self, frame: Frame) -> Sequence[Command]:
        """Return the commands in `frame`, in order.

        Raises:
            MalformedMessage: the frame is not of this dialect (`WrongFrame`: of the wrong kind).
                It is answered; the connection goes on, but for a `SpoiledFrame`.
        """

    def encode(self, output: Output) -> Frame | None:
        """Return the frame that says `output`: str becomes a text frame, bytes a binary one.

        None where the dialect has no words for it; a `Failure` without words ends the connection.

        Raises:
            TypeError: the value cannot be said in this dialect; the text says what can.
        """


class SpoiledFrame(MalformedMessage):
    """A frame that cannot be read from some place on, which ends the connection.

    `commands` are those before that place: they are done first.
    """

    def __init__(self, message: str, commands: Sequence[Command] = ()) -> None:
        super().__init__(message)
        self.commands = commands


class Quick(NamedTuple):
    """The parts of a codec for calls that one function answers with one value: the hot path."""

    call: Callable[[str, Any], type]
    """From a name, and what the body is decoded into, to the type of the calls of this name.

    They have a `body` and an `id`. Without something to decode it into the body is ignored.
    """
    reader: Callable[[tuple[type, ...]], Callable[[str], Any]]
    """From the types of calls to what reads a text frame as one of them.

    It raises where a frame is none of them, and the long way tells why.
    """
    answers: Callable[[str], tuple[Callable[[Id, Any], Any], Callable[[Any], Any]]]
    """From a name to what puts an id and a value, or a value alone, into an answer."""
    encode: Callable[[Any], bytes]
    """From an answer to its bytes."""
    is_nested: bool = False
    """Whether what is read has the `id`, which is never None, and the call as `call`; an answer
    is then made of the id and what the value alone was put into."""


class Posted(NamedTuple):
    """A message for a stream: what a request of its own brings."""

    session: str = ""
    node: str = ""
    data: Frame = ""


class Format(NamedTuple):
    """Another format of a dialect on streams, whose messages need no lines between them."""

    subprotocol: str
    """What a WebSocket in this format agrees on."""
    read: Callable[[bytes], Posted]
    """From the body of a request to the message in it; raises `MalformedMessage`."""


class Endpoints(NamedTuple):
    """Where clients of a dialect connect, which can do without a WebSocket.

    Then what the server says is the endless answer to one request, and each message of the client
    is a request of its own, which finds the connection by what `Ready` says (`session`, `node`).
    """

    socket: str
    """What is put behind the path of a route for the WebSocket: "/websocket"."""
    lines: str
    """For the stream whose messages are lines: POST, with the client's first ones as its body."""
    events: str
    """For the stream of server-sent events: GET, with the first message in the query."""
    first: str
    """The query parameter of that."""
    messages: str
    """The path of further messages, the same for all routes: POST, with a JSON object of
    `session`, `node` and `data`, the frame."""
    formats: Mapping[str, Format] = MappingProxyType({})
    """From a media type of requests and streams to the format that it stands for."""


class Dialect(Protocol):
    """How messages look on the wire; one object serves all connections of a route.

    A dialect of your own is a subclass that has a `name`, a `body` and `open`; the rest has
    defaults.
    """

    name: ClassVar[str]
    """Short name for logs and docs: "raw", "htmx"."""

    body: Body
    """What `Call.body` is."""

    parameters: ClassVar[Mapping[str, type]] = {}
    """Extra handler parameters: name -> type, filled with `Call.meta` (by name or by type)."""

    has_names: ClassVar[bool] = False
    """Whether its calls have names, so that `app.events` can tell them apart."""

    has_html: ClassVar[bool] = False
    """Whether its clients show HTML that the server has made."""

    has_statuses: ClassVar[bool] = False
    """Whether it can say `Result.status`; otherwise 400 and above is told as a `Failure`."""

    reserved: ClassVar[frozenset[str]] = frozenset()
    """Names that its own messages have: no event may be called so."""

    name_in_query: ClassVar[str | None] = None
    """The query parameter of the handshake that names the calls; None where messages do."""

    one_call: ClassVar[bool] = False
    """Whether the first message is the only call: its handler owns the frames after it, and the
    connection ends with it."""

    can_authenticate: ClassVar[bool] = False
    """Whether a client can say who it is in a message (`Authenticate`)."""

    subprotocols: ClassVar[Sequence[str]] = ()
    """Subprotocols that stand for formats of their own: a client that offers one gets it agreed,
    and the codec of `open_as`, without the `quick` way."""

    separator: ClassVar[bytes | None] = None
    """What stands between the messages of a text frame that has several, where its clients know
    that: answers that are ready together then leave as one frame. None: each is a frame."""

    endpoints: ClassVar[Endpoints | None] = None
    """Where its clients connect, if they know more ways than a WebSocket; else None."""

    ready: bool = False
    """Whether the session says `Ready` right after the handshake, where nobody has to say who
    they are."""

    greets: ClassVar[bool] = False
    """Whether a client begins with an `Authenticate`, also where nobody has to say who they are;
    what `on_ready` subscribes it to is told with `Ready`."""

    ping_interval: float | None = None
    """Seconds after which the server asks for a sign of life in a message of the dialect."""

    def wire_close(self, code: int, reason: str) -> tuple[int, str]:
        """Return the close code and the reason that its clients know for ours."""
        return code, reason

    def quick(self, json: JsonAdapter) -> Quick | None:
        """Return a quicker way for plain calls, where there is one."""
        return None

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection; `json` is the application's adapter."""

    def open_as(self, subprotocol: str, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection that agrees on one of `subprotocols`."""
        return self.open(json)
