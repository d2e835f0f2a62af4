"""What handlers saw, kept for the test that asks, and gates at which they wait for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

__all__ = ["WAIT", "Record"]

WAIT = 10.0
"""Seconds after which a question for what was never seen is answered anyway."""


class Record:
    """What handlers saw, by the id that the test chose, and gates that they wait at."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, list[Any]] = defaultdict(list)
        self._changed = asyncio.Condition()
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def add(self, id: str, *what: Any) -> None:
        self._seen[id].append(list(what))
        async with self._changed:
            self._changed.notify_all()

    async def until(self, id: str, count: int) -> list[Any]:
        """Return what was seen, once there are `count` entries."""
        try:
            async with asyncio.timeout(WAIT), self._changed:
                await self._changed.wait_for(lambda: len(self._seen[id]) >= count)
        except TimeoutError:
            pass
        return self._seen[id]

    def open(self, id: str) -> None:
        self._gates[id].set()

    async def gate(self, id: str) -> None:
        """Wait until the test opens the gate."""
        async with asyncio.timeout(WAIT):
            await self._gates[id].wait()
