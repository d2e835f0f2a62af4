from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest

from tests.unit.applications import talking
from wirework import (
    App,
    Close,
    Depends,
    Handshake,
    Header,
    Refuse,
    RegistrationError,
    Reject,
    WebSocket,
)
from wirework.depends import kind_of
from wirework.testing import HandshakeRefused, TestClient


class Journal:
    """Notes what happens, and makes dependencies that note their life in it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def lending(self, name: str) -> Callable[[], AsyncIterator[str]]:
        async def lend() -> AsyncIterator[str]:
            self.lines.append(f"open {name}")
            try:
                yield name
            except BaseException as error:
                self.lines.append(f"{type(error).__name__} in {name}")
                raise
            finally:
                self.lines.append(f"close {name}")

        return lend


@pytest.fixture
def journal() -> Journal:
    return Journal()


# --- kinds --------------------------------------------------------------------------------------


def make() -> int:
    return threading.get_ident()


async def make_async() -> int:
    return threading.get_ident()


def lend() -> Iterator[int]:
    yield threading.get_ident()


async def lend_async() -> AsyncIterator[int]:
    yield threading.get_ident()


class Maker:
    def __call__(self) -> int:
        return threading.get_ident()


class Made:
    def __init__(self, handshake: Handshake) -> None:
        self.path = handshake.path


@pytest.mark.parametrize(
    ("function", "kind", "runs_in_a_thread"),
    [
        (make, "sync", True),
        (functools.partial(make), "sync", True),
        (Maker(), "sync", True),
        (make_async, "async", False),
        (lend, "generator", True),
        (lend_async, "async generator", False),
    ],
)
async def test_every_kind_of_function_makes_a_value_and_the_plain_ones_in_threads(
    function: Callable[..., Any], kind: str, runs_in_a_thread: bool
) -> None:
    app = App()

    @app.ws("/")
    async def on_message(msg: str, thread: Annotated[int, Depends(function)]) -> bool:
        return thread != threading.get_ident()

    assert kind_of(function) == kind
    async with talking(app) as ws:
        await ws.send_text("x")
        assert await ws.receive_json() is runs_in_a_thread


async def test_a_class_makes_an_instance_its_parameters_filled() -> None:
    app = App()

    @app.ws("/here")
    async def on_message(msg: str, made: Annotated[Made, Depends(Made)]) -> str:
        return made.path

    async with talking(app, "/here") as ws:
        await ws.send_text("x")
        assert await ws.receive_text() == "/here"


async def test_dependencies_take_what_handlers_take() -> None:
    app = App()

    async def describe(
        ws: WebSocket, room: int, x_key: Annotated[str, Header()] = "x-value"
    ) -> list[Any]:
        return [ws.path_params["room"], room, x_key]

    @app.ws("/{room:int}")
    async def on_message(msg: str, found: Annotated[list[Any], Depends(describe)]) -> Any:
        return found

    async with talking(app, "/7") as ws:
        await ws.send_text("x")
        assert await ws.receive_json() == [7, 7, "x-value"]


async def test_a_dependency_may_read_the_plain_payload_as_data() -> None:
    app = App()

    async def tenant(data) -> str:  # type: ignore[no-untyped-def]
        return str(data["tenant"])

    @app.ws("/")
    async def on_message(text: str, of: Annotated[str, Depends(tenant)]) -> list[str]:
        return [text, of]

    async with talking(app) as ws:
        await ws.send_json({"tenant": "acme", "text": "hi"})
        assert await ws.receive_json() == ["hi", "acme"]


# --- lifetimes ----------------------------------------------------------------------------------


async def test_a_message_dependency_lives_as_long_as_its_message(journal: Journal) -> None:
    app = App()
    get_db = journal.lending("db")

    @app.ws("/")
    async def on_message(msg: str, db: Annotated[str, Depends(get_db)]) -> str:
        journal.lines.append(msg)
        return msg

    async with talking(app) as ws:
        assert journal.lines == []
        for msg in ("1", "2"):
            await ws.send_text(msg)
            await ws.receive_text()
            assert journal.lines[-3:] == ["open db", msg, "close db"]
    assert len(journal.lines) == 6


async def test_a_message_dependency_is_released_before_the_reply_leaves(journal: Journal) -> None:
    app = App()

    async def committing() -> AsyncIterator[str]:
        yield "db"
        raise Reject("conflict")

    @app.ws("/")
    async def on_message(n: int, db: Annotated[str, Depends(committing)]) -> str:
        return "saved"

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == {"error": {"code": "conflict", "message": "conflict"}}


async def test_a_connection_dependency_is_made_once_and_released_after_disconn(
    journal: Journal,
) -> None:
    app = App()
    kept = Annotated[str, Depends(journal.lending("pool"), scope="connection")]

    async def conn(pool: kept) -> None:
        journal.lines.append("conn")

    async def disconn(pool: kept) -> None:
        journal.lines.append("disconn")

    @app.ws("/", conn=conn, disconn=disconn)
    async def on_message(msg: str, pool: kept) -> str:
        return msg

    async with talking(app) as ws:
        for msg in ("1", "2"):
            await ws.send_text(msg)
            await ws.receive_text()
        assert journal.lines == ["open pool", "conn"]
    assert journal.lines == ["open pool", "conn", "disconn", "close pool"]


async def test_an_idle_connection_holds_no_dependency_that_nobody_asked_for(
    journal: Journal,
) -> None:
    app = App()
    kept = Depends(journal.lending("pool"), scope="connection")

    @app.ws("/")
    async def on_message(msg: str, pool: Annotated[str, kept]) -> None: ...

    async with talking(app):
        pass
    assert journal.lines == []


async def test_one_message_makes_a_dependency_once_however_often_it_is_asked_for() -> None:
    app = App()
    made: list[object] = []

    async def thing() -> object:
        made.append(object())
        return made[-1]

    async def user(thing: Annotated[object, Depends(thing)]) -> object:
        return thing

    @app.ws("/")
    async def on_message(
        msg: str,
        one: Annotated[object, Depends(thing)],
        other: Annotated[object, Depends(thing)],
        through: Annotated[object, Depends(user)],
    ) -> bool:
        return one is other is through

    async with talking(app) as ws:
        for _ in range(2):
            await ws.send_text("x")
            assert await ws.receive_json() is True
    assert len(made) == 2
    assert made[0] is not made[1]


async def test_nested_dependencies_are_released_last_made_first(journal: Journal) -> None:
    app = App()
    pool = journal.lending("pool")

    async def session(pool: Annotated[str, Depends(pool)]) -> AsyncIterator[str]:
        journal.lines.append(f"open session of {pool}")
        yield "session"
        journal.lines.append("close session")

    @app.ws("/")
    async def on_message(msg: str, session: Annotated[str, Depends(session)]) -> str:
        return session

    async with talking(app) as ws:
        await ws.send_text("x")
        assert await ws.receive_text() == "session"
    assert journal.lines == ["open pool", "open session of pool", "close session", "close pool"]


async def test_connection_dependencies_may_depend_on_one_another(journal: Journal) -> None:
    app = App()
    pool = journal.lending("pool")

    async def session(
        pool: Annotated[str, Depends(pool, scope="connection")],
    ) -> AsyncIterator[str]:
        yield f"session of {pool}"
        journal.lines.append("close session")

    kept = Depends(session, scope="connection")

    @app.ws("/")
    async def on_message(msg: str, session: Annotated[str, kept]) -> str:
        return session

    async with talking(app) as ws:
        await ws.send_text("x")
        assert await ws.receive_text() == "session of pool"
    assert journal.lines == ["open pool", "close session", "close pool"]


async def test_concurrent_messages_share_one_connection_dependency() -> None:
    app = App()
    made: list[int] = []
    both = asyncio.Barrier(2)

    async def pool() -> int:
        made.append(1)
        await asyncio.sleep(0)
        return len(made)

    @app.ws("/", concurrency=2)
    async def on_message(msg: str, pool: Annotated[int, Depends(pool, scope="connection")]) -> int:
        await both.wait()
        return pool

    async with talking(app) as ws:
        await ws.send_text("x")
        await ws.send_text("x")
        assert [await ws.receive_json(), await ws.receive_json()] == [1, 1]


async def test_in_a_connection_handler_both_scopes_last_until_it_ends(journal: Journal) -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(
        ws: WebSocket,
        one: Annotated[str, Depends(journal.lending("one"))],
        two: Annotated[str, Depends(journal.lending("two"), scope="connection")],
    ) -> None:
        await ws.accept()
        async for _ in ws:
            journal.lines.append("message")

    async with talking(app) as ws:
        await ws.send_text("x")
    assert journal.lines == ["open one", "open two", "message", "close two", "close one"]


async def test_http_routes_release_their_dependencies_too(journal: Journal) -> None:
    app = App()

    @app.get("/")
    async def page(db: Annotated[str, Depends(journal.lending("db"))]) -> str:
        return db

    @app.get("/broken")
    async def broken(db: Annotated[str, Depends(journal.lending("db"))]) -> str:
        raise Reject("no")

    async with TestClient(app) as client:
        assert (await client.get("/")).text == "db"
        assert (await client.get("/broken")).status_code == 403
    assert journal.lines == ["open db", "close db", "open db", "Reject in db", "close db"]


# --- every exit ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("no"), Reject("no"), Close(4000)])
async def test_an_error_of_the_handler_reaches_the_dependency_and_it_cleans_up(
    journal: Journal, error: Exception
) -> None:
    app = App()

    @app.ws("/")
    async def on_message(n: int, db: Annotated[str, Depends(journal.lending("db"))]) -> str:
        raise error

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
    kind = type(error).__name__
    assert journal.lines == ["open db", f"{kind} in db", "close db"]


async def test_a_sync_generator_sees_the_error_and_cleans_up_in_a_thread() -> None:
    app = App()
    seen: list[Any] = []

    def db() -> Iterator[str]:
        try:
            yield "db"
        except ValueError as error:
            seen.append(error)
            raise
        finally:
            seen.append(threading.get_ident() != main)

    main = threading.get_ident()

    @app.ws("/")
    async def on_message(n: int, db: Annotated[str, Depends(db)]) -> str:
        raise ValueError("no")

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert (await ws.receive_json())["error"]["code"] == "internal"
    assert [type(each) for each in seen] == [ValueError, bool]
    assert seen[1] is True


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_generator_may_take_care_of_the_error_and_there_is_no_reply(
    is_async: bool,
) -> None:
    app = App()

    async def forgiving_async() -> AsyncIterator[str]:
        with suppress(ValueError):
            yield "db"

    def forgiving() -> Iterator[str]:
        with suppress(ValueError):
            yield "db"

    function = forgiving_async if is_async else forgiving

    @app.ws("/")
    async def on_message(n: int, db: Annotated[str, Depends(function)]) -> int:
        if n == 0:
            raise ValueError("no")
        return n

    async with talking(app) as ws:
        await ws.send_json({"n": 0})
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == 1


async def test_an_error_that_the_dependency_took_care_of_ends_a_connection_normally() -> None:
    app = App()

    async def forgiving() -> AsyncIterator[str]:
        with suppress(ValueError):
            yield "db"

    @app.websocket("/")
    async def endpoint(ws: WebSocket, db: Annotated[str, Depends(forgiving)]) -> None:
        await ws.accept()
        raise ValueError("no")

    async with talking(app) as ws:
        await ws.assert_closed(1000)


async def test_cancellation_reaches_the_dependency_and_it_cleans_up(journal: Journal) -> None:
    app = App()
    is_running = asyncio.Event()

    @app.ws("/", cancel_on_disconnect=True)
    async def on_message(msg: str, db: Annotated[str, Depends(journal.lending("db"))]) -> None:
        is_running.set()
        await asyncio.Event().wait()

    async with talking(app) as ws:
        await ws.send_text("x")
        await is_running.wait()
    assert journal.lines == ["open db", "CancelledError in db", "close db"]


async def test_a_dependency_that_fails_is_an_error_of_the_message_and_the_others_clean_up(
    journal: Journal,
) -> None:
    app = App()

    async def broken() -> str:
        raise Reject("no_db", "come back later")

    @app.ws("/")
    async def on_message(
        n: int,
        first: Annotated[str, Depends(journal.lending("first"))],
        db: Annotated[str, Depends(broken)],
    ) -> str:
        return "never"

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert (await ws.receive_json())["error"]["code"] == "no_db"
    assert journal.lines == ["open first", "Reject in first", "close first"]


@pytest.mark.parametrize("way", ["raise", "refuse", "close"])
async def test_a_refused_handshake_releases_what_conn_has_taken(journal: Journal, way: str) -> None:
    app = App()
    kept = Annotated[str, Depends(journal.lending("pool"), scope="connection")]

    async def conn(ws: WebSocket, pool: kept, db: Annotated[str, Depends(db)]) -> None:
        if way == "raise":
            raise Refuse(403)
        await (ws.refuse(403) if way == "refuse" else ws.close(4403))

    @app.ws("/", conn=conn)
    async def on_message(msg: str) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused, match="403"):
            await client.connect("/").__aenter__()
    assert journal.lines[0] == "open pool"
    assert journal.lines[-1] == "close pool"


async def db() -> str:
    return "db"


async def test_a_connection_dependency_that_fails_to_end_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    async def broken() -> AsyncIterator[str]:
        yield "pool"
        raise ValueError("cannot end")

    @app.ws("/")
    async def on_message(
        msg: str, pool: Annotated[str, Depends(broken, scope="connection")]
    ) -> str:
        return pool

    async with talking(app) as ws:
        await ws.send_text("x")
        await ws.receive_text()
        await ws.close()
        assert ws.peer.connection.id in caplog.text
    assert "failed to end" in caplog.text
    assert "ValueError: cannot end" in caplog.text


# --- overrides ----------------------------------------------------------------------------------


async def user_of_token(authorization: Annotated[str, Header()]) -> str:
    return authorization


async def test_an_override_stands_in_within_its_block_and_asks_for_nothing_of_the_original() -> (
    None
):
    app = App()

    @app.ws("/")
    async def on_message(msg: str, user: Annotated[str, Depends(user_of_token)]) -> str:
        return user

    async def anna(handshake: Handshake) -> str:
        return f"anna at {handshake.path}"

    async with TestClient(app) as client:
        with client.override(user_of_token, anna):
            for _ in range(2):
                async with client.connect("/") as ws:
                    await ws.send_text("x")
                    assert await ws.receive_text() == "anna at /"
        with pytest.raises(HandshakeRefused, match="400"):
            await client.connect("/").__aenter__()


async def test_an_override_reaches_nested_and_lasting_dependencies() -> None:
    app = App()

    async def pool() -> str:
        raise AssertionError("not in tests")

    async def session(pool: Annotated[str, Depends(pool, scope="connection")]) -> str:
        return f"session of {pool}"

    @app.ws("/")
    async def on_message(msg: str, session: Annotated[str, Depends(session)]) -> str:
        return session

    async with TestClient(app) as client:
        with client.override(pool, lambda: "a stand-in"):
            async with client.connect("/") as ws:
                await ws.send_text("x")
                assert await ws.receive_text() == "session of a stand-in"


# --- mistakes -----------------------------------------------------------------------------------


def test_depends_checks_what_it_is_given() -> None:
    wrong: Any = "get_db"
    with pytest.raises(TypeError, match="expected a function, got 'get_db'"):
        Depends(wrong)
    scope: Any = "request"
    with pytest.raises(ValueError, match=r"expected scope .* got 'request'"):
        Depends(make, scope=scope)
    assert repr(Depends(make)) == "Depends(make)"
    assert "partial" in repr(Depends(functools.partial(make)))


def test_dependencies_that_go_in_a_circle_are_named() -> None:
    app = App()
    with pytest.raises(RegistrationError, match="go in a circle: hen -> egg -> hen"):

        @app.ws("/")
        async def on_message(msg: str, hen: Annotated[str, Depends(hen)]) -> None: ...


async def hen(egg: Annotated[str, Depends(egg)]) -> str:
    return egg


async def egg(hen: Annotated[str, Depends(hen)]) -> str:
    return hen


def test_what_lasts_a_connection_cannot_depend_on_what_lasts_a_message() -> None:
    app = App()

    async def pool(db: Annotated[str, Depends(db)]) -> str:
        return db

    with pytest.raises(RegistrationError, match="on db, which lasts one message; give that scope="):

        @app.ws("/")
        async def on_message(
            msg: str, pool: Annotated[str, Depends(pool, scope="connection")]
        ) -> None: ...


def test_what_lasts_a_connection_cannot_read_a_message() -> None:
    app = App()

    async def pool(data) -> str:  # type: ignore[no-untyped-def]
        return "pool"

    with pytest.raises(RegistrationError, match='reads the message; give it scope="message"'):

        @app.ws("/")
        async def on_message(
            msg: str, pool: Annotated[str, Depends(pool, scope="connection")]
        ) -> None: ...


def test_a_dependency_does_not_see_the_fields_of_the_payload() -> None:
    app = App()

    async def tenant(name: str) -> str:
        return name

    with pytest.raises(RegistrationError, match=r"tenant: parameter 'name' \(str\) has nothing"):

        @app.ws("/")
        async def on_message(name: str, tenant: Annotated[str, Depends(tenant)]) -> None: ...


def test_depends_as_a_default_is_an_error_that_shows_how_to_write_it() -> None:
    app = App()

    default: Any = Depends(db)

    async def on_message(msg: str, db: Any = default) -> None: ...

    with pytest.raises(RegistrationError, match=r"write db: Annotated\[<type>, Depends\(db\)\]"):
        app.ws("/")(on_message)
