"""Tokens that are good and name no user, as Centrifugo's servers issue for visitors."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from wirework import AnyOf, App, Auth, Bearer, FirstMessage, Jwt, SessionUser, WebSocket
from wirework.dialects import Centrifugo
from wirework.testing import TestClient, TestWebSocket

JWT = Jwt(key="not-for-production-" * 2, algorithms=["HS256"], leeway=0)
REFUSED = {"code": 101, "message": "Could not validate credentials."}


def visitors(auth: Auth, **options: Any) -> App:
    app = App(secret_key="not-for-production-" * 2)
    live = app.events("/live/websocket", dialect=Centrifugo(), auth=auth, **options)

    @live.on("who")
    async def who(ws: WebSocket) -> str:
        return repr(ws.user)

    return app


async def ask(ws: TestWebSocket, **command: Any) -> Any:
    await ws.send_json({"id": 1, **command})
    return await ws.receive_json()


@pytest.mark.parametrize("claims", [{}, {"sub": ""}], ids=["no sub", "an empty one"])
@pytest.mark.parametrize(
    "auth",
    [FirstMessage(JWT, optional=True), AnyOf(SessionUser(), FirstMessage(JWT), optional=True)],
    ids=["alone", "one of several"],
)
async def test_an_optional_user_may_be_nobody_until_the_token_expires(
    auth: Auth, claims: dict[str, Any]
) -> None:
    async with TestClient(visitors(auth)) as client, client.connect("/live/websocket") as ws:
        said = await ask(ws, connect={"token": JWT.encode(claims, lifetime=3600)})
        assert said["connect"]["expires"] is True
        assert await ask(ws, rpc={"method": "who"}) == {"id": 1, "rpc": {"data": "None"}}


async def test_a_token_of_nobody_in_the_handshake_lets_in_too() -> None:
    app = visitors(Bearer(JWT, optional=True))
    headers = [("authorization", f"Bearer {JWT.encode({})}")]
    async with (
        TestClient(app) as client,
        client.connect("/live/websocket", headers=headers) as ws,
    ):
        assert "expires" in (await ask(ws, connect={}))["connect"]


@pytest.mark.parametrize(
    ("auth", "options"),
    [
        (FirstMessage(JWT), {}),
        (FirstMessage(JWT, optional=True), {"requires": "orders"}),
        (FirstMessage(JWT, optional=True, permissions=lambda user: ["x"]), {"requires": "x"}),
    ],
    ids=["not optional", "permissions asked for", "permissions given"],
)
async def test_where_a_user_is_needed_a_token_of_nobody_is_refused(
    auth: Auth, options: dict[str, Any]
) -> None:
    app = visitors(auth, **options)
    async with TestClient(app) as client, client.connect("/live/websocket") as ws:
        assert (await ask(ws, connect={"token": JWT.encode({})}))["error"] == REFUSED
        await ws.assert_closed(3500, "not authenticated")


async def test_the_log_says_why_a_token_of_nobody_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "wirework")
    headers = [("authorization", f"Bearer {JWT.encode({})}")]
    async with TestClient(visitors(Bearer(JWT))) as client:
        with pytest.raises(Exception, match="401"):
            async with client.connect("/live/websocket", headers=headers):
                pass
    assert "JWT: its sub names no user, and optional is not set" in caplog.text


async def test_an_expired_or_forged_token_of_nobody_is_refused() -> None:
    app = visitors(FirstMessage(JWT, optional=True))
    for given, code in ((JWT.encode({"exp": time.time() - 5}), 109), (f"{JWT.encode({})}x", 101)):
        async with TestClient(app) as client, client.connect("/live/websocket") as ws:
            assert (await ask(ws, connect={"token": given}))["error"]["code"] == code


@pytest.mark.parametrize(("first", "later"), [("ada", ""), ("", "ada")], ids=["away", "in"])
async def test_nobody_and_somebody_are_not_the_same_user(first: str, later: str) -> None:
    app = visitors(FirstMessage(JWT, optional=True))
    async with TestClient(app) as client, client.connect("/live/websocket") as ws:
        await ask(ws, connect={"token": JWT.encode({"sub": first})})
        said = await ask(ws, refresh={"token": JWT.encode({"sub": later})})
        assert said["error"] == {"code": 101, "message": "this connection is another user's"}
        assert "refresh" in await ask(ws, refresh={"token": JWT.encode({"sub": first})})
        assert (await ask(ws, rpc={"method": "who"}))["rpc"]["data"] == repr(first or None)


async def test_a_function_that_makes_the_user_decides_alone() -> None:
    choosy = Jwt(
        key="not-for-production-" * 2, algorithms=["HS256"], user=lambda claims: claims.get("sub")
    )
    app = visitors(FirstMessage(choosy, optional=True))
    async with TestClient(app) as client, client.connect("/live/websocket") as ws:
        assert (await ask(ws, connect={"token": JWT.encode({})}))["error"] == REFUSED
