"""One accepted WebSocket, as a state machine between a transport and the application.

The transport feeds it (`feed`, `lost`) and takes from it (`take`); the application receives,
pushes and closes. It pulls nothing and owns no task, so an idle connection costs no task.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import ClassVar, NamedTuple, Protocol

from . import closecodes
from .deadlines import Deadlines
from .errors import ConnectionClosed, StateError
from .observed import Observed
from .outbox import BINARY, TEXT, Outbox, Outgoing, Waiting, bounds_of
from .settings import Settings
from .timers import wheel
from .types import Frame, HeaderList, State

__all__ = [
    "BINARY",
    "MAX_EXCESS",
    "TEXT",
    "Connection",
    "Consumer",
    "Link",
    "Mailbox",
    "Outgoing",
    "State",
    "current",
]

logger = logging.getLogger("wirework.connection")
_numbers = itertools.count(1)
MAX_EXCESS = 10
"""Messages in a row over the budget that are answered; the next one ends the connection."""
_LISTENING = 16
"""So many times `inbox_frames` may wait where `intercept` hears what comes behind them."""
_process = ""
"""What the ids of this process begin with."""


def _name_process() -> None:
    global _process
    _process = f"{os.getpid():x}-{os.urandom(3).hex()}"


_name_process()
if hasattr(os, "register_at_fork"):  # workers of Granian are forks
    os.register_at_fork(after_in_child=_name_process)

_NOTHING: deque[Frame] = deque(maxlen=0)
"""The inbox of a connection from which nothing came lately: a deque takes 600 bytes."""

current: ContextVar[Connection | None] = ContextVar("wirework_connection", default=None)
"""The connection whose handler is running, in its tasks and their children."""


class Link(Protocol):
    """A transport's side of one connection. Nothing here waits, except the answer."""

    name: ClassVar[str]
    """The transport: "asgi", "rsgi", "native", "memory"."""

    carries_codes: ClassVar[bool]
    """Whether the peer learns close codes and reasons."""

    joins_texts: ClassVar[bool]
    """Whether texts that wait together may leave as one frame, where the dialect has a separator:
    then it takes them so from the outbox."""

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        """Answer the handshake with 101."""

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer the handshake with an HTTP response."""

    def wake(self) -> None:
        """The outbox is no longer empty, or the connection is closing: `take` and write soon.

        Called once until the transport has found the outbox empty.
        """

    @property
    def backlog(self) -> int:
        """Bytes that were taken from the outbox and have not left; 0 where nobody knows."""

    def ping(self) -> bool:
        """Ask the peer for a sign of life, `connection.pong()` tells of it; False: cannot."""

    def abort(self) -> None:
        """Drop what is waiting and end the socket without waiting for the peer."""

    def pause_reading(self) -> None:
        """The inbox is full: read no further."""

    def resume_reading(self) -> None:
        """The inbox has room again."""


class Mailbox(NamedTuple):
    """Where the peer's messages go, when the transport can only carry ours."""

    session: str
    """Known to nobody else."""
    node: str
    """The worker that has the connection."""


class Budget(Protocol):
    """What a connection may send in a while."""

    limit: str
    """The setting that the last message which was not allowed has met."""

    def charge(self, size: int, now: float) -> float:
        """Count a message of `size` bytes; 0.0, or the seconds until it would be allowed."""


class Consumer(Protocol):
    """What handles the frames of a message-style connection."""

    def wake(self) -> None:
        """A frame has arrived, or the connection has ended."""


