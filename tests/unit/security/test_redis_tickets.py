"""Tickets that are good once, whichever process is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from redis.asyncio import from_url
from redis.exceptions import RedisError

from tests.brokers.servers import free_port, redis_server
from wirework import App, RedisSessions, RedisTickets, SettingsError, Ticket
from wirework.security.tickets import Tickets, UsedTickets
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


async def test_nobody_is_let_in_while_the_server_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = RedisTickets(f"redis://127.0.0.1:{free_port()}")
    app = App(secret_key=KEY, tickets=store)
    app.ws("/x", auth=Ticket())(greet)
    ticket = app.tickets.issue("ada")
    with pytest.raises(RedisError):
        await app.tickets.redeem(ticket)
    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect(f"/x?ticket={ticket}"):
                raise AssertionError("let in")
    assert caught.value.status == 503
    assert caught.value.headers["retry-after"] == "1"
    assert "whether a ticket was used cannot be known" in caplog.text
    assert ticket not in caplog.text


async def test_an_application_ends_the_connections_of_its_stores(redis: str) -> None:
    tickets, sessions = RedisTickets(redis), RedisSessions(redis)
    app = App(secret_key=KEY, tickets=tickets, sessions=sessions)
    async with from_url(redis) as probe:
        before = len(await probe.client_list())
        for _ in range(2):  # a store that was closed can be used again
            async with TestClient(app):
                await app.create_session({"user": "ada"})
                assert await app.tickets.redeem(app.tickets.issue("ada")) == "ada"
                assert len(await probe.client_list()) == before + 2
            async with asyncio.timeout(10):
                while len(await probe.client_list()) > before:
                    pass  # the server has not seen the end of them yet


async def test_a_store_that_cannot_be_closed_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stubborn(UsedTickets):
        async def close(self) -> None:
            raise OSError("it is gone")

    async with TestClient(App(secret_key=KEY, tickets=Stubborn())):
        pass
    assert "Stubborn could not be closed" in caplog.text


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="RedisTickets: expected redis://") as caught:
        RedisTickets("http://:secret@x")
    assert "secret" not in str(caught.value)


def test_what_cannot_remember_tickets_is_refused() -> None:
    with pytest.raises(SettingsError, match="tickets: expected a TicketStore"):
        App(tickets={})  # type: ignore[arg-type]
