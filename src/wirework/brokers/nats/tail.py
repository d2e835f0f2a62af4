"""Where a channel stands: what whoever publishes there has to know."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from secrets import token_urlsafe
from typing import Final

from ..base import Keep, Position
from .page import Entry, retained

__all__ = ["Tail"]

_TRIM_EVERY: Final = 16
"""Publications, at least, after which a stream's channel is trimmed to its size."""


class Tail:
    """The end of a channel, as far as this process knows; the stream refuses it if it is wrong."""

    __slots__ = (
        "_added",
        "due",
        "epoch",
        "is_known",
        "is_scheduled",
        "latest",
        "lock",
        "lost",
        "offset",
        "sequence",
        "users",
    )

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        """Of the one who publishes; the others of this process wait for it."""
        self.users = 0
        self.is_known = False
        self.epoch = ""
        self.offset = 0
        self.sequence = 0
        """Number of its last message."""
        self.lost = 0
        """The highest offset that was dropped without being replaced; for the latest of keys."""
        self.latest: OrderedDict[str, tuple[int, int]] | None = None
        """Offset and number of each key, where the latest are kept and known."""
        self.due = 0.0
        self.is_scheduled = False
        self._added = 0

    @property
    def position(self) -> Position:
        """Of its last publication."""
        return Position(self.epoch, self.offset)

    def learn(self, entry: Entry | None) -> None:
        """Take over what the newest message says; None: there is none."""
        self.latest = None
        self.is_known = True
        if entry is None:
            self.epoch, self.offset, self.sequence, self.lost = token_urlsafe(9), 0, 0, 0
        else:
            self.epoch, self.offset = entry.publication.epoch, entry.publication.offset
            self.sequence, self.lost = entry.sequence, entry.lost

    def learn_latest(self, entries: Sequence[Entry], keep: Keep, now: float) -> None:
        """Take over what all messages say of the keys."""
        self.learn(entries[-1] if entries else None)
        kept, self.lost = retained(entries, keep, now)
        self.latest = OrderedDict()
        for entry in kept:
            publication = entry.publication
            self.latest[publication.message.key] = (publication.offset, entry.sequence)

    def observe(self, position: Position, sequence: int) -> None:
        """Note what somebody has published, if this process is not about to."""
        if not self.lock.locked() and sequence > self.sequence:
            self.epoch, self.offset = position.epoch, position.offset
            self.sequence, self.latest = sequence, None

    def lost_by(self, key: str, keep: Keep) -> int:
        """Return what `lost` is when one more is published; 0 in a stream: its offsets show it."""
        if not keep.latest or self.latest is None:
            return 0
        overflow = len(self.latest) + (key not in self.latest) - keep.size
        pushed_out = [offset for offset, _ in self.latest.values()][: max(0, overflow)]
        return max([self.lost, *pushed_out])

    def advance(self, sequence: int, key: str, keep: Keep) -> list[int]:
        """Note that one more was published; return the numbers of messages of no more use."""
        self.lost = self.lost_by(key, keep)
        self.offset, self.sequence, self.is_known = self.offset + 1, sequence, True
        if not keep.latest or self.latest is None:
            self.latest = None
            return []
        replaced = self.latest.pop(key, None)
        dropped = [] if replaced is None else [replaced]
        self.latest[key] = (self.offset, sequence)
        while len(self.latest) > keep.size:
            dropped.append(self.latest.popitem(last=False)[1])
        return [number for _, number in dropped]

    def is_to_be_trimmed(self, keep: Keep) -> bool:
        """Count one more publication of a stream; whether it has grown enough to be trimmed."""
        self._added += 1
        if keep.latest or self._added <= max(_TRIM_EVERY, keep.size // 2):
            return False
        self._added = 0
        return True
