"""Messages to many, from many, and handlers that misbehave: rows F1 and F7 to F10."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.served import TRANSPORTS, Served, served, until
from tests.wire.raw import RawClient, frame

SERVICE = "tests.faults.service:app"
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


@pytest.fixture(scope="module", params=TRANSPORTS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("faults") / "log"
    with served(request.param, log, application=SERVICE) as server:
        yield server


def on(*transports: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("running", transports, indirect=True, scope="module")


def called(name: str, id: int = 1, **data: Any) -> bytes:
    return frame(json.dumps({"type": name, "id": id, "data": data}).encode())


async def heard(client: RawClient) -> Any:
    opcode, payload = await client.frame()
    assert opcode == TEXT, (opcode, payload)
    return json.loads(payload)


async def all_in(server: Served, count: int) -> None:
    """Wait until so many are in the room."""
    async with asyncio.timeout(20):
        while (await server.state())["room"] != count:
            pass


def numbered(number: int, size: int = 4000) -> bytes:
    return b"%08d" % number + bytes(size - 8)


async def numbers_of(client: RawClient, count: int) -> list[int]:
    """Return the numbers of the next messages; pings of a server are none."""
    found: list[int] = []
    while len(found) < count:
        opcode, payload = await client.frame()
        if opcode == BINARY:
            found.append(int(payload[:8]))
        else:
            assert opcode == PING, (opcode, payload)
    return found


async def say_in_rounds(speaker: RawClient, hearers: list[RawClient], count: int) -> None:
    """Say numbered messages, which all of `hearers` must hear in order, fifty at a time."""
    for start in range(0, count, 50):
        numbers = range(start, start + 50)
        await speaker.send(b"".join(frame(numbered(number), BINARY) for number in numbers))
        for got in await asyncio.gather(*[numbers_of(each, 50) for each in hearers]):
            assert got == list(numbers)


async def test_one_that_does_not_read_is_closed_and_the_others_miss_nothing(
    server: Served,
) -> None:
    """F1: everybody else gets every message, in order; the slow one is ended and counted."""
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(server.opened("/room")) for _ in range(20)]
        await stack.enter_async_context(server.opened("/room", is_deaf=True))
        await all_in(server, 21)
        await say_in_rounds(members[0], members, 2000)
        await all_in(server, 20)
        await until(lambda: "'/room' ended with 1013" in server.output)


@on("native")
async def test_one_that_does_not_read_may_lose_the_oldest_instead_which_is_counted(
    server: Served,
) -> None:
    """F1: with `drop_oldest` the slow one stays, and has the newest when it reads."""
    count = 3000
    await server.request("POST", "/hold")
    async with AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(server.opened("/lossy-room"))
        slow = await stack.enter_async_context(server.opened("/lossy-room", is_deaf=True))
        await all_in(server, 2)
        await say_in_rounds(healthy, [healthy], count)
        got = await numbers_of(slow, 1)
        while got[-1] != count - 1:
            got += await numbers_of(slow, 1)
    assert got == sorted(set(got))
    await all_in(server, 0)
    assert (await server.state())["seen"]["dropped"] == count - len(got) > 0


async def test_members_that_die_during_a_broadcast_cost_the_others_nothing(
    server: Served,
) -> None:
    """F7: a tenth is reset between and during the messages; no error, no message lost."""
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(server.opened("/room")) for _ in range(200)]
        await all_in(server, 200)
        dying, living = members[:20], members[20:]
        for number in range(20):
            await living[0].send(frame(numbered(2 * number, 100), BINARY))
            dying[number].abort()
            await living[0].send(frame(numbered(2 * number + 1, 100), BINARY))
        for each in living:
            assert await numbers_of(each, 40) == list(range(40))
        await all_in(server, 180)
    await all_in(server, 0)


async def test_a_handler_that_raises_or_hangs_ends_no_more_than_its_call(server: Served) -> None:
    """F8: an error, a timeout; the connection and its neighbours go on."""
    async with server.opened("/faulty") as client, server.opened("/faulty") as neighbour:
        await client.send(called("raise", 1) + called("reject", 2) + called("hang", 3))
        codes = {(answer := await heard(client))["id"]: answer["code"] for _ in range(3)}
        assert codes == {1: "internal", 2: "no", 3: "timed_out"}
        for each in (client, neighbour):
            await each.send(called("ok", 4))
            assert (await heard(each))["data"] == "ok"


async def test_a_handler_that_ignores_its_cancellation_holds_up_nobody_else(
    server: Served,
) -> None:
    """F8: its own connection waits for it, the others are served; in the end all are gone."""
    await server.request("POST", "/hold")
    async with server.opened("/faulty") as client:
        await client.send(called("stubborn", 1) + called("ok", 2))
        assert (await heard(client))["id"] == 2
        async with asyncio.timeout(20):
            while not (await server.state())["seen"].get("ignored"):
                pass
        assert await server.is_alive()
    assert (await server.state())["connections"] == 1
    await server.request("POST", "/release")
    async with asyncio.timeout(20):
        while (await server.state())["connections"]:
            pass


async def test_a_handler_that_blocks_the_event_loop_ends_no_healthy_connection(
    tmp_path: Path,
) -> None:
    """F8: the clock of all deadlines stands still while nothing else can run."""
    pings = served(
        "native",
        tmp_path / "log",
        application=SERVICE,
        heartbeat_interval=0.3,
        heartbeat_timeout=0.3,
    )
    with pings as server:
        async with server.opened("/echo") as healthy, server.opened("/faulty") as client:
            await client.send(called("block", seconds=2.0))
            assert (await answer_to(client))["data"] == "done"
            await healthy.send(frame(b"still here"))
            while (got := await healthy.frame()) != (TEXT, b"still here"):
                assert got[0] == 9, got
                await healthy.send(frame(got[1], 10))


async def answer_to(client: RawClient) -> Any:
    """Return the next message, answering pings before it."""
    opcode, payload = await client.frame()
    while opcode == 9:
        await client.send(frame(payload, 10))
        opcode, payload = await client.frame()
    return json.loads(payload)


async def test_tasks_and_threads_that_send_at_once_interleave_whole_frames(
    server: Served,
) -> None:
    """F9: each sender's messages arrive in its order, and none is mixed with another."""
    order: Counter[str] = Counter()
    async with server.opened("/crowd") as client:
        for _ in range(8 * 200):
            opcode, payload = await client.frame()
            assert opcode == TEXT, payload
            name, number, rest = payload.decode().split(" ")
            assert (int(number), rest) == (order[name], "x" * (order[name] * 7 % 300))
            order[name] += 1
        assert (await client.frame())[0] == CLOSE
    assert set(order.values()) == {200}
    assert len(order) == 8


async def test_answers_that_are_late_doubled_or_to_nothing_are_dropped(server: Served) -> None:
    """F10: who asked gets a timeout, and the connection is as before."""
    async with server.opened("/desk") as client:
        await client.send(called("ask", 1, timeout=0.1))
        question = await heard(client)
        assert (await heard(client))["type"] == "error"
        for ask in (question["ask"], question["ask"], 999, -1, 10**30, "x", None, [1]):
            await client.send(frame(json.dumps({"type": "answer", "ask": ask, "data": 1}).encode()))
        await client.send(called("ask", 2, timeout=10))
        answers: list[Any] = []
        while "ask" not in (found := await heard(client)):
            answers.append(found)
        await client.send(
            frame(json.dumps({"type": "answer", "ask": found["ask"], "data": 7}).encode())
        )
        assert await heard(client) == {"type": "ask", "id": 2, "data": 7}
        assert {each["type"] for each in answers} <= {"error"}
        await client.send(called("ask", 3, timeout=10))
        await heard(client)
    async with asyncio.timeout(20):
        while (await server.state())["connections"]:
            pass
