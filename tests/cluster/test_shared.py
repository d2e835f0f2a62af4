"""A session that is shared by users on two workers, with Redis between them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.brokers.servers import redis_server
from tests.faults.served import Served, served

pytestmark = pytest.mark.timeout(120)
_sessions = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("shared")
    broker = redis_server(folder)
    broker.start()
    try:
        with served(
            "native",
            folder / "run",
            *("--workers", "2"),
            application="tests.cluster.shared:app",
            broker=broker.url,
        ) as running:
            yield running
    finally:
        broker.end()


class Tab:
    """A connection of a user."""

    def __init__(self, socket: ClientConnection) -> None:
        self.worker = 0
        self._socket = socket

    async def say(self, state: str, **data: Any) -> None:
        await self._socket.send(json.dumps({"state": state, "data": data}))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            said: dict[str, Any] = json.loads(await self._socket.recv())
            return said

    async def titles(self, number: int) -> list[str]:
        """Return the titles that are told next; nothing else may be told."""
        heard = [await self.hear() for _ in range(number)]
        assert {each["state"] for each in heard} <= {"title"}, heard
        return [each["data"]["title"] for each in heard]

    async def is_closed(self) -> int | None:
        try:
            async with asyncio.timeout(20):
                while True:
                    await self._socket.recv()
        except ConnectionClosed:
            return self._socket.close_code

    async def is_up_to_date(self) -> None:
        """See to it that nothing is on its way but the answer to the last question."""
        await self.say("pid")
        assert await self.hear() == {"state": "pid", "data": self.worker}


@asynccontextmanager
async def socket_of(server: Served, session: str, token: str) -> AsyncIterator[Tab]:
    url = f"ws://{server.authority}/boards/{session}"
    async with connect(url, proxy=None, compression=None) as socket:
        await socket.send(json.dumps({"token": token}))
        yield Tab(socket)


@asynccontextmanager
async def tab_of(
    server: Served, session: str, user: str, *, not_at: int = 0, kept: int = 0
) -> AsyncIterator[tuple[Tab, list[str]]]:
    """Open a tab at another worker than `not_at`, which is told `kept` titles at the beginning."""
    while True:
        async with socket_of(server, session, user) as tab:
            assert await tab.hear() == {"state": "initialised", "data": {}}
            told = await tab.titles(kept)
            await tab.say("pid")
            tab.worker = (await tab.hear())["data"]
            if tab.worker != not_at:
                yield tab, told
                return


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def everybody(server: Served, session: str, stack: AsyncExitStack) -> list[Tab]:
    """Open two tabs of one user and one of another, at both workers."""
    first, _ = await stack.enter_async_context(tab_of(server, session, "ada"))
    away = tab_of(server, session, "ada", not_at=first.worker)
    second, _ = await stack.enter_async_context(away)
    third, _ = await stack.enter_async_context(tab_of(server, session, "ben", not_at=first.worker))
    return [first, second, third]


@pytest.fixture
def session() -> str:
    """The name of a session that no other test uses."""
    return f"s{next(_sessions)}"


async def test_updates_at_once_on_two_workers_arrive_in_one_order_and_once(
    server: Served, session: str, stack: AsyncExitStack
) -> None:
    tabs = await everybody(server, session, stack)
    for number in range(50):
        for tab in (tabs[0], tabs[2]):
            await tab.say("title", title=f"{number} at {tab.worker}")
    heard = [await tab.titles(100) for tab in tabs]
    assert heard[0] == heard[1] == heard[2]
    assert len(set(heard[0])) == 100
    for tab in tabs:
        await tab.is_up_to_date()
    for worker in {tab.worker for tab in tabs}:
        async with tab_of(server, session, "cid", not_at=worker, kept=1) as (_, told):
            assert told == heard[0][-1:]


async def test_who_leaves_a_worker_does_not_take_its_session_along(
    server: Served, session: str, stack: AsyncExitStack
) -> None:
    first, second, _ = await everybody(server, session, stack)
    async with tab_of(server, session, "cid", not_at=first.worker):
        pass
    await first.say("title", title="Sea")
    assert await second.titles(1) == ["Sea"]


async def test_a_wrong_update_and_a_wrong_token_reach_nobody_else(
    server: Served, session: str, stack: AsyncExitStack
) -> None:
    tabs = await everybody(server, session, stack)
    await tabs[0].say("title", title="")
    assert (await tabs[0].hear())["data"]["code"] == "validation"
    async with socket_of(server, session, "") as outside:
        assert (await outside.hear())["error"] == "Could not validate credentials."
        assert await outside.is_closed() == 4401
    for tab in tabs:
        await tab.is_up_to_date()


async def test_users_of_a_worker_that_is_killed_come_back_to_the_newest(
    server: Served, session: str, stack: AsyncExitStack
) -> None:
    first, second, third = await everybody(server, session, stack)
    await third.say("title", title="Sea")
    assert await first.titles(1) == await second.titles(1) == ["Sea"]
    os.kill(second.worker, signal.SIGKILL)
    for tab in (second, third):
        assert await tab.is_closed() == 1006
    for title in ("Salt", "Sand"):
        await first.say("title", title=title)
    assert await first.titles(2) == ["Salt", "Sand"]
    async with tab_of(server, session, "ben", not_at=first.worker, kept=1) as (back, told):
        assert told == ["Sand"]
        await back.say("title", title="Surf")
        assert await first.titles(1) == await back.titles(1) == ["Surf"]
