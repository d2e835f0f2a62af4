"""Cafeto's example: each way of its document, in no more lines, with the same answers."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from examples import cafeto
from wirework import Controller
from wirework.testing import TestClient

LINES: dict[type[Controller], int] = {
    cafeto.Traditional: 17,
    cafeto.Callbacks: 22,
    cafeto.WithReply: 22,
    cafeto.Methods: 22,
    cafeto.Chat: 22,
}
"""How many lines the document takes for it, imports aside."""

ANSWERS: dict[str, Any] = {
    "/callbacks": {"statusCode": 200, "body": {"message": "Hi Ana", "user": "System"}},
    "/reply": {"statusCode": 201, "body": {"message": "Hi Ana"}},
    "/methods": {"statusCode": 201, "body": {"message": "Hi Ana", "user": "System"}},
    "/ws": {"statusCode": 200, "body": {"message": "Hi Ana", "user": "System"}},
}
WELCOME = {"statusCode": 200, "body": {"message": "Welcome", "user": "System"}}


@pytest.mark.parametrize("controller", LINES, ids=lambda controller: controller.__name__)
def test_each_way_takes_no_more_lines_than_in_the_document(controller: type[Controller]) -> None:
    lines, _ = inspect.getsourcelines(controller)
    assert len(lines) <= LINES[controller]


async def test_the_loop_sends_plain_json_and_ends_when_the_peer_goes() -> None:
    async with TestClient(cafeto.app) as client, client.connect("/traditional") as ws:
        await ws.send_json({"Hola": "Mundo"})
        assert await ws.receive_json() == {"message": "Hi", "user": "System"}
        assert len(cafeto.online) == 1
        await ws.close()
        assert not cafeto.online


@pytest.mark.parametrize("path", ANSWERS)
async def test_callbacks_answer_with_a_status_and_list_what_does_not_fit(path: str) -> None:
    async with TestClient(cafeto.app) as client, client.connect(path) as ws:
        if path == "/ws":
            assert await ws.receive_json() == WELCOME
        await ws.send_json({"user": 5})
        problems = [
            {"loc": ["message"], "type": "missing", "msg": "Field required"},
            {"loc": ["user"], "type": "string_type", "msg": "Input should be a valid string"},
        ]
        assert await ws.receive_json() == {"statusCode": 400, "body": {"errorList": problems}}
        await ws.send_json({"message": "hello", "user": "Ana"})
        assert await ws.receive_json() == ANSWERS[path]


@pytest.mark.parametrize("path", ["/callbacks", "/methods", "/ws"])
async def test_on_connect_and_on_disconnect_run_at_both_ends(path: str) -> None:
    async with TestClient(cafeto.app) as client, client.connect(path) as ws:
        await ws.send_json({"message": "hello"})
        await ws.receive_json()
        assert len(cafeto.online) == 1
        await ws.close()
        assert not cafeto.online
