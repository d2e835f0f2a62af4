from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.applications import talking
from wirework import App, RegistrationError, Router, WebSocket
from wirework.dialects import Htmx, Raw
from wirework.routing.routes import join
from wirework.testing import HandshakeRefused, TestClient


def echo(router: Router, path: str, **options: Any) -> None:
    """Register a message handler that says the path it was reached by."""

    @router.ws(path, **options)
    async def on_message(msg: str, ws: WebSocket) -> str:
        return f"{ws.handshake.path} {ws.path_params}"


async def said_at(app: App, path: str, **options: Any) -> str:
    async with talking(app, path, **options) as ws:
        await ws.send_text("x")
        return await ws.receive_text()


async def test_a_routers_routes_are_served_behind_both_prefixes() -> None:
    app, router = App(), Router(prefix="/rooms/{room:int}")
    echo(router, "/chat/{name}", name="chat")
    app.include(router, prefix="/api/")
    assert await said_at(app, "/api/rooms/7/chat/x") == (
        "/api/rooms/7/chat/x {'room': 7, 'name': 'x'}"
    )
    assert app.url_path_for("chat", room=7, name="a b") == "/api/rooms/7/chat/a%20b"


async def test_a_router_may_hold_pages_too() -> None:
    app, router = App(), Router(prefix="/rooms/{room:int}")

    @router.get("/page", name="page")
    async def page(room: int) -> str:
        return f"room {room}"

    app.include(router)
    async with TestClient(app) as client:
        assert (await client.get(app.url_path_for("page", room=7))).text == "room 7"


async def test_routers_may_be_nested() -> None:
    app, outer, inner = App(), Router(prefix="/outer"), Router(prefix="/inner")
    echo(inner, "/")
    outer.include(inner, prefix="/more")
    app.include(outer)
    assert (await said_at(app, "/outer/more/inner/")).startswith("/outer/more/inner/")


async def test_a_router_may_be_included_twice_under_different_prefixes() -> None:
    app, router = App(), Router()
    echo(router, "/chat")
    app.include(router, prefix="/a")
    app.include(router, prefix="/b")
    assert (await said_at(app, "/a/chat")).startswith("/a/chat")
    assert (await said_at(app, "/b/chat")).startswith("/b/chat")


async def test_a_route_takes_the_dialect_of_its_router_and_that_of_the_application_last() -> None:
    app, router = App(dialect=Raw("json")), Router(dialect=Htmx())

    @router.ws("/router")
    async def of_router(name: str) -> str:
        return name

    @router.ws("/own", dialect=Raw("text"))
    async def of_route(name: str) -> str:
        return name

    @app.ws("/app")
    async def of_app(name: str) -> str:
        return name

    app.include(router)
    async with TestClient(app) as client:
        for path, sent, answer in [
            ("/router", '{"name": "<b>"}', "&lt;b&gt;"),
            ("/own", "<b>", "<b>"),
            ("/app", '{"name": "<b>"}', '"<b>"'),
        ]:
            async with client.connect(path) as ws:
                await ws.send_text(sent)
                assert await ws.receive_text() == answer


async def test_a_route_takes_the_origins_of_its_router_unless_it_has_its_own() -> None:
    app = App()
    router = Router(allowed_origins=["https://a.example"], require_origin=True)
    echo(router, "/router")
    echo(router, "/own", allowed_origins=["https://b.example"], require_origin=False)
    app.include(router)
    verdicts = {}
    async with TestClient(app) as client:
        for path in ("/router", "/own"):
            for origin in ("https://a.example", "https://b.example", None):
                headers = {} if origin is None else {"origin": origin}
                try:
                    async with client.connect(path, headers=headers):
                        verdicts[path, origin] = True
                except HandshakeRefused as refusal:
                    verdicts[path, origin] = refusal.status != 403
    assert verdicts == {
        ("/router", "https://a.example"): True,
        ("/router", "https://b.example"): False,
        ("/router", None): False,
        ("/own", "https://a.example"): False,
        ("/own", "https://b.example"): True,
        ("/own", None): True,
    }


def test_a_route_added_to_a_router_that_was_included_is_an_error() -> None:
    app, router = App(), Router()
    app.include(router)
    with pytest.raises(RegistrationError, match=r"included already.*after its last route"):
        echo(router, "/late")
    with pytest.raises(RegistrationError, match="included already"):
        router.get("/late")(lambda: None)


def test_a_duplicate_names_both_paths() -> None:
    app, router = App(), Router()
    echo(app, "/rooms/{room}")
    echo(router, "/{name}")
    with pytest.raises(RegistrationError, match=r"matches the same paths as '/rooms/\{room\}'"):
        app.include(router, prefix="/rooms")


def test_a_name_that_is_taken_is_an_error() -> None:
    app = App()
    echo(app, "/a", name="chat")
    with pytest.raises(RegistrationError, match="the name 'chat' belongs to '/a'"):
        echo(app, "/b", name="chat")


@pytest.mark.parametrize("path", ["chat", "/{", "/{a}{b}", "/?q", "/{a:money}"])
def test_a_path_that_cannot_work_is_an_error_where_it_is_written(path: str) -> None:
    for router in (App(), Router()):
        with pytest.raises(RegistrationError):
            echo(router, path)
        with pytest.raises(RegistrationError):
            router.get(path)(lambda: None)


def test_only_other_routers_can_be_included() -> None:
    app = App()
    wrong: Any = "router"
    with pytest.raises(RegistrationError, match="expected a Router, got 'router'"):
        app.include(wrong)
    with pytest.raises(RegistrationError, match="cannot include itself"):
        app.include(app)


def test_decorators_return_the_function_itself() -> None:
    app = App()

    async def endpoint(ws: WebSocket) -> None: ...

    async def on_message(msg: str) -> None: ...

    def page() -> str:
        return ""

    assert app.websocket("/a")(endpoint) is endpoint
    assert app.ws("/b")(on_message) is on_message
    assert app.get("/c")(page) is page

    def missing(ws: Any, error: KeyError) -> None: ...

    assert app.exception_handler(KeyError)(missing) is missing


@pytest.mark.parametrize("methods", ["GET", (), []])
def test_methods_are_a_list(methods: Any) -> None:
    with pytest.raises(RegistrationError, match="methods: expected a list of methods"):
        App().route("/", methods=methods)


@given(
    st.lists(st.sampled_from(["", "/", "/a", "/a/", "/{x}"]), max_size=3),
    st.sampled_from(["/", "/b", "/b/"]),
)
def test_joined_paths_have_no_double_slash(prefixes: list[str], path: str) -> None:
    joined = join(*prefixes, path)
    assert joined.startswith("/")
    assert joined.endswith(path)
    assert "//" not in joined
