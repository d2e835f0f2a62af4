"""Messages: what is sent arrives, whole and in order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .differences import close_code, expected
from .harness import Server, closed, seen, within

TEXTS = ["", "hello", "Grüße, 你好, 👋🏽", "\x00\r\n\u2028", "x" * 65_536]
BINARIES = [b"", b"hello", bytes(range(256)), b"\xff" * 65_536]
VALUES: list[Any] = [None, True, 0, -1.5, "", "Grüße 👋🏽", [], {}, {"a": [1, {"b": None}]}]


@pytest.mark.parametrize("text", TEXTS, ids=["empty", "ascii", "unicode", "control", "64 KiB"])
async def test_text_is_echoed_as_text(server: Server, text: str) -> None:
    async with server.connect("/echo") as peer:
        await peer.send(text)
        if text or expected(server, "empty messages", True):
            assert await peer.receive() == text
        await peer.send("next")
        assert await peer.receive() == "next"


@pytest.mark.parametrize("data", BINARIES, ids=["empty", "ascii", "all bytes", "64 KiB"])
async def test_bytes_are_echoed_as_bytes(server: Server, data: bytes) -> None:
    async with server.connect("/echo") as peer:
        await peer.send(data)
        if data or expected(server, "empty messages", True):
            assert await peer.receive() == data
        await peer.send(b"next")
        assert await peer.receive() == b"next"


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_json_is_echoed_as_json_text(server: Server, value: Any) -> None:
    async with server.connect("/echo/json") as peer:
        await peer.send(json.dumps(value))
        answer = await peer.receive()
    assert isinstance(answer, str)
    assert json.loads(answer) == value


async def test_json_is_read_from_a_binary_frame_too(server: Server) -> None:
    async with server.connect("/echo/json") as peer:
        await peer.send(b'{"a": 1}')
        assert json.loads(await peer.receive()) == {"a": 1}


async def test_a_thousand_pipelined_messages_are_answered_in_order(server: Server) -> None:
    async with server.connect("/echo") as peer:
        for number in range(1000):
            await peer.send(str(number) if number % 2 else str(number).encode())
        answers = [await peer.receive() for _ in range(1000)]
    assert answers == [str(n) if n % 2 else str(n).encode() for n in range(1000)]


async def test_a_message_over_the_limit_closes_with_1009(server: Server) -> None:
    async with server.connect("/echo") as peer:
        await peer.send("x" * 65_537)
        assert (await closed(peer)).code == close_code(server, 1009)


async def test_the_limit_counts_bytes_and_not_characters(server: Server) -> None:
    async with server.connect("/echo") as peer:
        await peer.send("ü" * 32_768)
        assert await peer.receive() == "ü" * 32_768
        await peer.send("ü" * 32_769)
        assert (await closed(peer)).code == close_code(server, 1009)


async def test_a_message_that_does_not_fit_is_answered_and_the_connection_lives(
    server: Server,
) -> None:
    async with server.connect("/point") as peer:
        await peer.send('{"x": "one", "y": 2}')
        error = json.loads(await peer.receive())["error"]
        assert error["code"] == "validation"
        assert [problem["loc"] for problem in error["details"]] == [["x"]]
        await peer.send('{"x": 1}')
        assert json.loads(await peer.receive()) == {"x": 0, "y": 1}


async def test_a_message_that_is_not_json_is_answered_and_the_connection_lives(
    server: Server,
) -> None:
    async with server.connect("/point") as peer:
        for frame in ("{", b'{"x": 1}'):
            await peer.send(frame)
            error = json.loads(await peer.receive())["error"]
            assert error["code"] in ("malformed", "wrong_frame")
        await peer.send('{"x": 1, "y": 2}')
        assert json.loads(await peer.receive()) == {"x": 2, "y": 1}


async def test_a_rejected_message_and_a_failed_one_are_answered_without_details(
    server: Server,
) -> None:
    async with server.connect("/point") as peer:
        await peer.send('{"x": 13}')
        error = json.loads(await peer.receive())["error"]
        assert error == {"code": "unlucky", "message": "not thirteen"}
        await peer.send('{"x": 500}')
        error = json.loads(await peer.receive())["error"]
        assert error == {"code": "internal", "message": "internal error"}
        await peer.send('{"x": 1, "y": 2}')
        assert json.loads(await peer.receive()) == {"x": 2, "y": 1}


async def test_messages_before_the_close_are_all_handled_and_then_the_hook(
    server: Server, id: str
) -> None:
    async with server.connect(f"/hooks/slow?id={id}") as peer:
        for number in range(5):
            await peer.send(str(number))
        await within(seen(server, id, 1))
        await server.request("POST", f"/open/{id}")
        for _ in range(5):
            await peer.receive()
        for number in range(5, 10):
            await peer.send(str(number))
        await peer.close(4000, "that was all")
    entries = await seen(server, id, 21)
    assert [entry[1] for entry in entries if entry[0] == "ended"] == [str(n) for n in range(10)]
    assert [entry[0] for entry in entries].count("disconnect") == 1
    code = expected(server, "code of the peer's close", 4000)
    reason = expected(server, "reason of the peer's close", "that was all")
    assert entries[-1] == ["disconnect", code, reason]
