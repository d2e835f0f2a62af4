"""What the pages name in `<!-- check: tests.docs.checks:NAME -->`: each tries a block's program.

A check is a coroutine function that takes the program's names, such as `namespace["app"]`, drives
the app with `wirework.testing.TestClient` and asserts what the page says about it.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
import starlette.testclient

from wirework.testing import HandshakeRefused, TestClient

Names = dict[str, Any]


async def chat(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        assert "<script>" in (await client.get("/")).text
        with pytest.raises(HandshakeRefused, match="400"):
            await client.connect("/chat").__aenter__()
        async with client.connect("/chat?name=ada") as ada, client.connect("/chat?name=bob") as bob:
            await ada.send_text("hi")
            for each in (ada, bob):
                assert await each.receive_json() == {"name": "ada", "text": "hi"}
            await ada.close()
            await bob.send_text("alone?")
            assert await bob.receive_json() == {"name": "bob", "text": "alone?"}
            assert await names["room"]().subscriber_count() == 1


async def game(names: Names) -> None:
    app = names["app"]
    async with TestClient(app) as client:
        async with client.connect("/game") as ws:
            await ws.close(4000, "bored")
        assert app.state.last_end == (4000, "bored")
        async with client.connect("/door?key=open+sesame") as ws:
            assert ws.headers["x-room"] == "cave"
            assert ws.subprotocol is None


async def hooks(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/club?name=ada") as ws:
        await ws.close(4001, "late")
    assert names["log"] == ["ada left with 4001 late"]


async def parting(names: Names) -> None:
    done = names["done"]
    async with TestClient(names["app"]) as client:
        async with client.connect("/patient") as ws:
            await ws.send_text("one")
            await ws.send_text("two")
            names["may_finish"].set()
        assert done == ["one", "two", "ended with 1000"]
        done.clear()
        async with client.connect("/hasty") as ws:
            await ws.send_text("one")
            await ws.send_text("two")
            await names["has_begun"].wait()
            await ws.close(1001)
        assert done == ["gave up one", "rolled back", "ended with 1001"]


async def parameters(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/notes/a/1") as ws:
        await ws.send_json({"text": "x"})
        answer = await ws.receive_json()
    assert answer == {"at": "a:1", "text": "x", "by": "somebody", "in": ["en"], "theme": None}


async def forms(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        form: dict[str, object] = {"name": "Ada", "born": "1815-12-10", "age": "", "likes": "maths"}
        answer = await client.post("/signup", data=form)
        assert answer.json() == {**form, "news": False, "age": None, "likes": ["maths"]}
        form |= {"news": "on", "age": "36", "likes": ["maths", "tea"]}
        answer = await client.post("/signup", data=form)
        assert answer.json() == {**form, "news": True, "age": 36}
        assert (await client.post("/signup", data={"name": "Ada"})).status_code == 422


async def dependencies(names: Names) -> None:
    app, log = names["app"], names["log"]
    async with TestClient(app) as client, client.connect("/desk?token=t-1") as ws:
        await ws.send_json({"item": "tea", "count": 2})
        assert await ws.receive_json() == "2 tea for ada"
        assert log == ["open", "handle", "close"]


async def raw(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/text") as ws:
        await ws.send_text("a")
        await ws.send_bytes(b"b")
        assert await ws.receive_text() == "A"
        await ws.assert_closed(1003)


async def htmx(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/who") as ws:
        await ws.send_text('{"headers": {"HX-Source": "form#a"}}')
        assert await ws.receive_text() == "htmx 4, a -&gt; None"
        await ws.send_text("{}")
        assert await ws.receive_text() == "htmx 4, None -&gt; None"


async def exceptions(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        answer = await client.get("/buy/tea")
        assert answer.status_code == 403
        assert answer.json() == {"error": {"code": "sold_out", "message": "no tea left"}}


async def http(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        page = await client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.text == "<h1>Orders &amp; more</h1>"
        assert (await client.get("/orders/7?lang=de")).json() == {"number": 7, "lang": "de"}
        assert (await client.get("/orders/-7")).status_code == 404
        missing = await client.get("/orders/100")
        assert (missing.status_code, missing.text) == (404, "no such order")
        posted: list[dict[str, Any]] = [
            {"json": {"item": "tea", "count": 2}},
            {"data": {"item": "tea", "count": "2"}},
        ]
        for body in posted:
            assert (await client.post("/orders", **body)).text == "2 ordered"
        assert (await client.post("/orders", json={"count": 2})).status_code == 422
        assert (await client.post("/orders", content=b"{")).status_code == 400


async def beside(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        assert (await client.get("/health")).json() == {"ok": True}


async def mounted(names: Names) -> None:
    def talk() -> None:
        server = starlette.testclient.TestClient(names["api"])
        with server as client, client.websocket_connect("/live/chat") as ws:
            assert ws.receive_text() == "ws://testserver/live/chat"

    await asyncio.to_thread(talk)


async def lifespan(names: Names) -> None:
    app = names["app"]
    async with TestClient(app) as client, client.connect("/price") as ws:
        await ws.send_text("tea")
        assert await ws.receive_text() == "hello: 3"
    assert app.state.prices == {}


async def sessions(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        await client.post("/login", data={"name": "ada"})
        for visit in (1, 2):
            async with client.connect("/whoami") as ws:
                assert "httponly; samesite=lax" in ws.headers["set-cookie"]
                await ws.send_text("hello")
                assert await ws.receive_text() == f"ada, visit {visit}"


async def stored_sessions(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        await client.post("/login", data={"name": "ada"})
        async with client.connect("/shop") as ws:
            for count, item in ((1, "tea"), (2, "milk")):
                await ws.send_text(item)
                assert await ws.receive_json() == count
            assert (await client.get("/basket")).json() == ["tea", "milk"]
            await client.post("/logout")
            await ws.assert_closed(4401, "signed out")
        assert (await client.get("/basket")).json() == []


async def flow(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/prices") as ws:
        ws.peer.stop_reading()
        for price in range(103):
            await names["tell_all"](price)
        assert ws.peer.connection.outbox.dropped == 3
        ws.peer.start_reading()
        assert await ws.receive_json() == {"price": 3}
    assert names["watchers"] == set()


async def gate(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        with pytest.raises(HandshakeRefused):
            async with client.connect("/anything"):
                pass


async def idle(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/quiet") as ws:
        await ws.assert_closed(4408, "no message in time")


async def failing(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/buy") as ws:
        await ws.send_json({"item": "tea", "count": 1})
        assert (await ws.receive_json())["error"]["code"] == "sold_out"
    assert names["log"] == ["roll back: sold_out"]


async def events(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/room/hall") as ws:
        await ws.receive_json()
        for name in ("say", "shout", "unknown"):
            await ws.send_json({"type": name, "data": {"text": "hello"}})
            await ws.receive_json()
        await ws.close(1001)
    log = ["open", ("say", 5, None), "close", "open", "close", "hall left with 1001"]
    assert names["log"] == log


async def shared_session(names: Names) -> None:
    async with TestClient(names["app"]) as client, AsyncExitStack() as stack:
        tabs = []
        for token in ("t-ada", "t-ada", "t-ben"):
            ws = await stack.enter_async_context(client.connect("/drafts/sea"))
            await ws.send_json({"token": token})
            assert (await ws.receive_json())["state"] == "initialised"
            tabs.append(ws)
        await tabs[2].send_json({"state": "title", "data": {"title": "Sand"}})
        await names["drafts"](id="sea").publish({"pages": 3}, key="pages")
        for ws in tabs:
            heard = [await ws.receive_json() for _ in range(2)]
            assert {each["state"] for each in heard} == {"title", "pages"}
            await ws.assert_silent()


async def controllers(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/basket") as ws:
        await ws.send_json({"name": "tea"})
        await ws.close(1001)
    assert names["log"] == ["open", "left 3 behind, 1001", "close"]


async def callbacks(names: Names) -> None:
    log = names["log"]
    log.clear()
    async with TestClient(names["app"]) as client:
        async with client.connect("/chat/ada") as ws:
            await ws.send_json({"text": "hello"})
            assert await ws.receive_json() == {"statusCode": 201, "body": {"said": ["hello"]}}
            await ws.close(1001)
        with pytest.raises(HandshakeRefused):
            async with client.connect("/chat/eve"):
                pass
    assert log == ["ada said 1, 1001", "ada is gone", "eve is gone"]


async def streams(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/clock") as ws:
        await ws.send_json({"type": "tick", "id": 1, "data": {"seconds": 3600}})
        await ws.send_json({"type": "tick", "id": 2, "data": {"seconds": 3600}})
        await ws.send_json({"type": "cancel", "id": 2})
        assert (await ws.receive_json())["id"] == 1
        await ws.send_json({"type": "cancel", "id": 1})
        assert await ws.receive_json() == {"type": "end", "id": 1, "data": {"count": 1}}
        assert names["log"] == ["stopped"]
        assert await ws.receive_json() == {"type": "end", "id": 2, "data": {"count": 0}}


async def server_messages(names: Names) -> None:
    async with (
        TestClient(names["app"]) as client,
        client.connect("/room") as ada,
        client.connect("/room") as bob,
    ):
        await ada.send_json({"type": "say", "data": {"text": "hi"}})
        assert await bob.receive_json() == {"type": "said", "data": {"text": "hi"}}
        answer = await client.post("/alarm", json={"text": "fire"})
        assert answer.json() == {"told": 2}
        for ws in (ada, bob):
            assert await ws.receive_json() == {"type": "alarm", "data": "fire"}
    assert names["people"] == set()


async def middleware(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/desk") as ws:
        await ws.send_json({"type": "say", "data": {"text": "tea"}})
        await ws.receive_json()
        await ws.send_json({"type": "say", "data": {"text": 5}})
        await ws.receive_json()
        await ws.send_json({"type": "unknown"})
        await ws.receive_json()
    assert names["log"] == ["say: done", "say: ValidationError"]


async def authentication(names: Names) -> None:
    app = names["app"]
    async with TestClient(app) as client:
        async with client.connect("/desk") as ws:
            await ws.send_json({"type": "auth", "data": {"token": "t-2"}})
            assert (await ws.receive_json())["message"] == "this account is locked"
            await ws.assert_closed(4401)
        async with client.connect("/desk") as ws:
            await ws.send_json({"type": "auth", "data": {"token": "t-1"}})
            await ws.send_json({"type": "order", "data": {"item": "tea"}})
            assert (await ws.receive_json())["type"] == "ready"
            assert (await ws.receive_json())["data"] == "tea for ada"


async def validation(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/order") as ws:
        await ws.send_json({"lines": [{"item": "tea"}], "due": None})
        assert (await ws.receive_json())["due"] is None


async def disconnecting(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/desk") as ws:
        await ws.send_json({"type": "auth", "data": {"token": "t-3"}})
        await ws.receive_json()
        assert (await client.post("/lock/ada")).json() == {"closed": 0}
        assert (await client.post("/lock/bob")).json() == {"closed": 1}
        await ws.assert_closed(4403, "locked")


async def cookies(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        await client.post("/login", data={"name": "ada"})
        async with client.connect("/club") as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "ada: hello"
            await client.post("/logout")
            await ws.assert_closed(4401, "signed out")
        with pytest.raises(HandshakeRefused):
            async with client.connect("/club"):
                pass


async def tickets(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        assert (await client.post("/ticket")).status_code == 401
        await client.post("/login", data={"name": "ada"})
        ticket = (await client.post("/ticket")).json()["ticket"]
        async with client.connect(f"/club?ticket={ticket}") as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "ada: hello"
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect(f"/club?ticket={ticket}"):
                pass
        assert caught.value.status == 401


async def rates(names: Names) -> None:
    async with TestClient(names["app"]) as client, client.connect("/desk") as ws:
        answers = []
        for id in (1, 2):
            await ws.send_json({"type": "export", "id": id})
            answers.append(await ws.receive_json())
        assert answers[0]["data"] == "a long report"
        assert (answers[1]["of"], answers[1]["code"]) == ("export", "rate_limited")
        assert 0 < answers[1]["details"]["retry_after"] <= 100
        await ws.send_json({"type": "say", "id": 3, "data": {"text": "still here"}})
        assert (await ws.receive_json())["data"] == "still here"


async def metrics(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        assert (await client.get("/metrics")).status_code == 401
        headers = {"authorization": f"Bearer {names['token']}"}
        async with client.connect("/rooms/7") as ws:
            for _ in range(3):
                await ws.send_text("hello")
                assert await ws.receive_text() == "hello"
            page = (await client.get("/metrics", headers=headers)).text
        assert 'wirework_connections{route="/rooms/{room}"} 1.0' in page
        assert 'wirework_messages_received_total{route="/rooms/{room}"} 3.0' in page
        assert 'handler_seconds_bucket{event="",le="0.001",route="/rooms/{room}"}' in page
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).json() == {"status": "ready"}


async def own_metrics(names: Names) -> None:
    async with TestClient(names["app"]) as client:
        assert (await client.get("/internal/metrics")).status_code == 403
        shown = await client.get("/internal/metrics", headers={"x-key": "open sesame"})
        assert "wirework_connections" in shown.text


async def coming_back(names: Names) -> None:
    """A client that gives its position gets all that it has missed, or is told that it cannot."""
    async with TestClient(names["app"]) as client:
        news = names["news"]()
        first = await news.publish("one")
        for is_recovered, missed in ((True, ["two", "three"]), (False, [])):
            await news.publish("two")
            last = await news.publish("three")
            async with client.connect("/live") as ws:
                since = {"epoch": first.epoch, "offset": first.offset}
                await ws.send_json(
                    {"type": "channel.subscribe", "data": {"channel": "news", "since": since}}
                )
                data = (await ws.receive_json())["data"]
            assert data["position"]["offset"] == last.offset
            assert data["recovered"] is is_recovered
            assert [each["data"] for each in data.get("publications", [])] == missed


async def centrifuge_clients(names: Names) -> None:
    path = "/connection/websocket"
    async with TestClient(names["app"]) as client, client.connect(path) as ws:
        await ws.send_json({"id": 1, "connect": {}})
        assert (await ws.receive_json())["id"] == 1
        await ws.send_json({"id": 2, "rpc": {"method": "add", "data": {"a": 1, "b": 2}}})
        assert await ws.receive_json() == {"id": 2, "rpc": {"data": 3}}
        await ws.send_json({"id": 3, "subscribe": {"channel": "chat:tea"}})
        assert "subscribe" in await ws.receive_json()
        await ws.send_json({"id": 4, "publish": {"channel": "chat:tea", "data": {"text": "a"}}})
        assert (await ws.receive_json())["push"]["pub"]["data"] == {"text": "a"}
