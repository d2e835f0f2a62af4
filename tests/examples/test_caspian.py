"""Caspian's example, driven in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples import caspian, pulsepoint
from wirework.testing import TestClient

NAMED = "/__pulsepoint/ws"


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    yield
    assert not caspian.members
    assert not caspian.guests


async def test_the_socket_of_the_document_echoes_the_message() -> None:
    async with TestClient(caspian.app) as client, client.connect("/ws/live") as ws:
        await ws.send_json({"message": "ping"})
        assert await ws.receive_json() == {"type": "echo", "message": "ping"}
        await ws.send_json({})
        assert await ws.receive_json() == {"type": "echo", "message": ""}


@pytest.mark.parametrize(
    ("text", "code"),
    [("[]", 1007), ("no JSON", 1007), ("x" * 5000, 1009)],
    ids=["wrong shape", "no JSON", "too big"],
)
async def test_what_the_socket_cannot_take_ends_it_with_a_code(text: str, code: int) -> None:
    async with TestClient(caspian.app) as client, client.connect("/ws/live") as ws:
        await ws.send_text(text)
        await ws.assert_closed(code)


async def test_typed_envelopes_say_ready_echo_message_pong_and_error() -> None:
    async with (
        TestClient(caspian.app) as client,
        client.connect("/ws/typed") as ana,
        client.connect("/ws/typed") as ben,
    ):
        assert await ana.receive_json() == {"type": "ready", "members": 1}
        assert await ben.receive_json() == {"type": "ready", "members": 2}
        await ana.send_json({"type": "message", "text": "hi"})
        assert await ana.receive_json() == {"type": "echo", "text": "hi"}
        assert await ben.receive_json() == {"type": "message", "text": "hi"}
        await ana.send_json({"type": "ping", "id": 7})
        assert await ana.receive_json() == {"type": "pong", "id": 7}
        await ana.send_json({"type": "message", "text": " "})
        error = await ana.receive_json()
        assert (error["type"], error["code"]) == ("error", "empty")
        await ben.assert_silent()


async def test_a_room_is_for_those_who_give_a_name() -> None:
    async with (
        TestClient(caspian.app) as client,
        client.connect(NAMED, query={"name": "room"}) as ana,
        client.connect(NAMED, query={"name": "room"}) as nobody,
    ):
        await ana.send_json({"name": "Ana"})
        await ana.send_json("hi")
        assert await ana.receive_json() == {"name": "Ana", "text": "hi"}
        await nobody.send_json({"name": ""})
        assert "name: " in (await nobody.receive_json())["error"]
        await nobody.assert_closed(1000)


async def test_a_countdown_ends_by_itself() -> None:
    query = {"name": "countdown"}
    async with TestClient(caspian.app) as client, client.connect(NAMED, query=query) as ws:
        await ws.send_json({})
        assert [await ws.receive_json() for _ in range(3)] == [3, 2, 1]
        await ws.assert_closed(1000)


@pytest.mark.parametrize("path", ["/", "/typed", "/named"])
async def test_each_page_has_its_template_and_shows_where_it_is(path: str) -> None:
    async with TestClient(caspian.app) as client:
        text = (await client.get(path)).text
        code = (await client.get("/pulsepoint/start.js")).text
    name = f"caspian_{path[1:] or 'live'}"
    assert f'<template pp-component="{name}">' in text
    assert text.count('aria-current="page"') == 1
    assert f'"{name}": function (pp)' in code
    assert "pp.effect(" not in text.partition("<footer>")[0]


async def test_without_the_runtime_the_pages_and_the_file_say_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulsepoint, "RUNTIME", tmp_path / "nothing.js")
    async with TestClient(caspian.app) as client:
        assert pulsepoint.REMEDY in (await client.get("/")).text
        answer = await client.get("/pulsepoint/runtime.js")
    assert (answer.status_code, answer.text) == (404, pulsepoint.REMEDY)