class Connection(Observed):
    """The state machine. One thread, one event loop; only its transport may feed it."""

    __slots__ = (
        "__weakref__",
        "_excess",
        "_receiver",
        "_room",
        "_waking",
        "bounds",
        "budget",
        "by_peer",
        "clock",
        "close_code",
        "close_reason",
        "consumer",
        "deadlines",
        "id",
        "inbox",
        "inbox_size",
        "intercept",
        "is_accepted",
        "is_awaited",
        "is_finished",
        "is_paused",
        "link",
        "mailbox",
        "on_end",
        "on_excess",
        "on_finished",
        "opened_at",
        "outbox",
        "received",
        "state",
        "subprotocol",
        "translate_close",
    )

    def __init__(self, link: Link, settings: Settings) -> None:
        self.id = f"{_process}-{next(_numbers)}"
        self.link = link
        self.state = State.CONNECTING
        self.subprotocol: str | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self.by_peer = False
        """Whether the peer, or the network, ended it."""
        self.consumer: Consumer | None = None
        self.inbox = _NOTHING
        """Frames that wait to be handled."""
        self.inbox_size = 0
        """How much waits there: bytes, or characters of text."""
        self.is_paused = False
        """Whether we do not read: what the peer sends is not seen until there is room."""
        self.intercept: Callable[[Frame], bool] | None = None
        """Sees each frame before the inbox; True: it has taken it (answers, heartbeats)."""
        self.bounds = bounds = bounds_of(settings)
        self.outbox = Outbox(bounds)
        self.received = 0
        self.is_accepted = False
        """Whether the handshake was answered with a WebSocket."""
        self.is_finished = False
        """Whether the application has nothing more to do for this connection."""
        self.on_finished: Callable[[], None] | None = None
        self.on_end: Callable[[Connection], None] | None = None
        """The application's, called when it is done with the connection, before the transport."""
        self.budget: Budget | None = None
        """What the peer may send; None: as much as it likes."""
        self.mailbox: Mailbox | None = None
        """Where its messages come from; None: over the link."""
        self.translate_close: Callable[[int, str], tuple[int, str]] | None = None
        """The words of its dialect for our close codes."""
        self.on_excess: Callable[[Frame, float], bool] | None = None
        """Tells the peer that a message was dropped, and when to go on; False: it cannot."""
        self._excess = 0
        self.is_awaited = False
        """Whether somebody is to be told when a frame comes."""
        self.deadlines = Deadlines(settings)
        self._waking = True
        self._receiver: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.clock = clock = wheel()
        """Keeps the deadlines of all connections of the event loop."""
        self.opened_at = clock.now()
        clock.watch(self, self.opened_at + settings.handshake_timeout)

    def __repr__(self) -> str:
        return f"<Connection {self.id} {self.state.name.lower()}>"

    # --- the transport's side ---------------------------------------------------------------

    def feed(self, frame: Frame) -> None:
        """Take one complete message from the peer. Frames after the close are ignored."""
        if self.close_code is not None:
            return
        bounds = self.bounds
        size = len(frame)
        if size > bounds.surely_small and size_of(frame) > bounds.max_message_size:
            self._refuse_size()
            return
        if self.budget is not None and not self._is_affordable(self.budget, frame):
            return
        self.received += 1
        if self.intercept is not None and self.intercept(frame):
            return
        inbox = self.inbox
        if inbox is _NOTHING:
            inbox = self.inbox = deque()
        inbox.append(frame)
        self.inbox_size = waiting = self.inbox_size + size
        if waiting >= bounds.inbox_bytes or len(inbox) >= bounds.inbox_frames:
            self._pause_if_full()
        if self.is_awaited:
            self._announce()

    def feed_all(self, frames: list[str]) -> None:
        """Take messages that came together: what `feed` does for each, in less time."""
        bounds = self.bounds
        size = sum(map(len, frames))
        is_usual = self.intercept is None and self.budget is None and self.close_code is None
        if not is_usual or size > bounds.surely_small:
            for frame in frames:
                self.feed(frame)
            return
        inbox = self.inbox
        if inbox is _NOTHING:
            inbox = self.inbox = deque()
        inbox.extend(frames)
        self.received += len(frames)
        self.inbox_size += size
        if self.inbox_size >= bounds.inbox_bytes or len(inbox) >= bounds.inbox_frames:
            self._pause()
        if self.is_awaited:
            self._announce()

    def lost(self, code: int = closecodes.ABNORMAL, reason: str = "") -> None:
        """The peer has closed, or the socket is gone. Frames that had arrived stay readable."""
        if self.state is State.CLOSED:
            return
        if self.close_code is None:
            self.close_code, self.close_reason, self.by_peer = code, reason, True
        self.state = State.CLOSED
        self._forget_outbox()
        self.clock.forget(self)
        logger.debug("%s ended with %s %s", self.id, self.close_code, self.close_reason)
        self._announce()

    def take(self) -> Outgoing | None:
        """Return the next frame to write, or None; the transport then sleeps until `wake`."""
        frame = self.outbox.take()
        self._waking = frame is not None
        if self._room is not None and not self.outbox.is_congested:
            self._release_room()
        return frame

    def take_many(self, max_bytes: int) -> tuple[Sequence[Waiting], bool]:
        """Return the next frames to write, about `max_bytes` of them, and whether that was all.

        When it was, the transport sleeps until `wake`.
        """
        outbox = self.outbox
        frames = outbox.take_many(max_bytes)
        self._waking = is_more = bool(outbox.frames)
        if self._room is not None and not outbox.is_congested:
            self._release_room()
        return frames, not is_more

    def charge_again(self) -> float:
        """Count one more message, of a frame that has several; see `Budget.charge`."""
        budget = self.budget
        wait = 0.0 if budget is None else budget.charge(0, self.clock.now())
        if wait and budget is not None:
            self.met(budget.limit)
        return wait

    # --- the application's side --------------------------------------------------------------

    def adopt(self, settings: Settings) -> None:
        """Keep to the settings of a route instead of the application's, before the acceptance."""
        self.bounds = bounds_of(settings)
        self.outbox = Outbox(self.bounds)
        self.deadlines = Deadlines(settings)

    @property
    def max_message_size(self) -> int:
        """Bytes of the largest message that it takes."""
        return self.bounds.max_message_size

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent now."""
        return self.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come or go."""
        return self.state is State.CLOSED

    @property
    def is_ended(self) -> bool:
        """Whether the end has been decided, by either side: no frame will be sent any more."""
        return self.state > State.OPEN

    @property
    def is_answered(self) -> bool:
        """Whether the handshake was answered, or the peer did not wait for the answer."""
        return self.state is not State.CONNECTING

    async def accept(self, subprotocol: str | None = None, headers: HeaderList = ()) -> None:
        """Answer the handshake; frames pushed before leave right after it.

        Raises:
            StateError: it was answered already.
            ConnectionClosed: the peer left meanwhile.
        """
        self._check_connecting("accept")
        self.subprotocol = subprotocol
        await self.link.accept(subprotocol, headers)
        if self.state is not State.CONNECTING:
            raise self.closed_error()
        self.state = State.OPEN
        self.is_accepted = True
        clock = self.clock
        clock.watch(self, self.deadlines.start(clock.now()))
        self._waking = False
        if self.close_code is not None:
            self._begin_close(discard=True)
        elif self.outbox:
            self._wake()

    def cork(self) -> None:
        """Let nothing leave until `uncork`: what is pushed waits in the outbox."""
        self._waking = True

    def uncork(self, first: Waiting | None) -> None:
        """Send `first` before everything that was pushed since `cork`."""
        self._waking = False
        if self.state is not State.OPEN:
            return
        if first is not None:
            self.outbox.put_first(first)
        if self.outbox:
            self._wake()

    @property
    def wire_close(self) -> tuple[int | None, str]:
        """The close code and the reason as the peer is told of our close."""
        code, reason = self.close_code, self.close_reason
        if code is None or self.by_peer or self.translate_close is None:
            return code, reason
        return self.translate_close(code, reason)

    async def refuse(self, status: int, headers: HeaderList = (), body: bytes = b"") -> None:
        """Answer the handshake with an HTTP response; nothing that was pushed is sent.

        Raises:
            StateError: it was answered already.
        """
        self._check_connecting("refuse")
        self._end(closecodes.FORBIDDEN, f"refused with {status}")
        self.state = State.CLOSED
        await self.link.refuse(status, headers, body)
        self.clock.forget(self)
        self._announce()

    async def wait_frame(self) -> None:
        """Wait until the inbox holds a frame.

        Raises:
            ConnectionClosed: the connection has ended and every frame before the end was taken.
            StateError: not accepted yet, or another task is waiting already.
        """
        while not self.inbox:
            if self.close_code is not None:
                raise self.closed_error()
            if self.state is State.CONNECTING:
                raise StateError("receive: the handshake is not answered; call accept() first")
            if self._receiver is not None:
                raise StateError("receive: another task is receiving from this connection already")
            self._receiver = self.clock.loop.create_future()
            self.is_awaited = True
            try:
                await self._receiver
            finally:
                self._receiver = None

    async def receive(self) -> Frame:
        """Return the next frame, waiting for it; raises what `wait_frame` raises."""
        if not self.inbox:
            await self.wait_frame()
        return self.next_frame()

    def next_frame(self) -> Frame:
        """Return the oldest frame of an inbox that is not empty."""
        frame = self.inbox.popleft()
        self.inbox_size -= len(frame)
        if self.is_paused:
            self.read_on()
        return frame

    def read_on(self) -> None:
        """Read again, where the inbox was too full and half of it is handled."""
        if self.is_paused and self._has_half_read():
            self._resume()

    def sift(self) -> None:
        """Show `intercept` the frames that wait in the inbox; those it takes leave it."""
        assert self.intercept is not None
        kept = [frame for frame in tuple(self.inbox) if not self.intercept(frame)]
        if len(kept) < len(self.inbox):
            self.inbox.clear()
            self.inbox.extend(kept)
            self.inbox_size = sum(map(len, kept))
        self.read_on()

    def push(self, frame: Waiting) -> None:
        """Put `frame` into the outbox; never waits. A full outbox meets the overflow policy.

        Bytes are the payload of a text frame that goes nowhere else.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        if self.close_code is not None and self.state is not State.CONNECTING:
            raise self.closed_error()
        # Within the bounds this is all that adding takes; a call for it would show in benchmarks.
        outbox, bounds = self.outbox, self.bounds
        frames = outbox.frames
        if frames is None:
            frames = outbox.frames = deque()
        frames.append(frame)
        more = len(frame) if isinstance(frame, bytes) else len(frame.data)
        outbox.size = size = outbox.size + more
        is_calm = size <= bounds.half_bytes and len(frames) <= bounds.half_frames
        if not is_calm and not outbox.keep(frame):
            if self.state is State.CONNECTING:
                raise StateError(
                    "more was sent before the handshake's answer than the outbox holds"
                )
            self.close(closecodes.OVERLOADED, "the peer reads too slowly", discard=True)
            raise self.closed_error()
        if not self._waking:
            self._wake()

    async def make_room(self) -> None:
        """Let the transport write when the outbox is more than half full.

        The connection's own handler waits until there is room again; anyone else only lets the
        event loop turn once, so that a slow peer never holds up a broadcast.
        """
        if not self.outbox.is_congested:
            return
        if current.get() is not self or self.state is State.CONNECTING:
            await asyncio.sleep(0)
        elif not self.is_ended:
            await self.drain()

    async def drain(self) -> None:
        """Wait until the outbox is at most half full, or the connection has ended."""
        while self.outbox.is_congested and not self.is_ended:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def close(
        self, code: int = closecodes.NORMAL, reason: str = "", *, discard: bool = False
    ) -> None:
        """Begin to close: what is in the outbox goes first, unless `discard`.

        Calls after the first, and before the handshake is answered, do nothing.

        Frames that wait in the inbox are dropped: the application wants no more of them.
        """
        if self.state is not State.OPEN:
            return
        self._end(code, closecodes.shorten_reason(reason))
        self._begin_close(discard=discard)

    def _begin_close(self, *, discard: bool) -> None:
        self.state = State.CLOSING
        self._forget_inbox()
        if discard:
            self._forget_outbox()
        self._resume()
        self._wake()
        self._announce()

    def finish(self) -> None:
        """The application is done with this connection; the transport may let go of it."""
        if not self.is_finished:
            self.is_finished = True
            on_finished, self.on_finished, self.consumer = self.on_finished, None, None
            on_end, self.on_end = self.on_end, None
            self.intercept = self.on_excess = None
            if on_end is not None:
                on_end(self)
            if on_finished is not None:
                on_finished()

    def closed_error(self) -> ConnectionClosed:
        """Return the error that tells how the connection ended."""
        return ConnectionClosed(self.close_code or closecodes.ABNORMAL, self.close_reason)

    # --- time ---------------------------------------------------------------------------------

    def tick(self, now: float) -> float | None:
        """Keep the deadlines; the wheel calls it."""
        if not self.inbox:
            self.inbox = _NOTHING
        return self.deadlines.look(self, now)

    def pong(self) -> None:
        """The peer has answered a ping."""
        self.deadlines.pong(self.clock.now())

    @property
    def is_writing(self) -> bool:
        """Whether the transport has something to write, or the peer has not answered our close."""
        return self._waking or self.state is State.CLOSING

    def expire(self, code: int, reason: str) -> None:
        """End at once, without waiting for the peer: a deadline has passed.

        Frames that wait in the inbox are dropped, as `close` does.
        """
        self._end(code, reason)
        self._forget_inbox()
        self.link.abort()
        self.lost()

    # --- within -------------------------------------------------------------------------------

    def _check_connecting(self, verb: str) -> None:
        if self.state is State.OPEN:
            raise StateError(f"{verb}: the handshake has been accepted already")
        if self.state is not State.CONNECTING:
            raise self.closed_error()

    def _end(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason

    def _wake(self) -> None:
        self._waking = True
        self.link.wake()

    def _refuse_size(self) -> None:
        self.met("max_message_size")
        reason = f"at most {self.bounds.max_message_size} bytes"
        if self.state is State.CONNECTING:
            self._end(closecodes.MESSAGE_TOO_BIG, reason)
        else:
            self.close(closecodes.MESSAGE_TOO_BIG, reason, discard=True)

    def _is_affordable(self, budget: Budget, frame: Frame) -> bool:
        """Whether the peer may send `frame` now; who goes on with what it may not is closed."""
        wait = budget.charge(size_of(frame), self.clock.now())
        if not wait:
            self._excess = 0
            return True
        self._excess += 1
        self.met(budget.limit)
        tell = self.on_excess if self.state is State.OPEN else None
        is_told = tell is not None and tell(frame, wait)
        if not is_told or self._excess > MAX_EXCESS:
            reason = "too many messages"
            self._end(closecodes.TOO_MANY_MESSAGES, reason)
            self.close(closecodes.TOO_MANY_MESSAGES, reason, discard=True)
        return False

    def _announce(self) -> None:
        self.is_awaited = False
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
        if self.consumer is not None:
            self.consumer.wake()

    @property
    def _inbox_frames(self) -> int:
        """So many frames may wait until reading stops."""
        frames = self.bounds.inbox_frames
        return frames if self.intercept is None else frames * _LISTENING

    def _pause_if_full(self) -> None:
        if self.inbox_size >= self.bounds.inbox_bytes or len(self.inbox) >= self._inbox_frames:
            self._pause()

    def _pause(self) -> None:
        if not self.is_paused:
            self.is_paused = True
            self.link.pause_reading()

    def _resume(self) -> None:
        if self.is_paused:
            self.is_paused = False
            self.link.resume_reading()

    def _has_half_read(self) -> bool:
        has_frames_read = len(self.inbox) * 2 <= self._inbox_frames
        return has_frames_read and self.inbox_size * 2 <= self.bounds.inbox_bytes

    def _forget_inbox(self) -> None:
        self.inbox.clear()
        self.inbox_size = 0

    def _forget_outbox(self) -> None:
        self.outbox.clear()
        self._release_room()

    def _release_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


def size_of(frame: Frame) -> int:
    """Return the payload size in bytes."""
    if isinstance(frame, bytes) or frame.isascii():
        return len(frame)
    return len(frame.encode())
