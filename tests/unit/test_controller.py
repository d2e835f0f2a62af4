"""Controllers: one object per connection, what it is given, and both of its ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Gate, Journal, talking
from wirework import (
    App,
    Call,
    Close,
    Controller,
    Depends,
    FirstMessage,
    Query,
    Refuse,
    RegistrationError,
    Reject,
    Reply,
    Router,
    WebSocket,
)
from wirework.dialects import Raw, State, Status, Typed
from wirework.replies import BadRequest, Ok
from wirework.testing import HandshakeRefused, TestClient

JOURNAL = Journal()
get_db, get_pool = JOURNAL.lending("db"), JOURNAL.lending("pool")


@pytest.fixture(autouse=True)
def _new_journal() -> None:
    JOURNAL.lines.clear()


class ChatRequest(msgspec.Struct):
    text: str


class ChatResponse(msgspec.Struct):
    text: str
    count: int


def said(body: Any, status: int = 200) -> dict[str, Any]:
    return {"statusCode": status, "body": body}


# --- one object per connection ------------------------------------------------------------------


async def test_each_connection_has_an_object_with_its_own_state() -> None:
    app = App()

    @app.controller("/chat/{room}", dialect=Status())
    class Chat(Controller):
        def __init__(self, room: str) -> None:
            self.room = room
            self.texts: list[str] = []

        async def on_connect(self) -> None:
            await self.send(f"welcome to {self.room}")

        async def on_receive(self, data: ChatRequest) -> Reply:
            if not data.text:
                return BadRequest("say something")
            self.texts.append(data.text)
            return Ok(ChatResponse(data.text, len(self.texts)))

        async def on_disconnect(self, code: int, reason: str) -> None:
            JOURNAL.lines.append(f"{self.room} {len(self.texts)} {code} {reason}")

    async with (
        TestClient(app) as client,
        client.connect("/chat/a") as a,
        client.connect("/chat/b") as b,
    ):
        assert await a.receive_json() == said("welcome to a")
        assert await b.receive_json() == said("welcome to b")
        for count in (1, 2):
            await a.send_json({"text": "hi"})
            assert await a.receive_json() == said({"text": "hi", "count": count})
        await b.send_json({"text": ""})
        assert (await b.receive_json())["statusCode"] == 400
        await b.send_json({"text": 5})
        assert (await b.receive_json())["statusCode"] == 400
        await b.close(4001, "bye")
    assert JOURNAL.lines == ["b 0 4001 bye", "a 2 1000 "]


async def test_only_on_receive_is_required() -> None:
    app = App()

    @app.controller("/")
    class Echo(Controller):
        async def on_receive(self, text: str) -> str:
            return text

    async with talking(app) as ws:
        await ws.send_text("hi")
        assert await ws.receive_text() == "hi"


async def test_its_connection_is_there_in_the_constructor_and_everywhere() -> None:
    app = App()

    @app.controller("/", dialect=Status())
    class Chat(Controller):
        def __init__(self) -> None:
            self.seen = [self.ws]

        async def on_connect(self, ws: WebSocket) -> None:
            self.seen += [self.ws, ws]

        async def on_receive(self, n: int, ws: WebSocket, message: Call) -> bool:
            self.seen += [self.ws, ws]
            return len({id(each) for each in self.seen}) == 1 and message.name == ""

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == said(True)


async def test_on_receive_may_stream_run_in_a_thread_and_depend() -> None:
    app = App()

    @app.controller("/stream", dialect=Status())
    class Stream(Controller):
        async def on_receive(
            self, n: int, db: Annotated[str, Depends(get_db)]
        ) -> AsyncIterator[int]:
            for number in range(n):
                yield number

    @app.controller("/thread", dialect=Status())
    class Thread(Controller):
        def on_receive(self, n: int) -> int:
            return n + 1

    async with TestClient(app) as client:
        async with client.connect("/stream") as ws:
            await ws.send_json({"n": 2})
            assert [await ws.receive_json() for _ in range(2)] == [said(0), said(1)]
        async with client.connect("/thread") as ws:
            await ws.send_json({"n": 2})
            assert await ws.receive_json() == said(3)
    assert JOURNAL.lines == ["open db", "close db"]


# --- injection ----------------------------------------------------------------------------------


async def test_what_the_constructor_is_given_lasts_as_long_as_the_connection() -> None:
    app = App()

    @app.controller("/", dialect=Status())
    class Chat(Controller):
        def __init__(
            self,
            db: Annotated[str, Depends(get_db)],
            pool: Annotated[str, Depends(get_pool, scope="connection")],
            limit: Annotated[int, Query()] = 5,
        ) -> None:
            JOURNAL.lines.append(f"made with {db} {pool} {limit}")

        async def on_receive(
            self, n: int, pool: Annotated[str, Depends(get_pool, scope="connection")]
        ) -> str:
            JOURNAL.lines.append("receive")
            return pool

        async def on_disconnect(self) -> None:
            JOURNAL.lines.append("disconnect")

    async with talking(app, "/?limit=7") as ws:
        for _ in range(2):
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == said("pool")
    begin = ["open db", "open pool", "made with db pool 7", "receive", "receive", "disconnect"]
    assert JOURNAL.lines == [*begin, "close pool", "close db"]


async def test_on_receive_has_its_message_dependencies_besides_those_of_the_constructor() -> None:
    app = App()

    @app.controller("/", dialect=Status())
    class Chat(Controller):
        def __init__(self, db: Annotated[str, Depends(get_db)]) -> None:
            self.db = db

        async def on_receive(self, n: int, db: Annotated[str, Depends(get_db)]) -> str:
            return db + self.db

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == said("dbdb")
        assert JOURNAL.lines == ["open db", "open db", "close db"]
    assert JOURNAL.lines == ["open db", "open db", "close db", "close db"]


async def test_the_user_is_known_after_the_first_message() -> None:
    async def verify(token: str) -> str:
        return token.upper()

    app = App()

    @app.controller("/", dialect=Typed(), auth=FirstMessage(verify))
    class Chat(Controller):
        async def on_connect(self, user: str) -> None:
            JOURNAL.lines.append(f"connect {user}")

        async def on_receive(self, user: str) -> str:
            return user

    async with talking(app) as ws:
        await ws.send_json({"type": "auth", "data": {"token": "ada"}})
        await ws.send_json({"type": "any", "id": 1, "data": {"user": "eve"}})
        assert await ws.receive_json() == {"type": "ready"}
        assert await ws.receive_json() == {"type": "any", "id": 1, "data": "ADA"}
    assert JOURNAL.lines == ["connect None"]


@pytest.mark.parametrize("style", ["controller", "websocket", "ws"])
async def test_a_constructor_that_raises_is_refused_with_500_and_nothing_leaks(
    style: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.controller("/controller")
    class Chat(Controller):
        def __init__(self, db: Annotated[str, Depends(get_db)]) -> None:
            raise KeyError("secret")

        async def on_connect(self) -> None:
            JOURNAL.lines.append("connect")

        async def on_receive(self, text: str) -> None: ...

        async def on_disconnect(self) -> None:
            JOURNAL.lines.append("disconnect")

        @app.websocket("/websocket")
        async def handler(self, ws: WebSocket) -> None:
            JOURNAL.lines.append("handler")

        @app.ws("/ws")
        async def message(self, text: str) -> None: ...

    with pytest.raises(HandshakeRefused) as caught:
        async with talking(app, f"/{style}"):
            pass
    assert (caught.value.status, b"secret" in caught.value.body) == (500, False)
    assert "KeyError: 'secret'" in caplog.text
    assert JOURNAL.lines == ["open db", "KeyError in db", "close db"]


async def test_a_constructor_may_refuse() -> None:
    app = App()

    @app.controller("/")
    class Chat(Controller):
        def __init__(self) -> None:
            raise Reject("full", "try later")

        async def on_receive(self, text: str) -> None: ...

    with pytest.raises(HandshakeRefused) as caught:
        async with talking(app):
            pass
    assert (caught.value.status, b"try later" in caught.value.body) == (403, True)


# --- both ends ----------------------------------------------------------------------------------


async def test_on_connect_may_refuse_and_no_on_disconnect_follows() -> None:
    app = App()

    @app.controller("/")
    class Chat(Controller):
        def __init__(self, db: Annotated[str, Depends(get_db)]) -> None: ...

        async def on_connect(self) -> None:
            raise Refuse(402)

        async def on_receive(self, text: str) -> None: ...

        async def on_disconnect(self) -> None:
            JOURNAL.lines.append("disconnect")

    with pytest.raises(HandshakeRefused) as caught:
        async with talking(app):
            pass
    assert caught.value.status == 402
    assert JOURNAL.lines == ["open db", "Refuse in db", "close db"]


@pytest.mark.parametrize("who", ["peer", "handler", "both", "error", "shutdown"])
async def test_on_disconnect_runs_exactly_once_whoever_ends_it(who: str) -> None:
    app = App()
    gate = Gate()

    @app.controller("/", dialect=Raw("text"))
    class Chat(Controller):
        async def on_receive(self, text: str) -> Any:
            if who == "error":
                raise KeyError("unforeseen")
            if who == "both":
                await gate()
            return Close(4000)

        async def on_disconnect(self, code: int) -> None:
            JOURNAL.lines.append(f"disconnect {code}")

    client = TestClient(app)
    await client.__aenter__()
    async with client.connect("/") as ws:
        if who in ("handler", "both", "error"):
            await ws.send_text("x")
        if who == "both":
            await gate.reached.wait()
            ws.peer.close(4001)
            gate.open.set()
        elif who == "peer":
            await ws.close(4001)
        elif who != "shutdown":
            await ws.assert_closed(4000 if who == "handler" else 1011)
        else:
            await client.__aexit__(None, None, None)
    if who != "shutdown":
        await client.__aexit__(None, None, None)
    codes = {"peer": 4001, "both": 4001, "handler": 4000, "error": 1011, "shutdown": 1012}
    assert JOURNAL.lines == [f"disconnect {codes[who]}"]


# --- several routes -----------------------------------------------------------------------------


async def test_methods_with_routes_of_their_own_share_the_class_and_no_object() -> None:
    app = App()
    objects: list[int] = []

    @app.controller("/chat", dialect=Status())
    class Chat(Controller):
        greeting = "hello"

        def __init__(self, pool: Annotated[str, Depends(get_pool)]) -> None:
            objects.append(id(self))
            self.kept = self

        async def on_connect(self) -> None:
            JOURNAL.lines.append("connect")

        async def on_receive(self, n: int) -> int:
            return n

        @app.websocket("/raw/{number:int}")
        async def raw(self, ws: WebSocket, number: int) -> None:
            await ws.accept()
            await ws.send_text(f"{self.greeting} {number} {ws is self.ws}")

        @app.ws("/typed")
        async def typed(self, text: str) -> str:
            return f"{self.greeting} {text}"

    async with TestClient(app) as client:
        async with client.connect("/raw/7") as ws:
            assert await ws.receive_text() == "hello 7 True"
            await ws.assert_closed(1000)
        async with client.connect("/typed") as ws:
            await ws.send_text("you")
            assert await ws.receive_text() == "hello you"
        async with client.connect("/chat") as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == said(1)
    assert len(objects) == 3
    assert JOURNAL.lines == [*["open pool", "close pool"] * 2, "open pool", "connect", "close pool"]


async def test_a_controller_without_a_path_has_the_routes_of_its_methods() -> None:
    app = App()

    @app.controller()
    class Rooms(Controller):
        @app.ws("/a")
        async def a(self, text: str) -> str:
            return f"a {text}"

        @app.ws("/b")
        async def b(self, text: str) -> str:
            return f"b {text}"

    for name in "ab":
        async with talking(app, f"/{name}") as ws:
            await ws.send_text("x")
            assert await ws.receive_text() == f"{name} x"


async def test_a_router_keeps_controllers_for_the_application_that_includes_it() -> None:
    router = Router(prefix="/r", dialect=Status())

    @router.controller("/chat")
    class Chat(Controller):
        async def on_receive(self, n: int) -> int:
            return n

        @router.ws("/other")
        async def other(self, n: int) -> int:
            return -n

    app = App()
    app.include(router, prefix="/p")
    for path, expected in (("/p/r/chat", 1), ("/p/r/other", -1)):
        async with talking(app, path) as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == said(expected)


# --- inheritance --------------------------------------------------------------------------------


async def test_methods_and_the_constructor_may_be_inherited() -> None:
    app = App()

    class Base(Controller):
        def __init__(self, db: Annotated[str, Depends(get_db)]) -> None:
            self.db = db

        async def on_connect(self) -> None:
            JOURNAL.lines.append(type(self).__name__)

        async def on_receive(self, n: int) -> str:
            return f"{self.db} {self.double(n)}"

        def double(self, n: int) -> int:
            return n * 2

    @app.controller("/double", dialect=Status())
    class Double(Base): ...

    @app.controller("/triple", dialect=Status())
    class Triple(Base):
        def double(self, n: int) -> int:
            return n * 3

    for path, expected in (("/double", 2), ("/triple", 3)):
        async with talking(app, path) as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == said(f"db {expected}")
    assert [line for line in JOURNAL.lines if "db" not in line] == ["Double", "Triple"]


async def test_one_class_may_be_registered_twice() -> None:
    app = App()

    @app.controller("/a", dialect=Status())
    @app.controller("/b", dialect=Status(error_object=True))
    class Echo(Controller):
        async def on_receive(self, n: int) -> int:
            return n

    for path in ("/a", "/b"):
        async with talking(app, path) as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == said(1)


# --- misuse -------------------------------------------------------------------------------------


def test_without_on_receive_it_handles_nothing() -> None:
    with pytest.raises(RegistrationError) as caught:

        @App().controller("/chat")
        class Chat(Controller):
            async def on_connect(self) -> None: ...

    assert str(caught.value) == (
        "controller('/chat'), Chat: it has no on_receive; "
        "write async def on_receive(self, data: YourType)"
    )


def test_without_a_path_and_without_routes_it_handles_nothing() -> None:
    with pytest.raises(RegistrationError) as caught:

        @App().controller()
        class Chat(Controller):
            async def on_receive(self, text: str) -> None: ...

    assert str(caught.value) == (
        "controller(), Chat: it has no path, and no method with a route; "
        "write @app.controller('/path') and on_receive, or decorate a method"
    )


def test_a_class_that_is_no_controller_is_refused() -> None:
    app = App()
    with pytest.raises(RegistrationError, match=r"expected a subclass of Controller, got <class"):

        @app.controller("/chat")
        class Chat:  # type: ignore[type-var]
            async def on_receive(self, text: str) -> None: ...

    with pytest.raises(RegistrationError, match=r"expected a subclass of Controller, got <class"):

        @app.controller()
        class Rooms:  # type: ignore[type-var]
            @app.ws("/room")
            async def room(self, text: str) -> None: ...


def test_the_decorator_needs_its_parentheses() -> None:
    decorate: Any = App().controller
    with pytest.raises(RegistrationError, match="the decorator has no path"):

        @decorate
        class Chat(Controller): ...


@pytest.mark.parametrize("method", ["__init__", "on_connect", "on_receive", "on_disconnect"])
def test_a_parameter_that_nothing_fills_is_named_with_its_method(method: str) -> None:
    class Chat(Controller):
        async def on_receive(self, text: str) -> None: ...

    def wrong(self: Any, other: list[str], *, code: bytes) -> None: ...

    wrong.__qualname__ = f"Chat.{method}"
    setattr(Chat, method, wrong)
    if method == "on_receive":
        App().controller("/")(Chat)  # both are fields of the payload there
        return
    with pytest.raises(RegistrationError, match=r"Chat(.__init__)?.*: parameter 'other' \(list"):
        App().controller("/")(Chat)


def test_a_route_of_a_method_whose_class_was_forgotten_is_told_before_it_starts() -> None:
    app, router = App(), Router()

    class Chat(Controller):
        @app.ws("/chat")
        async def chat(self, text: str) -> None: ...

        @router.websocket("/raw")
        async def raw(self, ws: WebSocket) -> None: ...

    remedy = "it is a method, but its class is no controller of this application"
    with pytest.raises(RegistrationError, match=rf"websocket\('/raw'\), .*raw: {remedy}"):
        app.include(router)
    with pytest.raises(RegistrationError, match=rf"ws\('/chat'\), .*chat: {remedy}"):
        app.check_methods()


async def test_a_forgotten_class_keeps_the_application_from_starting() -> None:
    app = App()

    class Chat(Controller):
        @app.ws("/chat")
        async def chat(self, text: str) -> None: ...

    with pytest.raises(RegistrationError, match=r"write @app.controller\(\) above the class"):
        async with TestClient(app):
            pass


def test_a_class_is_no_endpoint_for_events() -> None:
    app = App()
    with pytest.raises(RegistrationError, match="expected a function, got a class"):
        app.events("/", dialect=State()).on("x")(Controller)
