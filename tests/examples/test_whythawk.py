"""Whythawk's example, driven in this process."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer

from examples import npm, whythawk
from wirework.testing import TestClient, TestWebSocket

SOCKET = "/api/v1/socket"
NO_WAY_IN = {"state": "error", "error": "Could not validate credentials."}


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    whythawk.entries.clear()
    yield
    whythawk.entries.clear()
    assert not whythawk.users


@asynccontextmanager
async def session_of(client: TestClient, name: str) -> AsyncIterator[TestWebSocket]:
    """Begin a session and start its things; who is here is told first."""
    async with client.connect(SOCKET) as ws:
        await ws.send_json({"token": whythawk.new_token(name)})
        assert await ws.receive_json() == {"state": "initialised", "data": {}}
        await ws.send_json({"state": "startThings", "data": {}})
        assert (await ws.receive_json())["state"] == "somethingElse"
        assert (await ws.receive_json())["data"]["something"] == "yes, something"
        yield ws


async def add(ws: TestWebSocket, **data: Any) -> None:
    await ws.send_json({"state": "add", "data": data})


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


@pytest.mark.parametrize("state", ["save", "add"])
async def test_things_must_have_started_before_anything_else(state: str) -> None:
    async with TestClient(whythawk.app) as client, client.connect(SOCKET) as ws:
        await ws.send_json({"token": whythawk.new_token("Ana")})
        await ws.receive_json()
        await ws.send_json({"state": state, "data": {"text": "a lamp"}})
        error = await ws.receive_json()
        assert error["data"] == {"state": state, "code": "not_ready"}
    assert not whythawk.entries


async def test_saving_answers_and_closes_with_1000() -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        await ana.send_json({"state": "save"})
        assert await ana.receive_json() == {"state": "save", "data": {}}
        await ana.assert_closed(1000)


async def test_each_update_reaches_all_users_and_nobody_else() -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        async with session_of(client, "Ben") as ben, client.connect(SOCKET) as outside:
            assert (await ana.receive_json())["data"] == {"users": ["Ana", "Ben"]}
            await add(ben, text="a lamp", price="12.50", kind="wish")
            update = await ana.receive_json()
            assert update == await ben.receive_json()
            assert update["state"] == "somethingHappened"
            data = update["data"]
            assert (data["text"], data["price"], data["kind"]) == ("a lamp", "12.50", "wish")
            assert uuid.UUID(data["id"]).version == 4
            assert datetime.fromisoformat(data["at"]).tzinfo is not None
            await outside.assert_silent()
        assert (await ana.receive_json())["data"] == {"users": ["Ana"]}


async def test_fields_that_were_not_filled_in_take_their_defaults_and_zero_stays() -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        await add(ana, text="a lamp", price="", kind="")
        data = (await ana.receive_json())["data"]
        assert (data["price"], data["kind"]) == ("0", "offer")
        await add(ana, text="a chair", price=0)
        assert (await ana.receive_json())["data"]["price"] == "0"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"text": ""}, "text: Field required"),
        ({"text": "a lamp", "kind": "loan"}, "kind: "),
        ({"text": "a lamp", "price": "much"}, "price: "),
        ({"text": "a lamp", "price": -1}, "The price is below a million"),
    ],
    ids=["empty", "unknown kind", "no number", "below nothing"],
)
async def test_what_does_not_fit_is_told_and_the_session_goes_on(
    data: dict[str, Any], text: str
) -> None:
    async with TestClient(whythawk.app) as client, session_of(client, "Ana") as ana:
        await add(ana, **data)
        error = await ana.receive_json()
        assert error["state"] == "error"
        assert error["error"].startswith(text)
        await add(ana, text="a lamp")
        assert (await ana.receive_json())["state"] == "somethingHappened"


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
