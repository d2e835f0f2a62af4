from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import FastAPI, Request
from fastapi import WebSocket as FastAPIWebSocket
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse

from wirework import (
    App,
    Depends,
    Handshake,
    Query,
    Refuse,
    RegistrationError,
    Reject,
    Session,
    ValidationError,
)
from wirework.testing import TestClient


class Order(msgspec.Struct):
    item: str
    count: int = 1


@dataclasses.dataclass
class Point:
    x: Decimal


class Element:
    def __html__(self) -> str:
        return "<b>bold</b>"


def answering(value: Any, **options: Any) -> App:
    app = App(**options)

    @app.get("/")
    async def page() -> Any:
        return value

    return app


# --- replies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "status", "kind", "body"),
    [
        ("<p>hi</p>", 200, "text/html", "<p>hi</p>"),
        (Element(), 200, "text/html", "<b>bold</b>"),
        (None, 204, "", ""),
        (b"bytes", 200, "application/octet-stream", "bytes"),
        (Order("chair"), 200, "application/json", '{"item":"chair","count":1}'),
        (Point(Decimal("1.5")), 200, "application/json", '{"x":"1.5"}'),
        ([1, None], 200, "application/json", "[1,null]"),
        ((1, "<b>"), 200, "application/json", '[1,"<b>"]'),
        ([], 200, "application/json", "[]"),
        ((Element(), "<i>", None, 5), 200, "text/html", "<b>bold</b>&lt;i&gt;5"),
        ([(Element(),), Element()], 200, "text/html", "<b>bold</b><b>bold</b>"),
        (PlainTextResponse("own", 201), 201, "text/plain", "own"),
    ],
)
@pytest.mark.parametrize("json", ["msgspec", "orjson", "stdlib"])
async def test_what_a_handler_returns_says_what_the_reply_is(
    value: Any, status: int, kind: str, body: str, json: str
) -> None:
    async with TestClient(answering(value, json=json)) as client:
        response = await client.get("/")
    assert response.status_code == status
    assert response.headers.get("content-type", "").startswith(kind)
    assert response.text == body


async def test_def_handlers_and_other_methods_are_served() -> None:
    app = App()

    @app.route("/", methods=["PUT", "delete"])
    def page(request: StarletteRequest) -> str:
        return request.method

    async with TestClient(app) as client:
        assert (await client.request("PUT", "/", json={})).text == "PUT"
        assert (await client.request("DELETE", "/")).text == "DELETE"
        assert (await client.get("/")).status_code == 405
        assert (await client.get("/other")).status_code == 404


# --- parameters ---------------------------------------------------------------------------------


async def test_handlers_take_what_socket_handlers_take_and_the_request() -> None:
    app = App(secret_key="k")

    async def limit(handshake: Handshake) -> int:
        return int(handshake.query["limit"])

    @app.get("/rooms/{room:int}")
    async def page(  # type: ignore[no-untyped-def]
        request,
        app: App,
        handshake: Handshake,
        session: Session,
        room: int,
        limit: Annotated[int, Depends(limit)],
        q: Annotated[str, Query()] = "none",
    ) -> Any:
        assert request.url.path == handshake.path
        return [room, limit, q, handshake.app is app]

    async with TestClient(app) as client:
        response = await client.get("/rooms/7?limit=5")
    assert response.json() == [7, 5, "none", True]


def ordering() -> App:
    app = App()

    @app.post("/order")
    async def order(order: Order) -> Any:
        return order

    @app.post("/fields")
    async def fields(item: str, count: int, tags: list[str], gift: bool) -> Any:
        return [item, count, tags, gift]

    @app.post("/data")
    async def data(data) -> Any:  # type: ignore[no-untyped-def]
        return data

    @app.post("/optional")
    async def optional(item: str = "none") -> Any:
        return [item]

    return app


async def test_json_fills_parameters_and_is_strict() -> None:
    async with TestClient(ordering()) as client:
        response = await client.post("/order", json={"item": "chair", "count": 2})
        assert response.json() == {"item": "chair", "count": 2}
        response = await client.post("/fields", json={"item": "chair", "count": "2"})
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["code"] == "validation"
    locs = [problem["loc"] for problem in error["details"]]
    assert locs == [["count"], ["tags"], ["gift"]]


