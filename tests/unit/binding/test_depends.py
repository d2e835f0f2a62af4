"""`Depends`: what may make a value, overrides for tests, and mistakes."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest

from tests.unit.applications import talking
from wirework import (
    App,
    Depends,
    Handshake,
    Header,
    RegistrationError,
    WebSocket,
)
from wirework.binding.depends import kind_of
from wirework.testing import HandshakeRefused, TestClient

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


async def db() -> str:
    return "db"


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
