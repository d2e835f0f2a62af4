"""Frames that wait to be written to one connection, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TypeAlias

import msgspec

from .publications import Position
from .settings import Settings

__all__ = [
    "BINARY",
    "MOST_JOINED",
    "TEXT",
    "Bounds",
    "Origin",
    "Outbox",
    "Outgoing",
    "Waiting",
    "bounds_of",
    "payload_size",
]

TEXT = 1
BINARY = 2
"""Opcodes of RFC 6455 section 5.2."""


MOST_JOINED = 65_536
"""Bytes of a frame of several texts; a longer text is a frame by itself."""


Origin: TypeAlias = tuple[str, Position]
"""The channel of which a frame tells something, and where in it stands who does not get it."""


class Outgoing(msgspec.Struct, gc=False):
    """One frame to write: built once, even when it goes to many connections.

    `key` names the stream it belongs to, for the overflow policy "latest"; "" belongs to none.
    `wire` and `deflated` are for the transport: the bytes with their header, plain and compressed,
    where it makes them itself. `origin` is of frames of which none may be missing unnoticed.
    """

    opcode: int
    data: bytes
    key: str = ""
    wire: bytes | None = None
    deflated: bytes | None = None
    origin: Origin | None = None


Waiting: TypeAlias = Outgoing | bytes
"""What waits in an outbox: bytes are a text frame for this connection alone, the usual one."""


class Bounds:
    """The bounds of a connection, taken from its settings and ready to be compared with."""

    __slots__ = (
        "half_bytes",
        "half_frames",
        "inbox_bytes",
        "inbox_frames",
        "max_message_size",
        "outbox_bytes",
        "outbox_frames",
        "overflow",
        "surely_small",
    )

    def __init__(self, settings: Settings) -> None:
        self.max_message_size = settings.max_message_size
        self.surely_small = settings.max_message_size // 4
        """Characters that are no more bytes than `max_message_size`, whichever they are."""
        self.inbox_frames = settings.inbox_frames
        self.inbox_bytes = settings.inbox_bytes
        self.outbox_frames = settings.outbox_frames
        self.outbox_bytes = settings.outbox_bytes
        self.half_frames = settings.outbox_frames // 2
        self.half_bytes = settings.outbox_bytes // 2
        self.overflow = settings.overflow


bounds_of = cache(Bounds)
"""Return the bounds of these settings: all connections of an application share them."""


class Outbox:
    """A queue of frames, bounded in number and bytes; a lone frame may be larger than the bound."""

    __slots__ = (
        "_bounds",
        "dropped",
        "frames",
        "is_congested",
        "on_loss",
        "separator",
        "size",
        "taken",
    )

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.frames: deque[Waiting] | None = None
        """Those that wait; `Connection.push` adds to them, and so does the short way of messages.

        None while there are none: an empty deque takes 600 bytes.
        """
        self.size = 0
        """Bytes of payload that wait."""
        self.is_congested = False
        """Whether it is more than half full."""
        self.taken = 0
        """Frames that the transport has taken: while it stands still, the peer does not read.

        Those that left as one are counted each.
        """
        self.dropped = 0
        """Frames given up by the overflow policy."""
        self.separator: bytes | None = None
        """What joins texts for this connection alone that wait together; None: nothing does."""
        self.on_loss: Callable[[Mapping[str, Position]], None] | None = None
        """Called when frames with an origin were given up: with where that leaves each channel.

        What came after them in these channels does not wait here any more either.
        """

    def __len__(self) -> int:
        return 0 if self.frames is None else len(self.frames)

    def __iter__(self) -> Iterator[Outgoing]:
        return map(_outgoing, self.frames or ())

    def keep(self, frame: Waiting) -> bool:
        """See to the bounds, now that `frame` was put last and it is more than half full.

        False: it is over its bound, and the policy is to close.
        """
        self.is_congested = True
        frames = self.frames
        assert frames is not None
        return len(frames) < 2 or not self._is_over() or self._overflow(frames, frame)

    def put_first(self, frame: Waiting) -> None:
        """Put one frame before all others, whatever the bounds."""
        if self.frames is None:
            self.frames = deque()
        self.frames.appendleft(frame)
        self.size += payload_size(frame)

    def take(self) -> Outgoing | None:
        """Return the next frame, or None; with a separator, texts that wait together as one."""
        frames = self.frames
        if frames is None:
            return None
        first = frames.popleft()
        self.size -= payload_size(first)
        self.taken += 1
        if self.separator is not None and isinstance(first, bytes):
            first = self._with_texts(first, frames, self.separator)
        if not frames:
            self.frames = None
        if self.is_congested:
            self._ease()
        return _outgoing(first)

    def take_many(self, max_bytes: int) -> Sequence[Waiting]:
        """Return the next frames: all of them, or as many as reach `max_bytes`.

        With a separator, texts that wait together are one.
        """
        frames = self.frames
        if frames is None:
            return ()
        taken: Sequence[Waiting] = frames
        size = self.size
        if size <= max_bytes:
            self.frames = None
            self.size = 0
        else:
            taken = self._take_some(frames, max_bytes)
            size -= self.size
        self.taken += len(taken)
        if self.is_congested:
            self._ease()
        if self.separator is not None and len(taken) > 1:
            return _joined(taken, size, self.separator)
        return taken

    def _with_texts(self, first: bytes, frames: deque[Waiting], separator: bytes) -> bytes:
        """Return a text and those right after it, joined."""
        texts, size = [first], len(first)
        while frames:
            text = frames[0]
            if not isinstance(text, bytes) or size + len(text) > MOST_JOINED:
                break
            texts.append(text)
            size += len(text)
            frames.popleft()
        self.size -= size - len(first)
        self.taken += len(texts) - 1
        return separator.join(texts)

    def _take_some(self, frames: deque[Waiting], max_bytes: int) -> list[Waiting]:
        taken: list[Waiting] = []
        goal = self.size - max_bytes
        while frames and self.size > goal:
            taken.append(frames.popleft())
            self.size -= payload_size(taken[-1])
        if not frames:
            self.frames = None
        return taken

    def clear(self) -> None:
        """Forget every frame."""
        self.frames = None
        self.size = 0
        self.is_congested = False

    def _ease(self) -> None:
        bounds = self._bounds
        self.is_congested = self.size > bounds.half_bytes or len(self) > bounds.half_frames

    def _is_over(self) -> bool:
        bounds = self._bounds
        return self.size > bounds.outbox_bytes or len(self) > bounds.outbox_frames

    def _overflow(self, frames: deque[Waiting], frame: Waiting) -> bool:
        """Apply the policy to an outbox that is over its bound since `frame` came."""
        policy = self._bounds.overflow
        if policy == "close":
            self.dropped += len(frames)
            return False
        if policy == "latest" and isinstance(frame, Outgoing) and frame.key:
            self._drop_stream(frames, frame)
        is_newest = policy == "drop_newest"
        dropped: list[Waiting] = []
        while len(frames) > 1 and self._is_over():
            dropped.append(frames.pop() if is_newest else frames.popleft())
            self._drop(dropped[-1])
        lost = _left_at(reversed(dropped) if is_newest else dropped)
        if lost and self.on_loss is not None:
            if not is_newest:
                self._drop_rest(frames, lost)
            self.on_loss(lost)
        return True

    def _drop(self, frame: Waiting) -> None:
        self.size -= payload_size(frame)
        self.dropped += 1

    def _drop_rest(self, frames: deque[Waiting], lost: Mapping[str, Position]) -> None:
        """Drop what comes after what was lost: it would be told out of order."""
        for frame in tuple(frames):
            frames.popleft()
            if isinstance(frame, Outgoing) and frame.origin and frame.origin[0] in lost:
                self._drop(frame)
            else:
                frames.append(frame)
        if not frames:
            self.frames = None
        self._ease()

    def _drop_stream(self, frames: deque[Waiting], newest: Outgoing) -> None:
        """Drop what is older than `newest` in its stream."""
        for frame in tuple(frames):
            frames.popleft()
            if isinstance(frame, bytes) or frame is newest or frame.key != newest.key:
                frames.append(frame)
            else:
                self._drop(frame)


def payload_size(frame: Waiting) -> int:
    """Return the bytes of its payload."""
    return len(frame) if isinstance(frame, bytes) else len(frame.data)


def _left_at(dropped: Iterable[Waiting]) -> dict[str, Position]:
    """Return where each channel of frames, in their order, stands without them."""
    lost: dict[str, Position] = {}
    for frame in dropped:
        if isinstance(frame, Outgoing) and frame.origin is not None:
            lost.setdefault(*frame.origin)
    return lost


def _joined(frames: Sequence[Waiting], size: int, separator: bytes) -> list[Waiting]:
    """Join texts that follow each other; all frames together have `size` bytes."""
    if size <= MOST_JOINED:
        with suppress(TypeError):  # frames for others, too, stay as they are
            return [separator.join(frames)]  # type: ignore[arg-type]
    joined: list[Waiting] = []
    texts: list[bytes] = []
    size = 0
    for frame in frames:
        if texts and (isinstance(frame, Outgoing) or size + len(frame) > MOST_JOINED):
            joined.append(separator.join(texts))
            texts, size = [], 0
        if isinstance(frame, Outgoing):
            joined.append(frame)
        else:
            texts.append(frame)
            size += len(frame)
    return [*joined, separator.join(texts)] if texts else joined


def _outgoing(frame: Waiting) -> Outgoing:
    return Outgoing(TEXT, frame) if isinstance(frame, bytes) else frame
