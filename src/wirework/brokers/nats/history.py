"""What channels keep, in a stream: numbered by whoever publishes, read by whoever asks."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from secrets import token_urlsafe
from typing import Final

from ...errors import BrokerUnavailable
from ..base import Keep, Message, Page, Position, Publication, Published
from ..parcels import packed
from .layout import Layout
from .names import digest, token
from .page import LOST, PREVIOUS, Entry, entry_of, mark, page_of
from .streams import Record, Streams
from .tail import Tail

__all__ = ["History"]

_EXPIRED_AT_ONCE: Final = 50
_FEW: Final = 8
_MAX_PAUSE: Final = 0.05
"""Seconds between two attempts to be the next one in a channel."""


class History:
    """Publications that are kept, and those that are published once.

    Args:
        layout: names of subjects and streams.
        streams: of the connection of now; raises `BrokerUnavailable` while there is none.
        now: the server's Unix time.
        delay: seconds after which a replaced publication is removed: longer than any read takes,
            so that a reader finds it or the one in its place.
    """

    def __init__(
        self,
        layout: Layout,
        streams: Callable[[], Streams],
        now: Callable[[], float],
        delay: float,
    ) -> None:
        self._layout = layout
        self._streams = streams
        self._now = now
        self._tails: dict[str, Tail] = {}
        self._due: list[tuple[float, int, str]] = []
        self._order = count()
        self._delay = delay
        self._dropped: deque[tuple[float, int]] = deque()

    def distrust(self) -> None:
        """Look anew at every channel: the server may have lost something."""
        for tail in self._tails.values():
            tail.is_known = False

    def observe(self, publication: Publication, sequence: int) -> None:
        """Note what another process has published: the next number is after it."""
        tail = self._tails.get(publication.channel)
        if tail is not None:
            tail.observe(publication.position, sequence)

    async def publish(
        self, channel: str, message: Message, keep: Keep, idempotency: str
    ) -> Published:
        """Keep `message` as the next one; the stream tells it."""
        tail = self._claim(channel)
        try:
            async with tail.lock:
                for attempt in count():
                    await self._look(channel, tail, keep)
                    published = await self._attempt(channel, tail, message, keep, idempotency)
                    if published is not None:
                        self._schedule(channel, tail, keep)
                        return published
                    await asyncio.sleep(random.uniform(0, min(_MAX_PAUSE, 0.001 * 2**attempt)))
            raise AssertionError
        finally:
            self._release(channel, tail)

    async def publish_once(self, channel: str, message: Message, idempotency: str) -> Published:
        """Publish `message`, which is not kept, unless its key was used before."""
        subject = self._layout.subject("o", token(channel))
        parcel = packed(Publication(channel, message))
        ack = await self._streams().store(subject, parcel, _id_line(channel, idempotency))
        return Published(Position(), ack.is_duplicate)

    async def read(
        self, channel: str, keep: Keep, *, since: Position | None, limit: int, reverse: bool
    ) -> Page:
        """Return a page of what is kept."""
        newest = await self._newest(channel)
        top = newest.publication.position
        is_up_to_date = since == top and not reverse
        if limit == 0 or is_up_to_date or (since is not None and since.epoch != top.epoch):
            return Page((), top, is_up_to_date)
        entries = None
        if since is not None and not reverse and not keep.latest:
            entries = await self._recent(channel, newest, top.offset - since.offset)
        if entries is None:
            entries = await self._entries(channel)
        if entries:
            top = entries[-1].publication.position
        return page_of(entries, top, keep, self._now(), since=since, limit=limit, reverse=reverse)

    async def forget(self, channel: str) -> None:
        """Remove what is kept, but not the position."""
        tail = self._claim(channel)
        try:
            async with tail.lock:
                while True:
                    newest = await self._newest(channel)
                    tail.learn(newest)
                    if newest.is_mark or await self._mark(channel, tail):
                        break
            await self._streams().clear(self._layout.history, self._subject(channel))
        finally:
            self._release(channel, tail)

    async def expire(self) -> None:
        """Remove what this process has published and has become old, or was replaced."""
        while self._dropped and self._dropped[0][0] <= time.monotonic():
            self._streams().delete(self._layout.history, self._dropped.popleft()[1])
        for _ in range(_EXPIRED_AT_ONCE):
            if not self._due or self._due[0][0] > time.monotonic():
                return
            channel = heapq.heappop(self._due)[2]
            tail = self._tails.get(channel)
            if tail is None:
                continue
            try:
                await self._empty(channel)
            except BaseException:
                self._put_off(channel, time.monotonic())
                raise

    async def _empty(self, channel: str) -> None:
        tail = self._claim(channel)
        try:
            async with tail.lock:
                if tail.due > time.monotonic():
                    return self._put_off(channel, tail.due)
                # Somebody else may have published last: then it is for them to do.
                if await self._mark(channel, tail):
                    await self._streams().clear(self._layout.history, self._subject(channel))
                tail.is_scheduled = False
        finally:
            self._release(channel, tail)

    def _subject(self, channel: str) -> str:
        return self._layout.subject("h", token(channel))

    def _claim(self, channel: str) -> Tail:
        tail = self._tails.setdefault(channel, Tail())
        tail.users += 1
        return tail

    def _release(self, channel: str, tail: Tail) -> None:
        tail.users -= 1
        if not tail.users and not tail.is_scheduled:
            del self._tails[channel]

    def _schedule(self, channel: str, tail: Tail, keep: Keep) -> None:
        tail.due = time.monotonic() + keep.ttl
        if not tail.is_scheduled:
            tail.is_scheduled = True
            self._put_off(channel, tail.due)

    def _put_off(self, channel: str, until: float) -> None:
        heapq.heappush(self._due, (until, next(self._order), channel))

    async def _look(self, channel: str, tail: Tail, keep: Keep) -> None:
        """Know where the channel stands, and its keys where only the latest of each is kept."""
        if not keep.latest:
            if not tail.is_known:
                tail.learn(await self._found(channel))
            return
        if tail.is_known and tail.latest is not None:
            return
        tail.learn_latest(await self._entries(channel), keep, self._now())

    async def _attempt(
        self, channel: str, tail: Tail, message: Message, keep: Keep, idempotency: str
    ) -> Published | None:
        """Return None where somebody else was first."""
        publication = Publication(channel, message, tail.epoch, tail.offset + 1)
        lost = tail.lost_by(message.key, keep)
        headers = _expected(tail.sequence)
        if idempotency:
            headers += _id_line(channel, idempotency)
        if lost:
            headers += LOST + b"%d\r\n" % lost
        tail.is_known = False  # until the answer has come
        streams = self._streams()
        ack = await streams.store(self._subject(channel), packed(publication), headers)
        if ack.is_duplicate:
            return await self._published_before(channel, ack.sequence, idempotency)
        if not ack.sequence:
            return None
        due = time.monotonic() + self._delay
        self._dropped += [(due, each) for each in tail.advance(ack.sequence, message.key, keep)]
        if tail.is_to_be_trimmed(keep):
            streams.trim(self._layout.history, self._subject(channel), keep.size + 1)
        if idempotency:
            self._note(publication, idempotency)
        return Published(publication.position)

    def _note(self, publication: Publication, idempotency: str) -> None:
        """Keep the position for those who repeat it after history has dropped it."""
        subject = self._layout.subject("r", digest(publication.channel, idempotency))
        self._streams().note(subject, mark("", publication.position))

    async def _published_before(self, channel: str, sequence: int, idempotency: str) -> Published:
        streams, layout = self._streams(), self._layout
        record = await streams.at(layout.history, sequence)
        if record is None:
            subject = layout.subject("r", digest(channel, idempotency))
            record = await streams.last(layout.once, subject)
        entry = None if record is None else entry_of(channel, record)
        position = Position() if entry is None else entry.publication.position
        return Published(position, is_duplicate=True)

    async def _found(self, channel: str) -> Entry | None:
        record = await self._streams().last(self._layout.history, self._subject(channel))
        return None if record is None else _known(channel, record)

    async def _newest(self, channel: str) -> Entry:
        """Return the newest message of the channel; a channel without one gets its epoch."""
        while True:
            found = await self._found(channel)
            if found is not None:
                return found
            parcel = mark(channel, Position(token_urlsafe(9), 0))
            await self._streams().store(self._subject(channel), parcel, _expected(0))

    async def _mark(self, channel: str, tail: Tail) -> bool:
        """Say where the channel stands, so that what is before can go.

        False: somebody else was first.
        """
        tail.is_known = False
        parcel, headers = mark(channel, tail.position), _expected(tail.sequence)
        ack = await self._streams().store(self._subject(channel), parcel, headers)
        if not ack.sequence:
            return False
        tail.sequence, tail.lost, tail.latest = ack.sequence, tail.offset, None
        tail.is_known = True
        return True

    async def _recent(self, channel: str, newest: Entry, number: int) -> list[Entry] | None:
        """Return the last few entries, each found by the one after it; None: not so few.

        To begin to read in a stream costs as much as to look at some ten messages.
        """
        if not 0 < number <= _FEW or newest.is_mark:
            return None
        found = [newest]
        while len(found) < number:
            record = await self._streams().at(self._layout.history, found[0].previous)
            entry = None if record is None else entry_of(channel, record)
            if entry is None or entry.is_mark:
                return None
            found.insert(0, entry)
        return found

    async def _entries(self, channel: str) -> list[Entry]:
        records = await self._streams().all(self._layout.history, self._subject(channel))
        return [entry for each in records if (entry := entry_of(channel, each)) is not None]


def _known(channel: str, record: Record) -> Entry:
    entry = entry_of(channel, record)
    if entry is None:
        raise BrokerUnavailable(f"nats: {channel!r} was written by another version")
    return entry


def _expected(sequence: int) -> bytes:
    return PREVIOUS + b"%d\r\n" % sequence


def _id_line(channel: str, idempotency: str) -> bytes:
    return b"Nats-Msg-Id: " + digest(channel, idempotency).encode() + b"\r\n"
