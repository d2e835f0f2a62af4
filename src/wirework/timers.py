"""One timer for all connections: each is looked at when its next deadline may be due.

A coarse hashed wheel: adding and removing cost O(1), and there is no timer handle or task per
connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["TICK", "PerLoop", "Timed", "Wheel", "wheel"]

T = TypeVar("T")

TICK = 0.25
"""Seconds between two turns of the wheel: deadlines are kept to within one turn."""

logger = logging.getLogger("wirework")


class Timed(Protocol):
    """Something with deadlines."""

    def tick(self, now: float) -> float | None:
        """Act on what is due at `now`; return when to look again, or None to be forgotten."""


class Wheel:
    """Looks at every member when the time it last named has come.

    Its clock stands still while the event loop is stalled, so a stall stretches every deadline
    and ends no healthy connection. It turns only while it has members: an idle process has no
    timer at all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._slots: dict[int, set[Timed]] = defaultdict(set)
        self._where: dict[Timed, int] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._expected = 0.0
        self._stalled = 0.0
        self.on_turn: set[Callable[[float], None]] = set()
        """Told at each turn how many seconds late it is."""

    def __len__(self) -> int:
        return len(self._where)

    def now(self) -> float:
        """Monotonic seconds, less the time that the loop was stalled: the clock of deadlines."""
        return self.loop.time() - self._stalled

    def watch(self, member: Timed, due: float) -> None:
        """Look at `member` at `due`; replaces what was asked for it before."""
        slot = int(due / TICK) + 1
        old = self._where.get(member)
        if old == slot:
            return
        if old is not None:
            self.forget(member)
        self._slots[slot].add(member)
        self._where[member] = slot
        if self._handle is None:
            self._schedule()

    def forget(self, member: Timed) -> None:
        """Stop looking at `member`; unknown members are fine."""
        slot = self._where.pop(member, None)
        if slot is not None:
            members = self._slots.get(slot, set())
            members.discard(member)
            if not members:
                self._slots.pop(slot, None)

    def _schedule(self) -> None:
        self._expected = self.loop.time() + TICK
        self._handle = self.loop.call_later(TICK, self._turn)

    def _turn(self) -> None:
        self._handle = None
        late = max(0.0, self.loop.time() - self._expected)
        self._stalled += max(0.0, late - TICK)
        for told in self.on_turn:
            told(late)
        now = self.now()
        for slot in [slot for slot in self._slots if slot * TICK <= now]:
            for member in self._slots.pop(slot):
                self._look(member, now)
        if self._where and self._handle is None:
            self._schedule()

    def _look(self, member: Timed, now: float) -> None:
        if self._where.pop(member, None) is None:
            return
        try:
            due = member.tick(now)
        except Exception:
            logger.exception("a deadline of %r could not be kept", member)
            return
        if due is not None:
            self.watch(member, due)


class PerLoop(Generic[T]):
    """One thing for each event loop, made when first asked for; closed loops are forgotten."""

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop], T]) -> None:
        self._make = make
        self._found: dict[asyncio.AbstractEventLoop, T] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> T:
        """Return that of a loop."""
        found = self._found.get(loop)
        if found is None:
            for old in [old for old in self._found if old.is_closed()]:
                del self._found[old]
            found = self._found[loop] = self._make(loop)
        return found


_wheels = PerLoop(Wheel)


def wheel(loop: asyncio.AbstractEventLoop | None = None) -> Wheel:
    """Return the wheel of `loop`, or of the running one, which takes a system call to find."""
    return _wheels.of(asyncio.get_running_loop() if loop is None else loop)
