"""The short way of Centrifugo's `rpc`: the outcome is that of the long way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.applications import talking
from tests.unit.session.test_shortly import fulfil, is_short, takes_message, takes_payload
from wirework import App
from wirework.dialects import Centrifugo

INTERNAL = {"code": 100, "message": "internal error", "temporary": True}


def asked(id: int, **data: Any) -> str:
    return msgspec.json.encode({"rpc": {"method": "do", "data": data}, "id": id}).decode()


@pytest.mark.parametrize(
    ("take", "short"), [(takes_payload, True), (takes_message, False)], ids=["short", "long"]
)
async def test_every_way_answers_the_same(take: Any, short: bool) -> None:
    app = App()
    live = app.events("/", dialect=Centrifugo())
    live.on("do")(take(fulfil))
    async with talking(app, "/websocket") as ws:
        assert is_short(ws) is short
        await ws.send_text(asked(1, what="early"))
        assert (await ws.receive_json())["error"]["code"] == 101
    async with talking(app, "/websocket") as ws:
        await ws.send_text('{"connect":{},"id":1}')
        assert (await ws.receive_json())["id"] == 1
        await ws.send_text(asked(2, what="x"))
        assert await ws.receive_json() == {"id": 2, "rpc": {"data": "x"}}
        await ws.send_text(asked(3, what="x") + "\n" + asked(4, what="y"))
        assert await ws.receive_json() == {"id": 3, "rpc": {"data": "x"}}
        assert await ws.receive_json() == {"id": 4, "rpc": {"data": "y"}}
        await ws.send_text(asked(5, what="none"))
        assert await ws.receive_json() == {"id": 5, "rpc": {"data": None}}
        await ws.send_text(asked(6, what="fail"))
        assert await ws.receive_json() == {"id": 6, "error": INTERNAL}
        await ws.send_text(asked(7, what=7))
        assert (await ws.receive_json())["error"]["code"] == 107
        await ws.send_text("{}")
        await ws.send_text(asked(8, what="unsayable"))
        assert await ws.receive_json() == {"id": 8, "error": INTERNAL}
        await ws.send_text(asked(9, what="close"))
        await ws.assert_closed(4000, "bye")


async def test_a_client_of_another_format_never_takes_the_short_way() -> None:
    app = App()
    live = app.events("/", dialect=Centrifugo())
    live.on("do")(takes_payload(fulfil))
    async with talking(app, "/websocket", subprotocols=["centrifuge-protobuf"]) as ws:
        await ws.send_bytes(b"\x04\x08\x01\x22\x00")  # connect, with the id 1
        assert (await ws.receive_bytes())[1:3] == b"\x08\x01"
        await ws.send_text(asked(2, what="x"))
        await ws.assert_closed(3501)
