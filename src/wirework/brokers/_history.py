"""The history of one channel in memory: a stream, or the latest publication of each key."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

from .base import META_TTL, UNUSED_TTL, Keep, Message, Page, Position, Publication

__all__ = ["Log"]


_Entry: TypeAlias = tuple[Publication, float]
"""A publication and when it was published."""


class Log:
    """What a channel has published: numbered from 1, kept as its `Keep` says.

    It takes the time and has no clock.
    """

    __slots__ = ("_epoch", "_kept", "_lost", "_offset", "touched", "ttl")

    def __init__(self, epoch: str, now: float) -> None:
        self._epoch = epoch
        self._offset = 0
        self._lost = 0
        """The highest offset that was dropped without being replaced."""
        self._kept: _Stream | _Latest = _NOTHING
        self.touched = now
        """When it was last published in; until then, when it was last asked for, or made."""
        self.ttl = 0.0

    @property
    def forgotten_at(self) -> float:
        """When its position need not be remembered any longer."""
        return self.touched + max(META_TTL if self._offset else UNUSED_TTL, self.ttl)

    def add(self, channel: str, message: Message, keep: Keep, now: float) -> Publication:
        """Number `message` and keep it."""
        size, ttl, is_latest = keep
        kept = self._kept
        if kept.is_latest is not is_latest or kept is _NOTHING:
            kept = self._restart(keep)
        self._offset = offset = self._offset + 1
        self.touched, self.ttl = now, ttl
        publication = Publication(channel, message, self._epoch, offset)
        kept.add(publication, now)
        while len(kept.entries) > size:
            self._lost = max(self._lost, kept.drop())
        return publication

    def _restart(self, keep: Keep) -> _Stream | _Latest:
        self.clear()
        self._kept = _Latest() if keep.latest else _Stream()
        return self._kept

    def ask(self, keep: Keep, now: float) -> None:
        """Make it ready to be read, as `keep` says."""
        self.expire(keep, now)
        if not self._offset:
            self.touched, self.ttl = now, keep.ttl

    def expire(self, keep: Keep | None, now: float) -> None:
        """Drop what is older than `keep` allows; without one, than at the last publication."""
        before = now - (self.ttl if keep is None else keep.ttl)
        while (oldest := self._kept.oldest) is not None and oldest <= before:
            self._lost = max(self._lost, self._kept.drop())

    def clear(self) -> None:
        """Drop everything but the position."""
        self._lost = self._offset
        self._kept = _NOTHING

    def read(self, since: Position | None, limit: int) -> Page:
        """Return at most `limit` publications after `since`, in order."""
        top = Position(self._epoch, self._offset)
        if since is None:
            start = 0
        elif since.epoch != self._epoch or since.offset > self._offset:
            return Page((), top, is_whole=False)
        else:
            start = since.offset
        found = self._kept.after(start, limit + 1)
        reaches = since is None or start >= self._lost
        return Page(found[:limit], top, reaches and len(found) <= limit)

    def read_back(self, since: Position | None, limit: int) -> Page:
        """Return at most `limit` publications before `since`, the newest first."""
        top = Position(self._epoch, self._offset)
        if since is not None and since.epoch != self._epoch:
            return Page((), top, is_whole=False)
        before = self._offset + 1 if since is None else since.offset
        return Page(self._kept.before(before, limit), top, is_whole=False)


class _Stream:
    """All publications, the oldest first; their offsets have no holes."""

    __slots__ = ("entries",)
    is_latest: Final = False

    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()

    @property
    def oldest(self) -> float | None:
        return self.entries[0][1] if self.entries else None

    def add(self, publication: Publication, now: float) -> None:
        self.entries.append((publication, now))

    def drop(self) -> int:
        return self.entries.popleft()[0].offset

    def after(self, offset: int, limit: int) -> Sequence[Publication]:
        return _publications(self.entries, max(0, offset + 1 - self._first), limit)

    def before(self, offset: int, limit: int) -> Sequence[Publication]:
        end = self._first + len(self.entries)
        return _publications(reversed(self.entries), max(0, end - offset), limit)

    @property
    def _first(self) -> int:
        return self.entries[0][0].offset if self.entries else 0


class _Latest:
    """The newest publication of each key, the oldest first."""

    __slots__ = ("entries",)
    is_latest: Final = True

    def __init__(self) -> None:
        self.entries: OrderedDict[str, _Entry] = OrderedDict()

    @property
    def oldest(self) -> float | None:
        return next(iter(self.entries.values()))[1] if self.entries else None

    def add(self, publication: Publication, now: float) -> None:
        key = publication.message.key
        self.entries[key] = (publication, now)
        self.entries.move_to_end(key)

    def drop(self) -> int:
        return self.entries.popitem(last=False)[1][0].offset

    def after(self, offset: int, limit: int) -> Sequence[Publication]:
        skipped = self._newer(offset)
        return _publications(self.entries.values(), len(self.entries) - skipped, limit)

    def before(self, offset: int, limit: int) -> Sequence[Publication]:
        skipped = self._newer(offset - 1)
        return _publications(reversed(self.entries.values()), skipped, limit)

    def _newer(self, offset: int) -> int:
        """How many are newer: few in the common case, so counted from the end."""
        newest = reversed(self.entries.values())
        found: Iterator[int] = (n for n, (each, _) in enumerate(newest) if each.offset <= offset)
        return next(found, len(self.entries))


def _publications(entries: Iterable[_Entry], skip: int, limit: int) -> Sequence[Publication]:
    return [publication for publication, _ in islice(entries, skip, skip + limit)]


_NOTHING: Final = _Stream()
"""Of every channel that keeps nothing now; never added to."""