async def test_forms_fill_parameters_and_are_coerced() -> None:
    form = {"item": "5", "count": "5", "tags": "a"}
    async with TestClient(ordering()) as client:
        assert (await client.post("/fields", data=form)).json() == ["5", 5, ["a"], False]
        form |= {"gift": "on", "tags": ["a", "b"]}  # type: ignore[dict-item]
        assert (await client.post("/fields", data=form)).json() == ["5", 5, ["a", "b"], True]
        assert (await client.post("/order", data={"item": "chair"})).json()["count"] == 1
        assert (await client.post("/order", data={"count": "x"})).status_code == 422


async def test_multipart_forms_are_read_too() -> None:
    files = [("item", (None, "5")), ("count", (None, "5")), ("tags", (None, "a"))]
    async with TestClient(ordering()) as client:
        response = await client.post("/fields", files=files)
    assert response.json() == ["5", 5, ["a"], False]


async def test_data_is_the_whole_body_of_either_kind() -> None:
    async with TestClient(ordering()) as client:
        assert (await client.post("/data", json=[1])).json() == [1]
        assert (await client.post("/data", data={"a": ["1", "2"], "b": ""})).json() == {
            "a": ["1", "2"],
            "b": "",
        }


async def test_an_empty_body_is_a_form_without_fields() -> None:
    async with TestClient(ordering()) as client:
        assert (await client.post("/optional")).json() == ["none"]
        assert (await client.post("/order")).status_code == 422


async def test_a_body_that_is_not_json_is_refused_with_400() -> None:
    async with TestClient(ordering()) as client:
        response = await client.post("/order", content="{", headers={"content-type": "x/y+json"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "malformed"


@pytest.mark.parametrize("kind", ["text/plain", "x/json", "application/octet-stream"])
async def test_a_body_of_another_type_is_refused_with_415(kind: str) -> None:
    async with TestClient(ordering()) as client:
        response = await client.post("/data", content="[1]", headers={"content-type": kind})
        assert response.status_code == 415
        assert response.json()["error"]["message"] == (
            f"expected application/json or a form, got {kind}"
        )
        for known in ("application/json; charset=utf-8", "application/vnd.api+json", ""):
            headers = {"content-type": known} if known else {}
            response = await client.post("/data", content="[1]", headers=headers)
            assert response.json() == [1]


@pytest.mark.parametrize("options", [{"content": b'["12"]'}, {"data": {"a": "1234"}}])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_with_413(
    options: dict[str, Any], is_chunked: bool
) -> None:
    app = App(max_body_size=6)

    @app.post("/")
    async def page(data) -> Any:  # type: ignore[no-untyped-def]
        return data

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for i in range(len(body)):
            yield body[i : i + 1]

    async with TestClient(app) as client:
        assert (await client.post("/", **options)).status_code == 200
        longer = b"[" + b" " * 6 + b"]"
        content: Any = chunks(longer) if is_chunked else longer
        response = await client.post("/", content=content)
        files = {"a": b"x" * 10}
        assert (await client.post("/", files=files)).status_code == 413
    assert (response.status_code, response.text) == (
        413,
        '{"error":{"code":413,"message":"the body has more than 6 bytes"}}',
    )


async def test_a_handler_that_reads_the_request_itself_decides_how_much() -> None:
    app = App(max_body_size=5)

    @app.post("/")
    async def page(request: StarletteRequest) -> int:
        return len(await request.body())

    async with TestClient(app) as client:
        assert (await client.post("/", content=b"x" * 100)).json() == 100


async def test_a_page_has_a_state_that_begins_with_what_the_lifespan_yielded() -> None:
    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        yield {"db": 1}

    app = App(lifespan=lifespan)

    async def use(state: State) -> int:
        return int(state.db)

    @app.get("/")
    async def page(request, state, db: Annotated[int, Depends(use)]) -> Any:  # type: ignore[no-untyped-def]
        request.state.own = 2
        return [state.db, state.own, db]

    async with TestClient(app) as client:
        assert (await client.get("/")).json() == [1, 2, 1]


async def test_what_nothing_fills_in_a_page_has_its_default() -> None:
    app = App()

    async def page_size(limit: int = 5) -> int:
        return limit

    @app.get("/")
    async def page(size: Annotated[int, Depends(page_size)], word: str = "a", other=None) -> Any:  # type: ignore[no-untyped-def]
        return [size, word, other]

    async with TestClient(app) as client:
        assert (await client.get("/?word=b&limit=7")).json() == [5, "a", None]


async def test_a_query_that_does_not_fit_is_refused_with_422() -> None:
    app = App()

    @app.get("/")
    async def page(limit: Annotated[int, Query()]) -> str:
        return str(limit)

    async with TestClient(app) as client:
        response = await client.get("/?limit=x")
    assert response.status_code == 422
    assert response.json()["error"]["details"][0]["loc"] == ["query", "limit"]


# --- errors -------------------------------------------------------------------------------------


def raising(error: Exception, **options: Any) -> App:
    app = App(**options)

    @app.get("/")
    async def page() -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (Refuse(302, "there", {"location": "/there"}), 302, "there"),
        (Reject("full", "later"), 403, '{"error":{"code":"full","message":"later"}}'),
        (
            Reject(409, "twice", [1]),
            409,
            '{"error":{"code":409,"message":"twice","details":[1]}}',
        ),
    ],
)
async def test_an_error_that_speaks_for_itself_is_the_reply(
    error: Exception, status: int, body: str
) -> None:
    async with TestClient(raising(error)) as client:
        response = await client.get("/")
    assert (response.status_code, response.text) == (status, body)
    assert isinstance(error, Reject) or response.headers["location"] == "/there"


