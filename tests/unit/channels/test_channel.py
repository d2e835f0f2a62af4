"""What the server does with channels: publish, read, subscribe connections of every style."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.unit.channels.listeners import settle
from tests.unit.channels.talking import (
    Text,
    User,
    client_of,
    desk_app,
    plain,
    publish,
    subscribe,
    until,
    user_of,
)
from tests.unit.dialects.vectors import Html
from tests.unit.session.talk import message, send
from wirework import (
    App,
    Bearer,
    Channel,
    Controller,
    History,
    NoSuchChannel,
    Position,
    Post,
    ValidationError,
    WebSocket,
)
from wirework.dialects import Fragment, Htmx, State, Status, Typed
from wirework.json import MsgspecAdapter
from wirework.testing import TestClient, TestWebSocket

# --- publishing ---------------------------------------------------------------------------------


async def test_positions_count_the_publications_of_a_channel() -> None:
    app = App()
    chat = app.channel("chat:{room}", history=History())
    async with TestClient(app):
        positions = [await chat(room="1").publish(number) for number in range(3)]
        other = await chat(room="2").publish(0)
        assert [each and each.offset for each in (*positions, other)] == [1, 2, 3, 1]
        assert await chat(room="1").position() == positions[-1]
        assert other is not None
        assert await app.publish("chat:2", 1) == Position(other.epoch, 2)


async def test_where_nothing_is_kept_there_is_no_position() -> None:
    app = App()
    app.channel("news")
    async with TestClient(app):
        assert await app.publish("news", 1) is None
        with pytest.raises(NoSuchChannel):
            await app.publish("olds", 1)


@pytest.mark.parametrize(
    "data", [{"text": 5}, {}, 7, None], ids=["field", "empty", "number", "null"]
)
async def test_what_does_not_fit_the_model_is_not_published(data: Any) -> None:
    app = App()
    news = app.channel("news", model=Text, history=History())
    async with TestClient(app):
        with pytest.raises(ValidationError):
            await news().publish(data)
        assert await news().history() == []
        await news().publish(Text("a"))
        await news().publish({"text": "b"})
        assert [each.data for each in await news().history()] == [Text("a"), Text("b")]


async def test_what_is_no_json_is_a_type_error() -> None:
    app = App()
    news = app.channel("news")
    async with TestClient(app):
        with pytest.raises(TypeError, match="cannot encode"):
            await news().publish(object())


@pytest.mark.parametrize("history", [None, History()], ids=["kept", "not kept"])
async def test_the_same_idempotency_key_publishes_once(history: History | None) -> None:
    app = desk_app()
    news = app.channel("news", history=history)
    news.on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        first = await news().publish(1, idempotency_key="k")
        assert await news().publish(1, idempotency_key="k") == first
        await news().publish(2, idempotency_key="l")
        assert [plain(await ws.receive_json()) for _ in range(2)] == [1, 2]


async def test_history_is_read_from_the_oldest_or_from_the_newest() -> None:
    app = App(history_limit=3)
    news = app.channel("news", history=History(size=4))
    async with TestClient(app):
        positions = [await news().publish(number) for number in range(5)]

        async def read(*args: Any, **options: Any) -> list[Any]:
            return [each.data for each in await news().history(*args, **options)]

        assert await read() == [1, 2, 3]
        assert await read(2) == [1, 2]
        assert await read(reverse=True) == [4, 3, 2]
        assert await read(since=positions[2]) == [3, 4]
        assert await read(since=positions[3], reverse=True) == [2, 1]
        await news().forget()
        assert await read() == []
        assert await news().position() == positions[-1]


async def test_a_received_publication_tells_when_and_by_whom() -> None:
    app = desk_app()
    news = app.channel("news", model=Text, history=History())
    news.on_subscribe(lambda: True)
    news.on_publish(lambda: True)
    async with TestClient(app) as client, client_of(client, "ada") as ws:
        await subscribe(ws, "news")
        await publish(ws, "news", {"text": "x"})
        await news().publish(Text("y"))
        mine, own = await news().history()
        assert (mine.by and mine.by.user, own.by) == ("ada", None)
        assert mine.position == Position((await news().position()).epoch, 1)
        assert own.at >= mine.at > 1_600_000_000
        assert repr(mine).startswith("Received(Text(text='x')")


async def test_the_servers_own_code_hears_what_is_published() -> None:
    app = App()
    news = app.channel("news", model=Text)
    found: list[Text] = []
    async with TestClient(app):

        async def listen() -> None:
            async for publication in news():
                found.append(publication.data)
                if len(found) == 2:
                    return

        task = asyncio.get_running_loop().create_task(listen())
        await until(lambda: app.channels.hub.stats.subscriptions == 1)
        for text in "abc":
            await news().publish(Text(text))
        await task
        assert found == [Text("a"), Text("b")]
        await until(lambda: app.channels.hub.stats.channels == 0)


async def test_a_listener_ends_with_the_application() -> None:
    app = App()
    news = app.channel("news")

    async def listen() -> None:
        async for _ in news():
            pass

    async with TestClient(app):
        task = asyncio.get_running_loop().create_task(listen())
        await until(lambda: app.channels.hub.stats.subscriptions == 1)
    await asyncio.wait_for(task, 5)


async def test_a_page_beside_the_sockets_publishes() -> None:
    app = desk_app()
    news = app.channel("news")
    news.on_subscribe(lambda: True)

    @app.get("/tell")
    async def tell() -> dict[str, bool]:
        return {"told": await news().publish("from a page") is None}

    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        assert (await client.get("/tell")).json() == {"told": True}
        assert plain(await ws.receive_json()) == "from a page"


# --- connections that the server subscribes -----------------------------------------------------


def raw_app() -> tuple[App, Channel[Any], list[WebSocket]]:
    app, sockets = desk_app(), list[WebSocket]()
    news = app.channel("news", history=History())

    @app.websocket("/raw")
    async def listen(ws: WebSocket) -> None:
        await ws.accept()
        sockets.append(ws)
        await news().subscribe(ws)
        await news().subscribe(ws)
        async for _ in ws:
            pass

    return app, news, sockets


async def test_a_connection_handler_subscribes_its_connection() -> None:
    app, news, sockets = raw_app()
    async with TestClient(app) as client:
        async with client.connect("/raw") as ws:
            await until(lambda: app.channels.hub.stats.subscriptions == 1)
            await news().publish({"n": 1})
            await news().publish("mine", exclude=sockets)
            await news().publish("mine", exclude=sockets[0])
            await news().publish("all", exclude=[])
            assert [await ws.receive_json(), await ws.receive_json()] == [{"n": 1}, "all"]
            assert await news().subscriber_count() == 1
            assert news().unsubscribe(sockets[0])
            await news().publish("later")
            await ws.assert_silent()
        assert app.channels.hub.stats.channels == 0


async def test_the_server_may_subscribe_from_a_position() -> None:
    app, news, sockets = raw_app()
    async with TestClient(app) as client, client.connect("/raw") as ws:
        await until(lambda: app.channels.hub.stats.subscriptions == 1)
        since = await news().publish(1)
        await news().publish(2)
        news().unsubscribe(sockets[0])
        await news().subscribe(sockets[0], since=since)
        assert [await ws.receive_json() for _ in range(3)] == [1, 2, 2]


async def test_a_connection_that_ends_leaves_the_channels_that_the_server_chose() -> None:
    app, _, _ = raw_app()
    async with TestClient(app) as client:
        async with client.connect("/raw"):
            await until(lambda: app.channels.hub.stats.subscriptions == 1)
        await until(lambda: app.channels.hub.stats[:2] == (0, 0))


async def test_a_controller_subscribes_before_the_handshake_is_answered() -> None:
    app = App()
    news = app.channel("news", presence=True)

    @app.controller("/chat", dialect=Status())
    class Chat(Controller):
        async def on_connect(self) -> None:
            await news().subscribe(self.ws)

        async def on_receive(self, data: dict[str, int]) -> dict[str, int]:
            return data

    async with TestClient(app) as client, client.connect("/chat") as ws:
        await news().publish(1)
        said = [(await ws.receive_json())["body"] for _ in range(2)]
        assert [each["$channel"] for each in said] == ["subscribed", "publication"]
        await ws.send_json({"$channel": "unsubscribe", "channel": "news"})
        assert (await ws.receive_json())["body"] == {"$channel": "unsubscribed", "channel": "news"}


# --- several dialects ---------------------------------------------------------------------------


class Counting(MsgspecAdapter):
    """Counts what is decoded for HTMX."""

    def __init__(self) -> None:
        super().__init__()
        self.decoded: list[Any] = []

    def decode(self, data: Any, *kind: Any) -> Any:
        self.decoded.append(data)
        return super().decode(data, *kind)


def mixed_app() -> tuple[App, Channel[Any]]:
    """Return an application whose connections of every dialect are subscribed to one channel."""
    app = App(auth=Bearer(verify=user_of))
    news = app.channel("news")

    async def conn(ws: WebSocket) -> None:
        await news().subscribe(ws)

    async def handle(data: Any) -> None: ...

    for dialect in (Htmx(), Status()):
        app.ws(f"/{dialect.name}", conn=conn, dialect=dialect)(handle)
    for named in (Typed(), State()):
        app.events(f"/{named.name}", dialect=named).on_connect(conn)

    @app.websocket("/raw")
    async def raw(ws: WebSocket) -> None:
        await ws.accept()
        await news().subscribe(ws)
        async for _ in ws:
            pass

    return app, news


DIALECTS = ("typed", "state", "status", "htmx", "raw")


@asynccontextmanager
async def everybody(app: App, user: str = "ada") -> AsyncIterator[dict[str, TestWebSocket]]:
    async with TestClient(app) as client, AsyncExitStack() as stack:
        found = {}
        for name in DIALECTS:
            connecting = client_of(client, user, f"/{name}")
            found[name] = await stack.enter_async_context(connecting)
            if name in ("typed", "state", "status"):
                assert "subscribed" in await found[name].receive_text()
        await until(lambda: app.channels.hub.stats.subscriptions == len(DIALECTS))
        yield found


async def test_each_is_told_in_the_words_of_its_dialect() -> None:
    app, news = mixed_app()
    async with everybody(app) as peers:
        await news().publish({"n": 1})
        said = {name: await ws.receive_text() for name, ws in peers.items() if name != "htmx"}
        await news().publish("<b>")
        said["htmx"] = await peers["htmx"].receive_text()  # which cannot say an object
    body = r'{"channel":"news","data":{"n":1},"at":'
    assert said["raw"] == '{"n":1}'
    assert said["typed"].startswith(f'{{"type":"channel.publication","data":{body}')
    assert said["state"].startswith(f'{{"state":"channel.publication","data":{body}')
    assert said["status"].startswith(
        f'{{"statusCode":200,"body":{{"$channel":"publication",{body[1:]}'
    )
    assert said["htmx"] == "&lt;b&gt;"


async def test_a_publication_is_encoded_once_for_all_that_are_told_alike() -> None:
    json = Counting()
    app = App(json=json)
    channel = app.channel("news")

    async def conn(ws: WebSocket) -> None:
        await channel().subscribe(ws)

    @app.ws("/", conn=conn, dialect=Htmx())
    async def handle(data: Any) -> None: ...

    async with TestClient(app) as client, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(client.connect("/")) for _ in range(5)]
        json.decoded.clear()
        await channel().publish("tea")
        assert [await ws.receive_text() for ws in peers] == ["tea"] * 5
        assert json.decoded == [b'"tea"']


async def test_a_message_to_a_user_reaches_every_connection_of_it_and_no_other() -> None:
    app, _ = mixed_app()
    async with everybody(app) as peers:
        await app.publish_to_user(User("bob"), {"n": 0}, name="note")
        await app.publish_to_user("ada", {"n": 1}, name="note")
        said = {
            name: await peers[name].receive_json() for name in ("typed", "state", "status", "raw")
        }
    assert said == {
        "typed": {"type": "note", "data": {"n": 1}},
        "state": {"state": "note", "data": {"n": 1}},
        "status": {"statusCode": 200, "body": {"n": 1}},
        "raw": {"n": 1},
    }


async def test_one_dialect_without_words_for_it_keeps_nobody_else_from_a_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """State cannot say what has no name."""
    app, _ = mixed_app()
    async with everybody(app) as peers:
        await app.publish_to_user("ada", "hello")
        assert await peers["raw"].receive_text() == "hello"
        assert (await peers["typed"].receive_json())["data"] == "hello"
        assert await peers["htmx"].receive_text() == "hello"
    assert "cannot be said" in caplog.text


async def test_html_for_a_user_is_shown_by_pages_and_is_data_for_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, _ = mixed_app()
    html = Fragment(Html("<li>x</li>"), target="#list", swap="beforeend")
    async with everybody(app) as peers:
        await app.publish_to_user("ada", html, name="note")
        said = {name: await ws.receive_text() for name, ws in peers.items()}
    data = '{"html":"<li>x</li>","target":"#list","swap":"beforeend"}'
    assert said == {
        "typed": f'{{"type":"note","data":{data}}}',
        "state": f'{{"state":"note","data":{data}}}',
        "status": f'{{"statusCode":200,"body":{data}}}',
        "htmx": '<div hx-swap-oob="beforeend:#list"><li>x</li></div>',
        "raw": data,
    }
    assert caplog.messages == []


async def test_a_user_is_disconnected_everywhere() -> None:
    app, _ = mixed_app()
    async with everybody(app) as peers:
        await app.disconnect_everywhere("bob")
        await app.disconnect_everywhere("ada", reason="gone")
        for ws in peers.values():
            await ws.assert_closed(4401, "gone")
        with pytest.raises(ValueError, match="code"):
            await app.disconnect_everywhere("ada", code=1005)


async def test_everybody_or_one_user_is_expelled() -> None:
    app = desk_app()
    app.channel("news").on_subscribe(lambda: True)
    async with (
        TestClient(app) as client,
        client_of(client, "ada") as ada,
        client_of(client, "bob") as bob,
        client_of(client) as nobody,
    ):
        for ws in (ada, bob, nobody):
            await subscribe(ws, "news")
        await app.expel("news", User("ada"), code="banned", reason="be nice")
        told = {"channel": "news", "code": "banned", "reason": "be nice"}
        assert (await ada.receive_json())["data"] == told
        await app.expel("news")
        for ws in (bob, nobody):
            assert (await ws.receive_json())["data"] == {"channel": "news", "code": "expelled"}
        assert await subscribe(ada, "news") == {"channel": "news"}


# --- HTMX ---------------------------------------------------------------------------------------


def board_app() -> tuple[App, Channel[Any]]:
    app = App()
    board = app.channel("board", mode="latest")

    async def conn(ws: WebSocket) -> None:
        await board().subscribe(ws)

    @app.ws("/page", conn=conn, dialect=Htmx())
    async def on_message(text: str) -> None: ...

    app.events("/desk", dialect=Typed())
    board.on_subscribe(lambda: True)
    return app, board


async def test_a_page_that_returns_gets_the_newest_of_each_element() -> None:
    app, board = board_app()
    async with TestClient(app) as client:
        for id, text in (("a", 1), ("b", 2), ("a", 3)):
            await board().publish(Html(f'<p id="{id}">{text}</p>'))
        await board().publish(Fragment(Html("<li>x</li>"), target="#list", swap="beforeend"))
        async with client.connect("/page") as ws:
            said = [await ws.receive_text() for _ in range(3)]
            assert [("2" in said[0], "3" in said[1], "#list" in said[2])] == [(True, True, True)]
            assert 'id="a"' in said[1]
            await board().publish(Html('<p id="b">4</p>'))
            assert "4" in await ws.receive_text()
        assert [each.key for each in await board().history()] == ["a", "#list", "b"]


async def test_other_dialects_get_html_as_an_object_that_says_so() -> None:
    app, board = board_app()
    async with TestClient(app) as client, client.connect("/desk") as ws:
        await subscribe(ws, "board")
        await board().publish(Fragment(Html("<b>x</b>"), target="#a", swap="innerHTML"))
        said = await ws.receive_json()
        assert said["data"]["data"] == {"html": "<b>x</b>", "target": "#a", "swap": "innerHTML"}
        assert said["data"]["key"] == "#a"


@pytest.mark.parametrize(
    "said",
    [{"html": "<script>1</script>"}, "<script>1</script>", {"html": "<script>", "target": "#a"}],
    ids=["object", "text", "target"],
)
@pytest.mark.parametrize("answer", ["true", "data", "post"])
async def test_what_a_client_says_never_becomes_html(said: Any, answer: str) -> None:
    app, board = board_app()

    @board.on_publish
    async def posted(data: Any) -> Any:
        return {"true": True, "data": data, "post": Post(data)}[answer]

    async with (
        TestClient(app) as client,
        client.connect("/page") as page,
        client.connect("/desk") as desk,
    ):
        await subscribe(desk, "board")
        await publish(desk, "board", {"data": said})
        await board().publish("over")
        is_shown = isinstance(said, str) and answer != "true"
        shown = [await page.receive_text() for _ in range(1 + is_shown)]
        assert shown[-1] == "over"
        assert "<script>" not in "".join(shown)
        assert [each.message.is_html for each in await kept(board)] == [False]


async def kept(channel: Channel[Any]) -> list[Any]:
    return list((await channel().read(None, None, reverse=False)).publications)


async def test_each_page_is_told_in_the_form_of_its_version_which_comes_late() -> None:
    """Both are subscribed before they say which version of HTMX they are."""
    app, board = board_app()
    async with (
        TestClient(app) as client,
        client.connect("/page") as new,
        client.connect("/page") as old,
    ):
        send(new, '{"text": "x", "headers": {"HX-Request": "true"}}')
        send(old, '{"text": "x", "HEADERS": {"HX-Request": "true"}}')
        await settle()
        fragment = Fragment(Html("<li>x</li>"), target="#list", swap="beforeend")
        await board().publish(fragment)
        assert (await new.receive_json())["target"] == "#list"
        assert (await old.receive_text()).startswith("<")


async def test_messages_to_the_desk_are_still_handled() -> None:
    app = App()
    desk = app.events("/desk", dialect=Typed())
    app.channel("news").on_subscribe(lambda: True)

    @desk.on("echo")
    async def echo(text: str) -> str:
        return text

    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        send(ws, message("echo", {"text": "hi"}, id=9))
        assert (await ws.receive_json())["data"] == "hi"
