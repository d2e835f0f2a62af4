"""A broker that a test holds wherever it likes, and rules of channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.unit.applications import Gate
from tests.unit.channels.listeners import Peer, settle, subscribe
from wirework import BrokerUnavailable, Member, Presence
from wirework.brokers.base import Keep, Page, Roll
from wirework.brokers.memory import MemoryBroker
from wirework.channels.hub import Hub
from wirework.channels.rules import Rules
from wirework.channels.subscription import Subscription

__all__ = ["KEPT", "LATEST", "PLAIN", "PRESENT", "Halting", "arriving", "running"]

PLAIN: Final = Rules()
KEPT: Final = Rules("stream", Keep(100, 300), "catch_up")
LATEST: Final = Rules("latest", Keep(100, 300, latest=True), "latest")
PRESENT: Final = Rules("stream", None, "close", Presence())


class Halting(MemoryBroker):
    """Memory's broker, whose calls wait at gates, fail, or take turns of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: dict[str, Gate] = {}
        """Name of a method -> where its calls wait before they do anything."""
        self.late: dict[str, Gate] = {}
        """Name of a method -> where its calls wait when all is done."""
        self.failing: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.turns = 0

    async def _before(self, call: str, channel: str) -> None:
        self.calls.append((call, channel))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if call in self.gates:
            await self.gates[call]()
        if call in self.failing:
            raise BrokerUnavailable("away")

    async def _after(self, call: str) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if call in self.late:
            await self.late[call]()

    def halt(self, call: str) -> Gate:
        """Hold all calls of this name from now on."""
        gate = self.gates[call] = Gate()
        return gate

    def halt_after(self, call: str) -> Gate:
        """Hold what calls of this name return from now on."""
        gate = self.late[call] = Gate()
        return gate

    def times(self, call: str) -> int:
        """So many calls of this name there were."""
        return sum(name == call for name, _ in self.calls)

    async def subscribe(self, channel: str) -> None:
        await self._before("subscribe", channel)
        await super().subscribe(channel)
        await self._after("subscribe")

    async def unsubscribe(self, channel: str) -> None:
        await self._before("unsubscribe", channel)
        await super().unsubscribe(channel)
        await self._after("unsubscribe")

    async def read(self, channel: str, keep: Keep, **options: Any) -> Page:
        call = "read" if options["limit"] else "top"
        await self._before(call, channel)
        page = await super().read(channel, keep, **options)
        await self._after(call)
        return page

    async def join(self, channel: str, member: Member) -> None:
        await self._before("join", channel)
        await super().join(channel, member)
        await self._after("join")

    async def leave(self, channel: str, member: Member) -> None:
        await self._before("leave", channel)
        await super().leave(channel, member)
        await self._after("leave")

    async def count(self, channel: str) -> tuple[int, int]:
        await self._before("count", channel)
        return await super().count(channel)

    async def members(self, channel: str) -> Roll:
        await self._before("members", channel)
        roll = await super().members(channel)
        await self._after("members")
        return roll


@asynccontextmanager
async def running(broker: MemoryBroker | None = None, **options: Any) -> AsyncIterator[Hub]:
    """A hub that has started; at the end nothing of it is left."""
    before = asyncio.all_tasks()
    hub = Hub(broker or MemoryBroker(), **{"check_interval": 3600.0, **options})
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()
    assert hub.stats[:2] == (0, 0)
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


async def arriving(hub: Hub, rules: Rules, **options: Any) -> tuple[Peer, Subscription]:
    """Open a connection and subscribe it."""
    peer = await Peer(**options).open()
    subscription = await subscribe(hub, peer, rules)
    await settle(3)
    return peer, subscription
