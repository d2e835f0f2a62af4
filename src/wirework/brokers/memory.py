"""The embedded broker: one process, no server, nothing survives the process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import count, islice
from secrets import token_urlsafe
from typing import ClassVar, Final

from ..timers import wheel
from ._history import Log
from .base import (
    IDEMPOTENCY_WINDOW,
    Broker,
    Keep,
    Member,
    Message,
    Page,
    Position,
    Publication,
    Published,
    Receiver,
    Roll,
)

__all__ = ["MAX_IDEMPOTENCY_KEYS", "MemoryBroker"]

MAX_IDEMPOTENCY_KEYS: Final = 100_000
"""Keys that one broker remembers at a time; with more, the oldest is forgotten early."""
_SWEEP_EVERY: Final = 1.0
_SWEPT_AT_ONCE: Final = 1_000
_UNKEPT: Final = Published(Position())


class MemoryBroker(Broker):
    """Publications, history and presence within one process.

    Whoever is subscribed is told before `publish` returns; no call ever waits. Expired history
    and channels that nobody has used for `META_TTL` are swept a thousand a second; those in which
    nothing was published after `UNUSED_TTL`.

    Args:
        clock: monotonic seconds. Default `time.monotonic`.
    """

    name: ClassVar[str] = "memory"
    is_shared: ClassVar[bool] = False

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._receiver: Receiver | None = None
        self._subscribed: set[str] = set()
        self._logs: dict[str, Log] = {}
        self._seen: OrderedDict[tuple[str, str], tuple[float, Published]] = OrderedDict()
        self._rooms: dict[str, _Room] = {}
        self._version = 0
        self._life = token_urlsafe(9)
        self._epochs = count(1)
        self._is_swept = False

    async def start(self, receiver: Receiver) -> None:
        """Tell `receiver` from now on."""
        self._receiver = receiver

    async def stop(self) -> None:
        """Forget everything; positions of before say nothing to whoever starts it again."""
        self._receiver = None
        for kept in (self._subscribed, self._logs, self._seen, self._rooms):
            kept.clear()
        wheel().forget(self)
        self._is_swept = False

    @property
    def is_available(self) -> bool:
        """Whether it has started."""
        return self._receiver is not None

    async def subscribe(self, channel: str) -> None:
        """Tell the receiver of what is published in `channel` from now on."""
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Tell no more of `channel`."""
        self._subscribed.discard(channel)

    async def publish(
        self, channel: str, message: Message, keep: Keep | None = None, *, idempotency: str = ""
    ) -> Published:
        """Publish `message`; the receiver has been told when this returns."""
        if idempotency:
            return self._publish_once(channel, message, keep, idempotency)
        return self._publish(channel, message, keep)

    def _publish(self, channel: str, message: Message, keep: Keep | None) -> Published:
        if keep is None:
            publication, published = Publication(channel, message), _UNKEPT
        else:
            publication = self._log(channel).add(channel, message, keep, self._clock())
            published = Published(publication.position)
        if channel in self._subscribed and self._receiver is not None:
            self._receiver.on_publication(publication)
        return published

    def _publish_once(
        self, channel: str, message: Message, keep: Keep | None, idempotency: str
    ) -> Published:
        now, seen, name = self._clock(), self._seen, (channel, idempotency)
        found = seen.get(name)
        if found is not None and found[0] > now:
            return found[1]
        published = self._publish(channel, message, keep)
        seen[name] = (now + IDEMPOTENCY_WINDOW, Published(published.position, is_duplicate=True))
        seen.move_to_end(name)
        if len(seen) > MAX_IDEMPOTENCY_KEYS:
            seen.popitem(last=False)
        self._watch()
        return published

    async def read(
        self,
        channel: str,
        keep: Keep,
        *,
        since: Position | None = None,
        limit: int,
        reverse: bool = False,
    ) -> Page:
        """Return publications of `channel`, and its position."""
        log = self._log(channel)
        log.ask(keep, self._clock())
        if reverse:
            return log.read_back(since, limit)
        return log.read(since, limit)

    async def forget(self, channel: str) -> None:
        """Remove the history of `channel`; its epoch and offset stay."""
        log = self._logs.get(channel)
        if log is not None:
            log.clear()

    def _log(self, channel: str) -> Log:
        log = self._logs.get(channel)
        if log is None:
            epoch = f"{self._life}{next(self._epochs):x}"
            log = self._logs[channel] = Log(epoch, self._clock())
            self._watch()
        return log

    async def join(self, channel: str, member: Member) -> None:
        """Note a connection as present; the first of its key is told."""
        room = self._rooms.setdefault(channel, _Room())
        if room.add(member):
            self._version += 1
            if channel in self._subscribed and self._receiver is not None:
                self._receiver.on_joined(channel, member, self._version)

    async def leave(self, channel: str, member: Member) -> None:
        """Strike it off; the last of its key is told."""
        room = self._rooms.get(channel)
        if room is None:
            return
        has_left = room.remove(member)
        if not room.connections:
            del self._rooms[channel]
        if has_left:
            self._version += 1
            if channel in self._subscribed and self._receiver is not None:
                self._receiver.on_left(channel, member, self._version)

    async def members(self, channel: str) -> Roll:
        """Return the connections that are present."""
        room = self._rooms.get(channel)
        # One counter for all channels: it still grows in one that was empty meanwhile.
        return Roll(() if room is None else room.members, self._version)

    async def count(self, channel: str) -> tuple[int, int]:
        """Return how many connections and how many different keys are present."""
        room = self._rooms.get(channel)
        return (0, 0) if room is None else (room.connections, len(room.by_key))

    def _watch(self) -> None:
        if not self._is_swept:
            self._is_swept = True
            timer = wheel()
            timer.watch(self, timer.now() + _SWEEP_EVERY)

    def tick(self, now: float) -> float | None:
        """Drop what has expired, of a bounded number of channels; for the wheel."""
        present = self._clock()
        for channel in list(islice(self._logs, _SWEPT_AT_ONCE)):
            log = self._logs.pop(channel)
            log.expire(None, present)
            if log.forgotten_at > present:
                self._logs[channel] = log  # at the end: the next turn looks at others
        for name in list(islice(self._seen, _SWEPT_AT_ONCE)):
            if self._seen[name][0] > present:
                break
            del self._seen[name]
        self._is_swept = bool(self._logs or self._seen)
        return now + _SWEEP_EVERY if self._is_swept else None


class _Room:
    """Who is present in one channel."""

    __slots__ = ("by_key", "connections")

    def __init__(self) -> None:
        self.by_key: dict[str, dict[str, Member]] = {}
        self.connections = 0

    @property
    def members(self) -> list[Member]:
        return [member for members in self.by_key.values() for member in members.values()]

    def add(self, member: Member) -> bool:
        """Return whether it is the first of its key."""
        members = self.by_key.setdefault(member.key, {})
        is_new = member.connection not in members
        members[member.connection] = member
        self.connections += is_new
        return len(members) == 1 and is_new

    def remove(self, member: Member) -> bool:
        """Return whether it was the last of its key."""
        members = self.by_key.get(member.key, {})
        if members.pop(member.connection, None) is None:
            return False
        self.connections -= 1
        if members:
            return False
        del self.by_key[member.key]
        return True
