"""Publications for the server's own code: `async for publication in chat(room="42")`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from ..publications import Publication

__all__ = ["Consumer"]

_BOUND: Final = 1000


class Consumer:
    """Holds publications until they are taken; at most 1,000, the oldest go first."""

    def __init__(self) -> None:
        self._waiting: deque[Publication] = deque(maxlen=_BOUND)
        self._woken = asyncio.Event()
        self.is_over = False
        self.lost = 0
        """Publications that were not taken in time; history may still have them."""

    def put(self, publication: Publication) -> None:
        """Hold a publication."""
        self.lost += len(self._waiting) == _BOUND
        self._waiting.append(publication)
        self._woken.set()

    def lose(self) -> None:
        """Note that something is missing here."""
        self.lost += 1

    def end(self) -> None:
        """Give nothing more after what waits."""
        self.is_over = True
        self._woken.set()

    async def take(self) -> Publication | None:
        """Return the next publication, waiting for it; None: there will be none."""
        while not self._waiting:
            if self.is_over:
                return None
            self._woken.clear()
            await self._woken.wait()
        return self._waiting.popleft()
