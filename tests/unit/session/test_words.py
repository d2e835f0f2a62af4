"""The server's words from a client, where one function takes messages of every name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.applications import talking
from wirework import App, Call
from wirework.dialects import Dialect, State, Typed

TYPED = [{"type": word, "id": 1} for word in ("disconnect", "end", "error", "pong", "ready")]
STATES = [{"state": word} for word in ("error", "initialised")]
DIALECTS: list[tuple[Dialect, dict[str, Any], str]] = [
    *[(Typed(flat=flat), said, "type") for flat in (False, True) for said in TYPED],
    *[(State(), said, "state") for said in STATES],
]


@pytest.mark.parametrize(
    ("dialect", "said", "key"),
    DIALECTS,
    ids=[f"{dialect!r} {said[key]}" for dialect, said, key in DIALECTS],
)
async def test_a_word_of_the_servers_reaches_no_function_and_is_no_error_of_ours(
    dialect: Dialect, said: dict[str, Any], key: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    names: list[str] = []

    @app.ws("/", dialect=dialect)
    async def take(message: Call) -> str:
        names.append(message.name)
        return message.name

    async with talking(app) as ws:
        await ws.send_json(said)
        assert f"expected no word of the server, got {said[key]!r}" in await ws.receive_text()
        await ws.send_json({**said, key: "mine"})
        assert (await ws.receive_json())[key] == "mine"
    assert names == ["mine"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
