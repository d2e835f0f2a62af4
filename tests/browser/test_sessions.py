"""A session in a store, in a real browser: its pages and its sockets share it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.server import serving
from tests.browser.tab import Tab
from wirework import App, MemorySessions, Session, SessionUser

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOG_IN = """async name => {
    await fetch("/login", {method: "POST", body: new URLSearchParams({name})});
    return document.cookie;
}"""
CONNECT = """end => new Promise(done => {
    window.socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
    socket[end] = event => done(event.code ?? "open");
})"""
SAY = """text => new Promise(done => {
    socket.onmessage = event => done(event.data);
    socket.send(text);
})"""
LOG_OUT = """() => new Promise(done => {
    socket.onclose = event => done(event.code + " " + event.reason);
    fetch("/logout", {method: "POST"});
})"""
SHOW = """async () => (await fetch("/me")).json()"""


def shop() -> App:
    """Return an application whose socket writes to the session of its pages."""
    app = App(secret_key="a secret of 32 characters or more", sessions=MemorySessions())

    @app.get("/")
    async def page() -> str:
        return "<title>Shop</title>"

    @app.post("/login")
    async def login(name: str, session: Session) -> None:
        session["user"] = name
        session.renew()

    @app.get("/me")
    async def me(session: Session) -> dict[str, Any]:
        return session

    @app.post("/logout")
    async def logout(session: Session) -> None:
        app.disconnect(session=session)
        session.clear()

    @app.ws("/ws", auth=SessionUser(refuse="close"))
    async def said(text: str, user: str, session: Session) -> str:
        session.setdefault("said", []).append(text)
        return f"{user}: {text}"

    return app


async def test_a_page_logs_in_its_socket_writes_and_the_logout_ends_both(visit: Visit) -> None:
    async with serving(shop()) as origin:
        tab = await Tab.of(await visit(), origin, "/")
        run = tab.page.evaluate
        assert await run(CONNECT, "onclose") == 4401
        assert await run(LOG_IN, "ada") == ""  # scripts do not see the cookie
        assert await run(CONNECT, "onopen") == "open"
        for text in ("one", "two"):
            assert await run(SAY, text) == f"ada: {text}"
        assert await run(SHOW) == {"user": "ada", "said": ["one", "two"]}
        assert await run(LOG_OUT) == "4401 signed out"
        assert await run(SHOW) == {}
        await tab.page.close()
