"""Errors of message handlers: how they are answered, mapped and logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import msgspec
import pytest

from tests.unit.applications import Gate, talking
from wirework import (
    App,
    Close,
    ConnectionClosed,
    MalformedMessage,
    Reject,
    Send,
    WebSocket,
)
from wirework.commands import Call, Command, Output, Result
from wirework.dialects import Raw
from wirework.dialects.base import Codec, Dialect
from wirework.json import JsonAdapter
from wirework.testing import TestClient
from wirework.types import Body, Frame


def numbers(**options: Any) -> App:
    """Return an application whose handler fails in every way, and answers otherwise."""
    app = App(**options)

    @app.ws("/")
    async def on_message(what: str, n: int = 0) -> Any:
        if what == "reject":
            raise Reject("full", "try later", {"seats": n})
        if what == "fail":
            raise ValueError("secret of the database")
        if what == "unsayable":
            return object()
        if what == "unsayable rejection":
            raise Reject("odd", details=object())
        return what

    return app


async def test_the_connection_lives_on_after_every_kind_of_error() -> None:
    expected = {
        '{"what": "reject", "n": 5}': {
            "code": "full",
            "message": "try later",
            "details": {"seats": 5},
        },
        '{"what": "fail"}': {"code": "internal", "message": "internal error"},
        '{"what": "unsayable"}': {"code": "internal", "message": "internal error"},
        '{"n": 1}': {
            "code": "validation",
            "message": "the message does not fit",
            "details": [{"loc": ["what"], "type": "missing", "msg": "Field required"}],
        },
    }
    async with talking(numbers()) as ws:
        for text, error in expected.items():
            await ws.send_text(text)
            assert await ws.receive_json() == {"error": error}
        await ws.send_text("{")
        assert (await ws.receive_json())["error"]["code"] == "malformed"
        await ws.send_bytes(b"{}")
        assert (await ws.receive_json())["error"]["code"] == "wrong_frame"
        await ws.send_json({"what": "fine"})
        assert await ws.receive_json() == "fine"


async def test_validation_lists_every_problem() -> None:
    app = App()

    @app.ws("/")
    async def on_message(a: int, b: str, c: list[int]) -> None: ...

    async with talking(app) as ws:
        await ws.send_json({"a": "x", "c": [1, "y"]})
        details = (await ws.receive_json())["error"]["details"]
    assert [problem["loc"] for problem in details] == [["a"], ["b"], ["c", 1]]


async def test_an_unknown_error_is_logged_with_the_connection_and_answered_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking(numbers()) as ws:
        await ws.send_json({"what": "fail"})
        assert "secret" not in await ws.receive_text()
        assert ws.peer.connection.id in caplog.text
    assert "on_message" in caplog.text
    assert "ValueError: secret of the database" in caplog.text


async def test_debug_shows_the_text_of_an_unknown_error() -> None:
    async with talking(numbers(debug=True)) as ws:
        await ws.send_json({"what": "fail"})
        error = (await ws.receive_json())["error"]
    assert error == {"code": "internal", "message": "ValueError: secret of the database"}


async def test_an_answer_that_cannot_be_said_at_all_closes_with_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking(numbers()) as ws:
        await ws.send_json({"what": "unsayable rejection"})
        await ws.assert_closed(1011, "")
    assert "TypeError" in caplog.text


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("fail", 1011, ""),
        ("reject", 1008, "try later"),
        (b"x", 1003, "expected a text frame, got a binary frame"),
    ],
)
async def test_a_dialect_without_words_for_errors_closes(
    debug: bool, message: Any, code: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(debug=debug)

    @app.ws("/", dialect=Raw("text"))
    async def on_message(msg: str) -> None:
        raise Reject("full", "try later") if msg == "reject" else ValueError("secret")

    async with talking(app) as ws:
        ws.peer.send(message)
        await ws.assert_closed(code, reason)
    assert ("ValueError: secret" in caplog.text) is (code == 1011)


async def test_an_exception_handler_answers_for_the_nearest_class() -> None:
    app = App()

    @app.exception_handler(LookupError)
    async def lookup(ws: WebSocket, error: LookupError) -> str:
        return f"lookup {error} on {ws.handshake.path}"

    @app.exception_handler(KeyError)
    def key(ws: WebSocket, error: KeyError) -> str:
        return "key"

    @app.exception_handler(ZeroDivisionError)
    async def zero(ws: WebSocket, error: ZeroDivisionError) -> None:
        raise Reject("zero")

    @app.exception_handler(ValueError)
    async def value(ws: WebSocket, error: ValueError) -> Close:
        return Close(4400, "bad value")

    @app.exception_handler(OSError)
    async def system(ws: WebSocket, error: OSError) -> None: ...

    kinds = {"index": IndexError("i"), "key": KeyError("k"), "zero": ZeroDivisionError()}
    kinds |= {"value": ValueError(), "system": OSError()}

    @app.ws("/")
    async def on_message(what: str, n: int = 0) -> None:
        raise kinds[what]

    async with talking(app) as ws:
        answers = {"index": "lookup i on /", "key": "key"}
        answers |= {"zero": {"error": {"code": "zero", "message": "zero"}}}  # type: ignore[dict-item]
        for what, answer in answers.items():
            await ws.send_json({"what": what})
            assert await ws.receive_json() == answer
        await ws.send_json({"what": "system"})
        await ws.send_json({"what": "value"})
        await ws.assert_closed(4400, "bad value")


async def test_an_exception_handler_of_a_broad_class_leaves_what_speaks_for_itself() -> None:
    app = App()

    @app.exception_handler(Exception)
    async def everything(ws: WebSocket, error: Exception) -> str:
        return f"caught {type(error).__name__}"

    @app.ws("/")
    async def on_message(n: int) -> Close:
        if n == 1:
            raise Reject("no")
        if n == 2:
            raise ValueError
        return Close(4000)

    async with talking(app) as ws:
        await ws.send_json({"n": "x"})
        assert (await ws.receive_json())["error"]["code"] == "validation"
        await ws.send_json({"n": 1})
        assert (await ws.receive_json())["error"]["code"] == "no"
        await ws.send_json({"n": 2})
        assert await ws.receive_json() == "caught ValueError"
        await ws.send_json({"n": 0})
        await ws.assert_closed(4000)


async def test_an_exception_handler_may_be_for_what_speaks_for_itself() -> None:
    app = App()

    @app.exception_handler(Reject)
    async def rejected(ws: WebSocket, error: Reject) -> str:
        return f"rejected: {error.code}"

    @app.ws("/")
    async def on_message(n: int) -> None:
        raise Reject("no")

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == "rejected: no"


async def test_an_exception_handler_that_fails_is_logged_and_answered_generically(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.exception_handler(ValueError)
    async def broken(ws: WebSocket, error: ValueError) -> None:
        raise KeyError("in the handler")

    @app.ws("/")
    async def on_message(n: int) -> None:
        raise ValueError("first")

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert (await ws.receive_json())["error"]["code"] == "internal"
    assert "KeyError: 'in the handler'" in caplog.text
    assert "ValueError: first" in caplog.text


async def test_the_end_of_another_connection_met_in_a_broadcast_is_an_error() -> None:
    app = App()
    room: list[WebSocket] = []

    @app.ws("/", conn=lambda ws: room.append(ws))
    async def on_message(text: str, n: int) -> None:
        for ws in room:
            await ws.send(text)

    async with TestClient(app) as client, client.connect("/") as gone:
        await gone.close()
        async with client.connect("/") as ws:
            await ws.send_json({"text": "hi", "n": 1})
            assert (await ws.receive_json())["error"]["code"] == "internal"


async def test_the_end_of_ones_own_connection_is_a_normal_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    gate = Gate()

    @app.exception_handler(ConnectionClosed)
    async def never(ws: WebSocket, error: ConnectionClosed) -> None:
        raise AssertionError("a normal end is no error")

    @app.ws("/")
    async def on_message(msg: str, send: Send) -> None:
        await gate()
        await send("to nobody")

    async with talking(app) as ws:
        await ws.send_text("x")
        await gate.reached.wait()
        ws.peer.close()
        gate.open.set()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_reply_to_a_peer_that_has_gone_is_dropped_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    gate = Gate()

    @app.ws("/")
    async def on_message(n: int) -> int:
        await gate()
        if n:
            raise ValueError("seen in the log")
        return n

    async with talking(app) as ws:
        await ws.send_json({"n": 0})
        await ws.send_json({"n": 1})
        await gate.reached.wait()
        ws.peer.close()
        gate.open.set()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info is not None for record in errors] == [True]
    assert "seen in the log" in caplog.text


async def test_an_exception_handler_that_speaks_to_a_peer_that_has_gone_ends_normally(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    gate = Gate()

    @app.exception_handler(LookupError)
    async def missing(ws: WebSocket, error: LookupError) -> None:
        await ws.send("to nobody")

    @app.ws("/")
    async def on_message(msg: str) -> None:
        await gate()
        raise LookupError

    async with talking(app) as ws:
        await ws.send_text("x")
        await gate.reached.wait()
        ws.peer.close()
        gate.open.set()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_error_reply_that_overflows_a_stuck_peer_ends_without_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(outbox_bytes=100)
    ends: list[int] = []

    @app.ws("/", disconn=lambda code: ends.append(code))
    async def on_message(n: int) -> str:
        return "x" * 40

    async with talking(app) as ws:
        ws.peer.stop_reading()
        ws.peer.send('{"n": 1}')
        ws.peer.send('{"n": "one"}')
        await ws.peer.finished.wait()
    assert ends == [1013]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


class Terse(Dialect):
    """A dialect that has words for results alone."""

    name: ClassVar[str] = "terse"
    body: Body = "json"

    def open(self, json: JsonAdapter) -> Codec:
        return TerseCodec()


class TerseCodec:
    variant: Hashable = "terse"

    def decode(self, frame: Frame) -> Sequence[Command]:
        if frame == "odd":
            raise MalformedMessage("odd")
        return [Call(frame)]

    def encode(self, output: Output) -> Frame | None:
        return f"= {output.value}" if isinstance(output, Result) else None


async def test_what_a_dialect_has_no_words_for_is_not_sent_and_an_error_closes() -> None:
    app = App()

    @app.ws("/", dialect=Terse())
    async def on_message(n: int, send: Send) -> int:
        await send("not said")
        return n

    for frame, code in [('{"n": "one"}', 1007), ("odd", 1007)]:
        async with talking(app) as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_text() == "= 1"
            await ws.send_text(frame)
            await ws.assert_closed(code)


class Number(msgspec.Struct):
    n: int


async def on_short_way(number: Number) -> Any:
    return await misbehave(number.n)


async def on_long_way(number: Number, ws: WebSocket) -> Any:
    return await misbehave(number.n)


async def misbehave(n: int) -> Any:
    """Do each thing that a handler may do wrong, or right."""
    if n == 0:
        raise ValueError("no")
    if n == 1:
        raise Reject("odd", "no", {"n": n})
    if n == 2:
        task = asyncio.ensure_future(asyncio.Event().wait())
        task.cancel()
        await task
    return {3: None, 4: object(), 5: b"bytes", 6: [1], 7: Number(7), 8: "text"}.get(n)


@pytest.mark.parametrize("message", [*(f'{{"n":{n}}}' for n in range(9)), "{", '{"n":"x"}', b"{}"])
async def test_the_short_way_says_what_the_long_way_says(message: str | bytes) -> None:
    answers = []
    for function in (on_short_way, on_long_way):
        app = App()
        app.ws("/")(function)
        async with talking(app) as ws:
            ws.peer.send(message)
            await ws.send_text('{"n":6}')
            answers.append([await ws.receive(), ws.peer.connection.is_open])
    assert answers[0] == answers[1]


class Panic(BaseException):
    """What is not an Exception, as some extension modules raise."""


async def test_a_base_exception_closes_with_1011_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.ws("/")
    async def on_message(msg: str) -> None:
        raise Panic

    async with talking(app) as ws:
        await ws.send_text("x")
        await ws.assert_closed(1011)
    assert "Panic" in caplog.text
