"""Checks of the page about clients without WebSockets."""

from __future__ import annotations

from typing import Any

from tests.unit.transports.exchange import streaming
from wirework.testing import TestClient


async def stream(names: dict[str, Any]) -> None:
    for kind in ("http_stream", "sse"):
        async with streaming(names["app"], kind) as stream:
            answer = await stream.rpc(2, "add", {"a": 1, "b": 2})
            assert answer == {"id": 2, "rpc": {"data": 3}}
    async with TestClient(names["app"]) as client, client.connect("/connection/websocket") as ws:
        await ws.send_text('{"connect":{},"id":1}')
        assert "session" not in (await ws.receive_json())["connect"]
