"""Where sessions are kept on the server, and the store in the memory of one process."""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["MemorySessions", "SessionStore"]

logger = logging.getLogger("wirework")


@runtime_checkable
class SessionStore(Protocol):
    """Keeps sessions: under an id, values by key, each as JSON text that the store does not read.

    One store serves all processes that share its sessions. Every method does all of what it says or
    nothing, also beside other calls for the same id: a hash of Redis and its transactions can do
    that. An id is 43 characters of base64url, made by the caller and never by a client; who knows
    one has the session, so it belongs in no log.

    A session exists from `create` until `delete` or the end of its time, also without any values.
    Its time begins anew with `create` and `update`, and lasts `max_age` seconds; None: it does not
    end, though the store may forget the oldest ones.

    A store may have a `close()`, async or not: the application calls it at its end, after
    everything that could need the store.

    A method that cannot do its work raises an error of its own. Handshakes and pages are then
    answered with a 5xx status, and messages with the error of an unforeseen failure.
    """

    async def load(self, id: str) -> Mapping[str, str] | None:
        """Return all values of a session; None: there is no such session."""

    async def create(self, id: str, values: Mapping[str, str], max_age: int | None) -> None:
        """Begin a session with these values."""

    async def update(self, id: str, changes: Mapping[str, str | None], max_age: int | None) -> bool:
        """Set the values of these keys, remove those that are None, and leave all others alone.

        False: there is no such session. It must not come into being then, or a logout would be
        undone by whoever writes late. Without changes it only prolongs the session.
        """

    async def rename(self, id: str, new_id: str) -> bool:
        """Keep a session under another id, with the rest of its time; False: there is none."""

    async def delete(self, id: str) -> None:
        """End a session; one that there is not is none."""


class _Kept(NamedTuple):
    values: Mapping[str, str]
    until: float


class MemorySessions:
    """The sessions of one process, in its memory: they end with it.

    Several worker processes need a store that they share, else each knows the sessions of its own
    clients alone. When it is full, the session goes whose last write is longest ago, which a
    warning in the log says the first time, and `dropped` counts. Not safe to use from other threads
    than the event loop's.

    Args:
        max_sessions: how many it keeps. Default 100,000.
        clock: seconds that never go back.

    Raises:
        ValueError: `max_sessions` is no int from 1 on.
    """

    def __init__(
        self, max_sessions: int = 100_000, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not isinstance(max_sessions, int) or max_sessions < 1:
            raise ValueError(f"max_sessions: expected an int >= 1, got {max_sessions!r}")
        self.dropped = 0
        """How many sessions had to go before their time, since there was no room."""
        self._max = max_sessions
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """By the time of the last write, the oldest first."""

    def __len__(self) -> int:
        return len(self._kept)

    async def load(self, id: str) -> Mapping[str, str] | None:
        """Return all values of a session; None: there is no such session."""
        kept = self._find(id)
        return None if kept is None else dict(kept.values)

    async def create(self, id: str, values: Mapping[str, str], max_age: int | None) -> None:
        """Begin a session with these values; the oldest goes where there is no room."""
        self._put(id, dict(values), max_age)
        self._make_room()

    async def update(self, id: str, changes: Mapping[str, str | None], max_age: int | None) -> bool:
        """Set and remove values of a session; False: there is none."""
        kept = self._find(id)
        if kept is None:
            return False
        merged = {**kept.values, **changes}
        self._put(id, {key: text for key, text in merged.items() if text is not None}, max_age)
        return True

    async def rename(self, id: str, new_id: str) -> bool:
        """Keep a session under another id, with the rest of its time; False: there is none."""
        kept = self._find(id)
        if kept is None:
            return False
        del self._kept[id]
        self._kept[new_id] = kept
        return True

    async def delete(self, id: str) -> None:
        """End a session."""
        self._kept.pop(id, None)

    def _find(self, id: str) -> _Kept | None:
        kept = self._kept.get(id)
        if kept is not None and kept.until <= self._clock():
            del self._kept[id]
            return None
        return kept

    def _put(self, id: str, values: Mapping[str, str], max_age: int | None) -> None:
        until = math.inf if max_age is None else self._clock() + max_age
        self._kept.pop(id, None)
        self._kept[id] = _Kept(values, until)

    def _make_room(self) -> None:
        """Forget what has expired, then the oldest one if there are still too many."""
        now = self._clock()
        while self._kept:
            id = next(iter(self._kept))
            has_expired = self._kept[id].until <= now
            if not has_expired and len(self._kept) <= self._max:
                return
            del self._kept[id]
            if not has_expired:
                self._count_dropped()

    def _count_dropped(self) -> None:
        self.dropped += 1
        if self.dropped == 1:
            logger.warning("MemorySessions: %d sessions are kept, the oldest go", self._max)