async def test_an_unknown_error_reaches_the_server() -> None:
    async with TestClient(raising(ValueError("unknown"))) as client:
        with pytest.raises(ValueError, match="unknown"):
            await client.get("/")


@pytest.mark.parametrize("kind", [KeyError, LookupError, Exception])
async def test_an_exception_handler_answers_http_too(kind: type[Exception]) -> None:
    app = raising(KeyError("chair"))

    @app.exception_handler(kind)
    async def missing(request: Any, error: KeyError) -> Any:
        return {"missing": error.args[0], "path": request.url.path}

    async with TestClient(app) as client:
        assert (await client.get("/")).json() == {"missing": "chair", "path": "/"}


async def test_an_exception_handler_may_raise_the_reply() -> None:
    app = raising(KeyError("chair"))

    @app.exception_handler(KeyError)
    def missing(request: Any, error: KeyError) -> Any:
        raise Reject(404, "no chair")

    async with TestClient(app) as client:
        assert (await client.get("/")).status_code == 404


async def test_an_exception_handler_may_be_for_validation() -> None:
    app = ordering()

    @app.exception_handler(ValidationError)
    async def invalid(request: Any, error: ValidationError) -> Any:
        return PlainTextResponse(f"{len(error.problems)} problems", 400)

    async with TestClient(app) as client:
        response = await client.post("/fields", json={})
    assert (response.status_code, response.text) == (400, "4 problems")


async def test_an_exception_handler_is_there_for_mounted_applications() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("mounted")

    app = App()
    app.mount("/sub", broken)

    @app.exception_handler(KeyError)
    async def missing(request: Any, error: KeyError) -> str:
        return f"missing {error.args[0]}"

    async with TestClient(app) as client:
        assert (await client.get("/sub/x")).text == "missing mounted"


async def test_a_dependency_that_swallows_an_error_does_not_make_it_undone() -> None:
    app = App()

    async def forgiving() -> AsyncIterator[int]:
        try:
            yield 1
        except Reject:
            return

    @app.get("/")
    async def page(n: Annotated[int, Depends(forgiving)]) -> str:
        raise Reject(409, "conflict")

    async with TestClient(app) as client:
        assert (await client.get("/")).status_code == 409


async def test_a_dependency_that_fails_at_its_end_is_the_reply() -> None:
    app = App()

    async def committing() -> AsyncIterator[int]:
        yield 1
        raise Reject(409, "conflict")

    @app.get("/")
    async def page(n: Annotated[int, Depends(committing)]) -> str:
        return "saved"

    async with TestClient(app) as client:
        assert (await client.get("/")).status_code == 409


