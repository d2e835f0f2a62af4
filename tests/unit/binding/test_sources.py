from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import pytest

from tests.unit.applications import talking
from wirework import App, Cookie, Header, Path, Query, RegistrationError, WebSocket
from wirework.testing import HandshakeRefused, TestClient


class Colour(Enum):
    RED = "red"


async def seen_by(app: App, path: str = "/", **options: Any) -> Any:
    async with talking(app, path, **options) as ws:
        return await ws.receive_json()


async def refused(app: App, path: str = "/", **options: Any) -> HandshakeRefused:
    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect(path, **options).__aenter__()
    return caught.value


async def test_values_are_read_from_the_place_that_the_annotation_names() -> None:
    app = App()

    @app.websocket("/rooms/{room:int}")
    async def endpoint(
        ws: WebSocket,
        number: Annotated[int, Path("room")],
        limit: Annotated[int, Query()],
        user_agent: Annotated[str, Header()],
        theme: Annotated[str, Cookie("ui-theme")],
    ) -> None:
        await ws.accept()
        await ws.send_json([number, limit, user_agent, theme])

    headers = {"user-agent": "me", "cookie": "ui-theme=dark"}
    assert await seen_by(app, "/rooms/7?limit=5", headers=headers) == [7, 5, "me", "dark"]


async def test_a_source_may_be_named_without_parentheses() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket, limit: Annotated[int, Query]) -> None:
        await ws.accept()
        await ws.send_json(limit)

    assert await seen_by(app, "/?limit=5") == 5


async def test_a_list_takes_every_value_and_anything_else_the_first() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(
        ws: WebSocket,
        tag: Annotated[list[int], Query()],
        first: Annotated[int, Query("tag")],
        x_part: Annotated[tuple[str, ...], Header()] = (),
    ) -> None:
        await ws.accept()
        await ws.send_json([tag, first, x_part])

    headers = [("x-part", "a"), ("x-part", "b")]
    assert await seen_by(app, "/?tag=1&tag=2", headers=headers) == [[1, 2], 1, ["a", "b"]]


async def test_a_default_stands_in_for_what_is_absent() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(
        ws: WebSocket,
        limit: Annotated[int, Query()] = 10,
        token: Annotated[str | None, Cookie()] = None,
        colour: Annotated[Colour, Query()] = Colour.RED,
    ) -> None:
        await ws.accept()
        await ws.send_json([limit, token, colour])

    assert await seen_by(app) == [10, None, "red"]


async def test_everything_that_is_unfit_is_listed_in_the_refusal() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(
        ws: WebSocket,
        limit: Annotated[int, Query()],
        tag: Annotated[list[int], Query()],
        token: Annotated[str, Cookie()],
        x_id: Annotated[int, Header()],
    ) -> None:
        raise AssertionError("never called")

    refusal = await refused(app, "/?limit=ten&tag=1&tag=two", headers={"x-id": "1"})
    assert refusal.status == 400
    assert refusal.headers["content-type"] == "application/json"
    body = refusal.body.decode()
    for loc in ('["query","limit"]', '["query","tag",1]', '["cookie","token"]'):
        assert f'"loc":{loc}' in body
    assert body.count('"loc"') == 3
    assert '"code":"validation"' in body


async def test_message_handlers_are_checked_at_the_handshake_too() -> None:
    app = App()

    @app.ws("/")
    async def on_message(msg: str, limit: Annotated[int, Query()]) -> int:
        return limit

    assert (await refused(app)).status == 400
    async with talking(app, "/?limit=5") as ws:
        await ws.send_text("x")
        assert await ws.receive_json() == 5


async def test_the_query_never_overrides_the_payload() -> None:
    app = App()

    @app.ws("/")
    async def on_message(name: str, age: int) -> list[Any]:
        return [name, age]

    headers = {"cookie": "name=eve", "name": "eve"}
    async with talking(app, "/?name=eve&age=9", headers=headers) as ws:
        await ws.send_json({"name": "anna", "age": 5})
        assert await ws.receive_json() == ["anna", 5]


def test_a_type_that_no_text_can_fill_is_an_error_at_registration() -> None:
    app = App()
    with pytest.raises(RegistrationError) as caught:

        @app.websocket("/")
        async def endpoint(ws: WebSocket, thing: Annotated[TestClient, Query()]) -> None: ...

    assert "endpoint: parameter 'thing' cannot be read from text" in str(caught.value)


def test_a_path_source_that_the_path_does_not_have_is_an_error_that_lists_what_it_has() -> None:
    app = App()
    with pytest.raises(RegistrationError, match="no parameter 'room'; it has: id"):

        @app.websocket("/{id}")
        async def endpoint(ws: WebSocket, room: Annotated[str, Path()]) -> None: ...


@pytest.mark.parametrize("source", [Query(), Header("x"), Cookie(), Path()])
def test_a_source_as_a_default_is_an_error_that_shows_how_to_write_it(source: Any) -> None:
    app = App()

    async def endpoint(ws: WebSocket, thing: str = source) -> None: ...

    with pytest.raises(RegistrationError) as caught:
        app.websocket("/{thing}")(endpoint)
    assert f"write thing: Annotated[<type>, {source!r}]" in str(caught.value)
