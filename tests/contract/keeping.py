"""The application of the suite whose sessions are kept in a store."""

from __future__ import annotations

from typing import Any

from wirework import App, MemorySessions, Session, SessionUser, WebSocket

__all__ = ["create_keeping"]


def create_keeping(key: str) -> App:
    """Return an application with pages and sockets that share a session in memory."""
    app = App(secret_key=key, sessions=MemorySessions())
    _add_pages(app)

    @app.ws("/kept/put")
    async def put(text: str, session: Session) -> str:
        session["said"] = text
        return text

    async def arrive(session: Session) -> None:
        session["visits"] = session.get("visits", 0) + 1

    @app.ws("/kept/visit", conn=arrive)
    async def visit(text: str, session: Session) -> str:
        session["said"] = text
        return text

    @app.websocket("/kept/loop")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            ws.session["last"] = text
            await ws.session.save()
            await ws.send_text(text)

    @app.ws("/kept/guarded", auth=SessionUser(key="name", recheck=0.05))
    async def guarded(text: str, user: object) -> str:
        return f"{text}, {user}"

    return app


def _add_pages(app: App) -> None:
    @app.post("/kept/login")
    async def login(name: str, session: Session) -> dict[str, Any]:
        session["name"] = name
        session.renew()
        return session

    @app.get("/kept/whoami")
    async def whoami(session: Session) -> dict[str, Any]:
        return session

    @app.post("/kept/forget")
    async def forget(session: Session) -> None:
        session.clear()

    @app.post("/kept/logout")
    async def logout(session: Session) -> int:
        session.clear()
        return app.disconnect(session=session)
