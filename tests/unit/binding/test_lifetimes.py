"""How long dependencies live, and that they clean up on every exit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest

from tests.unit.applications import Journal, talking
from wirework import (
    App,
    Close,
    Depends,
    Refuse,
    Reject,
    WebSocket,
)
from wirework.testing import HandshakeRefused, TestClient


@pytest.fixture
def journal() -> Journal:
    return Journal()


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
async def test_a_generator_that_swallows_the_error_does_not_make_it_undone(
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
        assert (await ws.receive_json())["error"]["code"] == "internal"
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == 1


async def test_an_error_that_the_dependency_swallows_still_ends_a_connection_with_1011() -> None:
    app = App()

    async def forgiving() -> AsyncIterator[str]:
        with suppress(ValueError):
            yield "db"

    @app.websocket("/")
    async def endpoint(ws: WebSocket, db: Annotated[str, Depends(forgiving)]) -> None:
        await ws.accept()
        raise ValueError("no")

    async with talking(app) as ws:
        await ws.assert_closed(1011)


async def test_cancellation_never_reaches_the_cleanup() -> None:
    app = App()
    is_releasing, may_release = asyncio.Event(), asyncio.Event()
    steps: list[str] = []

    async def lent() -> AsyncIterator[None]:
        yield
        is_releasing.set()
        await may_release.wait()
        steps.append("released")

    async def disconn(code: int) -> None:
        steps.append(f"gone {code}")

    @app.ws("/", disconn=disconn, cancel_on_disconnect=True)
    async def on_message(msg: str, db: Annotated[None, Depends(lent)]) -> None: ...

    async with talking(app) as ws:
        await ws.send_text("x")
        await is_releasing.wait()
        ws.peer.close(1001)
        may_release.set()
    assert steps == ["released", "gone 1001"]


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
