"""The session's cookie is Secure where the request came over TLS, in every place that sets it."""

from __future__ import annotations

from typing import Any

import pytest

from wirework import App, MemorySessions, Session, WebSocket
from wirework.testing import TestClient

SECRET = "b7Yk2mQ9xZ4tW8vN1cR6pL3sD5fH0jGa"
FORWARDED = {"X-Forwarded-Proto": "https"}


def application(**options: Any) -> App:
    app = App(secret_key=SECRET, **options)

    @app.get("/login")
    async def login(session: Session) -> str:
        session["user"] = "ada"
        return "in"

    @app.get("/logout")
    async def logout(session: Session) -> str:
        session.clear()
        return "out"

    @app.websocket("/ws")
    async def socket(ws: WebSocket) -> None:
        ws.session["visits"] = 1
        await ws.accept()

    return app


async def cookies_of(app: App, base_url: str, headers: dict[str, str]) -> list[str]:
    """Return what pages and a socket answer with: a login, a logout, a handshake."""
    async with TestClient(app, base_url=base_url, headers=headers) as client:
        found = [(await client.get("/login")).headers["set-cookie"]]
        client.cookies.update({"session": found[0].partition("=")[2].partition(";")[0]})
        found.append((await client.get("/logout")).headers["set-cookie"])
        client.cookies.clear()
        async with client.connect("/ws") as ws:
            found.append(ws.headers["set-cookie"])
    return found


@pytest.mark.parametrize("store", ["cookie", "memory"])
@pytest.mark.parametrize(
    ("options", "base_url", "headers", "is_secure"),
    [
        pytest.param({}, "https://shop.example", {}, True, id="over TLS"),
        pytest.param({}, "http://shop.example", {}, False, id="without"),
        pytest.param({}, "http://shop.example", FORWARDED, False, id="as a stranger says"),
        pytest.param(
            {"trusted_proxies": ["127.0.0.1", "unix"]},
            "http://shop.example",
            FORWARDED,
            True,
            id="as a trusted proxy says",
        ),
        pytest.param(
            {"session_https_only": True}, "http://shop.example", {}, True, id="always, as set"
        ),
        pytest.param(
            {"session_https_only": False}, "https://shop.example", {}, False, id="never, as set"
        ),
    ],
)
async def test_the_cookie_is_secure_where_the_request_came_over_tls(
    store: str, options: dict[str, Any], base_url: str, headers: dict[str, str], is_secure: bool
) -> None:
    if store == "memory":
        options = {**options, "sessions": MemorySessions()}
    found = await cookies_of(application(**options), base_url, headers)
    assert ["; secure" in each for each in found] == [is_secure] * 3, found
