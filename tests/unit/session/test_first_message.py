"""The first message says who the peer is: what is answered, and when the connection ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.applications import Gate, talking
from tests.unit.session.talk import (
    User,
    ask,
    error,
    heard,
    login,
    message,
    plain,
    send,
    user_of,
    value,
)
from wirework import App, Close, FirstMessage, Reject, ValidationError, WebSocket
from wirework.dialects import State, Typed
from wirework.testing import TestClient, TestWebSocket
from wirework.timers import wheel

READY = {"type": "ready"}
NO = "Could not validate credentials."


class Desk:
    """Events behind a first message; what runs is noted."""

    def __init__(self, verify: Any = user_of, dialect: Any = None, **options: Any) -> None:
        self.app = App()
        auth = FirstMessage(verify, timeout=options.pop("timeout", None))
        self.desk = self.app.events("/", dialect=dialect or Typed(), auth=auth, **options)
        self.log: list[str] = []

        @self.desk.on("who")
        async def who(user: User) -> str:
            self.log.append(f"who {user.name}")
            return user.name

        @self.desk.on_ready
        async def on_ready(user: User) -> None:
            self.log.append(f"ready {user.name}")

        @self.desk.on_disconnect
        async def on_disconnect(code: int) -> None:
            self.log.append(f"disconnect {code}")


def pass_time(ws: TestWebSocket, seconds: float) -> None:
    """Have the session look at its deadline as if so much time had passed."""
    consumer: Any = ws.peer.connection.consumer
    wheel().forget(consumer)
    consumer.tick(wheel().now() + seconds)


# --- good ---------------------------------------------------------------------------------------


async def test_a_good_token_is_answered_with_ready_and_its_id() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        send(ws, login(id=7))
        assert await ws.receive_json() == {"type": "ready", "id": 7}
        assert await ask(ws, "who") == value("who", "ada")
    assert desk.log == ["ready ada", "who ada", "disconnect 1000"]


async def test_what_on_ready_returns_is_told_with_ready() -> None:
    app = App()
    desk = app.events("/", dialect=Typed(), auth=FirstMessage(user_of))

    @desk.on_ready
    def on_ready(user: User) -> dict[str, str]:
        return {"welcome": user.name}

    async with talking(app) as ws:
        send(ws, login())
        assert await ws.receive_json() == {"type": "ready", "data": {"welcome": "ada"}}


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_calls_in_the_same_batch_as_the_token_come_after_ready(concurrency: int) -> None:
    desk = Desk(concurrency=concurrency)
    together = asyncio.Barrier(concurrency)

    @desk.desk.on("meet")
    async def meet(user: User) -> str:
        await together.wait()
        return user.name

    async with talking(desk.app) as ws:
        send(ws, login(), *[message("meet", id=id) for id in range(concurrency)])
        assert await ws.receive_json() == READY
        said = sorted(await heard(ws, concurrency), key=lambda each: each["id"])
        assert said == [value("meet", "ada", id=id) for id in range(concurrency)]


async def test_calls_wait_while_the_token_is_looked_at_whatever_the_concurrency() -> None:
    gate = Gate()

    async def verify(token: str) -> User:
        await gate()
        return User(token)

    desk = Desk(verify, concurrency=4)
    async with talking(desk.app) as ws:
        send(ws, login())
        await gate.reached.wait()
        send(ws, message("who", id=1), message("who", id=2))
        await asyncio.sleep(0)
        assert desk.log == []
        gate.open.set()
        assert await ws.receive_json() == READY
        assert sorted(said["id"] for said in await heard(ws, 2)) == [1, 2]


async def test_each_connection_has_its_own_user() -> None:
    desk = Desk(concurrency=2)
    async with (
        TestClient(desk.app) as client,
        client.connect("/") as ada,
        client.connect("/") as eve,
    ):
        send(ada, login("ada"), message("who", id=1))
        send(eve, login("eve"), message("who", id=1))
        assert await heard(ada, 2) == [READY, value("who", "ada")]
        assert await heard(eve, 2) == [READY, value("who", "eve")]


async def test_later_tokens_are_of_the_same_user_or_change_nothing() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        for token in ("ada", "ada", "eve", "wrong"):
            send(ws, login(token, id=3), message("who", id=1))
        said = await heard(ws, 8)
        assert said[0] == said[2] == {"type": "ready", "id": 3}
        assert said[1::2] == [value("who", "ada")] * 4
        assert plain(said[4]) == error("authenticated", id=3)
        assert plain(said[6]) == error("not_authenticated", id=3)
    assert desk.log.count("ready ada") == 1


async def test_pings_are_answered_before_anybody_has_authenticated() -> None:
    async with talking(Desk().app) as ws:
        send(ws, message("ping", id=1), message("cancel", id=1), message("answer", ask=1))
        assert await ws.receive_json() == {"type": "pong", "id": 1}
        send(ws, login())
        assert await ws.receive_json() == READY


async def test_the_state_dialect_says_initialised() -> None:
    desk = Desk(dialect=State())
    async with talking(desk.app) as ws:
        await ws.send_json({"token": "ada"})
        assert await ws.receive_json() == {"state": "initialised", "data": {}}
        await ws.send_json({"state": "who"})
        assert await ws.receive_json() == {"state": "who", "data": "ada"}


# --- turned away --------------------------------------------------------------------------------


def raising(failure: Exception) -> Any:
    async def verify(token: str) -> User:
        raise failure

    return verify


@pytest.mark.parametrize(
    ("verify", "code", "text"),
    [
        (user_of, "not_authenticated", NO),
        (raising(Reject("expired", "log in again")), "expired", "log in again"),
        (
            raising(ValidationError([{"loc": ["exp"], "type": "x", "msg": "y"}])),
            "not_authenticated",
            NO,
        ),
    ],
    ids=["none", "reject", "validation error"],
)
async def test_a_bad_token_is_answered_once_and_ends_with_4401(
    verify: Any, code: str, text: str
) -> None:
    desk = Desk(verify)
    async with talking(desk.app) as ws:
        send(ws, login("wrong", id=1), message("who", id=2), login("ada", id=3))
        assert await ws.receive_json() == error(code, message=text)
        await ws.assert_closed(4401, "not authenticated")
    assert desk.log == ["disconnect 4401"]


async def test_an_error_of_verify_is_ours_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(raising(KeyError("secret key")))
    async with talking(desk.app) as ws:
        send(ws, login(id=1))
        assert await ws.receive_json() == error("internal", message="internal error")
        await ws.assert_closed(1011, "")
        assert ws.peer.connection.id in caplog.text
    assert "secret key" in caplog.text
    assert desk.log == ["disconnect 1011"]


async def test_an_error_that_the_application_foresaw_is_the_peers() -> None:
    desk = Desk(raising(KeyError("key")))

    @desk.app.exception_handler(KeyError)
    async def handler(connection: Any, failure: KeyError) -> None:
        raise Reject("not_authenticated", "expired")

    async with talking(desk.app) as ws:
        send(ws, login(id=1))
        assert await ws.receive_json() == error("not_authenticated", message="expired")
        await ws.assert_closed(4401)


async def test_verify_may_choose_the_close_itself() -> None:
    desk = Desk(raising(Close(4403, "banned")))
    async with talking(desk.app) as ws:
        send(ws, login())
        await ws.assert_closed(4403, "banned")


async def test_the_fifth_newer_token_in_a_row_that_is_refused_is_the_end() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        for rounds in (4, 5):
            send(ws, login())
            assert await ws.receive_json() == READY
            for _ in range(rounds):
                send(ws, login("wrong"))
                assert plain(await ws.receive_json()) == error("not_authenticated", id=None)
        await ws.assert_closed(4401, "not authenticated")
    assert desk.log[-1] == "disconnect 4401"


async def test_a_token_of_another_user_is_no_guess() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        send(ws, login())
        assert await ws.receive_json() == READY
        for _ in range(7):
            send(ws, login("eve"))
            assert (await ws.receive_json())["code"] == "authenticated"
        assert await ask(ws, "who") == value("who", "ada")


@pytest.mark.parametrize("name", ["who", "nobody"])
async def test_a_call_before_the_token_is_turned_away_and_reaches_nothing(name: str) -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        send(ws, message(name, {"name": "ada"}, id=1), login())
        assert plain(await ws.receive_json()) == error("not_authenticated")
        await ws.assert_closed(4401)
    assert desk.log == ["disconnect 4401"]


async def test_a_token_that_is_missing_is_an_empty_one_in_state() -> None:
    desk = Desk(dialect=State())
    for first in ({}, {"token": None}, {"token": ""}):
        async with talking(desk.app) as ws:
            await ws.send_json(first)
            assert await ws.receive_json() == {"state": "error", "error": NO}
            await ws.assert_closed(4401)


@pytest.mark.parametrize(
    "first", ["no json", "[]", '{"type": "auth"}', '{"type": "auth", "data": {"token": 5}}']
)
async def test_a_first_message_that_cannot_be_read_may_be_sent_again(first: str) -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        send(ws, first, login())
        assert plain(await ws.receive_json()) == error("malformed", id=None)
        assert await ws.receive_json() == READY


# --- time ---------------------------------------------------------------------------------------


async def test_silence_ends_with_4401_when_the_time_is_over() -> None:
    desk = Desk(timeout=3.0)
    async with talking(desk.app) as ws:
        session: Any = ws.peer.connection.consumer
        assert session in wheel()._where
        pass_time(ws, 3.5)
        await ws.assert_closed(4401, "not authenticated in time")
    assert desk.log == ["disconnect 4401"]


@pytest.mark.parametrize(("timeout", "seconds"), [(3.0, 3.0), (None, 10.0)])
async def test_the_time_is_the_routes_or_the_setting(timeout: float | None, seconds: float) -> None:
    desk = Desk(timeout=timeout)
    async with talking(desk.app) as ws:
        clock = wheel()
        session: Any = ws.peer.connection.consumer
        slots = clock._where[session] * 0.25
        assert seconds <= slots - clock.now() + 0.25 <= seconds + 1
        send(ws, login())
        await ws.receive_json()
        assert session not in clock._where


async def test_waiting_for_the_token_costs_no_task() -> None:
    desk = Desk()
    async with TestClient(desk.app) as client:
        before = len(asyncio.all_tasks())
        async with client.connect("/") as ws:
            await asyncio.wait([ws.peer._task])
            assert len(asyncio.all_tasks()) == before


async def test_time_that_ends_while_the_token_is_looked_at_ends_the_connection() -> None:
    gate = Gate()

    async def verify(token: str) -> User:
        await gate()
        return User(token)

    desk = Desk(verify)
    async with talking(desk.app) as ws:
        send(ws, login(), message("who", id=1))
        await gate.reached.wait()
        pass_time(ws, 11)
        gate.open.set()
        await ws.assert_closed(4401)
    assert desk.log == ["disconnect 4401"]


async def test_the_deadline_of_a_connection_that_has_ended_is_forgotten() -> None:
    async with TestClient(Desk().app) as client:
        async with client.connect("/"):
            assert len(wheel()) >= 1
        assert len(wheel()) == 0


async def test_a_peer_that_leaves_while_its_token_is_looked_at_is_let_go() -> None:
    gate = Gate()
    released: list[str] = []

    async def slow(token: str) -> User:
        try:
            await gate()
        finally:
            released.append(token)
        return User(token)

    desk = Desk(slow)
    async with talking(desk.app) as ws:
        send(ws, login())
        await gate.reached.wait()
        ws.peer.close(4002)
        gate.open.set()
    assert released == ["ada"]
    assert desk.log[-1] == "disconnect 4002"


# --- without authentication ---------------------------------------------------------------------


@pytest.mark.parametrize("is_ready", [True, False])
async def test_without_authentication_on_ready_runs_once_at_the_begin(is_ready: bool) -> None:
    app = App()
    desk = app.events("/", dialect=Typed(ready=is_ready))
    log: list[str] = []

    @desk.on_ready
    async def on_ready(ws: WebSocket) -> str:
        log.append(f"ready {ws.accepted}")
        return "welcome"

    @desk.on("note")
    async def note() -> None: ...

    ready = {"type": "ready", "data": "welcome"}
    async with talking(app) as ws:
        if is_ready:
            assert await ws.receive_json() == ready
        send(ws, login("any"), login("any", id=2), message("note", id=1))
        assert await heard(ws, 3) == [ready, {**ready, "id": 2}, value("note")]
    assert log == ["ready True"]


@pytest.mark.parametrize("what", ["return", "raise"])
async def test_on_ready_may_end_the_connection(what: str) -> None:
    app = App()
    desk = app.events("/", dialect=Typed(), auth=FirstMessage(user_of))

    @desk.on_ready
    async def on_ready() -> Close:
        if what == "raise":
            raise Close(4409, "in use")
        return Close(4409, "in use")

    async with talking(app) as ws:
        send(ws, login())
        await ws.assert_closed(4409, "in use")


@pytest.mark.parametrize("what", ["reject", "fail", "unsayable"])
async def test_an_error_of_on_ready_answers_the_token(what: str) -> None:
    app = App()
    desk = app.events("/", dialect=Typed(), auth=FirstMessage(user_of))

    @desk.on_ready
    async def on_ready() -> object:
        if what == "unsayable":
            return object()
        raise Reject("full") if what == "reject" else ValueError("secret")

    async with talking(app) as ws:
        send(ws, login(id=4))
        said = plain(await ws.receive_json())
        assert said == error("full" if what == "reject" else "internal", id=4)