# --- duplicates ---------------------------------------------------------------------------------


def test_a_method_and_path_have_one_handler() -> None:
    app = App()
    app.get("/")(lambda: None)
    app.post("/")(lambda: None)
    with pytest.raises(RegistrationError, match=r"get\('/'\): GET / has a handler"):
        app.get("/")(lambda: None)
    with pytest.raises(RegistrationError, match="POST / has a handler"):
        app.route("/", methods=["PUT", "POST"])(lambda: None)


def test_a_name_belongs_to_one_page() -> None:
    app = App()
    app.get("/a", name="page")(lambda: None)
    with pytest.raises(RegistrationError, match="the name 'page' belongs to '/a'"):
        app.get("/b", name="page")(lambda: None)


def test_a_name_belongs_to_a_page_or_a_socket() -> None:
    app = App()
    app.get("/a", name="a")(lambda: None)
    app.ws("/b", name="b")(lambda: None)
    with pytest.raises(RegistrationError, match="the name 'a' belongs to"):
        app.ws("/c", name="a")(lambda: None)
    with pytest.raises(RegistrationError, match="the name 'a' belongs to"):
        app.mount("/e", shop(), name="a")
    with pytest.raises(RegistrationError, match="the name 'b' belongs to"):
        app.get("/d", name="b")(lambda: None)


# --- another HTTP application -------------------------------------------------------------------


def shop() -> FastAPI:
    api = FastAPI()

    @api.get("/items/{number}")
    async def item(number: int) -> dict[str, int]:
        return {"number": number}

    @api.get("/login")
    async def login(request: Request) -> str:
        request.session["name"] = "anna"
        return "in"

    @api.websocket("/items")
    async def unreachable(ws: FastAPIWebSocket) -> None:
        raise AssertionError("sockets are Wirework's")

    return api


@pytest.mark.parametrize("has_own_sessions", [False, True])
async def test_another_application_gets_all_http_and_shares_the_session(
    has_own_sessions: bool,
) -> None:
    api = shop()
    if has_own_sessions:
        api.add_middleware(SessionMiddleware, secret_key="k")
    app = App(http=api, secret_key="k")

    @app.ws("/ws")
    async def on_message(msg: str, session: Session) -> Any:
        return dict(session)

    async with TestClient(app) as client:
        assert (await client.get("/items/5")).json() == {"number": 5}
        assert (await client.get("/login")).status_code == 200
        async with client.connect("/ws") as ws:
            await ws.send_text("x")
            assert await ws.receive_json() == {"name": "anna"}


def test_a_page_beside_another_http_application_would_never_be_reached() -> None:
    app = App(http=shop())
    with pytest.raises(RegistrationError, match=r"given http=.*; register it there"):
        app.get("/")(lambda: None)
    with pytest.raises(RegistrationError, match=r"given http=.*; register it there"):
        app.mount("/static", shop())


async def test_a_page_that_is_added_after_the_first_request_is_served() -> None:
    app = App()
    async with TestClient(app) as client:
        assert (await client.get("/late")).status_code == 404

        @app.get("/late")
        async def late() -> str:
            return "here"

        assert (await client.get("/late")).text == "here"


async def test_an_exception_handler_runs_once_and_its_own_error_is_not_handled_again() -> None:
    app = App()
    calls: list[str] = []

    @app.exception_handler(ValueError)
    async def on_value(request: Any, error: ValueError) -> str:
        calls.append("value")
        raise KeyError("another")

    @app.exception_handler(KeyError)
    async def on_key(request: Any, error: KeyError) -> str:
        calls.append("key")
        return "fine"

    @app.get("/")
    async def page() -> str:
        raise ValueError

    async with TestClient(app) as client:
        with pytest.raises(KeyError):
            await client.get("/")
    assert calls == ["value"]


async def test_an_exception_handler_for_starlettes_errors_answers_an_unknown_path() -> None:
    app = App()

    @app.exception_handler(HTTPException)
    async def on_http(request: Any, error: HTTPException) -> dict[str, int]:
        return {"status": error.status_code}

    async with TestClient(app) as client:
        assert (await client.get("/nowhere")).json() == {"status": 404}
