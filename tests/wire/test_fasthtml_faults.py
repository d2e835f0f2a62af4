"""What FastHTML gets wrong, each by the name of what is right here."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fasthtml.common import Div, to_xml

from tests.contract.harness import closed, refused
from tests.wire.serving import serving
from wirework import App, Refuse, Send, Session, SessionError, WebSocket
from wirework.dialects import Htmx
from wirework.testing import HandshakeRefused, TestClient

KEY = "a key of thirty-two bytes or more"
HEADERS = {"HX-Request": "true", "HX-Trigger": "form"}


def form(**fields: Any) -> str:
    """Return a message as htmx 2 sends it."""
    return json.dumps({**fields, "HEADERS": HEADERS})


async def test_a_bare_string_is_escaped_and_an_element_is_not() -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def say(msg: str, send: Send) -> Any:
        await send(msg)
        return msg, Div(msg, id="log")

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_text(form(msg="<script>alert(1)</script>"))
        for answer in [await ws.receive_text(), await ws.receive_text()]:
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer
            assert "<script" not in answer
        assert '<div hx-swap-oob="true" id="log">' in answer


async def test_cookies_and_query_never_override_the_payload() -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def say(msg: str, colour: str = "none") -> str:
        return f"{msg} {colour}"

    path, headers = "/?msg=query&colour=query", {"cookie": "msg=cookie; colour=cookie"}
    async with TestClient(app) as client, client.connect(path, headers=headers) as ws:
        await ws.send_text(form(msg="payload", colour="blue"))
        assert await ws.receive_text() == "payload blue"
        await ws.send_text(form(msg="payload"))
        assert await ws.receive_text() == "payload none"


async def test_one_letter_names_and_prefixes_are_ordinary_fields() -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def say(s: str, r: int, a: float, req: str, sess: str, send_: str) -> str:
        return f"{s} {r} {a} {req} {sess} {send_}"

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_text(form(s="one", r="2", a="3.5", req="four", sess="five", send_="six"))
        assert await ws.receive_text() == "one 2 3.5 four five six"


async def test_a_foreign_page_cannot_talk_with_the_victims_cookie() -> None:
    app = App(secret_key=KEY, dialect=Htmx())

    @app.ws("/")
    async def say(msg: str, session: Session) -> str:
        return f"{session['name']}: {msg}"

    cookie = app.sign_session({"name": "Ada"})
    async with serving(app) as server:
        own = [("cookie", f"session={cookie['session']}")]
        foreign = [*own, ("origin", "https://evil.example")]
        assert (await refused(server, "/", foreign)).status == 403
        same = [*own, ("origin", f"http://{server.authority}")]
        async with server.connect("/", headers=same) as peer:
            await peer.send(form(msg="hello"))
            assert await peer.receive() == "Ada: hello"


async def test_conn_runs_before_the_acceptance_and_may_refuse() -> None:
    app = App(secret_key=KEY)
    ends: list[str] = []

    async def only_users(session: Session) -> None:
        if "name" not in session:
            raise Refuse(401, "log in first", {"location": "/login"})

    async def on_disconnect() -> None:
        ends.append("disconnect")

    @app.ws("/", conn=only_users, disconn=on_disconnect)
    async def say(data: str) -> str:
        return data

    async with serving(app) as server:
        refusal = await refused(server, "/")
        assert (refusal.status, refusal.body) == (401, b"log in first")
        assert refusal.headers["location"] == "/login"
    async with TestClient(app) as client, client.connect("/", session={"name": "Ada"}) as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"
    assert ends == ["disconnect"]


async def test_a_failing_handler_is_answered_and_the_connection_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def divide(number: int) -> str:
        return f"it is {10 // number}"

    async with serving(app) as server, server.connect("/") as peer:
        await peer.send(form(number="0"))
        assert 'id="ws-error"' in str(await peer.receive())
        await peer.send(form(number="5"))
        assert await peer.receive() == "it is 2"
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


async def test_where_there_are_no_words_for_a_failure_the_close_is_1011_and_not_1006() -> None:
    app = App()

    @app.ws("/")
    async def fail(data: str) -> str:
        raise RuntimeError("a secret")

    async with serving(app) as server, server.connect("/") as peer:
        await peer.send("hello")
        close = await closed(peer)
    assert (close.code, close.reason) == (1011, "")


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError])
async def test_the_text_of_an_exception_never_goes_to_the_client(error: type[Exception]) -> None:
    app = App()

    @app.ws("/htmx", dialect=Htmx())
    async def say(msg: str) -> str:
        raise error("the password is 1234")

    @app.ws("/json")
    async def count(number: int) -> int:
        raise error("the password is 1234")

    async with TestClient(app) as client:
        async with client.connect("/htmx") as ws:
            await ws.send_text(form(msg="hello"))
            assert "1234" not in await ws.receive_text()
        async with client.connect("/json") as ws:
            await ws.send_json({"number": 1})
            assert "1234" not in await ws.receive_text()


async def test_a_returned_dict_is_sent_as_json() -> None:
    app = App()

    @app.ws("/")
    async def say(msg: str, loud: bool = False) -> dict[str, Any]:
        return {"said": msg, "loud": loud}

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_json({"msg": "hello"})
        assert await ws.receive_json() == {"said": "hello", "loud": False}


async def test_a_returned_dict_that_html_cannot_say_is_our_error_and_the_connection_lives() -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def say(msg: str) -> Any:
        return {"said": msg} if msg == "dict" else msg

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_text(form(msg="dict"))
        assert "internal error" in await ws.receive_text()
        await ws.send_text(form(msg="text"))
        assert await ws.receive_text() == "text"


async def test_a_binary_message_reaches_the_handler() -> None:
    app = App()

    @app.ws("/")
    async def reverse(data: bytes) -> bytes:
        return data[::-1]

    async with serving(app) as server, server.connect("/") as peer:
        await peer.send(b"\x00\x01\xff")
        assert await peer.receive() == b"\xff\x01\x00"


async def test_a_session_is_written_until_the_acceptance_and_then_refuses_loudly() -> None:
    app = App(secret_key=KEY)

    async def visit(session: Session) -> None:
        session["visits"] = session.get("visits", 0) + 1

    @app.ws("/", conn=visit)
    async def say(data: str, session: Session) -> str:
        try:
            session["late"] = True
        except SessionError as error:
            return str(error)
        return "written"

    @app.get("/visits")
    async def visits(session: Session) -> dict[str, Any]:
        return session

    async with TestClient(app) as client:
        for _ in range(2):
            async with client.connect("/") as ws:
                await ws.send_text("hello")
                assert "cannot be written any more" in await ws.receive_text()
        assert (await client.get("/visits")).json() == {"visits": 2}


async def test_a_chat_of_several_tabs_connects_and_each_sees_the_others_message() -> None:
    app = App(secret_key=KEY, dialect=Htmx())
    tabs: dict[str, WebSocket] = {}

    async def on_connect(ws: WebSocket, send: Send, session: Session) -> None:
        if "name" not in session:
            raise Refuse(403)
        tabs[ws.id] = ws
        await send(Div(f"hello {session['name']}", id="notice"))

    async def on_disconnect(ws: WebSocket) -> None:
        del tabs[ws.id]

    @app.ws("/", conn=on_connect, disconn=on_disconnect)
    async def say(msg: str, session: Session) -> None:
        line = Div(f"{session['name']}: {msg}", id="chat", hx_swap_oob="beforeend")
        for tab in tabs.values():
            await tab.send(line)

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused):
            async with client.connect("/"):
                pass
        async with (
            client.connect("/", session={"name": "Ada"}) as ada,
            client.connect("/", session={"name": "Bob"}) as bob,
        ):
            for ws, name in ((ada, "Ada"), (bob, "Bob")):
                assert f"hello {name}" in await ws.receive_text()
            await ada.send_text(form(msg="hi"))
            line = to_xml(Div("Ada: hi", id="chat", hx_swap_oob="beforeend")).strip()
            assert [(await ws.receive_text()).strip() for ws in (ada, bob)] == [line, line]
        assert tabs == {}
