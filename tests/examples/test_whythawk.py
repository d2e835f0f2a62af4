"""Whythawk's example, driven in this process."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer

from examples import npm, whythawk
from wirework.testing import TestClient, TestWebSocket

SOCKET = "/api/v1/socket"
NO_WAY_IN = {"state": "error", "error": "Could not validate credentials."}


@asynccontextmanager
async def session_of(client: TestClient, name: str, *kept: str) -> AsyncIterator[TestWebSocket]:
    """Begin a session, which is told the `kept` states, and start its things."""
    async with client.connect(SOCKET) as ws:
        await ws.send_json({"token": whythawk.new_token(name)})
        assert await ws.receive_json() == {"state": "initialised", "data": {}}
        assert [(await ws.receive_json())["state"] for _ in kept] == [*kept]
        await ws.send_json({"state": "startThings", "data": {}})
        assert (await ws.receive_json())["data"]["something"] == "yes, something"
        yield ws


async def change(ws: TestWebSocket, state: str, **data: Any) -> None:
    await ws.send_json({"state": state, "data": data})


async def changed(ws: TestWebSocket, state: str) -> dict[str, Any]:
    """Return the update of `state` that comes next, but for who comes and goes."""
    while True:
        said: dict[str, Any] = await ws.receive_json()
        if said["state"] not in ("channel.joined", "channel.left"):
            assert said["state"] == state, said
            data: dict[str, Any] = said["data"]
            return data


async def test_a_login_hands_out_a_token_that_begins_a_session() -> None:
    async with TestClient(whythawk.app) as client:
        assert (await client.post("/token")).status_code == 401
        assert (await client.post("/login", data={"name": " Ana "})).status_code == 303
        token = (await client.post("/token")).json()
        async with client.connect(SOCKET) as ws:
            await ws.send_json(token)
            assert await ws.receive_json() == {"state": "initialised", "data": {}}
        await client.post("/logout")
        assert (await client.post("/token")).status_code == 401


@pytest.mark.parametrize(
    "first",
    [
        {},
        {"token": None},
        {"token": "forged"},
        {"token": whythawk.new_token("Ana", kind="refresh")},
        {"token": whythawk.new_token("Ana", kind="totp")},
        {"token": URLSafeTimedSerializer("another key").dumps({"name": "Ana", "kind": "access"})},
        {"state": "startThings", "data": {}},
    ],
    ids=[
        *("none", "null", "forged", "for refreshing", "before the second factor"),
        *("with another key", "a state instead"),
    ],
)
async def test_without_a_good_token_there_is_one_error_and_the_end(first: object) -> None:
    async with TestClient(whythawk.app) as client, client.connect(SOCKET) as ws:
        await ws.send_json(first)
        assert await ws.receive_json() == NO_WAY_IN
        await ws.assert_closed(4401, "not authenticated")


async def test_an_old_token_is_no_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whythawk, "TOKEN_AGE", -1)
    async with TestClient(whythawk.app) as client, client.connect(SOCKET) as ws:
        await ws.send_json({"token": whythawk.new_token("Ana")})
        assert await ws.receive_json() == NO_WAY_IN


@pytest.mark.parametrize("state", ["save", "thing", "price"])
async def test_things_must_have_started_before_anything_else(state: str) -> None:
    async with TestClient(whythawk.app) as client:
        async with client.connect(SOCKET) as ws:
            await ws.send_json({"token": whythawk.new_token("Ana")})
            await ws.receive_json()
            await ws.send_json({"state": state, "data": {"text": "a lamp"}})
            error = await ws.receive_json()
            assert error["data"] == {"state": state, "code": "not_ready"}
        async with session_of(client, "Ben"):
            pass


async def test_saving_answers_and_closes_with_1000() -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        await ana.send_json({"state": "save"})
        assert await ana.receive_json() == {"state": "save", "data": {}}
        await ana.assert_closed(1000)


async def test_each_update_reaches_all_users_and_nobody_else() -> None:
    async with TestClient(whythawk.app) as client, AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(session_of(client, name))
            for name in ("Ana", "Ana", "Ben")
        ]
        outside = await stack.enter_async_context(client.connect(SOCKET))
        await change(sessions[0], "thing", text="a lamp", kind="wish")
        await change(sessions[0], "price", price="12.50")
        for state, value in (
            ("thing", {"text": "a lamp", "kind": "wish"}),
            ("price", {"price": "12.50"}),
        ):
            update, *others = [await changed(each, state) for each in sessions]
            assert others == [update, update]
            assert (update["by"], update["value"]) == ("Ana", value)
            assert uuid.UUID(update["id"]).version == 4
            assert datetime.fromisoformat(update["at"]).tzinfo is not None
        await outside.assert_silent()


async def test_who_comes_late_is_told_the_newest_of_each() -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        for text in ("a lamp", "a chair"):
            await change(ana, "thing", text=text)
            assert (await changed(ana, "thing"))["value"]["text"] == text
        await change(ana, "price", price="5")
        await changed(ana, "price")
        async with session_of(client, "Ben", "thing", "price"):
            pass
        async with client.connect(SOCKET) as ws:
            await ws.send_json({"token": whythawk.new_token("Cid")})
            await ws.receive_json()
            assert (await changed(ws, "thing"))["value"]["text"] == "a chair"


async def test_users_are_told_who_is_there_and_who_comes_and_goes() -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        async with session_of(client, "Ben"):
            joined = await ana.receive_json()
            assert (joined["state"], joined["data"]["member"]["user"]) == ("channel.joined", "Ben")
            await change(ana, "channel.presence", channel="things")
            there = (await ana.receive_json())["data"]["members"]
            assert [each["user"] for each in there] == ["Ana", "Ben"]
        left = await ana.receive_json()
        assert (left["state"], left["data"]["member"]["user"]) == ("channel.left", "Ben")


async def test_fields_that_were_not_filled_in_take_their_defaults_and_zero_stays() -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        await change(ana, "thing", text="a lamp", kind="")
        assert (await changed(ana, "thing"))["value"]["kind"] == "offer"
        for price in ("", 0):
            await change(ana, "price", price=price)
            assert (await changed(ana, "price"))["value"]["price"] == "0"


@pytest.mark.parametrize(
    ("state", "data", "text"),
    [
        ("thing", {"text": ""}, "text: Field required"),
        ("thing", {"text": "a lamp", "kind": "loan"}, "kind: "),
        ("price", {"price": "much"}, "price: "),
        ("price", {"price": -1}, "The price is below a million"),
    ],
    ids=["empty", "unknown kind", "no number", "below nothing"],
)
async def test_what_does_not_fit_is_told_and_the_session_goes_on(
    state: str, data: dict[str, Any], text: str
) -> None:
    async with (
        TestClient(whythawk.app) as client,
        session_of(client, "Ana") as ana,
        session_of(client, "Ben") as ben,
    ):
        await change(ben, state, **data)
        error = await ben.receive_json()
        assert error["state"] == "error"
        assert error["error"].startswith(text)
        await change(ben, "thing", text="a lamp")
        for each in (ana, ben):  # the first update that both are told
            assert (await changed(each, "thing"))["value"]["text"] == "a lamp"


async def test_the_packages_of_the_page_are_served_as_they_ship() -> None:
    async with TestClient(whythawk.app) as client:
        for name in whythawk.FILES:
            answer = await client.get(f"/npm/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["nope.js", ".made", "%2E%2E"])
async def test_no_other_file_of_npm_is_served(name: str) -> None:
    async with TestClient(whythawk.app) as client:
        assert (await client.get(f"/npm/{name}")).status_code == 404


async def test_without_its_packages_the_page_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(npm, "NODE_MODULES", tmp_path)
    async with TestClient(whythawk.app) as client:
        assert npm.REMEDY in (await client.get("/")).text
        answer = await client.get("/npm/vue.js")
    assert (answer.status_code, answer.text) == (404, npm.REMEDY)
