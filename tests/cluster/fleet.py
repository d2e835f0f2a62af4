"""Many clients of one channel, and those who publish in it without a pause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import TypeAlias

from wirework import BrokerUnavailable, Position, Publisher

from .client import PATIENCE, Away, Client, Place
from .ledger import Ledger

__all__ = ["Fleet", "Load", "fleet_of"]

_Say: TypeAlias = Callable[[str], Awaitable[Position]]
PACE = 0.04
"""Seconds between two publications of one publisher."""


class Fleet:
    """Clients that are subscribed to one channel."""

    def __init__(self, place: Place, channel: str, size: int) -> None:
        self.clients = [Client(place, channel, f"client-{number}") for number in range(size)]

    @property
    def workers(self) -> set[int]:
        """Where they are."""
        return {client.worker for client in self.clients}

    def at(self, worker: int) -> list[Client]:
        """Return those who are subscribed at one worker."""
        return [client for client in self.clients if client.worker == worker]

    async def all_so(self, condition: Callable[[Client], bool]) -> None:
        """Wait until `condition` holds for each of them, at one time or another."""
        await asyncio.gather(*(client.until(condition) for client in self.clients))

    async def arrive(self) -> None:
        """Wait until all of them are subscribed."""
        await self.all_so(lambda client: client.worker != 0)

    async def hear(self, position: Position) -> None:
        """Wait until all of them have got everything up to `position`."""
        await self.all_so(lambda client: client.heard.position == position)

    def differences(self, ledger: Ledger) -> list[str]:
        """Return what any of them has heard that is not as it was published."""
        return [wrong for client in self.clients for wrong in client.heard.differences(ledger)]

    @property
    def gaps(self) -> set[int]:
        """How often they were told of a loss: the different numbers."""
        return {client.heard.gaps for client in self.clients}

    async def end(self) -> None:
        """Go, all of them."""
        await asyncio.gather(*(client.end() for client in self.clients))


@asynccontextmanager
async def fleet_of(place: Place, channel: str, size: int) -> AsyncIterator[Fleet]:
    """Have so many clients subscribed within the block."""
    fleet = Fleet(place, channel, size)
    try:
        await fleet.arrive()
        yield fleet
    finally:
        await fleet.end()


class Load:
    """Publishers, inside and outside of the servers, who repeat what is not acknowledged."""

    def __init__(self, channel: str, outside: Publisher, inside: list[Client]) -> None:
        self.ledger = Ledger()
        self._channel = channel
        self._outside = outside
        self._inside = inside
        self._is_over = False
        self._more = asyncio.Event()
        self.repeated = 0
        """How often something had to be said again."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Publish within the block; at its end everything is acknowledged."""
        self._is_over = False
        sayings: list[_Say] = [self._say_outside] * 2
        sayings += [client.publish for client in self._inside]
        async with asyncio.timeout(PATIENCE + 20), asyncio.TaskGroup() as tasks:
            for number, say in enumerate(sayings):
                tasks.create_task(self._go_on(f"{number} {id(self):x}", say))
            yield self
            self._is_over = True

    async def more(self, number: int) -> None:
        """Wait until so many more were published."""
        wanted = len(self.ledger.published) + number
        async with asyncio.timeout(PATIENCE):
            while len(self.ledger.published) < wanted:
                self._more.clear()
                await self._more.wait()

    async def until_repeated(self, number: int) -> None:
        """Wait until so many more were not taken."""
        wanted = self.repeated + number
        async with asyncio.timeout(PATIENCE):
            while self.repeated < wanted:
                self._more.clear()
                await self._more.wait()

    async def finish(self) -> Position:
        """Publish a last one, when the others have ended; return its position."""
        return await self._insist(f"end {random.random()}", self._say_outside)

    async def _go_on(self, name: str, say: _Say) -> None:
        for number in count():
            if self._is_over:
                return
            await self._insist(f"{name} {number}", say)
            await asyncio.sleep(PACE)

    async def _insist(self, text: str, say: _Say) -> Position:
        while True:
            try:
                position = await say(text)
            except (BrokerUnavailable, Away):
                self.repeated += 1
                self._more.set()
                await asyncio.sleep(random.uniform(0, 0.2))
                continue
            self.ledger.note(position, text)
            self._more.set()
            return position

    async def _say_outside(self, text: str) -> Position:
        position = await self._outside.publish(self._channel, text, idempotency_key=text)
        assert position is not None
        return position
