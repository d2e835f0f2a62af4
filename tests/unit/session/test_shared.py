"""Sessions that several connections share: what a function returns reaches all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Gate
from tests.unit.channels.halting import Halting
from tests.unit.channels.listeners import settle
from tests.unit.session.talk import User, login, message, send, user_of
from wirework import (
    App,
    Channel,
    Close,
    Depends,
    FirstMessage,
    NamedChannel,
    RegistrationError,
    Reject,
    Reply,
    WebSocket,
)
from wirework.brokers.base import Message
from wirework.dialects import Centrifugo, Dialect, NamedSockets, State, Typed
from wirework.routing.events import Events
from wirework.testing import TestClient, TestWebSocket

INITIALISED = {"state": "initialised", "data": {}}
NO_WAY_IN = {"state": "error", "error": "Could not validate credentials."}


class Title(msgspec.Struct):
    title: Annotated[str, msgspec.Meta(min_length=1)]


def boards(dialect: Dialect | None = None, **options: Any) -> tuple[App, Events, Channel[Any]]:
    """Return an application whose boards are sessions, named by the path."""
    app = App()
    board = app.channel("board:{id}", **{"mode": "latest", **options})
    socket = app.events("/boards/{id}", dialect=dialect or State(), auth=FirstMessage(user_of))

    @socket.shared
    async def board_of(id: str, user: User) -> NamedChannel[Any]:
        if user.name == "mallory":
            raise Reject("not_invited", "ask somebody")
        return board(id=id)

    @socket.on("title")
    async def title(title: Title) -> Title:
        return title

    @socket.on("count")
    async def count(upto: int) -> AsyncIterator[int]:
        for number in range(upto):
            yield number

    @socket.on("save")
    async def save() -> Reply:
        return Reply({}, then=Close(1000))

    return app, socket, board


@asynccontextmanager
async def entered(client: TestClient, user: str, id: str = "1") -> AsyncIterator[TestWebSocket]:
    """Begin a session in State."""
    async with client.connect(f"/boards/{id}") as ws:
        await ws.send_json({"token": user})
        assert await ws.receive_json() == INITIALISED
        yield ws


async def say(ws: TestWebSocket, state: str, **data: Any) -> None:
    await ws.send_json({"state": state, "data": data})


async def titled(ws: TestWebSocket) -> str:
    """Return the title that a client is told next."""
    told = await ws.receive_json()
    assert told["state"] == "title", told
    return str(told["data"]["title"])


# --- updates --------------------------------------------------------------------------------------


async def test_an_update_reaches_every_connection_of_the_session_once_and_nobody_else() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, AsyncExitStack() as stack:
        users = ("ada", "ada", "ben")
        peers = [await stack.enter_async_context(entered(client, user)) for user in users]
        other = await stack.enter_async_context(entered(client, "ada", "2"))
        await say(peers[0], "title", title="Sea")
        for peer in peers:
            assert await peer.receive_json() == {"state": "title", "data": {"title": "Sea"}}
        for peer in (*peers, other):
            await peer.assert_silent()


async def test_who_comes_late_is_told_the_newest_of_each_state_after_the_beginning() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        for title in ("Sea", "Salt"):
            await say(ada, "title", title=title)
            assert await titled(ada) == title
        await say(ada, "count", upto=3)
        assert [(await ada.receive_json())["data"] for _ in range(3)] == [0, 1, 2]
        async with entered(client, "ben") as ben:
            assert await titled(ben) == "Salt"
            assert await ben.receive_json() == {"state": "count", "data": 2}
            await ben.assert_silent()


async def test_who_comes_back_after_a_cut_is_told_the_newest() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with entered(client, "ben") as ben:
            ben.peer.close(1006)
        await say(ada, "title", title="Sea")
        await say(ada, "title", title="Salt")
        async with entered(client, "ben") as ben:
            assert await titled(ben) == "Salt"


async def test_two_updates_at_once_arrive_in_one_order_everywhere() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(entered(client, user)) for user in ("ada", "ben", "cid")
        ]
        for number in range(20):
            for peer in peers[:2]:
                await say(peer, "title", title=f"{number}")
        heard = [[await titled(peer) for _ in range(40)] for peer in peers]
        assert heard[0] == heard[1] == heard[2]
        assert sorted(heard[0], key=int) == sorted([*map(str, range(20))] * 2, key=int)
        async with entered(client, "dan") as late:
            assert await titled(late) == heard[0][-1]


async def test_who_has_left_is_told_nothing_and_the_others_go_on() -> None:
    app, _, board = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with entered(client, "ben"):
            assert await board(id="1").subscriber_count() == 2
        assert await board(id="1").subscriber_count() == 1
        await say(ada, "title", title="Sea")
        assert await titled(ada) == "Sea"


async def test_an_update_of_somebody_who_leaves_at_once_still_counts() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with client.connect("/boards/1") as ben:
            ben.peer.send('{"token":"ben"}')
            ben.peer.send('{"state":"title","data":{"title":"Sea"}}')
            await ben.close()
        assert await titled(ada) == "Sea"


async def test_what_the_server_publishes_under_a_name_is_a_state_of_the_session() -> None:
    app, _, board = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        await board(id="1").publish({"title": "Sea"}, key="title")
        assert await titled(ada) == "Sea"
        await say(ada, "title", title="Salt")
        assert await titled(ada) == "Salt"
        (kept,) = await board(id="1").history()
        assert kept.by is not None


@pytest.mark.parametrize("key", ["", "error", "initialised", "channel.gap"])
async def test_what_has_no_name_of_its_own_is_told_as_a_publication(key: str) -> None:
    app, _, board = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        await board(id="1").publish(7, key=key)
        told = await ada.receive_json()
        assert (told["state"], told["data"]["data"]) == ("channel.publication", 7)


async def test_other_channels_keep_their_words() -> None:
    app, *_ = boards()
    news = app.channel("news")
    news.on_subscribe(lambda: True)
    async with TestClient(app) as client, entered(client, "ada") as ada:
        await say(ada, "channel.subscribe", channel="news")
        assert (await ada.receive_json())["state"] == "channel.subscribed"
        await news().publish(1, key="title")
        assert (await ada.receive_json())["state"] == "channel.publication"


async def test_presence_tells_who_comes_to_the_session() -> None:
    app, *_ = boards(presence=True)
    async with TestClient(app) as client, entered(client, "ada") as ada, entered(client, "ben"):
        told = await ada.receive_json()
        assert told["state"] == "channel.joined"
        await say(ada, "channel.presence", channel="board:1")
        assert (await ada.receive_json())["data"]["connections"] == 2


async def test_an_update_leaves_after_dependencies_have_ended() -> None:
    app, socket, _ = boards()
    committed: list[str] = []

    async def database() -> AsyncIterator[str]:
        yield "db"
        committed.append("yes")
        raise Reject("conflict", "somebody was faster")

    @socket.on("note")
    async def note(text: str, db: Annotated[str, Depends(database)]) -> str:
        return text

    async with (
        TestClient(app) as client,
        entered(client, "ada") as ada,
        entered(client, "ben") as ben,
    ):
        await say(ada, "note", text="x")
        assert (await ada.receive_json())["data"]["code"] == "conflict"
        assert committed == ["yes"]
        await ben.assert_silent()


# --- for the sender alone -------------------------------------------------------------------------


async def test_what_does_not_fit_is_told_to_its_sender_alone() -> None:
    app, *_ = boards()
    async with (
        TestClient(app) as client,
        entered(client, "ada") as ada,
        entered(client, "ben") as ben,
    ):
        await say(ada, "title", title="")
        assert (await ada.receive_json())["data"]["code"] == "validation"
        await ben.assert_silent()


async def test_a_reply_is_for_its_sender_alone() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with entered(client, "ben") as ben:
            await say(ben, "save")
            assert await ben.receive_json() == {"state": "save", "data": {}}
            await ben.assert_closed(1000)
        await ada.assert_silent()


async def test_the_answer_of_an_exception_handler_is_for_its_sender_alone() -> None:
    app, socket, _ = boards()

    @socket.on("fail")
    async def fail() -> None:
        raise LookupError

    @app.exception_handler(LookupError)
    async def found_nothing(connection: object, error: LookupError) -> str:
        return "nothing"

    async with (
        TestClient(app) as client,
        entered(client, "ada") as ada,
        entered(client, "ben") as ben,
    ):
        await say(ada, "fail")
        assert await ada.receive_json() == {"state": "fail", "data": "nothing"}
        await ben.assert_silent()


async def test_a_value_that_does_not_fit_the_model_is_an_error_of_the_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, socket, _ = boards(model=Title)

    @socket.on("wrong")
    async def wrong() -> dict[str, int]:
        return {"title": 5}

    async with TestClient(app) as client, entered(client, "ada") as ada:
        await say(ada, "wrong")
        assert (await ada.receive_json())["data"] == {"state": "wrong", "code": "internal"}
    assert "<channel board:1>: 'wrong' does not fit its model: " in caplog.text


async def test_where_calls_have_ids_they_are_answered_after_the_update() -> None:
    app, *_ = boards(Typed())
    async with TestClient(app) as client, client.connect("/boards/1") as ws:
        send(ws, login())
        assert await ws.receive_json() == {"type": "ready"}
        send(ws, message("title", {"title": "Sea"}, id=1), message("count", {"upto": 2}, id=2))
        heard = [await ws.receive_json() for _ in range(5)]
    assert heard == [
        {"type": "title", "data": {"title": "Sea"}},
        {"type": "title", "id": 1},
        {"type": "count", "data": 0},
        {"type": "count", "data": 1},
        {"type": "end", "id": 2, "data": {"count": 0}},
    ]


async def test_the_numbers_of_a_stream_are_those_of_what_its_sender_alone_is_told() -> None:
    app, socket, _ = boards(Typed())

    @socket.on("mixed")
    async def mixed() -> AsyncIterator[Any]:
        yield 1
        yield Reply(2)
        yield 3

    async with TestClient(app) as client, client.connect("/boards/1") as ws:
        send(ws, login(), message("mixed", id=7))
        heard = [await ws.receive_json() for _ in range(5)]
    assert heard[1:] == [
        {"type": "mixed", "data": 1},
        {"type": "mixed", "id": 7, "seq": 0, "data": 2},
        {"type": "mixed", "data": 3},
        {"type": "end", "id": 7, "data": {"count": 1}},
    ]


# --- the end of the sender ------------------------------------------------------------------------


def held_boards(work: Any) -> tuple[App, Gate]:
    """Return an application with a function that returns and one that yields behind a gate."""
    app, socket, _ = boards()
    gate = Gate()

    @socket.on("returned")
    async def returned(ws: WebSocket) -> str:
        await gate()
        await work(ws)
        return "done"

    @socket.on("yielded")
    async def yielded(ws: WebSocket) -> AsyncIterator[str]:
        await gate()
        await work(ws)
        yield "done"
        yield "never"

    return app, gate


@pytest.mark.parametrize("name", ["returned", "yielded"])
async def test_what_a_function_says_after_its_sender_has_left_still_counts(name: str) -> None:
    async def work(ws: WebSocket) -> None: ...

    app, gate = held_boards(work)
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with entered(client, "ben") as ben:
            await say(ben, name)
            await gate.reached.wait()
            ben.peer.close()
            gate.open.set()
        assert await ada.receive_json() == {"state": name, "data": "done"}
        await ada.assert_silent()


@pytest.mark.parametrize("name", ["returned", "yielded"])
async def test_what_a_function_says_after_our_own_end_is_dropped(name: str) -> None:
    async def work(ws: WebSocket) -> None:
        await ws.close(4000)

    app, gate = held_boards(work)
    gate.open.set()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with entered(client, "ben") as ben:
            await say(ben, name)
            await ben.assert_closed(4000)
        await ada.assert_silent()


async def test_what_a_function_says_after_its_sender_was_expelled_is_dropped() -> None:
    app, gate = held_boards(lambda ws: ws.app.expel("board:1", User("ben")))
    gate.open.set()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with entered(client, "ben") as ben:
            await say(ben, "returned")
            assert (await ben.receive_json())["state"] == "channel.unsubscribed"
            await ben.assert_closed(4403)
        await ada.assert_silent()


# --- who takes part -------------------------------------------------------------------------------


async def test_a_session_may_be_named_by_what_the_token_says() -> None:
    app = App()
    board = app.channel("team:{name}", mode="latest")
    socket = app.events("/boards/{id}", dialect=State(), auth=FirstMessage(user_of))
    socket.shared(lambda user: board(name=user.name[0]))
    socket.on("say")(lambda data: data["text"])
    async with TestClient(app) as client, AsyncExitStack() as stack:
        ada, ann, ben = [
            await stack.enter_async_context(entered(client, user)) for user in ("ada", "ann", "ben")
        ]
        await say(ada, "say", text="hi")
        assert await ann.receive_json() == {"state": "say", "data": "hi"}
        await ben.assert_silent()


@pytest.mark.parametrize("dialect", [State(), Typed()], ids=["state", "typed"])
async def test_where_nobody_asks_who_it_is_the_session_begins_with_the_connection(
    dialect: Dialect,
) -> None:
    app = App()
    board = app.channel("board", mode="latest")
    socket = app.events("/", dialect=dialect)
    socket.shared(lambda: board())
    assert not app.opens_at_once("/")  # it takes a task to enter
    async with TestClient(app) as client:
        await board().publish(7, key="count")
        async with client.connect("/") as ws:
            assert (await ws.receive_json())["data"] == 7


async def test_a_token_that_is_no_good_shares_nothing() -> None:
    app, _, board = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with client.connect("/boards/1") as ws:
            await ws.send_json({"token": "wrong"})
            assert await ws.receive_json() == NO_WAY_IN
            await ws.assert_closed(4401)
        assert await board(id="1").subscriber_count() == 1
        await ada.assert_silent()


@pytest.mark.parametrize(
    ("answer", "code", "close"),
    [
        (Reject("not_invited", "no"), "not_invited", 4403),
        (None, "forbidden", 4403),
        (False, "forbidden", 4403),
        ("board:1", "internal", 1011),
        (RuntimeError("broken"), "internal", 1011),
    ],
    ids=["reject", "none", "false", "no channel", "error"],
)
async def test_who_may_not_take_part_is_told_so_and_nothing_else(
    answer: Any, code: str, close: int
) -> None:
    app = App()
    socket = app.events("/boards/{id}", dialect=State(), auth=FirstMessage(user_of))

    @socket.shared
    async def judge() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with TestClient(app) as client, client.connect("/boards/1") as ws:
        await ws.send_json({"token": "ada"})
        assert (await ws.receive_json())["data"]["code"] == code
        await ws.assert_closed(close)


async def test_who_is_expelled_is_told_and_closed() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        async with entered(client, "ben") as ben:
            await app.expel("board:1", User("ben"))
            told = await ben.receive_json()
            assert (told["state"], told["data"]["code"]) == ("channel.unsubscribed", "expelled")
            await ben.assert_closed(4403, "expelled")
        await ada.assert_silent()


async def test_a_client_leaves_its_session_by_closing_only() -> None:
    app, *_ = boards()
    async with TestClient(app) as client, entered(client, "ada") as ada:
        await say(ada, "channel.unsubscribe", channel="board:1")
        assert (await ada.receive_json())["data"]["code"] == "forbidden"
        await say(ada, "title", title="Sea")
        assert await titled(ada) == "Sea"


async def test_one_that_another_hook_has_subscribed_is_told_everything_once() -> None:
    app, socket, board = boards()

    @socket.on_ready
    async def enter(ws: WebSocket, id: str) -> None:
        await board(id=id).subscribe(ws)

    async with TestClient(app) as client, entered(client, "ada") as ada:
        await say(ada, "title", title="Sea")
        assert await titled(ada) == "Sea"
        await ada.assert_silent()
        await app.expel("board:1")
        await ada.receive_json()
        await ada.assert_closed(4403)


async def test_one_that_was_subscribed_before_is_told_in_the_words_of_its_session() -> None:
    app, socket, board = boards()
    board.on_subscribe(lambda: True)
    app.events("/plain", dialect=State())

    @socket.on_connect
    async def enter(ws: WebSocket, id: str) -> None:
        await ws.accept()
        await board(id=id).subscribe(ws)

    async with TestClient(app) as client, client.connect("/plain") as plain:
        await say(plain, "channel.subscribe", channel="board:1")
        assert (await plain.receive_json())["state"] == "channel.subscribed"
        async with client.connect("/boards/1") as ada:
            await ada.send_json({"token": "ada"})
            assert (await ada.receive_json())["state"] == "channel.subscribed"
            assert await ada.receive_json() == INITIALISED
            for title in ("Sea", "Salt"):
                await say(ada, "title", title=title)
                assert await titled(ada) == title
                assert (await plain.receive_json())["state"] == "channel.publication"


# --- who is not let in ----------------------------------------------------------------------------


def guarded(
    answer: Any, *, concurrency: int = 1, is_open: bool = False, broker: Any = None, **hooks: Any
) -> tuple[App, Gate, list[str]]:
    """Return an application whose `shared` waits for a gate, and what its function has done."""
    app = App() if broker is None else App(broker=broker)
    gate, done = Gate(), list[str]()
    board = app.channel("board", mode="latest")
    auth: dict[str, Any] = {} if is_open else {"auth": FirstMessage(user_of)}
    socket = app.events("/", dialect=State(), concurrency=concurrency, **auth)

    @socket.shared
    async def judge() -> Any:
        await gate()
        if isinstance(answer, Exception):
            raise answer
        return board() if answer else None

    @socket.on("title")
    async def title() -> str:
        done.append("title")
        return "Sea"

    for name, hook in hooks.items():
        getattr(socket, name)(hook)
    return app, gate, done


async def leave_early(app: App, gate: Gate, *, is_open: bool = False) -> None:
    """Say who it is and a title, and leave while `shared` is asked."""
    async with TestClient(app) as client, client.connect("/") as ws:
        if not is_open:
            await ws.send_json({"token": "eve"})
        await gate.reached.wait()
        for _ in range(3):
            await say(ws, "title")
        ws.peer.close()
        await settle()
        gate.open.set()


async def late() -> Close:
    return Close(4000, "full")


async def failing() -> None:
    raise RuntimeError


@pytest.mark.parametrize("is_open", [False, True], ids=["token", "open"])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("answer", "hooks"),
    [
        (Reject("not_invited"), {}),
        (None, {}),
        (True, {"on_ready": late}),
        (True, {"on_ready": failing}),
    ],
    ids=["reject", "none", "on_ready closes", "on_ready fails"],
)
async def test_who_is_not_let_in_and_has_left_meanwhile_has_nothing_handled(
    answer: Any, hooks: Any, concurrency: int, is_open: bool
) -> None:
    app, gate, done = guarded(answer, concurrency=concurrency, is_open=is_open, **hooks)
    await leave_early(app, gate, is_open=is_open)
    assert done == []


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_who_leaves_while_the_broker_is_away_has_nothing_handled(concurrency: int) -> None:
    broker = Deaf()
    broker.failing.add("subscribe")
    app, gate, done = guarded(True, concurrency=concurrency, broker=broker)
    await leave_early(app, gate)
    assert done == []


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_updates_of_somebody_who_left_while_he_was_let_in_count(concurrency: int) -> None:
    app, gate, done = guarded(True, concurrency=concurrency)
    async with TestClient(app) as client:
        async with client.connect("/") as ws:
            await ws.send_json({"token": "eve"})
            await gate.reached.wait()
            await say(ws, "title")
            ws.peer.close()
            await settle()
            assert done == []
            gate.open.set()
        (kept,) = await app.channel_named("board").history()
        assert kept.data == "Sea"


@pytest.mark.parametrize("what", ["on_ready", "on_connect", "token"])
async def test_without_a_shared_session_too_who_is_not_let_in_has_nothing_handled(
    what: str,
) -> None:
    app = App()
    gate, done = Gate(), list[str]()

    async def verify(token: str) -> User | None:
        if what == "token":
            await gate()
        return await user_of(token)

    auth: dict[str, Any] = {} if what == "on_connect" else {"auth": FirstMessage(verify)}
    socket = app.events("/", dialect=State(), **auth)
    socket.on("title")(lambda: done.append("title"))

    @socket.on_connect
    async def connect(ws: WebSocket) -> None:
        await ws.accept()
        if what == "on_connect":
            await gate()
            raise Reject("full")

    @socket.on_ready
    async def ready() -> Close:
        await gate()
        return Close(4000)

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_json({"token": "wrong" if what == "token" else "eve"})
        await gate.reached.wait()
        await ws.send_json({"token": "eve"})
        await say(ws, "title")
        ws.peer.close()
        await settle()
        gate.open.set()
    assert done == []


@pytest.mark.parametrize("path", ["a%3Ab", "x" * 300], ids=["colon", "too long"])
@pytest.mark.parametrize("is_open", [False, True], ids=["token", "open"])
async def test_a_path_that_cannot_be_a_channels_name_is_no_session(
    path: str, is_open: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    board = app.channel("board:{id}", mode="latest")
    auth: dict[str, Any] = {} if is_open else {"auth": FirstMessage(user_of)}
    socket = app.events("/boards/{id}", dialect=State(), **auth)
    socket.shared(lambda id: board(id=id))
    async with TestClient(app) as client, client.connect(f"/boards/{path}") as ws:
        if not is_open:
            await ws.send_json({"token": "ada"})
        assert (await ws.receive_json())["data"]["code"] == "bad_channel"
        await ws.assert_closed(4404, "no such session")
    assert "Traceback" not in caplog.text


async def test_a_value_of_another_kind_than_the_name_has_is_an_error_of_the_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    board = app.channel("board:{id:int}", mode="latest")
    socket = app.events("/boards/{id}", dialect=State())
    socket.shared(lambda id: board(id=str(id)))
    async with TestClient(app) as client, client.connect("/boards/1") as ws:
        assert (await ws.receive_json())["data"]["code"] == "internal"
        await ws.assert_closed(1011)
    assert "expected values that fit their kinds" in caplog.text


# --- the hooks of the begin -----------------------------------------------------------------------


async def test_what_on_ready_sends_comes_before_the_beginning_however_much_it_is() -> None:
    app, socket, board = boards()

    @socket.on_ready
    async def ready(ws: WebSocket) -> None:
        for number in range(600):
            await ws.send_event("item", number)

    async with TestClient(app) as client, client.connect("/boards/1") as ws:
        await board(id="1").publish({"title": "Sea"}, key="title")
        await ws.send_json({"token": "ada"})
        async with asyncio.timeout(5):
            for number in range(600):
                assert await ws.receive_json() == {"state": "item", "data": number}
            assert await ws.receive_json() == INITIALISED
            assert await titled(ws) == "Sea"


async def test_what_on_ready_asks_is_answered_before_the_session_begins() -> None:
    app, socket, board = boards(Typed())

    @socket.on_ready
    async def ready(ws: WebSocket) -> Any:
        return await ws.request("theme", timeout=1.0)

    async with TestClient(app) as client, client.connect("/boards/1") as ws:
        await board(id="1").publish({"title": "Sea"}, key="title")
        send(ws, login())
        question = await ws.receive_json()
        assert question["type"] == "theme"
        send(ws, message("answer", "dark", ask=question["ask"]))
        assert await ws.receive_json() == {"type": "ready", "data": "dark"}
        assert await ws.receive_json() == {"type": "title", "data": {"title": "Sea"}}


async def test_calls_wait_until_the_session_has_begun() -> None:
    app = App()
    gate = Gate()
    board = app.channel("board", mode="latest")
    socket = app.events("/", dialect=Typed(), auth=FirstMessage(user_of), concurrency=2)

    @socket.shared
    async def judge() -> NamedChannel[Any]:
        await gate()
        return board()

    socket.on("say")(lambda data: data["text"])
    async with TestClient(app) as client, client.connect("/") as ws:
        send(ws, login())
        await gate.reached.wait()
        send(ws, message("say", {"text": "early"}, id=1))
        await ws.assert_silent()
        gate.open.set()
        heard = [await ws.receive_json() for _ in range(3)]
        assert [each["type"] for each in heard] == ["ready", "say", "say"]


# --- the broker -----------------------------------------------------------------------------------


class Deaf(Halting):
    """A broker that publishes nothing when it is told to fail."""

    async def publish(self, channel: str, message: Message, *more: Any, **options: Any) -> Any:
        await self._before("publish", channel)
        return await super().publish(channel, message, *more, **options)


async def test_a_session_whose_broker_is_away_says_so_and_can_be_tried_again() -> None:
    broker = Deaf()
    app = App(broker=broker)
    board = app.channel("board", mode="latest")
    socket = app.events("/boards/{id}", dialect=State(), auth=FirstMessage(user_of))
    socket.shared(lambda: board())
    socket.on("say")(lambda data: data["text"])
    async with TestClient(app) as client:
        broker.failing.add("subscribe")
        async with client.connect("/boards/1") as ws:
            await ws.send_json({"token": "ada"})
            assert (await ws.receive_json())["data"]["code"] == "unavailable"
            await ws.assert_closed(1013, "try again")
        broker.failing.clear()
        async with entered(client, "ada") as ws:
            broker.failing.add("publish")
            await say(ws, "say", text="lost")
            error = await ws.receive_json()
            assert error["data"] == {"state": "say", "code": "unavailable"}
            broker.failing.clear()
            await say(ws, "say", text="again")
            assert await ws.receive_json() == {"state": "say", "data": "again"}


async def test_updates_that_come_while_the_newest_are_read_are_told_once_and_in_order() -> None:
    broker = Halting()
    app = App(broker=broker)
    board = app.channel("board", mode="latest")
    socket = app.events("/boards/{id}", dialect=State(), auth=FirstMessage(user_of))
    socket.shared(lambda: board())
    async with TestClient(app) as client, entered(client, "ada") as ada:
        await board().publish(1, key="say")
        assert (await ada.receive_json())["data"] == 1
        gate = broker.halt_after("read")
        async with client.connect("/boards/1") as ben:
            await ben.send_json({"token": "ben"})
            await asyncio.wait_for(gate.reached.wait(), 5)
            await board().publish(2, key="say")
            gate.open.set()
            assert await ben.receive_json() == INITIALISED
            assert [(await ben.receive_json())["data"] for _ in range(2)] == [1, 2]
            await ben.assert_silent()


async def test_a_hook_that_fails_after_it_lets_nobody_in() -> None:
    app, socket, board = boards()

    @socket.on_ready
    async def enter(user: User) -> Close | None:
        if user.name == "ben":
            raise Reject("late", "come earlier")
        return Close(4000, "full") if user.name == "cid" else None

    async with TestClient(app) as client:
        await board(id="1").publish({"title": "Sea"}, key="title")
        async with client.connect("/boards/1") as ws:
            await ws.send_json({"token": "ben"})
            assert (await ws.receive_json())["data"]["code"] == "late"
            await ws.assert_closed(4403)
        async with client.connect("/boards/1") as ws:
            await ws.send_json({"token": "cid"})
            await ws.assert_closed(4000, "full")
        assert await board(id="1").subscriber_count() == 0


# --- misuse ---------------------------------------------------------------------------------------


def test_there_is_one_shared_hook() -> None:
    _, socket, board = boards()
    with pytest.raises(RegistrationError, match="there is a shared hook already"):
        socket.shared(lambda: board(id="1"))


@pytest.mark.parametrize("dialect", [Centrifugo(), NamedSockets()], ids=["centrifugo", "named"])
def test_a_dialect_without_words_for_shared_sessions_is_refused(dialect: Dialect) -> None:
    socket = App().events("/c", dialect=dialect)
    text = f"the dialect {dialect.name} has no words for a session"
    with pytest.raises(RegistrationError, match=text):
        socket.shared(lambda: None)
