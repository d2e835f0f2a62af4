"""A publication is encoded once for all clients that speak Centrifugo's protocol."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from wirework import App, History
from wirework.dialects import Centrifugo
from wirework.testing import TestClient

CONNECT = '{"connect":{},"id":1}'
SUBSCRIBE = '{"subscribe":{"channel":"news"},"id":2}'


def waiting(ws: Any) -> list[Any]:
    """Return what a client that does not read has not taken yet."""
    return list(ws.peer.connection.outbox.frames)


async def test_all_subscribers_of_a_channel_get_one_and_the_same_frame() -> None:
    app = App()
    app.events("/", dialect=Centrifugo())
    news = app.channel("news", history=History())

    @news.on_subscribe
    async def anybody() -> bool:
        return True

    async with TestClient(app) as client, AsyncExitStack() as stack:
        peers = []
        for _ in range(5):
            ws = await stack.enter_async_context(client.connect("/websocket"))
            await ws.send_text(CONNECT)
            await ws.send_text(SUBSCRIBE)
            assert (await ws.receive_json())["id"] == 1
            assert (await ws.receive_json())["id"] == 2
            ws.peer.stop_reading()
            peers.append(ws)
        await news().publish("tea")
        first, *others = [waiting(ws) for ws in peers]
        assert len(first) == 1
        assert all(len(frames) == 1 and frames[0] is first[0] for frames in others)
        for ws in peers:
            ws.peer.start_reading()
            said = await ws.receive_json()
            assert said == {"push": {"channel": "news", "pub": {"data": "tea", "offset": 1}}}


async def test_a_long_past_comes_with_the_reply_and_right_behind_it() -> None:
    app = App()
    app.events("/", dialect=Centrifugo())
    news = app.channel("news", history=History(size=1000))

    @news.on_subscribe
    async def anybody() -> bool:
        return True

    async with TestClient(app) as client:
        since = await news().publish("")
        assert since is not None
        for _ in range(700):
            await news().publish("x" * 1000)
        async with client.connect("/websocket") as ws:
            await ws.send_text(CONNECT)
            assert (await ws.receive_json())["id"] == 1
            asked = {"channel": "news", "recover": True, "epoch": since.epoch, "offset": 1}
            await ws.send_json({"subscribe": asked, "id": 2})
            said = (await ws.receive_json())["subscribe"]
            assert (said["recovered"], said["offset"]) == (True, 1)
            offsets = [each["offset"] for each in said["publications"]]
            while len(offsets) < 700:
                pushed = (await ws.receive_json())["push"]["pub"]
                offsets.append(pushed["offset"])
            assert offsets == list(range(2, 702))
            assert 0 < len(said["publications"]) < 300
