"""Who the subscribers of this process have been told is in a channel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from ..brokers.base import Roll
from ..commands import Joined, Left
from ..publications import Member

__all__ = ["EVERYBODY", "Change", "Roster"]

Change: TypeAlias = Joined | Left
EVERYBODY: Final = -1
"""What `Roster.note` returns for what everybody has to be told."""


class Roster:
    """What joins and leaves have told, and what is to be told when some of them were lost.

    A roll that the broker was asked for says who is there; the difference is news. Whoever a roll
    lacks counts as gone only when one lacks it some seconds later, too: after a broker has lost its
    data, each process writes its own members again when it is back.

    Args:
        channel: its name.
    """

    def __init__(self, channel: str) -> None:
        self.is_known = False
        """Whether a roll was taken: before, nobody here is told of anybody."""
        self.beginning: asyncio.Task[None] | None = None
        """Takes the first roll."""
        self.checking: asyncio.Task[None] | None = None
        """Takes a roll after a loss."""
        self.confirming: asyncio.Task[None] | None = None
        """Takes more of them while some of its members are missing."""
        self._channel = channel
        self._members: dict[str, tuple[Member, int]] = {}
        """Key -> member, and the version up to which it is sure to be there."""
        self._missing: dict[str, float] = {}
        """Keys of members that rolls lack, and since when."""
        self._version = 0
        """Of the last roll."""
        self._newest = 0
        self._rolls = 0
        self._readings = 0
        self._changed: dict[str, int] = {}
        """Who has come or gone while a roll is being read: key -> version."""

    def __len__(self) -> int:
        return len(self._members)

    @property
    def is_doubtful(self) -> bool:
        """Whether the last roll lacked somebody of whom nobody was told that it has gone."""
        return bool(self._missing)

    # --- what the broker tells ------------------------------------------------------------------

    def note(self, change: Change) -> int | None:
        """Take a join or a leave, and return who has to be told.

        Returns:
            `EVERYBODY`; None: nobody, it is old; or a version: those who were told a list since,
            which may lack a member that has come again.
        """
        key, version = change.member.key, change.version
        is_late_news = isinstance(change, Left) and key in self._missing
        if version <= self._version and not is_late_news:
            return None
        self._newest = max(self._newest, version)
        if self._readings:
            self._changed[key] = version
        self._missing.pop(key, None)
        known = self._members.pop(key, None)
        if isinstance(change, Left):
            return EVERYBODY
        self._members[key] = (change.member, version)
        return EVERYBODY if known is None else known[1]

    # --- what the broker says when it is asked --------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Note who comes and goes while a roll is read; `take` wants the number."""
        self._readings += 1
        try:
            yield self._rolls
        finally:
            self._readings -= 1
            if not self._readings:
                self._changed.clear()

    def take(self, roll: Roll, began: int, *, now: float, patience: float) -> list[Change]:
        """Take a roll, within `reading`, and return what nobody was told.

        Args:
            roll: what the broker says.
            began: what `reading` gave.
            now: seconds.
            patience: seconds for which those whom rolls lack may come back.
        """
        if roll.version < self._version and self._rolls != began:
            return []  # one that was asked for later was faster
        self._rolls += 1
        # The versions of a broker may begin lower again; what is told now is new all the same.
        version = roll.version if roll.version >= self._newest else self._newest + 1
        self._version, self._newest = roll.version, max(self._newest, version)
        newer = {key for key, at in self._changed.items() if at > roll.version}
        there = {each.key: each for each in roll.members if each.key not in newer}
        changes = [
            *(Joined(self._channel, there[key], version) for key in there.keys() - self._members),
            *self._left(there.keys() | newer, version, now, patience),
        ]
        self._members.update((key, (each, roll.version)) for key, each in there.items())
        if self.is_known:
            return changes
        self.is_known = True
        return []

    def _left(self, there: set[str], version: int, now: float, patience: float) -> list[Change]:
        """Note who is missing, and strike off those who have been for a while."""
        before, self._missing = self._missing, {}
        gone: list[Change] = []
        for key in self._members.keys() - there:
            since = before.get(key, now)
            if self.is_known and now - since < patience:
                self._missing[key] = since
            else:
                gone.append(Left(self._channel, self._members.pop(key)[0], version))
        return gone
