from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from wirework import App
from wirework.testing import TestClient
from wirework.watchdog import Watchdog


def block_the_loop(until: threading.Event) -> None:
    until.wait()


class Heard(logging.Handler):
    """Notes lines, and lets go of whoever waits for the first."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.first = threading.Event()
        self.second = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        (self.second if self.first.is_set() else self.first).set()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    handler = Heard()
    monkeypatch.setattr(logging.getLogger("wirework"), "handlers", [handler])
    return handler


async def test_who_keeps_the_loop_from_turning_is_named_while_it_does(heard: Heard) -> None:
    watchdog = Watchdog(0.02)
    watchdog.start()
    block_the_loop(heard.first)
    await asyncio.get_running_loop().run_in_executor(None, heard.second.wait)
    watchdog.stop()
    assert "has not turned for 0.02 s" in heard.lines[0]
    assert "block_the_loop" in heard.lines[0]
    assert heard.lines[1] == "the event loop turns again"


async def test_a_loop_that_turns_is_left_in_peace(heard: Heard) -> None:
    watchdog = Watchdog(5)
    watchdog.start()
    await asyncio.sleep(0)
    watchdog.stop()
    assert heard.lines == []


async def test_the_application_watches_as_long_as_it_runs(heard: Heard) -> None:
    app = App(stall_warning=0.02)

    @app.ws("/")
    async def slow(word: str) -> str:
        block_the_loop(heard.first)
        return word

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_text("done")
        assert await ws.receive_text() == "done"
    assert "slow" in heard.lines[0]
    assert not [each for each in threading.enumerate() if each.name == "wirework-watchdog"]


async def test_nobody_watches_where_it_is_switched_off(heard: Heard) -> None:
    async with TestClient(App(stall_warning=None)):
        assert not [each for each in threading.enumerate() if each.name == "wirework-watchdog"]
