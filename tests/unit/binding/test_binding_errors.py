"""Every misuse fails at registration and names the function, the parameter and the remedy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import msgspec
import pytest
import starlette.websockets
from starlette.requests import Request

from wirework import App, Depends, Payload, Query, RegistrationError, Router, WebSocket
from wirework.dialects import Htmx, Raw


class Move(msgspec.Struct):
    x: int


def refused(register: Callable[[Any], Any], function: Callable[..., Any]) -> str:
    """Return what registering `function` complains about; its name is always in it."""
    with pytest.raises(RegistrationError) as caught:
        register(function)
    text = str(caught.value)
    assert function.__qualname__ in text
    return text


@pytest.fixture
def app() -> App:
    return App()


def test_a_parameter_without_annotation_that_has_no_known_name(app: App) -> None:
    async def on_message(w): ...  # type: ignore[no-untyped-def]

    text = refused(app.ws("/chat"), on_message)
    assert text.startswith("ws('/chat'), ")
    assert "parameter 'w' has no annotation and no known name" in text
    assert "known by name are: ws, send, session, app, state, user, scope, data" in text


def test_names_are_exact(app: App) -> None:
    for name in ("sess", "web_socket", "s", "r"):
        scope: dict[str, Any] = {}
        exec(f"async def on_message({name}): ...", scope)
        assert f"parameter {name!r}" in refused(app.ws(f"/{name}"), scope["on_message"])


def test_a_known_name_does_not_become_a_field_by_having_a_default(app: App) -> None:
    async def on_message(msg: str, flag=False): ...  # type: ignore[no-untyped-def]

    assert "parameter 'flag' has no annotation" in refused(app.ws("/"), on_message)


def test_open_ended_parameters(app: App) -> None:
    async def on_message(*args: int) -> None: ...

    async def on_other(**fields: int) -> None: ...

    assert "parameter *args cannot be filled" in refused(app.ws("/"), on_message)
    assert "name each parameter" in refused(app.ws("/"), on_other)


def test_a_field_in_a_connection_handler(app: App) -> None:
    async def endpoint(ws: WebSocket, text: str) -> None: ...

    text = refused(app.websocket("/"), endpoint)
    assert "parameter 'text' (str) has nothing to be filled from" in text
    assert "take ws: WebSocket and receive it" in text


def test_data_in_a_connection_handler_or_a_hook(app: App) -> None:
    async def endpoint(ws: WebSocket, data) -> None: ...  # type: ignore[no-untyped-def]

    async def conn(data) -> None: ...  # type: ignore[no-untyped-def]

    async def on_message(msg: str) -> None: ...

    assert "no message payload here" in refused(app.websocket("/"), endpoint)
    with pytest.raises(RegistrationError, match=r"conn: .*no message payload here"):
        app.ws("/", conn=conn)(on_message)


def test_the_code_is_for_disconn_alone(app: App) -> None:
    async def conn(code: int) -> None: ...

    async def on_message(msg: str) -> None: ...

    with pytest.raises(RegistrationError, match=r"conn: parameter 'code' \(int\)"):
        app.ws("/", conn=conn)(on_message)


def test_a_path_parameter_of_another_type_says_what_to_write_in_the_path(app: App) -> None:
    async def endpoint(ws: WebSocket, room: int) -> None: ...

    text = refused(app.websocket("/{room}"), endpoint)
    assert "parameter 'room' is annotated int, but the path gives str" in text
    assert "write {room:int} in the path" in text


def test_a_path_parameter_of_a_type_that_no_path_gives(app: App) -> None:
    async def endpoint(ws: WebSocket, room: Move) -> None: ...

    assert "annotate it as str" in refused(app.websocket("/{room}"), endpoint)


def test_a_websocket_of_another_framework_says_which_to_import(app: App) -> None:
    async def on_message(msg: str, ws: starlette.websockets.WebSocket) -> None: ...

    text = refused(app.ws("/"), on_message)
    assert "parameter 'ws' is annotated WebSocket; import WebSocket from wirework" in text


def test_a_request_in_a_message_handler_says_what_to_take(app: App) -> None:
    async def on_message(msg: str, request: Request) -> None: ...

    assert "take ws: WebSocket" in refused(app.ws("/"), on_message)


def test_a_type_that_no_message_can_fill(app: App) -> None:
    async def on_message(text: str, lock: asyncio.Lock) -> None: ...

    text = refused(app.ws("/"), on_message)
    assert "parameter 'lock' cannot be read from a message" in text
    assert "say where it comes from" in text


def test_a_marked_payload_beside_other_fields(app: App) -> None:
    async def on_message(move: Annotated[Move, Payload()], text: str) -> None: ...

    text = refused(app.ws("/"), on_message)
    assert "parameter 'move' takes the whole payload, so nothing is left for 'text'" in text
    assert "make them fields of its type" in text


def test_payload_as_a_default(app: App) -> None:
    default: Any = Payload()

    async def on_message(move: Move = default) -> None: ...

    assert "write move: Annotated[<type>," in refused(app.ws("/"), on_message)


def test_frames_as_they_are_cannot_become_something_else(app: App) -> None:
    async def on_message(move: Move) -> None: ...

    async def on_other(text: str, more: str) -> None: ...

    for function in (on_message, on_other):
        text = refused(app.ws("/", dialect=Raw("text")), function)
        assert "the dialect gives the frame itself (mode 'text')" in text
        assert "use Raw('json')" in text


def test_an_annotation_under_type_checking(app: App) -> None:
    async def on_message(msg: Absent) -> None: ...  # type: ignore[name-defined] # noqa: F821

    text = refused(app.ws("/"), on_message)
    assert "the name 'Absent'" in text
    assert "import it at module level" in text


class Unfinished(msgspec.Struct):
    x: Absent  # type: ignore[name-defined] # noqa: F821


def test_a_model_whose_annotations_are_not_known(app: App) -> None:
    async def on_message(move: Unfinished) -> None: ...

    text = refused(app.ws("/"), on_message)
    assert "parameter 'move' cannot be read from a message: name 'Absent' is not defined" in text


def test_a_connection_handler_must_be_a_coroutine_function(app: App) -> None:
    def sync(ws: WebSocket) -> None: ...

    def generator(ws: WebSocket) -> Iterator[int]:
        yield 1

    text = refused(app.websocket("/"), sync)
    assert "must be an async def, got a sync function" in text
    assert "use app.ws" in text
    assert "got a generator function" in refused(app.websocket("/"), generator)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, "2"])
def test_concurrency_is_a_count(app: App, concurrency: Any) -> None:
    async def on_message(msg: str) -> None: ...

    with pytest.raises(RegistrationError, match=r"concurrency: expected an int >= 1, got"):
        app.ws("/", concurrency=concurrency)(on_message)


def test_a_broken_dependency_is_named_with_its_function(app: App) -> None:
    async def tenant(name: str, limit: Annotated[int, Query()]) -> str:
        return name

    async def on_message(msg: str, tenant: Annotated[str, Depends(tenant)]) -> None: ...

    with pytest.raises(RegistrationError) as caught:
        app.ws("/")(on_message)
    assert "tenant: parameter 'name'" in str(caught.value)


def test_nothing_is_registered_by_a_registration_that_fails(app: App) -> None:
    async def broken(w): ...  # type: ignore[no-untyped-def]

    async def on_message(msg: str) -> None: ...

    refused(app.ws("/"), broken)
    app.ws("/")(on_message)


def test_http_handlers_are_checked_as_well(app: App) -> None:
    async def page(text: str) -> None: ...

    assert "parameter 'text' (str) has nothing" in refused(app.get("/"), page)

    async def post(ws) -> None: ...  # type: ignore[no-untyped-def]

    assert "known by name are: request, session, app, state, scope" in refused(app.post("/"), post)


def test_a_model_cannot_come_from_the_query(app: App) -> None:
    async def handler(ws: WebSocket, move: Annotated[Move, Query()]) -> None: ...

    text = refused(app.websocket("/"), handler)
    assert "parameter 'move' is annotated Move, but a query value is one text" in text


def test_a_field_in_a_page_says_what_pages_can_take(app: App) -> None:
    async def page(text: str) -> None: ...

    async def data(data) -> None: ...  # type: ignore[no-untyped-def]

    for function in (page, data):
        text = refused(app.get("/"), function)
        assert "there is no body here; take it in a post" in text
        assert "ws: WebSocket" not in text


def test_a_websocket_of_another_framework_in_a_connection_handler_or_a_hook(app: App) -> None:
    async def endpoint(websocket: starlette.websockets.WebSocket) -> None: ...

    async def hook(websocket: starlette.websockets.WebSocket = None) -> None: ...  # type: ignore[assignment]

    async def on_message(msg: str) -> None: ...

    assert "import WebSocket from wirework" in refused(app.websocket("/"), endpoint)
    assert "import WebSocket from wirework" in refused(
        lambda hook: app.ws("/", conn=hook)(on_message), hook
    )


def test_a_socket_in_a_page_says_what_to_take(app: App) -> None:
    async def page(ws: WebSocket) -> None: ...

    assert "take request: Request, imported from starlette" in refused(app.get("/"), page)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("websocket", "ws"), ("auth", "user"), ("request", "ws"), ("sess", "session")],
)
def test_names_of_other_frameworks_are_translated(app: App, name: str, meant: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"async def handler({name}): ...", scope)
    for register in (app.websocket("/"), app.ws("/")):
        assert f"did you mean {meant!r}?" in refused(register, scope["handler"])


def test_a_socket_by_name_in_a_page_is_translated(app: App) -> None:
    async def page(websocket) -> None: ...  # type: ignore[no-untyped-def]

    assert "did you mean 'request'?" in refused(app.get("/"), page)


# --- decorators -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["ws", "websocket", "get", "post", "route"])
def test_a_decorator_without_its_path_says_how_to_write_it(verb: str) -> None:
    async def handler(msg: str) -> None: ...

    for router in (App(), Router()):
        with pytest.raises(RegistrationError) as caught:
            getattr(router, verb)(handler)
        assert "handler" in str(caught.value)
        assert f"write @app.{verb}('/path')" in str(caught.value)
        with pytest.raises(RegistrationError, match=r"expected a str such as '/path', got 5"):
            getattr(router, verb)(5)


def test_a_dialect_is_an_object(app: App) -> None:
    kind: Any = Htmx
    owners: list[type[Router]] = [App, Router]
    for owner in owners:
        with pytest.raises(RegistrationError, match=r"got the class Htmx; write dialect=Htmx\(\)"):
            owner(dialect=kind)
    with pytest.raises(RegistrationError, match=r"ws\('/'\): dialect: .*got the class Htmx"):
        app.ws("/", dialect=kind)
    with pytest.raises(RegistrationError, match=r"one such as Raw\(\) or Htmx\(\), got 'htmx'"):
        app.ws("/", dialect="htmx")  # type: ignore[arg-type]


class Chat:
    async def on_receive(self, msg: str) -> None: ...


@pytest.mark.parametrize("verb", ["ws", "websocket", "get", "post"])
def test_a_class_is_no_handler_and_no_hook(app: App, verb: str) -> None:
    for router in (app, Router()):
        assert "expected a function, got a class" in refused(getattr(router, verb)("/"), Chat)
        with pytest.raises(RegistrationError, match="expected a function, got 5"):
            getattr(router, verb)("/")(5)

    async def on_message(msg: str) -> None: ...

    for hook in ("conn", "disconn"):
        options: Any = {hook: Chat}
        with pytest.raises(RegistrationError, match="Chat: expected a function, got a class"):
            app.ws("/", **options)(on_message)


def test_a_page_that_yields_says_what_to_return(app: App) -> None:
    async def page() -> AsyncIterator[str]:
        yield "a"

    def sync() -> Iterator[str]:
        yield "a"

    for function in (page, sync):
        text = refused(app.get("/"), function)
        assert "an HTTP handler gives one answer" in text
        assert "StreamingResponse" in text


@pytest.mark.parametrize("origins", ["https://a.example", ["a.example"], 5])
def test_origins_that_cannot_be_used_name_the_route_and_the_function(
    app: App, origins: Any
) -> None:
    async def on_message(msg: str) -> None: ...

    assert refused(app.ws("/chat", allowed_origins=origins), on_message).startswith("ws('/chat'), ")
    router = Router(allowed_origins=origins)
    router.ws("/chat")(on_message)
    assert refused(lambda _: app.include(router), on_message).startswith("ws('/chat'), ")
