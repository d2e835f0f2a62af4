"""Whatever happens, no subscriber has a hole, a duplicate or another order that it is not told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.applications import text
from tests.unit.channels.listeners import Peer, Shaky, publish, settle, subscribe
from wirework import BrokerUnavailable, ConnectionClosed, Position, Presence, Reject, StateError
from wirework.brokers.base import Keep
from wirework.channels import backlog, recovery, topic
from wirework.channels.hub import Hub
from wirework.channels.rules import Rules

PEERS = 4
AT_ONCE = st.sampled_from((0, 2, 64))
"""Subscriptions that are told in one go; of more, one at a time is."""
POLICIES = st.sampled_from(("close", "drop_oldest", "drop_newest"))
"""What a full outbox does, which other messages fill, too."""

FAITHFUL = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 8)),
    st.tuples(st.just("pump"), st.integers(1, 5)),
    st.tuples(st.just("subscribe"), st.integers(0, PEERS - 1)),
    st.tuples(st.just("cut"), st.integers(0, PEERS - 1)),
    st.tuples(st.just("read"), st.integers(0, PEERS - 1)),
    st.tuples(st.just("unsubscribe"), st.integers(0, PEERS - 1)),
    st.tuples(st.just("noise"), st.integers(0, PEERS - 1)),
    st.tuples(st.just("lose"), st.booleans()),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("turn"), st.integers(1, 6)),
)
FORGETFUL = st.one_of(FAITHFUL, st.tuples(st.just("forget"), st.integers(0, 1)))


class World:
    """One hub, its broker, some clients that come back where they were."""

    def __init__(self, seed: int, size: int, policy: str) -> None:
        self.broker = Shaky(seed)
        self.hub = Hub(self.broker, history_limit=5, check_interval=3600, presence_grace=0)
        self.rules = Rules("stream", Keep(size, 3600), "catch_up", Presence())
        self.peers: dict[int, Peer] = {}
        self.known: dict[int, Position | None] = {}
        self.gaps = 0
        self.faults: list[str] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.count = 0
        self.small = {"outbox_frames": 6, "overflow": policy}

    async def do(self, action: str, number: int) -> None:
        await getattr(self, f"_{action}")(number)

    async def _publish(self, number: int) -> None:
        for _ in range(number):
            self.count += 1
            await publish(self.broker, self.rules, self.count)

    async def _pump(self, number: int) -> None:
        self.broker.pump(number)

    async def _subscribe(self, number: int) -> None:
        if number not in self.peers:
            peer = self.peers[number] = await Peer(number, **self.small).open()
            peer.position = self.known.get(number)
            self._spawn(self._subscribe_peer(peer, peer.position))

    async def _subscribe_peer(self, peer: Peer, since: Position | None) -> None:
        try:
            await subscribe(self.hub, peer, self.rules, since=since)
        except (BrokerUnavailable, ConnectionClosed, Reject):
            self._forget_peer(peer)

    async def _cut(self, number: int) -> None:
        """The connection of a client is lost; what it has read it knows."""
        peer = self.peers.get(number)
        if peer is not None:
            peer.line.connection.lost()
            self.hub.leave_all(peer.line.connection)
            self._forget_peer(peer)

    async def _unsubscribe(self, number: int) -> None:
        peer = self.peers.get(number)
        if peer is not None:
            peer.read()
            self.hub.leave_all(peer.line.connection)
            self._forget_peer(peer)

    async def _read(self, number: int) -> None:
        if number in self.peers:
            self.peers[number].read()

    async def _noise(self, number: int) -> None:
        """Something else is sent to a client."""
        if number in self.peers:
            with suppress(ConnectionClosed, StateError):
                self.peers[number].line.connection.push(text('{"type":"noise","data":{}}'))

    async def _lose(self, is_losing: bool) -> None:
        self.broker.is_losing = is_losing

    async def _away(self, is_away: bool) -> None:
        self.broker.go() if is_away else self.broker.come_back()

    async def _turn(self, number: int) -> None:
        await settle(number)

    async def _forget(self, _: int) -> None:
        self.broker.arriving.clear()
        self.broker.lose_data()

    def _forget_peer(self, peer: Peer) -> None:
        for number, each in list(self.peers.items()):
            if each is peer:
                self.known[number] = peer.position
                self.gaps += peer.gaps
                self.faults += peer.faults
                del self.peers[number]

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def end(self) -> None:
        """Let everything arrive and be read."""
        self.broker.is_losing = False
        self.broker.come_back()
        for _ in range(60):
            self.broker.pump()
            await self.hub._look_at_all()
            for peer in self.peers.values():
                peer.read()
            await settle(5)
        await asyncio.gather(*self.tasks)
        for peer in self.peers.values():
            self.gaps += peer.gaps
            self.faults += peer.faults


@pytest.fixture(autouse=True, scope="module")
def impatient() -> Iterator[None]:
    """Ask a broker that is away again at once: the tests wait for nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery, "_PAUSE", 0.0)
        yield


def run(actions: list[tuple[str, Any]], seed: int, size: int, at_once: int, policy: str) -> World:
    async def live() -> World:
        world = World(seed, size, policy)
        await world.hub.start()
        for action, number in actions:
            await world.do(action, number)
        await world.end()
        keep = world.rules.keep
        assert keep is not None
        top = (await world.broker.read("news", keep, limit=0)).top
        where = [peer.position for peer in world.peers.values() if peer.is_subscribed]
        assert world.faults == []
        assert all(each == top for each in where), (where, top)
        await world.hub.stop()
        assert world.hub.stats[:2] == (0, 0)
        return world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topic, "_AT_ONCE", at_once)
        patch.setattr(backlog, "_PART", 1)
        return asyncio.run(live())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FAITHFUL, min_size=25, max_size=120), st.integers(0, 1000), AT_ONCE, POLICIES)
def test_with_history_that_reaches_back_nothing_is_ever_missed(
    actions: list[tuple[str, Any]], seed: int, at_once: int, policy: str
) -> None:
    assert run(actions, seed, 1000, at_once, policy).gaps == 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FORGETFUL, min_size=25, max_size=120), st.integers(0, 1000), AT_ONCE, POLICIES)
def test_what_cannot_be_had_any_more_is_a_gap_and_never_silent(
    actions: list[tuple[str, Any]], seed: int, at_once: int, policy: str
) -> None:
    run(actions, seed, 4, at_once, policy)
