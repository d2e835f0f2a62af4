"""Tickets that are good once, whichever process is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from redis.exceptions import RedisError

from tests.brokers.servers import free_port, redis_server
from wirework import App, RedisTickets, SettingsError, Ticket
from wirework.security.tickets import Tickets
from wirework.testing import HandshakeRefused, TestClient

KEY = "a secret of 32 characters or more"


@pytest.fixture(name="redis", scope="module")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = redis_server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.end()


@pytest_asyncio.fixture(name="workers")
async def _workers(redis: str) -> AsyncIterator[list[Tickets]]:
    """Tickets as two processes have them."""
    prefix = f"{uuid4()}:"
    stores = [RedisTickets(redis, prefix=prefix) for _ in range(2)]
    yield [Tickets(KEY, store=store) for store in stores]
    for store in stores:
        await store.close()


async def greet(text: str, user: Any) -> str:
    return f"{user} {text}"


async def test_a_ticket_is_good_once_in_all_processes(workers: list[Tickets]) -> None:
    ticket = workers[0].issue("ada")
    assert await workers[1].redeem(ticket) == "ada"
    assert [await each.redeem(ticket) for each in workers] == [None, None]


async def test_one_of_many_who_come_at_once_is_let_in(workers: list[Tickets]) -> None:
    ticket = workers[0].issue("ada")
    found = await asyncio.gather(*(workers[each % 2].redeem(ticket) for each in range(20)))
    assert sorted(map(str, found)) == ["None"] * 19 + ["ada"]


async def test_what_was_used_is_forgotten_a_minute_after_the_end_of_the_ticket(redis: str) -> None:
    store = RedisTickets(redis, prefix=f"{uuid4()}:")
    until = time.time() + 30
    assert await store.spend("a", until)
    left = await store._redis.pttl(f"{store._prefix}a")
    assert 60_000 < left <= 90_001
    await store.close()


async def test_a_process_whose_clock_is_late_takes_no_ticket_again(redis: str) -> None:
    store = RedisTickets(redis, prefix=f"{uuid4()}:")
    late = Tickets(KEY, store=store, clock=lambda: time.time() - 50)
    ticket = late.issue("ada")
    assert [await late.redeem(ticket) for _ in range(3)] == ["ada", None, None]
    await store.close()


async def test_an_application_takes_its_tickets_there(redis: str) -> None:
    prefix = f"{uuid4()}:"
    stores = [RedisTickets(redis, prefix=prefix) for _ in range(2)]
    apps = [App(secret_key=KEY, tickets=store) for store in stores]
    for app in apps:
        app.ws("/x", auth=Ticket())(greet)
    path = f"/x?ticket={apps[0].tickets.issue('ada')}"
    async with TestClient(apps[1]) as client, client.connect(path) as ws:
        await ws.send_text("hi")
        assert await ws.receive_text() == "ada hi"
    async with TestClient(apps[0]) as client:
        with pytest.raises(HandshakeRefused):
            async with client.connect(path):
                raise AssertionError("let in again")
    for store in stores:
        await store.close()


async def test_nobody_is_let_in_while_the_server_is_away() -> None:
    store = RedisTickets(f"redis://127.0.0.1:{free_port()}")
    tickets = Tickets(KEY, store=store)
    with pytest.raises(RedisError):
        await tickets.redeem(tickets.issue("ada"))
    await store.close()


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="RedisTickets: expected redis://") as caught:
        RedisTickets("http://:secret@x")
    assert "secret" not in str(caught.value)


def test_what_cannot_remember_tickets_is_refused() -> None:
    with pytest.raises(SettingsError, match="tickets: expected a TicketStore"):
        App(tickets={})  # type: ignore[arg-type]
