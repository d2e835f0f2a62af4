"""What the token of a connection says of it, for others to see."""

from __future__ import annotations

from typing import Any

import pytest

from wirework import Allow, App, FirstMessage, History, Identity, Jwt
from wirework.dialects import Centrifugo
from wirework.testing import TestClient, TestWebSocket

JWT = Jwt(key="not-for-production-" * 2, algorithms=["HS256"])
ADA = {"name": "Ada"}


def room_app(verify: Any = JWT) -> App:
    app = App()
    app.events("/live/websocket", dialect=Centrifugo(), auth=FirstMessage(verify, optional=True))
    room = app.channel("room", history=History(), presence=True)

    @room.on_subscribe
    async def enter() -> Allow:
        return Allow(info=5)

    @room.on_publish
    async def say(text: str) -> bool:
        return True

    return app


async def ask(ws: TestWebSocket, **command: Any) -> Any:
    """Return the answer to a command, and what else was told before it."""
    await ws.send_json({"id": 7, **command})
    told = []
    while "id" not in (said := await ws.receive_json()):
        told.append(said["push"])
    assert "error" not in said
    return said, told


async def enter(ws: TestWebSocket, **claims: Any) -> str:
    said, _ = await ask(ws, connect={"token": JWT.encode(claims)})
    await ask(ws, subscribe={"channel": "room"})
    return str(said["connect"]["client"])


@pytest.mark.parametrize(
    ("claims", "seen"),
    [
        ({"sub": "ada", "info": ADA}, {"user": "ada", "conn_info": ADA}),
        ({"sub": "ada", "info": None}, {"user": "ada"}),
        ({"sub": "ada"}, {"user": "ada"}),
        ({"info": [0]}, {"user": "", "conn_info": [0]}),
    ],
    ids=["a user", "null", "none", "nobody"],
)
async def test_the_claim_info_is_seen_by_the_others(claims: Any, seen: Any) -> None:
    async with TestClient(room_app()) as client, client.connect("/live/websocket") as other:
        await enter(other, sub="eve")
        async with client.connect("/live/websocket") as ws:
            seen = {"client": await enter(ws, **claims), "chan_info": 5, **seen}
            await ask(ws, publish={"channel": "room", "data": {"text": "hi"}})
            said, told = await ask(other, presence={"channel": "room"})
            assert said["presence"]["presence"][seen["client"]] == seen
            assert {"channel": "room", "join": {"info": seen}} in told
            pub = {"data": {"text": "hi"}, "info": seen, "offset": 1}
            assert {"channel": "room", "pub": pub} in told
            page, _ = await ask(other, history={"channel": "room", "limit": 1})
            assert page["history"]["publications"] == [pub]


async def test_an_identity_of_your_own_may_have_it_too() -> None:
    async def verify(token: str) -> Identity[str]:
        return Identity("ada", info=ADA)

    app = room_app(verify)
    async with TestClient(app) as client, client.connect("/live/websocket") as ws:
        name = await enter(ws)
        said, _ = await ask(ws, presence={"channel": "room"})
        assert said["presence"]["presence"][name]["conn_info"] == ADA
