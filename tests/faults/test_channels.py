"""Peers that want more channels than their share: row C11 of the matrix."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.servers import redis_server
from tests.faults.served import MEBIBYTE, TRANSPORTS, Served, served
from tests.wire.raw import RawClient, frame

APPLICATION = "tests.faults.channels:app"
TEXT, CLOSE = 1, 8
NO_STATUS = 1005


@pytest.fixture(scope="module", params=TRANSPORTS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("faults") / "log"
    with served(request.param, log, application=APPLICATION) as server:
        yield server


def asked(word: str, channel: str, id: int) -> bytes:
    """Return the frame of a client that asks something of a channel."""
    said = {"type": f"channel.{word}", "id": id, "data": {"channel": channel}}
    return frame(json.dumps(said).encode())


async def answers(client: RawClient) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what the server says; its close is the last, as its code."""
    while True:
        opcode, payload = await client.frame()
        if opcode == CLOSE:
            yield {"close": int.from_bytes(payload[:2], "big") or NO_STATUS}
            return
        if opcode == TEXT:
            yield json.loads(payload)


def outcome(said: dict[str, Any]) -> str:
    """Return in a word what a client was answered."""
    return str(said.get("close") or said.get("code") or said["type"].removeprefix("channel."))


async def storm(client: RawClient, frames: Iterable[bytes], count: int) -> Counter[str]:
    """Send frames as fast as they are taken, and count what is answered."""
    sending = asyncio.create_task(client.send(b"".join(frames), step=16384))
    found: Counter[str] = Counter()
    try:
        async with aclosing(answers(client)) as heard:
            async for said in heard:
                found[outcome(said)] += 1
                if found.total() == count:
                    break
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return found


async def forgotten(server: Served, before: dict[str, Any]) -> dict[str, Any]:
    """Wait until no channel is left, and no task more than before; return how it is then."""
    async with asyncio.timeout(20):
        while True:
            state = await server.state()
            if (
                state["channels"] == state["subscriptions"] == 0
                and state["tasks"] <= before["tasks"]
            ):
                return state


async def test_ten_thousand_subscriptions_of_one_client_are_128(server: Served) -> None:
    """C11: what is over the limit is answered with an error and costs nothing."""
    before = await server.state()
    with server.growth() as growth:
        async with server.opened("/live") as client:
            wishes = (asked("subscribe", f"news:{id}", id) for id in range(10_000))
            found = await storm(client, wishes, 10_000)
            assert found == {"subscribed": 128, "too_many_channels": 9_872}
            state = await server.state()
            assert (state["channels"], state["subscriptions"]) == (128, 128)
            assert await server.is_alive()
    after = await forgotten(server, before)
    assert after["left"] - before["left"] == 128
    assert growth.bytes < 16 * MEBIBYTE


async def test_names_that_are_too_long_leave_nothing_behind(server: Served) -> None:
    """C11: more than 255 bytes are no name, and a name of a MiB is no message."""
    before = await server.state()
    with server.growth() as growth:
        async with server.opened("/live") as client:
            wishes = (asked("subscribe", f"news:{id:050000}", id) for id in range(500))
            assert await storm(client, wishes, 500) == {"bad_channel": 500}
        async with server.opened("/live") as client:
            head = b'{"type":"channel.subscribe","data":{"channel":"news:'
            size = len(head) + MEBIBYTE + 3
            start = bytes([0x81, 0xFF]) + size.to_bytes(8, "big") + bytes(4) + head
            # The others refuse it at its head; what comes after that may reset the connection.
            rest = [b"x" * MEBIBYTE, b'"}}'] if server.name == "rsgi" else []
            found = await storm(client, [start, *rest], 1)
            assert found == {str(NO_STATUS if server.name == "rsgi" else 1009): 1}
    await forgotten(server, before)
    assert growth.bytes < 16 * MEBIBYTE


def come_and_go(count: int) -> Iterator[bytes]:
    for id in range(count):
        yield asked("subscribe", f"news:{id % 7}", id)
        yield asked("unsubscribe", f"news:{id % 7}", id)


async def test_a_storm_of_unsubscribing_is_answered_and_leaves_nothing(server: Served) -> None:
    """C11: everybody is served meanwhile, and each subscription ends once."""
    before = await server.state()
    async with server.opened("/live") as client:
        found = await storm(client, come_and_go(5_000), 10_000)
        assert found == {"subscribed": 5_000, "unsubscribed": 5_000}
        wishes = [asked("unsubscribe", "news:1", id) for id in range(5_000)]
        assert await storm(client, wishes, 5_000) == {"not_subscribed": 5_000}
        assert await server.is_alive()
    after = await forgotten(server, before)
    assert after["left"] - before["left"] == 5_000


async def test_a_storm_over_redis_ends_with_what_was_asked_last(tmp_path: Path) -> None:
    """C11: who came and went a thousand times is subscribed if that was the last word."""
    broker = redis_server(tmp_path)
    broker.start()
    try:
        with served(
            "native", tmp_path / "run", application=APPLICATION, broker=broker.url
        ) as server:
            before = await server.state()
            async with server.opened("/live") as client:
                found = await storm(client, come_and_go(1_000), 2_000)
                assert found == {"subscribed": 1_000, "unsubscribed": 1_000}
                wish = [asked("subscribe", "news:1", 1)]
                assert await storm(client, wish, 1) == {"subscribed": 1}
                assert (await server.state())["subscriptions"] == 1
            await forgotten(server, before)
    finally:
        broker.end()


async def test_who_does_not_stop_is_closed(tmp_path: Path) -> None:
    """C11: with a rate, a storm is told so and then ended, and others are served."""
    limits = {"message_rate": 50, "message_burst": 100}
    with served("native", tmp_path / "log", application=APPLICATION, **limits) as server:
        before = await server.state()
        async with server.opened("/live") as client:
            found = await storm(client, come_and_go(5_000), 10_000)
            assert found["4429"] == 1
            assert found["rate_limited"] > 0
            assert found["subscribed"] < 200
        await forgotten(server, before)
        assert await server.is_alive()
