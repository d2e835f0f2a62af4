"""Limits of the door: how many connect, how much they send, who they are behind proxies."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from typing import Any

import pytest

from tests.unit.applications import talking
from wirework import App, Bearer, RegistrationError, Reject, WebSocket
from wirework.dialects import Status, Typed
from wirework.testing import HandshakeRefused, TestClient
from wirework.timers import wheel


def echo(**options: Any) -> App:
    app = App(**options)

    @app.ws("/")
    async def on_message(n: int) -> int:
        return n

    @app.websocket("/loop")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app


# --- how many -----------------------------------------------------------------------------------


async def test_one_connection_too_many_is_refused_and_a_free_place_is_taken() -> None:
    async with (
        TestClient(echo(max_connections=2)) as client,
        client.connect("/") as one,
        client.connect("/"),
    ):
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/"):
                pass
        assert caught.value.status == 503
        assert int(caught.value.headers["retry-after"]) >= 1
        await one.close()
        async with client.connect("/") as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == 1


async def test_refused_handshakes_take_no_place() -> None:
    async def nobody(token: str) -> None:
        return None

    app = echo(max_connections=1, auth=Bearer(nobody))
    async with TestClient(app) as client:
        for _ in range(3):
            with pytest.raises(HandshakeRefused) as caught:
                async with client.connect("/", headers={"authorization": "Bearer x"}):
                    pass
            assert caught.value.status == 401
    assert app.connections == []


async def test_one_connection_of_a_user_too_many_is_refused() -> None:
    async def verify(token: str) -> str:
        return token

    app = App(auth=Bearer(verify), max_connections_per_user=1)

    @app.ws("/")
    async def on_message(n: int) -> int:
        return n

    async with TestClient(app) as client:
        ada, bob = ({"authorization": f"Bearer {name}"} for name in ("ada", "bob"))
        async with client.connect("/", headers=ada), client.connect("/", headers=bob):
            with pytest.raises(HandshakeRefused) as caught:
                async with client.connect("/", headers=ada):
                    pass
            assert caught.value.status == 429
        async with client.connect("/", headers=ada):
            pass


async def test_too_many_handshakes_a_second_are_refused() -> None:
    async with TestClient(echo(handshake_rate=0.001)) as client:
        async with client.connect("/"):
            pass
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/"):
                pass
        assert caught.value.status == 503
        assert int(caught.value.headers["retry-after"]) > 100


async def test_a_path_that_does_not_exist_takes_no_place() -> None:
    async with TestClient(echo(max_connections=1)) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/nowhere"):
                pass
        assert caught.value.status == 404
        async with client.connect("/"):
            pass


# --- how much -----------------------------------------------------------------------------------


async def test_messages_over_the_rate_are_told_and_who_goes_on_is_closed() -> None:
    async with talking(echo(message_rate=0.001, message_burst=3)) as ws:
        for number in range(3):
            await ws.send_json({"n": number})
            assert await ws.receive_json() == number
        for _ in range(10):
            await ws.send_json({"n": 9})
            error = (await ws.receive_json())["error"]
            assert error["code"] == "rate_limited"
            assert error["details"]["retry_after"] > 100
        await ws.send_json({"n": 9})
        await ws.assert_closed(4429)


async def test_bytes_over_the_rate_count_too() -> None:
    app = App(byte_rate=1, byte_burst=100, max_message_size=100)
    app.ws("/", dialect=Status())(echo_value)
    async with talking(app) as ws:
        await ws.send_text('{"n":' + " " * 80 + "1}")
        assert (await ws.receive_json())["statusCode"] == 200
        await ws.send_text('{"n":' + " " * 80 + "1}")
        assert (await ws.receive_json())["statusCode"] == 429


async def echo_value(n: int) -> int:
    return n


async def test_without_words_the_first_message_over_the_rate_closes() -> None:
    async with talking(echo(message_rate=0.001, message_burst=1), "/loop") as ws:
        await ws.send_text("a")
        assert await ws.receive_text() == "a"
        await ws.send_text("b")
        await ws.assert_closed(4429)


async def test_with_time_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(echo(message_rate=10, message_burst=1)) as ws:
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == 1
        await ws.send_json({"n": 2})
        assert (await ws.receive_json())["error"]["code"] == "rate_limited"
        now = wheel().now() + 0.2
        monkeypatch.setattr(wheel(), "now", lambda: now)
        await ws.send_json({"n": 3})
        assert await ws.receive_json() == 3


async def test_an_event_may_have_a_rate_of_its_own() -> None:
    app = App()
    events = app.events("/", dialect=Typed())

    @events.on("rare", rate=0.001)
    async def rare() -> str:
        return "once"

    @events.on("often")
    async def often() -> str:
        return "often"

    async with talking(app) as ws:
        answers = []
        for name in ("rare", "rare", "often", "often"):
            await ws.send_json({"type": name, "id": 1})
            answer = await ws.receive_json()
            answers.append(answer.get("data", answer.get("code")))
        assert answers == ["once", "rate_limited", "often", "often"]


async def test_a_handler_that_takes_too_long_is_cancelled_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(handler_timeout=0.01)
    cancelled = []

    @app.ws("/")
    async def on_message(n: int) -> int:
        try:
            if n:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(n)
            raise
        return n

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert (await ws.receive_json())["error"]["code"] == "timed_out"
        await ws.send_json({"n": 0})
        assert await ws.receive_json() == 0
    assert cancelled == [1]
    assert "on_message took longer than 0.01 s" in caplog.text


async def test_a_timeout_of_the_handlers_own_is_its_own() -> None:
    app = App(handler_timeout=5.0)

    @app.ws("/")
    async def on_message(n: int) -> int:
        raise TimeoutError("of the database")

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert (await ws.receive_json())["error"]["code"] == "internal"


# --- limits of a route --------------------------------------------------------------------------


async def test_a_route_may_have_limits_of_its_own() -> None:
    app = App(max_message_size=1000)

    @app.ws("/small", limits={"max_message_size": 20, "message_rate": 1000.0})
    async def small(text: str, n: int = 0) -> str:
        return text

    @app.websocket("/large", limits={"max_message_size": 2000})
    async def large(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_json(len(text))

    async with TestClient(app) as client:
        async with client.connect("/large") as ws:
            await ws.send_text("x" * 1500)
            assert await ws.receive_json() == 1500
        async with client.connect("/small") as ws:
            await ws.send_json({"text": "a"})
            assert await ws.receive_json() == "a"
            await ws.send_json({"text": "a" * 100})
            await ws.assert_closed(1009)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"secret_key": "x"}, "no route has 'secret_key'; it may have: .*max_message_size"),
        ({"max_message_size": -1}, "max_message_size"),
    ],
    ids=["unknown", "unfit"],
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        App().ws("/", limits=limits)(echo_value)


# --- behind proxies -----------------------------------------------------------------------------


async def test_a_trusted_proxy_says_who_the_client_is() -> None:
    app = App(trusted_proxies=["127.0.0.1"])

    @app.websocket("/")
    async def who(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json({"client": ws.client and ws.client[0], "scheme": ws.url.scheme})

    headers = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    async with talking(app, headers=headers) as ws:
        said = await ws.receive_json()
    assert said == {"client": "203.0.113.9", "scheme": "wss"}


async def test_nobody_else_is_believed() -> None:
    app = App()

    @app.websocket("/")
    async def who(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json(ws.client and ws.client[0])

    async with talking(app, headers={"x-forwarded-for": "203.0.113.9"}) as ws:
        assert await ws.receive_json() != "203.0.113.9"


# --- the end ------------------------------------------------------------------------------------


async def test_the_end_of_a_connection_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wirework")
    async with talking(echo(), "/?secret=1") as ws:
        await ws.send_json({"n": 1})
        await ws.receive_json()
        await ws.close(4000, "bored\x1b[31m\n")
    lines = [record.getMessage() for record in caplog.records if " ended " in record.getMessage()]
    assert len(lines) == 1
    assert re.fullmatch(
        r"\S+ '/' ended with 4000 'bored\\x1b\[31m\\n' after \d+\.\d s, 1 in, 1 out", lines[0]
    )


async def test_a_rejection_in_on_connect_gives_the_place_back() -> None:
    app = App(max_connections=1)

    async def refuse() -> None:
        raise Reject("no", "not today")

    app.ws("/no", conn=refuse)(echo_value)
    app.ws("/yes")(echo_value)
    async with TestClient(app) as client:
        for _ in range(2):
            with pytest.raises(HandshakeRefused):
                async with client.connect("/no"):
                    pass
        async with client.connect("/yes"):
            assert len(app.connections) == 1
    assert app.connections == []


async def test_the_limits_of_a_route_hold_for_the_callbacks_of_its_handler() -> None:
    app = App()

    @app.websocket("/", limits={"handler_timeout": 0.01})
    async def serving(ws: WebSocket) -> None:
        async def on_receive(n: int) -> int:
            await asyncio.Event().wait()
            return n

        await ws.accept()
        await ws.serve(on_receive, dialect=Status())

    async with talking(app) as ws:
        pass_nothing = {"n": 1}
        await ws.send_json(pass_nothing)
        assert "too long" in str(await ws.receive_json())


async def test_a_thread_that_takes_too_long_ends_before_the_next_message_begins() -> None:
    app = App(handler_timeout=0.01)
    running: list[int] = []
    most: list[int] = []

    @app.ws("/", dialect=Status())
    def on_message(n: int) -> int:
        running.append(n)
        most.append(len(running))
        if n == 1:
            threading.Event().wait(0.05)  # longer than it may
        running.remove(n)
        return n

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        await ws.send_json({"n": 2})
        assert "too long" in str(await ws.receive_json())
        assert (await ws.receive_json())["body"] == 2
    assert most == [1, 1]
