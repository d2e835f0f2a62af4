"""Who is present, in a stream: one message for each user of a channel, with all connections.

A message is stored only if the one before it was as its writer believed. So the writer knows
whether a connection is the first or the last of its user, and says so; and the number of the
message is the version of the channel's presence, the same for everybody.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from ..base import Member, Roll
from .layout import Layout
from .lease import Lease
from .names import digest, token
from .streams import Record, Streams

__all__ = ["Attendance", "Presence", "attendance_of"]

_STRIPES: Final = 256
_AT_ONCE: Final = 32
"""Members that are written at the same time, after a loss and at the end."""
_GONE_FOR: Final = 60.0
"""Seconds for which it is remembered that a user has left: longer than any reader takes."""
_VERSIONS_PER_MILLISECOND: Final = 1_000
"""So that those of a new stream are higher than those of the one before it, and exact in JSON."""

_Place: TypeAlias = tuple[str, str, bytes | None, bytes | None, str]
"""Connection, user, info and about, as a `Member` has them, and the process that has it."""
_Present: TypeAlias = dict[str, _Place]
_Edit: TypeAlias = Callable[[_Present], None]


class Attendance(msgspec.Struct, array_like=True, frozen=True):
    """What is stored of one user in one channel: who came or went, and who is there now."""

    what: Literal["joined", "left", "changed"]
    who: tuple[str, str, bytes | None, bytes | None]
    present: list[_Place]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Attendance).decode


def attendance_of(data: bytes) -> Attendance | None:
    """Return what a message says; None: nothing that this version understands."""
    try:
        return _decode(data)
    except msgspec.MsgspecError:
        return None


class Presence:
    """Members of all processes.

    Args:
        layout: names of subjects and streams.
        streams: of the connection of now; raises `BrokerUnavailable` while there is none.
        lease: of this process.
    """

    def __init__(self, layout: Layout, streams: Callable[[], Streams], lease: Lease) -> None:
        self._layout = layout
        self._streams = streams
        self._lease = lease
        self._own: dict[str, dict[str, Member]] = {}
        self._owed: dict[tuple[str, str], Member] = {}
        """Those who have left while it could not be said."""
        self._is_stated = True
        """Whether the stream has every member of this process, as far as is known."""
        self._known: dict[str, tuple[int, _Present]] = {}
        self._locks = [asyncio.Lock() for _ in range(_STRIPES)]
        self._gone: deque[tuple[float, int]] = deque()
        self._created = 0.0
        self._base = 0
        self._swept: dict[str, set[str]] = {}
        """Channels in which no member of a dead process is left."""

    def version(self, sequence: int) -> int:
        """Return the version that a message is of; it grows also when the stream begins anew."""
        return self._base + sequence

    # --- this process ---------------------------------------------------------------------------

    async def begin(self, created: float) -> None:
        """Say that this process lives, on a connection that has just been made.

        Whoever of its members is no longer present is present again when it returns.
        """
        self._is_stated &= created == self._created
        self._created, self._base = created, int(created * 1000) * _VERSIONS_PER_MILLISECOND
        await self._renew()

    async def tidy(self) -> None:
        """Do what is due: a sign of life, what is owed, and users who left some time ago."""
        if self._lease.is_due or not self._is_stated or self._owed:
            await self._renew()
        while self._gone and self._gone[0][0] < time.monotonic():
            self._streams().delete(self._layout.presence, self._gone.popleft()[1])

    async def end(self) -> None:
        """Strike off every member of this process, and the process."""
        own = self._members()
        self._own.clear()
        await _all(self._leave(channel, member) for channel, member in own)
        await self._pay()
        self._lease.end()

    async def _renew(self) -> None:
        self._is_stated &= not self._lease.has_lapsed
        await self._lease.renew()
        if not self._is_stated:
            self._known.clear()
            await _all(self._join(channel, member) for channel, member in self._members())
            self._is_stated = True
        await self._pay()

    def _members(self) -> list[tuple[str, Member]]:
        return [(channel, each) for channel, mine in self._own.items() for each in mine.values()]

    async def _pay(self) -> None:
        for (channel, connection), member in list(self._owed.items()):
            await self._leave(channel, member)
            self._owed.pop((channel, connection), None)

    # --- its members ----------------------------------------------------------------------------

    async def join(self, channel: str, member: Member) -> None:
        """Note a connection of this process."""
        self._owed.pop((channel, member.connection), None)
        self._own.setdefault(channel, {})[member.connection] = member
        await self._join(channel, member)

    async def leave(self, channel: str, member: Member) -> None:
        """Strike a connection of this process off; what cannot be said now is said later."""
        mine = self._own.get(channel, {})
        if mine.pop(member.connection, None) is not None:
            self._owed[channel, member.connection] = member
            if not mine:
                del self._own[channel]
        await self._leave(channel, member)
        self._owed.pop((channel, member.connection), None)

    async def _join(self, channel: str, member: Member) -> None:
        who = (member.connection, member.user, member.info, member.about)
        place = (*who, self._lease.worker)

        def add(present: _Present) -> None:
            if self._is_own(channel, member):
                present[member.connection] = place

        await self._change(channel, member, add, is_new=True)

    async def _leave(self, channel: str, member: Member) -> None:
        def remove(present: _Present) -> None:
            if not self._is_own(channel, member):
                present.pop(member.connection, None)

        await self._change(channel, member, remove)

    def _is_own(self, channel: str, member: Member) -> bool:
        """Whether it is here now: it may have come or gone since its turn was asked for."""
        return member.connection in self._own.get(channel, {})

    async def _change(
        self, channel: str, member: Member, edit: _Edit, *, is_new: bool = False
    ) -> None:
        """Edit who is present of a user; `is_new` guesses that it is nobody, to save a look."""
        subject = self._layout.subject("m", token(channel), digest(member.key))
        async with self._locks[hash(subject) % _STRIPES]:
            known = self._known.pop(subject, None)
            if known is None:
                known = (0, {}) if is_new else await self._present(subject)
            while True:
                sequence, before = known
                after = dict(before)
                edit(after)
                if after == before:
                    stored = sequence
                else:
                    stored = await self._store(subject, sequence, before, after)
                if stored:
                    self._remember(subject, stored, after)
                if stored or after == before:
                    return
                known = await self._present(subject)

    async def _present(self, subject: str) -> tuple[int, _Present]:
        record = await self._streams().last(self._layout.presence, subject)
        found = None if record is None else attendance_of(record.data)
        if record is None:
            return 0, {}
        return record.sequence, {} if found is None else {each[0]: each for each in found.present}

    async def _store(self, subject: str, sequence: int, before: _Present, after: _Present) -> int:
        """Return the number of the new message; 0: another process was first."""
        what: Literal["joined", "left", "changed"] = "changed"
        if not before:
            what = "joined"
        elif not after:
            what = "left"
        changed = next((before | after)[each] for each in _differing(before, after))
        attendance = Attendance(what, changed[:-1], list(after.values()))
        expected = b"Nats-Expected-Last-Subject-Sequence: %d\r\n" % sequence
        ack = await self._streams().store(subject, _encode(attendance), expected)
        if ack.sequence and not after:
            self._gone.append((time.monotonic() + _GONE_FOR, ack.sequence))
        return ack.sequence

    def _remember(self, subject: str, sequence: int, present: _Present) -> None:
        if any(place[-1] == self._lease.worker for place in present.values()):
            self._known[subject] = (sequence, present)

    # --- everybody ------------------------------------------------------------------------------

    async def members(self, channel: str) -> Roll:
        """Return who is present, once those of dead processes have been struck off."""
        while True:
            records = await self._streams().all(
                self._layout.presence, self._layout.subject("m", token(channel), "*")
            )
            by_subject = {each.subject: each for each in records}
            places = [place for each in by_subject.values() for place in self._places(each)]
            dead = {place[-1] for place in places} - await self._lease.living()
            if not dead:
                break
            await self._strike(channel, [place for place in places if place[-1] in dead])
        members = [Member(*place[:-1]) for place in places]
        newest = records[-1].sequence if records else 0
        return Roll(members, self.version(newest) if newest else 0)

    async def sweep(self, channels: Collection[str]) -> None:
        """Look for members of dead processes, if one has died."""
        swept = {worker: self._swept.get(worker, set()) for worker in await self._lease.dead()}
        for channel in channels:
            if any(channel not in each for each in swept.values()):
                await self.members(channel)
        for each in swept.values():
            each.update(channels)
        self._swept = swept

    def _places(self, record: Record) -> list[_Place]:
        attendance = attendance_of(record.data)
        if attendance is None:
            return []
        if not attendance.present and record.at < self._lease.now - 2 * _GONE_FOR:
            self._streams().delete(self._layout.presence, record.sequence)
        return attendance.present

    async def _strike(self, channel: str, places: Iterable[_Place]) -> None:
        dead = {place[-1] for place in places}

        def remove(present: _Present) -> None:
            for connection in [each[0] for each in present.values() if each[-1] in dead]:
                del present[connection]

        members = [Member(*place[:-1]) for place in places]
        for member in {each.key: each for each in members}.values():
            self._known.pop(self._layout.subject("m", token(channel), digest(member.key)), None)
            await self._change(channel, member, remove)


def _differing(before: _Present, after: _Present) -> Iterable[str]:
    return (each for each in before | after if before.get(each) != after.get(each))


async def _all(works: Iterable[Awaitable[None]]) -> None:
    """Do all of it, some at a time."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def do(work: Awaitable[None]) -> None:
        async with places:
            await work

    done = await asyncio.gather(*(do(work) for work in works), return_exceptions=True)
    for error in done:
        if error is not None:
            raise error
