"""The `conn` hook: it runs before the handshake is answered, and may refuse it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

import pytest

from tests.unit.applications import Gate, talking
from wirework import (
    App,
    Close,
    Depends,
    Refuse,
    RegistrationError,
    Reject,
    Send,
    Session,
    StateError,
    WebSocket,
)
from wirework.testing import HandshakeRefused, TestClient


async def test_what_conn_sends_and_returns_leaves_right_after_the_acceptance() -> None:
    app = App()
    gate = Gate()

    async def conn(ws: WebSocket, send: Send) -> str:
        await send("first")
        assert not ws.accepted
        await gate()
        await ws.send_json({"n": 2})
        return "third"

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> str:
        return msg

    async with TestClient(app) as client:
        connecting = asyncio.ensure_future(client.connect("/").__aenter__())
        await gate.reached.wait()
        assert not connecting.done()
        gate.open.set()
        ws = await connecting
        assert [await ws.receive() for _ in range(3)] == ["first", '{"n":2}', "third"]
        await ws.close()


async def test_conn_may_accept_itself() -> None:
    app = App()

    async def conn(ws: WebSocket) -> None:
        await ws.accept("chat.v1", {"x-a": "1"})

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> str:
        return msg

    async with talking(app, subprotocols=["chat.v1"]) as ws:
        assert ws.subprotocol == "chat.v1"
        await ws.send_text("hi")
        assert await ws.receive_text() == "hi"


async def refuse(ws: WebSocket) -> None:
    await ws.send("never sent")
    await ws.refuse(451, "no")


async def close(ws: WebSocket) -> None:
    await ws.close(4404, "gone")


async def raise_refuse() -> None:
    raise Refuse(302, headers={"location": "/login"})


async def raise_close() -> None:
    raise Close(1013, "full")


async def return_close() -> Close:
    return Close(4401, "who?")


async def raise_reject() -> None:
    raise Reject("banned", "not you", {"until": 5})


async def raise_reject_with_a_status() -> None:
    raise Reject(409)


def raise_in_a_thread() -> None:
    raise Refuse(403)


@pytest.mark.parametrize(
    ("conn", "status", "body"),
    [
        (refuse, 451, b"no"),
        (close, 404, b"gone"),
        (raise_refuse, 302, b""),
        (raise_close, 503, b"full"),
        (return_close, 401, b"who?"),
        (
            raise_reject,
            403,
            b'{"error":{"code":"banned","message":"not you","details":{"until":5}}}',
        ),
        (raise_reject_with_a_status, 409, b'{"error":{"code":409,"message":"409"}}'),
        (raise_in_a_thread, 403, b""),
    ],
)
async def test_conn_may_refuse_in_each_way_and_no_disconn_follows(
    conn: Any, status: int, body: bytes
) -> None:
    app = App()
    ends: list[int] = []

    @app.ws("/", conn=conn, disconn=lambda code: ends.append(code))
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect("/").__aenter__()
    assert (caught.value.status, caught.value.body) == (status, body)
    assert ends == []


@pytest.mark.parametrize("debug", [False, True])
async def test_conn_that_fails_refuses_with_500_and_leaks_nothing(
    debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(debug=debug)
    ends: list[int] = []

    async def conn(send: Send) -> None:
        await send("never sent")
        raise ValueError("secret of the database")

    @app.ws("/", conn=conn, disconn=lambda code: ends.append(code))
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect("/").__aenter__()
    assert caught.value.status == 500
    assert b"secret" not in caught.value.body
    assert ends == []
    assert "ValueError: secret of the database" in caplog.text


async def test_conn_that_fails_after_its_own_accept_closes_with_1011_and_disconn_runs() -> None:
    app = App()
    ends: list[int] = []

    async def conn(ws: WebSocket) -> None:
        await ws.accept()
        raise ValueError("too late")

    @app.ws("/", conn=conn, disconn=lambda code: ends.append(code))
    async def on_message(msg: str) -> None: ...

    async with talking(app) as ws:
        await ws.assert_closed(1011, "")
    assert ends == [1011]


async def test_conn_that_fails_after_its_own_refusal_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    async def conn(ws: WebSocket) -> None:
        await ws.refuse(451)
        raise ValueError("afterwards")

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused, match="451"):
            await client.connect("/").__aenter__()
    assert "ValueError: afterwards" in caplog.text


async def test_an_error_of_conn_becomes_what_its_exception_handler_says() -> None:
    class NotLoggedIn(Exception): ...

    app = App()
    ways: list[Any] = [Refuse(401, "log in"), Close(4404), None]

    @app.exception_handler(NotLoggedIn)
    async def answer(ws: WebSocket, error: NotLoggedIn) -> Any:
        way = ways.pop(0)
        if isinstance(way, Refuse):
            raise way
        return way

    async def conn() -> None:
        raise NotLoggedIn

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        for status in (401, 404, 500):
            with pytest.raises(HandshakeRefused, match=str(status)):
                await client.connect("/").__aenter__()


@pytest.mark.parametrize("sends", [False, True])
async def test_a_peer_that_leaves_during_conn_is_no_error_and_no_disconn_follows(
    sends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    gate = Gate()
    ends: list[int] = []
    seen: list[WebSocket] = []

    async def conn(ws: WebSocket) -> None:
        seen.append(ws)
        await gate()
        if sends:
            await ws.send("to nobody")

    @app.ws("/", conn=conn, disconn=lambda code: ends.append(code))
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        connecting = asyncio.ensure_future(client.connect("/").__aenter__())
        await gate.reached.wait()
        seen[0].connection.lost(1001)
        gate.open.set()
        with pytest.raises(HandshakeRefused):
            await connecting
    assert ends == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_nothing_can_be_received_in_conn_before_the_answer() -> None:
    app = App()

    async def conn(ws: WebSocket) -> None:
        with pytest.raises(StateError, match="not answered"):
            await ws.receive()

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> None: ...

    async with talking(app):
        pass


async def test_a_handshake_that_conn_does_not_answer_in_time_is_ended_and_cleaned_up() -> None:
    app = App(handshake_timeout=0.01)
    log: list[str] = []

    async def conn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cleaned up")

    @app.ws("/", conn=conn, disconn=lambda: log.append("disconn"))
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused, match="503"):
            await client.connect("/").__aenter__()
    assert log == ["cleaned up"]


async def test_conn_that_closes_by_raising_after_its_own_accept_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    async def conn(ws: WebSocket) -> None:
        await ws.accept()
        raise Close(4401, "who?")

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> None: ...

    async with talking(app) as ws:
        await ws.assert_closed(4401, "who?")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("refusal", [Refuse(401), Reject(401, "no"), Close(4401), ValueError()])
async def test_a_dependency_that_swallows_a_refusal_lets_nobody_in(refusal: Exception) -> None:
    app = App()

    async def forgiving() -> AsyncIterator[None]:
        with suppress(Exception):
            yield

    async def conn(forgiving: Annotated[None, Depends(forgiving)]) -> None:
        raise refusal

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> str:
        return msg

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/"):
                pass
    assert caught.value.status == (500 if isinstance(refusal, ValueError) else 401)


async def test_a_generator_cannot_be_a_hook() -> None:
    async def disconn(ws: WebSocket) -> AsyncIterator[None]:
        yield

    with pytest.raises(RegistrationError, match="it is called once and returns"):
        App().ws("/", disconn=disconn)(lambda: None)


async def test_a_session_that_no_cookie_can_carry_refuses_with_500() -> None:
    app = App(secret_key="k" * 32)

    async def conn(session: Session) -> None:
        session["large"] = "x" * 5000

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/"):
                pass
    assert caught.value.status == 500
    assert caught.value.body == b"Internal Server Error"


async def test_conn_that_sends_more_than_the_outbox_holds_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(outbox_frames=4)

    async def conn(ws: WebSocket) -> None:
        for _ in range(50):
            await ws.send_text("x")

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused):
            async with client.connect("/"):
                pass
    assert "than the outbox holds" in caplog.text
