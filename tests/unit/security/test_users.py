"""A function that asks for a user gets one, on routes that let nobody in, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct

from wirework import App, Bearer, FirstMessage, WebSocket
from wirework.dialects import Typed
from wirework.testing import HandshakeRefused, TestClient, TestWebSocket


class Said(Struct):
    text: str


async def verify(token: str) -> str | None:
    return token.removeprefix("t-") or None


def name_of(user: Any) -> str:
    return "nobody" if user is None else str(user)


@pytest_asyncio.fixture(name="client")
async def _client() -> AsyncIterator[TestClient]:
    app = App()
    ended: list[Any] = []
    app.state.ended = ended
    desk = app.events("/desk", dialect=Typed(), auth=FirstMessage(verify=verify, optional=True))

    @desk.on("plain")
    async def plain(said: Said, user: str) -> str:
        return f"{user} {said.text}"

    @desk.on("fields")
    async def fields(text: str, user: str) -> str:
        return f"{user} {text}"

    @desk.on("open")
    async def open_to_all(said: Said, user: str | None) -> str:
        return f"{name_of(user)} {said.text}"

    @desk.on("untyped")
    async def untyped(said: Said, user: Any) -> str:
        return f"{name_of(user)} {said.text}"

    @desk.on_disconnect
    async def gone(user: str) -> None:
        ended.append(user)

    @app.ws("/raw", auth=Bearer(verify, optional=True))
    async def raw(said: Said, user: str) -> str:
        return f"{user} {said.text}"

    @app.websocket("/held", auth=Bearer(verify, optional=True))
    async def held(ws: WebSocket, user: str) -> None:
        await ws.accept()

    async with TestClient(app) as client:
        yield client


async def ask(ws: TestWebSocket, name: str) -> Any:
    await ws.send_json({"type": name, "id": 1, "data": {"text": "hi"}})
    answer = await ws.receive_json()
    return answer.get("data") or answer["code"]


NEEDY = ["plain", "fields"]


@pytest.mark.parametrize("name", NEEDY)
async def test_nobody_is_told_to_say_who_it_is(client: TestClient, name: str) -> None:
    async with client.connect("/desk") as ws:
        await ws.send_json({"type": "auth", "data": {"token": ""}})
        assert (await ws.receive_json())["type"] == "ready"
        assert [await ask(ws, each) for each in (name, "open", name, "untyped")] == [
            "not_authenticated",
            "nobody hi",
            "not_authenticated",
            "nobody hi",
        ]


@pytest.mark.parametrize("name", NEEDY)
async def test_somebody_is_let_through(client: TestClient, name: str) -> None:
    async with client.connect("/desk") as ws:
        await ws.send_json({"type": "auth", "data": {"token": "t-ada"}})
        await ws.receive_json()
        assert await ask(ws, name) == "ada hi"


async def test_a_hook_at_the_end_runs_for_nobody_too(client: TestClient) -> None:
    async with client.connect("/desk") as ws:
        await ws.send_json({"type": "auth", "data": {"token": ""}})
        await ws.receive_json()
    assert client.app.state.ended == [None]


async def test_a_message_handler_answers_nobody_with_an_error(client: TestClient) -> None:
    async with client.connect("/raw") as ws:
        for _ in range(2):
            await ws.send_json({"text": "hi"})
            assert "this is for users" in await ws.receive_text()
    async with client.connect("/raw", headers={"authorization": "Bearer t-ada"}) as ws:
        await ws.send_json({"text": "hi"})
        assert await ws.receive_json() == "ada hi"


async def test_a_connection_handler_is_not_run_for_nobody(client: TestClient) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        async with client.connect("/held"):
            raise AssertionError("let in")
    assert caught.value.status in (401, 403)
