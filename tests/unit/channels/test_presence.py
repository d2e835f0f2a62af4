"""Who is there: each user once, gone only after a while, and a list that agrees with the news."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.channels.halting import PRESENT, Halting, arriving, running
from tests.unit.channels.listeners import Peer, settle, subscribe
from wirework import App, Member, Presence, QueryToken
from wirework.channels import attendance
from wirework.channels.hub import Hub
from wirework.commands import Joined
from wirework.dialects import Typed
from wirework.testing import TestClient


def news(peer: Peer) -> list[str]:
    """Return who has come and gone, as a peer was told since the last look."""
    words = {"channel.joined": "+", "channel.left": "-"}
    return [
        words[each["type"]] + each["data"]["member"].get("user", "nobody")
        for each in peer.read()
        if each["type"] in words
    ]


async def leave(hub: Hub, peer: Peer) -> None:
    peer.line.connection.lost()
    hub.leave_all(peer.line.connection)
    await settle()


async def nobody(hub: Hub) -> Peer:
    peer = await Peer().open()
    peer.member = Member(peer.ws.id)
    await subscribe(hub, peer, PRESENT)
    return peer


async def test_the_first_connection_of_a_user_joins_and_the_last_one_leaves() -> None:
    async with running(presence_grace=0) as hub:
        watcher, _ = await arriving(hub, PRESENT, number=1)
        phone, _ = await arriving(hub, PRESENT, number=2)
        laptop, _ = await arriving(hub, PRESENT, number=2)
        assert news(watcher) == ["+user-2"]
        await leave(hub, phone)
        assert news(watcher) == []
        await leave(hub, laptop)
        assert news(watcher) == ["-user-2"]


async def test_nobody_is_told_of_itself() -> None:
    async with running(presence_grace=0) as hub:
        phone, _ = await arriving(hub, PRESENT, number=1)
        laptop, _ = await arriving(hub, PRESENT, number=1)
        await arriving(hub, PRESENT, number=2)
        assert (news(phone), news(laptop)) == (["+user-2"], ["+user-2"])


async def test_connections_of_nobody_count_each_for_itself_and_leave_at_once() -> None:
    async with running(presence_grace=1000) as hub:
        watcher, _ = await arriving(hub, PRESENT, number=1)
        peers = [await nobody(hub) for _ in range(2)]
        assert news(watcher) == ["+nobody", "+nobody"]
        assert await hub.broker.count("news") == (3, 3)
        await leave(hub, peers[0])
        assert news(watcher) == ["-nobody"]


async def test_a_user_that_returns_within_the_grace_was_never_away() -> None:
    async with running(presence_grace=1000) as hub:
        watcher, _ = await arriving(hub, PRESENT, number=1)
        for _ in range(5):
            peer, _ = await arriving(hub, PRESENT, number=2)
            await leave(hub, peer)
        assert news(watcher) == ["+user-2"]
        assert (await hub.broker.count("news"))[1] == 2


async def test_the_channel_says_how_long_the_grace_is() -> None:
    rules = PRESENT._replace(presence=Presence(grace=0))
    async with running(presence_grace=1000) as hub:
        watcher, _ = await arriving(hub, rules, number=1)
        peer, _ = await arriving(hub, rules, number=2)
        await leave(hub, peer)
        assert news(watcher) == ["+user-2", "-user-2"]


async def test_a_connection_that_subscribes_again_is_not_struck_off_by_its_old_leave() -> None:
    rules = PRESENT._replace(presence=Presence(grace=0.001))
    async with running() as hub:
        watcher, _ = await arriving(hub, rules, number=1)
        peer, subscription = await arriving(hub, rules, number=2)
        hub.leave(subscription)
        await subscribe(hub, peer, rules)
        other, _ = await arriving(hub, rules, number=3)
        await leave(hub, other)  # after the old leave, by the clock
        async with asyncio.timeout(5):
            while "-user-3" not in news(watcher):
                await settle(1)
        assert [member.user for member in (await hub.broker.members("news")).members] == [
            "user-1",
            "user-2",
        ]


async def test_a_connection_that_returns_while_it_is_struck_off_is_there_afterwards() -> None:
    broker = Halting()
    async with running(broker, presence_grace=0) as hub:
        await arriving(hub, PRESENT, number=1)
        peer, subscription = await arriving(hub, PRESENT, number=2)
        gate = broker.halt("leave")
        hub.leave(subscription)
        await gate.reached.wait()
        task = asyncio.get_running_loop().create_task(subscribe(hub, peer, PRESENT))
        await settle()
        gate.open.set()
        await task
        await settle()
        assert await broker.count("news") == (2, 2)


async def test_a_leave_that_the_broker_did_not_take_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attendance, "_AGAIN", 0.0)
    broker = Halting()
    async with running(broker, presence_grace=0) as hub:
        peer, _ = await arriving(hub, PRESENT)
        broker.turns = 1
        broker.failing.add("leave")
        await leave(hub, peer)
        assert await broker.count("news") == (1, 1)
        broker.failing.clear()
        await settle()
        assert await broker.count("news") == (0, 0)


@pytest.mark.parametrize("presence", [None, Presence(announce=False)], ids=["none", "silent"])
async def test_a_channel_that_does_not_announce_tells_nobody(presence: Any) -> None:
    rules = PRESENT._replace(presence=presence)
    async with running(presence_grace=0) as hub:
        watcher, _ = await arriving(hub, rules, number=1)
        peer, _ = await arriving(hub, rules, number=2)
        await leave(hub, peer)
        assert news(watcher) == []


async def test_what_is_in_a_list_is_not_told_again_and_what_is_not_comes_after_it() -> None:
    async with running() as hub:
        peer, subscription = await arriving(hub, PRESENT)
        told = Joined("news", Member("c1", "in-list"), 5)
        later = Joined("news", Member("c2", "later"), 6)
        subscription.announced = []
        subscription.announce(told, 5)
        subscription.announce(later, 6)
        assert news(peer) == []
        subscription.announce_waiting(5)
        assert news(peer) == ["+later"]
        subscription.announce(told, 5)
        assert news(peer) == []


async def test_stopping_forgets_who_was_about_to_leave() -> None:
    async with running(presence_grace=1000) as hub:
        peer, _ = await arriving(hub, PRESENT)
        await leave(hub, peer)
        assert hub.attendance._task is not None
        await hub.stop()
        assert hub.attendance._task is None
        assert hub.attendance._due == {}


def test_presence_works_in_the_next_event_loop_too() -> None:
    app = App()
    app.events("/", dialect=Typed(), auth=QueryToken(lambda token: token))
    room = app.channel("room", presence=Presence(grace=0.05))
    room.on_subscribe(lambda: True)

    async def come_and_go() -> None:
        async with TestClient(app) as client, client.connect("/?token=ada") as ada:
            await ada.send_json({"type": "channel.subscribe", "data": {"channel": "room"}})
            assert (await ada.receive_json())["type"] == "channel.subscribed"
            async with client.connect("/?token=ben") as ben:
                await ben.send_json({"type": "channel.subscribe", "data": {"channel": "room"}})
                assert (await ada.receive_json())["type"] == "channel.joined"
            assert (await ada.receive_json())["type"] == "channel.left"

    for _ in range(2):
        asyncio.run(come_and_go())
