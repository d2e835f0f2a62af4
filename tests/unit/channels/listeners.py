"""A broker that is far away and not to be trusted, and peers that are read by hand."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any, cast

import msgspec

from tests.unit.applications import Line
from wirework import BrokerUnavailable, Member, Position, WebSocket
from wirework.brokers.base import Broker, Keep, Message, Page, Publication, Published, Receiver
from wirework.brokers.memory import MemoryBroker
from wirework.channels.hub import Hub
from wirework.channels.rules import Rules
from wirework.channels.subscription import Subscription
from wirework.dialects import Typed
from wirework.json import MsgspecAdapter

JSON = MsgspecAdapter()
CODEC = Typed().open(JSON)


class _Delayed:
    """Keeps what the broker tells until `Shaky.pump`."""

    def __init__(self, broker: Shaky, receiver: Receiver) -> None:
        self._broker = broker
        self._receiver = receiver

    def on_publication(self, publication: Publication) -> None:
        if not (self._broker.is_losing or self._broker.is_away):
            self._broker.arriving.append(publication)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receiver, name)


class Shaky(MemoryBroker):
    """Memory's broker as if behind a network: late, losing what is told, away, forgetful."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.arriving: deque[Publication] = deque()
        self.is_losing = False
        self.is_away = False
        self.reads = 0
        self._random = random.Random(seed)
        self.receiver: Receiver | None = None

    async def start(self, receiver: Receiver) -> None:
        self.receiver = receiver
        await super().start(cast(Receiver, _Delayed(self, receiver)))

    async def subscribe(self, channel: str) -> None:
        await self._travel()
        await super().subscribe(channel)
        await self._travel()

    async def unsubscribe(self, channel: str) -> None:
        await asyncio.sleep(0)
        await super().unsubscribe(channel)

    async def read(self, channel: str, keep: Keep, **options: Any) -> Page:
        self.reads += 1
        await self._travel()
        page = await super().read(channel, keep, **options)
        await self._travel()
        return page

    def pump(self, count: int = 1_000_000) -> None:
        """Tell the hub some of what has been published."""
        for _ in range(min(count, len(self.arriving))):
            assert self.receiver is not None
            publication = self.arriving.popleft()
            if publication.channel in self._subscribed:
                self.receiver.on_publication(publication)

    def go(self) -> None:
        """Be away from now on; what is under way is lost."""
        if not self.is_away:
            self.is_away = True
            self.arriving.clear()
            assert self.receiver is not None
            self.receiver.on_degraded()

    def come_back(self) -> None:
        if self.is_away:
            self.is_away = False
            assert self.receiver is not None
            self.receiver.on_restored()

    def lose_data(self) -> None:
        """Forget all history: every channel begins a new epoch."""
        self._logs.clear()

    async def _travel(self) -> None:
        for _ in range(self._random.randrange(3)):
            await asyncio.sleep(0)
        if self.is_away:
            raise BrokerUnavailable("away")


class Peer:
    """A connection that the test reads, and what its client would know by that."""

    def __init__(self, number: int = 0, **settings: Any) -> None:
        self.line = Line(**settings)
        self.ws = _WebSocket(self.line)
        self.member = Member(self.ws.id, f"user-{number}")
        self.heard: list[dict[str, Any]] = []
        self.position: Position | None = None
        self.gaps = 0
        self.faults: list[str] = []

    async def open(self) -> Peer:
        await self.line.connection.accept()
        return self

    def read(self) -> list[dict[str, Any]]:
        """Take what was written, and check that each publication follows the one before."""
        said = [msgspec.json.decode(frame) for frame in self.line.written()]
        self.heard += said
        for message in said:
            self._check(message["type"], message["data"])
        return said

    @property
    def is_subscribed(self) -> bool:
        """Whether it was told so, and not closed since for reading too slowly."""
        return bool(self.heard) and self.line.connection.is_open

    @property
    def texts(self) -> list[Any]:
        """The data of all publications that were heard, also of those told on subscribing."""
        found: list[Any] = []
        for message in self.heard:
            data = message["data"]
            if message["type"] == "channel.publication":
                found.append(data["data"])
            found += [each["data"] for each in data.get("publications", ())]
        return found

    def _check(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "channel.subscribed":
            before = self.position if data.get("recovered") else None
            for publication in data.get("publications", ()):
                before = self._follow(before, publication)
            self.position = _position(data)
            if before is not None and before != self.position:
                self.faults.append(f"subscribed at {self.position}, told up to {before}")
        elif kind == "channel.publication":
            self.position = self._follow(self.position, data)
        elif kind == "channel.gap":
            self.gaps += 1
            self.position = _position(data)

    def _follow(self, before: Position | None, publication: dict[str, Any]) -> Position | None:
        here = _position(publication)
        if before is not None and here is not None:
            is_next = here.epoch == before.epoch and here.offset == before.offset + 1
            if not is_next:
                self.faults.append(f"{here} after {before}")
        return here


class _WebSocket:
    """As much of a WebSocket as the hub uses."""

    def __init__(self, line: Line) -> None:
        self.connection = line.connection
        self.codec = CODEC
        self.id = line.connection.id
        self.conversation = None


def _position(data: dict[str, Any]) -> Position | None:
    said = data.get("position")
    return None if said is None else Position(said["epoch"], said["offset"])


async def subscribe(
    hub: Hub, peer: Peer, rules: Rules, *, name: str = "news", since: Position | None = None
) -> Subscription:
    """Subscribe a peer as its session would."""
    ws = cast(WebSocket, peer.ws)
    return await hub.subscribe(name, rules, ws, peer.member, since=since)


async def publish(
    broker: Broker, rules: Rules, data: Any, *, name: str = "news", **options: Any
) -> Published:
    """Publish as a worker would."""
    message = Message(JSON.encode(data), **options)
    return await broker.publish(name, message, rules.keep)


async def settle(turns: int = 30) -> None:
    """Let every task of the event loop go on until nothing is left to do at once."""
    for _ in range(turns):
        await asyncio.sleep(0)
