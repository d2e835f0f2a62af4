"""Channels that ask for a token: who has one for exactly this channel may subscribe."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wirework import Allow, App, Bearer, Channel, Jwt, RegistrationError
from wirework.channels.expiry import Expiry
from wirework.dialects import Centrifugo, Typed
from wirework.testing import TestClient, TestWebSocket
from wirework.timers import wheel

JWT = Jwt(key="not-for-production-" * 2, algorithms=["HS256"], leeway=0)

DAY = 86_400.0


def token(channel: str = "room:a", sub: str = "ada", seconds: float = DAY, **claims: Any) -> str:
    return JWT.encode({"sub": sub, "channel": channel, "exp": time.time() + seconds, **claims})


def room_app() -> tuple[App, Channel[Any]]:
    async def verify(token: str) -> str:
        return token

    app = App(auth=Bearer(verify, optional=True))
    app.events("/live/websocket", dialect=Centrifugo())
    app.events("/typed", dialect=Typed())
    return app, app.channel("room:{name}", token=JWT, presence=True)


@asynccontextmanager
async def client_of(app: App, user: str | None = "ada") -> AsyncIterator[TestWebSocket]:
    headers = [] if user is None else [("authorization", f"Bearer {user}")]
    path = "/live/websocket"
    async with TestClient(app) as client, client.connect(path, headers=headers) as ws:
        await ask(ws, connect={})
        yield ws


async def ask(ws: TestWebSocket, **command: Any) -> Any:
    """Return the answer to a command, passing over what else is told."""
    await ws.send_json({"id": 7, **command})
    while "id" not in (said := await ws.receive_json()):
        pass
    return said


async def subscribe(ws: TestWebSocket, token: str = "", channel: str = "room:a") -> Any:
    said = await ask(ws, subscribe={"channel": channel, "token": token})
    return said.get("subscribe", said.get("error", {}).get("code"))


def test_a_token_is_judged_by_a_jwt_and_nothing_else() -> None:
    with pytest.raises(RegistrationError, match=r"token: expected Jwt\(\.\.\.\), got 'secret'"):
        App().channel("room", token="secret")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (token(), "good"),
        ("", 103),
        ("x.y.z", 103),
        (token("room:b"), 103),
        (token("room:A"), 103),
        (token(sub="eve"), 103),
        (token(sub=""), 103),
        (JWT.encode({"sub": "ada"}, lifetime=DAY), 103),
        (token(seconds=-5), 109),
        (token("room:b", seconds=-5), 109),
    ],
    ids=[
        *("a good one", "none", "no token", "another channel", "another spelling"),
        *("another user", "nobody", "no channel", "expired", "expired, and another channel"),
    ],
)
async def test_only_a_token_for_this_channel_and_this_user_lets_in(
    given: str, outcome: Any
) -> None:
    app, _ = room_app()
    async with client_of(app) as ws:
        said = await subscribe(ws, given)
        if outcome == "good":
            assert said["expires"] is True
            assert 0 < said["ttl"] < DAY
        else:
            assert said == outcome


async def test_who_is_nobody_in_particular_has_a_token_of_nobody() -> None:
    app, _ = room_app()
    async with client_of(app, None) as ws:
        assert await subscribe(ws, token()) == 103
        assert "expires" in await subscribe(ws, token(sub=""))


async def test_a_token_that_never_expires_is_good_for_ever() -> None:
    app = App()
    app.events("/live/websocket", dialect=Centrifugo())
    lasting = Jwt(key="not-for-production-" * 2, algorithms=["HS256"], require=())
    app.channel("room:{name}", token=lasting)
    import jwt

    given = jwt.encode({"channel": "room:a"}, "not-for-production-" * 2, "HS256")
    async with client_of(app, None) as ws:
        assert await subscribe(ws, given) == {}


async def test_the_function_is_asked_after_the_token_and_has_the_last_word() -> None:
    app, room = room_app()
    asked: list[str] = []

    @room.on_subscribe
    async def enter(name: str) -> Any:
        asked.append(name)
        return name == "a" and Allow({"rules": 1}, info={"by": "the function"})

    async with client_of(app) as ws:
        assert await subscribe(ws) == 103
        assert asked == []
        assert await subscribe(ws, token("room:b"), "room:b") == 103
        said = await subscribe(ws, token(info={"by": "the token"}))
        assert said["data"] == {"rules": 1}
        assert asked == ["b", "a"]
        [member] = await room(name="a").presence()
        assert member.info == b'{"by":"the function"}'


async def test_the_token_tells_others_of_the_client() -> None:
    app, room = room_app()
    async with client_of(app) as ws:
        await subscribe(ws, token(info={"name": "Ada"}))
        [member] = await room(name="a").presence()
        assert (member.user, member.info) == ("ada", b'{"name":"Ada"}')


async def test_a_subscription_is_renewed_by_a_good_token_only() -> None:
    app, _ = room_app()
    app.channel("open").on_subscribe(lambda: True)
    async with client_of(app) as ws:
        assert await renew(ws, token()) == 103  # not subscribed
        await subscribe(ws, token(seconds=60))
        assert 60 < (await renew(ws, token()))["ttl"] < DAY
        assert await renew(ws, token("room:b")) == 103
        assert await renew(ws, token(sub="eve")) == 103
        await subscribe(ws, channel="open")
        assert await renew(ws, token("open"), "open") == 107


async def renew(ws: TestWebSocket, token: str, channel: str = "room:a") -> Any:
    said = await ask(ws, sub_refresh={"channel": channel, "token": token})
    return said.get("sub_refresh", said.get("error", {}).get("code"))


async def test_an_expired_token_ends_the_subscription_that_it_should_have_renewed() -> None:
    app, _ = room_app()
    async with client_of(app) as ws:
        await subscribe(ws, token())
        await ws.send_json(
            {"id": 8, "sub_refresh": {"channel": "room:a", "token": token(seconds=-5)}}
        )
        while "unsubscribe" not in (said := await ws.receive_json()).get("push", {}):
            pass
        assert said["push"]["unsubscribe"] == {"code": 2501, "reason": "subscription expired"}
        assert (await ws.receive_json())["error"]["code"] == 109
        [server] = app.connections
        assert app.channels.hub.subscriptions(server.connection) == {}


async def test_a_subscription_that_has_ended_is_not_looked_at_any_more() -> None:
    app, _ = room_app()
    async with client_of(app) as ws:
        before = len(wheel())
        await subscribe(ws, token())
        assert len(wheel()) == before + 1
        await renew(ws, token())
        assert len(wheel()) == before + 1
        await ask(ws, unsubscribe={"channel": "room:a"})
        assert len(wheel()) == before


async def test_an_expiry_looks_at_the_wall_clock() -> None:
    ended: list[Any] = []
    later, over = (
        Expiry("subscription", time.time() + seconds, ended.append)  # type: ignore[arg-type]
        for seconds in (60, -1)
    )
    due = later.tick(100.0)
    assert due is not None
    assert 150 < due <= 160
    assert ended == []
    assert over.tick(100.0) is None
    assert ended == ["subscription"]
    later.stop()
    over.stop()


async def test_a_dialect_that_carries_no_tokens_lets_nobody_in() -> None:
    app, _ = room_app()
    headers = [("authorization", "Bearer ada")]
    async with TestClient(app) as client, client.connect("/typed", headers=headers) as ws:
        await ws.send_json({"type": "channel.subscribe", "data": {"channel": "room:a"}})
        assert (await ws.receive_json())["code"] == "forbidden"
