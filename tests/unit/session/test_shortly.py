"""The short way of messages: whatever a function takes, the outcome is that of the long way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import BaseModel

from tests.unit.applications import Gate, talking
from tests.unit.session.talk import (
    User,
    ask,
    end,
    error,
    heard,
    login,
    message,
    plain,
    send,
    user_of,
    value,
)
from wirework import (
    App,
    Call,
    Close,
    Controller,
    FirstMessage,
    MemorySessions,
    Path,
    Query,
    Reject,
    Reply,
    WebSocket,
)
from wirework.dialects import Raw, Typed
from wirework.testing import TestClient, TestWebSocket


class Wish(msgspec.Struct):
    what: str
    much: int = 1


Answer = Callable[[Wish], Awaitable[Any]]


def takes_payload(answer: Answer) -> Callable[..., Any]:
    async def do(wish: Wish) -> Any:
        return await answer(wish)

    return do


def takes_fields(answer: Answer) -> Callable[..., Any]:
    async def do(what: str, much: int = 1) -> Any:
        return await answer(Wish(what, much))

    return do


def takes_one_field(answer: Answer) -> Callable[..., Any]:
    async def do(what: str) -> Any:
        return await answer(Wish(what))

    return do


def takes_connection(answer: Answer) -> Callable[..., Any]:
    async def do(ws: WebSocket, wish: Wish) -> Any:
        assert isinstance(ws, WebSocket)
        return await answer(wish)

    return do


def takes_both(answer: Answer) -> Callable[..., Any]:
    async def do(what: str, ws: WebSocket, much: int = 1) -> Any:
        assert isinstance(ws, WebSocket)
        return await answer(Wish(what, much))

    return do


def takes_message(answer: Answer) -> Callable[..., Any]:
    async def do(wish: Wish, message: Call) -> Any:
        return await answer(wish)

    return do


SHORT = {
    "payload": takes_payload,
    "fields": takes_fields,
    "one field": takes_one_field,
    "connection": takes_connection,
    "fields and connection": takes_both,
}
WAYS = {**SHORT, "the long way": takes_message}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """What the function takes."""
    name: str = request.param
    return name


def desk_for(way: str, answer: Answer, **settings: Any) -> App:
    """Return an application with one event, "do", whose function takes what `way` says."""
    app = App(**settings)
    app.events("/", dialect=Typed()).on("do")(WAYS[way](answer))
    return app


def is_short(ws: TestWebSocket) -> bool:
    session: Any = ws.peer.connection.consumer
    return session.endpoint.shortcut is not None


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def fulfil(wish: Wish) -> Any:
    what = wish.what
    if what == "reject":
        raise Reject("no")
    if what == "fail":
        raise LookupError
    if what == "cancelled":
        raise asyncio.CancelledError
    if what == "close":
        return Close(4000, "bye")
    if what == "reply":
        return Reply({"a": 1, "b": 2}, name="other", exclude={"b"})
    if what == "stream":
        return numbers(2)
    special = {"none": None, "unsayable": object(), "unset": msgspec.UNSET, "bytes": b"binary"}
    return special.get(what, what)


async def test_every_way_says_the_same(way: str) -> None:
    async with talking(desk_for(way, fulfil)) as ws:
        assert is_short(ws) is (way in SHORT)
        send(ws, message("do", {"what": "none"}), message("do", {"what": "alone"}))
        assert await ws.receive_json() == {"type": "do", "data": "alone"}
        for what in ("fail", "cancelled", "unsayable", "unset"):
            assert plain(await ask(ws, "do", {"what": what})) == error("internal", "do")
        assert plain(await ask(ws, "do", {"what": "reject"})) == error("no", "do")
        await ask(ws, "do", {"what": "stream"})
        assert await heard(ws, 2) == [value("do", 1, seq=1), end(2)]
        await ws.send_bytes(message("do", {"what": "x"}, id=1).encode())
        assert plain(await ws.receive_json()) == error("wrong_frame", id=None)
        assert await ask(ws, "do", {"what": "x", "other": 1}) == value("do", "x")
        assert await ask(ws, "do", {"what": "none"}) == value("do")
        assert await ask(ws, "do", {"what": "reply"}) == value("other", {"a": 1})
        said = await ask(ws, "do", {"what": 5})
        assert plain(said) == error("validation", "do")
        assert [problem["loc"] for problem in said["details"]] == [["what"]]
        assert plain(await ask(ws, "nobody")) == error("not_found", "nobody")
        send(ws, message("do", {"what": "close"}, id=1), message("do", {"what": "late"}, id=2))
        await ws.assert_closed(4000, "bye")


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ('{"id": 7, "data": {"what": "x"}, "type": "do"}', value("do", "x", id=7)),
        ('{"type": "d\\u006f", "id": "a\\"b", "data": {"what": "ü"}}', value("do", "ü", id='a"b')),  # type: ignore[arg-type]
        ('{"type": "do", "id": 1, "id": 2, "data": {"what": "x"}}', value("do", "x", id=2)),
        ('{"type": "do", "id": 1, "data": 5, "data": {"what": "x"}}', value("do", "x")),
        (
            '{"type": "do", "type": "nobody", "id": 1, "data": {"what": "x"}}',
            error("not_found", "nobody"),
        ),
        ('{"type": "nobody", "type": "do", "id": 1, "data": {"what": "x"}}', value("do", "x")),
        ('{"type": "do", "type": "ping", "id": 1, "data": {}}', {"type": "pong", "id": 1}),
        ('{"type": "do", "id": 1.5, "data": {"what": "x"}}', error("malformed", id=None)),
        ('{"type": "do", "id": 1, "data": {"what": "x"}} ', value("do", "x")),
        ('{"type": "do", "id": 1, "data": {"what": "x"}}]', error("malformed", id=None)),
        ('{"type": "do", "id": 1}', error("validation", "do")),
        ('{"id": 1, "data": {"what": "x"}}', error("malformed", id=None)),
        ('{"type": "", "id": 1, "data": {"what": "x"}}', error("malformed", id=None)),
    ],
    ids=range(13),
)
async def test_every_way_reads_the_same(way: str, frame: str, answer: Any) -> None:
    async with talking(desk_for(way, fulfil)) as ws:
        await ws.send_text(frame)
        assert plain(await ws.receive_json()) == answer


async def test_an_answer_does_not_wait_for_the_next_handler(way: str) -> None:
    gate, begun = Gate(), list[str]()

    async def answer(wish: Wish) -> str:
        begun.append(wish.what)
        if wish.what == "slow":
            await gate()
        return wish.what

    async with talking(desk_for(way, answer)) as ws:
        wishes = ["quick", "slow", "later"]
        send(ws, *[message("do", {"what": what}, id=1) for what in wishes])
        await gate.reached.wait()
        assert await ws.receive_json() == value("do", "quick")
        assert begun == ["quick", "slow"]
        gate.open.set()
        assert await heard(ws, 2) == [value("do", "slow"), value("do", "later")]


async def test_what_a_handler_sends_comes_between_the_answers(way: str) -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    people = list[WebSocket]()

    @desk.on_ready
    async def join(ws: WebSocket) -> None:
        people.append(ws)

    async def answer(wish: Wish) -> str:
        await people[0].send_event("said", wish.what)
        return wish.what

    desk.on("do")(WAYS[way](answer))
    async with talking(app) as ws:
        send(ws, message("do", {"what": "a"}, id=1), message("do", {"what": "b"}, id=2))
        assert await heard(ws, 4) == [
            {"type": "said", "data": "a"},
            value("do", "a"),
            {"type": "said", "data": "b"},
            value("do", "b", id=2),
        ]


async def test_a_handler_that_closes_says_no_more_and_nothing_is_handled_after_it(way: str) -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    people, begun = list[WebSocket](), list[str]()

    @desk.on_ready
    async def join(ws: WebSocket) -> None:
        people.append(ws)

    async def answer(wish: Wish) -> str:
        begun.append(wish.what)
        if wish.what == "close":
            await people[0].close(4001)
        return wish.what

    desk.on("do")(WAYS[way](answer))
    async with talking(app) as ws:
        send(ws, *[message("do", {"what": what}, id=1) for what in ("a", "close", "b")])
        assert await ws.receive_json() == value("do", "a")
        await ws.assert_closed(4001)
    assert begun == ["a", "close"]


async def test_a_peer_that_does_not_read_holds_up_its_own_handlers(way: str) -> None:
    begun = list[int]()

    async def answer(wish: Wish) -> str:
        begun.append(len(begun))
        return wish.what

    async with talking(desk_for(way, answer, outbox_frames=8)) as ws:
        ws.peer.stop_reading()
        send(ws, *[message("do", {"what": "x"}, id=number) for number in range(30)])
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(begun) == 6
        ws.peer.start_reading()
        assert [said["id"] for said in await heard(ws, 30)] == list(range(30))


async def test_answers_that_are_too_much_meet_the_bound_in_bytes(way: str) -> None:
    begun = list[int]()

    async def answer(wish: Wish) -> str:
        begun.append(len(begun))
        return "x" * 400

    async with talking(desk_for(way, answer, outbox_bytes=2000)) as ws:
        ws.peer.stop_reading()
        send(ws, *[message("do", {"what": "x"}, id=number) for number in range(30)])
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(begun) == 4
        ws.peer.start_reading()
        assert [said["id"] for said in await heard(ws, 30)] == list(range(30))


async def test_reading_goes_on_when_half_of_a_full_inbox_is_handled(way: str) -> None:
    gate, paused = Gate(), list[bool]()
    app = App(inbox_frames=8)
    desk = app.events("/", dialect=Typed())

    async def answer(wish: Wish) -> None:
        await gate()
        paused.append(not connection.readable.is_set())

    desk.on("do")(WAYS[way](answer))
    async with talking(app) as ws:
        connection = ws.peer
        send(ws, *[message("do", {"what": "x"}) for _ in range(8)])
        gate.open.set()
        send(ws, message("do", {"what": "x"}, id=1))
        await ws.receive_json()
        assert connection.connection.inbox_size == 0
    assert paused == [True] * 4 + [False] * 5


async def test_a_call_that_was_cancelled_while_it_waited_is_forgotten_when_it_is_over(
    way: str,
) -> None:
    gate = Gate()

    async def answer(wish: Wish) -> Any:
        if wish.what == "slow":
            await gate()
            return None
        return numbers(1)

    slow, stream = message("do", {"what": "slow"}), message("do", {"what": "stream"}, id=1)
    async with talking(desk_for(way, answer)) as ws:
        send(ws, stream)
        assert await heard(ws, 2) == [value("do", 0, seq=0), end(1)]
        send(ws, slow, stream)
        await gate.reached.wait()
        send(ws, message("cancel", id=1), stream)
        gate.open.set()
        assert await heard(ws, 3) == [end(0), value("do", 0, seq=0), end(1)]


# --- what else a function may take --------------------------------------------------------------


async def test_the_path_and_the_query_are_at_hand() -> None:
    app = App()
    desk = app.events("/rooms/{room:int}", dialect=Typed())

    @desk.on("do")
    async def do(
        what: str, room: int, number: Annotated[int, Path("room")], of: Annotated[str, Query()]
    ) -> Any:
        return [what, room, number, of]

    async with talking(app, "/rooms/5?of=me") as ws:
        assert is_short(ws)
        assert await ask(ws, "do", {"what": "x", "room": 7}) == value("do", ["x", 5, 5, "me"])


async def test_the_user_is_at_hand() -> None:
    app = App()
    desk = app.events("/", dialect=Typed(), auth=FirstMessage(user_of))

    @desk.on("who")
    async def who(user: User, much: int) -> Any:
        return [user.name, much]

    async with talking(app) as ws:
        send(ws, login("ada"), message("who", {"much": 2, "user": {"name": "eve"}}, id=1))
        assert await heard(ws, 2) == [{"type": "ready"}, value("who", ["ada", 2])]
        assert is_short(ws)


async def test_a_method_of_a_controller_has_its_object() -> None:
    app = App()

    @app.controller("/")
    class Counter(Controller):
        def __init__(self) -> None:
            self.sum = 0

        async def on_receive(self, wish: Wish) -> Any:
            self.sum += wish.much
            return self.sum

    async with talking(app) as ws:
        assert is_short(ws)
        for much in (1, 2):
            await ws.send_json({"what": "x", "much": much})
        assert [await ws.receive_json() for _ in range(2)] == [1, 3]


async def test_a_function_without_a_payload_takes_any() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())

    @desk.on("do")
    async def do() -> str:
        return "done"

    async with talking(app) as ws:
        assert is_short(ws)
        assert await ask(ws, "do") == value("do", "done")
        assert await ask(ws, "do", [1, {"a": 2}]) == value("do", "done")
        await ws.send_text('{"type": "do", "data": nonsense}')
        assert plain(await ws.receive_json()) == error("malformed", id=None)


async def test_the_defaults_of_fields_are_each_messages_own() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())

    @desk.on("add")
    async def add(word: str = "x", words: list[str] = []) -> Any:  # noqa: B006
        words.append(word)
        return words

    async with talking(app) as ws:
        assert is_short(ws)
        assert await ask(ws, "add") == value("add", ["x"])
        assert await ask(ws, "add", {"word": "y"}) == value("add", ["y"])
        assert await ask(ws, "add", {"words": ["a"]}) == value("add", ["a", "x"])


class Model(BaseModel):
    what: str = "tea"


async def test_a_model_of_pydantic_is_read_in_the_same_pass() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())

    @desk.on("do")
    async def do(model: Model) -> Model:
        return model

    @desk.on("fields")
    async def fields(model: Model, much: int) -> Any:
        return [model, much]

    async with talking(app) as ws:
        assert is_short(ws)
        assert await ask(ws, "do", {"what": "x"}) == value("do", {"what": "x"})
        assert await ask(ws, "do") == value("do", {"what": "tea"})
        assert plain(await ask(ws, "do", {"what": 1})) == error("validation", "do")
        said = await ask(ws, "fields", {"model": {}, "much": 2})
        assert said == value("fields", [{"what": "tea"}, 2])


async def test_functions_that_are_added_later_have_lanes_too() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())

    @desk.on("first")
    async def first(what: str) -> str:
        return what

    async with talking(app) as ws:
        assert await ask(ws, "first", {"what": "x"}) == value("first", "x")

        @desk.on("second")
        async def second(what: str) -> str:
            return what * 2

        session: Any = ws.peer.connection.consumer
        assert session.endpoint.lanes == {"first", "second"}
        assert session.endpoint.shortcut.read(message("second", {"what": "x"})).body.what == "x"
        assert await ask(ws, "second", {"what": "x"}) == value("second", "xx")
        assert await ask(ws, "first", {"what": "x"}) == value("first", "x")

        @desk.before
        async def check() -> None:
            raise Reject("no")

        assert plain(await ask(ws, "first", {"what": "x"})) == error("no", "first")


async def test_what_a_function_writes_to_a_session_in_a_store_is_saved() -> None:
    store = MemorySessions()
    app = App(secret_key="k" * 32, sessions=store)
    desk = app.events("/", dialect=Typed())

    @desk.on_connect
    async def begin(ws: WebSocket) -> None:
        ws.session["n"] = 0

    @desk.on("count")
    async def count(ws: WebSocket, much: int) -> None:
        ws.session["n"] += much

    @desk.on("stored")
    async def stored(ws: WebSocket) -> Any:
        return await ws.session.stored_value("n")  # type: ignore[attr-defined]

    async with talking(app) as ws:
        send(ws, message("count", {"much": 2}), message("stored", id=1))
        assert await ws.receive_json() == value("stored", 2)


# --- messages without names ---------------------------------------------------------------------


@pytest.mark.parametrize("takes", WAYS.values(), ids=WAYS)
async def test_json_without_names_has_the_same_ways(
    takes: Callable[[Answer], Callable[..., Any]],
) -> None:
    app = App()
    app.ws("/", dialect=Raw("json"))(takes(fulfil))
    async with talking(app) as ws:
        assert is_short(ws) is (takes is not takes_message)
        for what in ("none", "x"):
            await ws.send_json({"what": what})
        assert await ws.receive_json() == "x"
        codes = {"reject": "no", "fail": "internal", "cancelled": "internal", "unset": "internal"}
        for what, code in codes.items():
            await ws.send_json({"what": what})
            assert (await ws.receive_json())["error"]["code"] == code
        await ws.send_text("nonsense")
        assert (await ws.receive_json())["error"]["code"] == "malformed"
        await ws.send_json({"what": 5})
        assert (await ws.receive_json())["error"]["code"] == "validation"
        await ws.send_json({"what": "stream"})
        assert [await ws.receive_json() for _ in range(2)] == [0, 1]
        await ws.send_json({"what": "reply"})
        assert await ws.receive_json() == {"a": 1}
        await ws.send_json({"what": "bytes"})
        assert await ws.receive_bytes() == b"binary"
        await ws.send_bytes(b'{"what": "x"}')
        assert (await ws.receive_json())["error"]["code"] == "wrong_frame"
        await ws.send_json({"what": "close"})
        await ws.assert_closed(4000, "bye")


async def test_text_may_come_with_the_connection() -> None:
    app = App()

    @app.ws("/")
    async def echo(msg: str, ws: WebSocket) -> Any:
        return f"{ws.handshake.path} {msg}" if msg else b"binary"

    async with talking(app) as ws:
        assert is_short(ws)
        for text in ("a", "b"):
            await ws.send_text(text)
        assert [await ws.receive_text() for _ in range(2)] == ["/ a", "/ b"]
        await ws.send_text("")
        assert await ws.receive_bytes() == b"binary"


async def test_json_that_nothing_takes_is_not_read() -> None:
    app = App()

    @app.ws("/", dialect=Raw("json"))
    async def done() -> str:
        return "done"

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_text("nonsense")
        assert await ws.receive_json() == "done"


async def test_what_the_long_way_raises_has_no_error_of_reading_before_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    live = app.events("/", dialect=Typed())

    @live.on("plain")
    async def answer(text: str) -> str:
        return text

    @live.on("stream")
    async def stream(text: str) -> AsyncIterator[str]:
        yield text
        raise RuntimeError("boom")

    async with talking(app) as ws:
        assert await ask(ws, "stream", {"text": "x"}) == value("stream", "x", seq=0)
        assert (await ws.receive_json())["code"] == "internal"
    assert "RuntimeError: boom" in caplog.text
    assert "ValidationError" not in caplog.text
