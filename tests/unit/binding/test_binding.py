from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, Any, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import State

from tests.unit.applications import talking
from wirework import App, Depends, Handshake, Payload, Send, Session, WebSocket
from wirework.binding.binder import Binder
from wirework.binding.depends import Store
from wirework.binding.plan import Context
from wirework.commands import Call
from wirework.dialects import Htmx, Raw
from wirework.handlers import call_plan
from wirework.handshake import Handshake as Shake
from wirework.json import MsgspecAdapter
from wirework.testing import TestWebSocket


class Move(msgspec.Struct):
    x: int
    y: int = 0


@dataclasses.dataclass
class DataMove:
    x: int
    y: int = 0


class DictMove(TypedDict):
    x: int
    y: int


@attrs.define
class AttrsMove:
    x: int
    y: int = 0


class PydanticMove(pydantic.BaseModel):
    x: int
    y: int = 0


async def answer(ws: TestWebSocket, message: Any) -> Any:
    await ws.send_json(message)
    return await ws.receive_json()


# --- rule 1: by type ----------------------------------------------------------------------------


async def test_parameters_are_known_by_their_type_whatever_their_name() -> None:
    app = App(secret_key="k")

    @app.ws("/")
    async def on_message(
        n: int,
        connection: WebSocket,
        request: Handshake,
        application: App,
        visit: Session,
        place: State,
        say: Send,
    ) -> None:
        assert connection.handshake is request
        assert application is app
        assert visit["name"] == "anna"
        assert place is connection.state
        await say(n)

    async with talking(app, session={"name": "anna"}) as ws:
        assert await answer(ws, {"n": 1}) == 1


async def test_a_subclass_of_the_application_is_known_too() -> None:
    class MyApp(App):
        greeting = "hello"

    app = MyApp()

    @app.ws("/")
    async def on_message(msg: str, mine: MyApp) -> str:
        return mine.greeting

    async with talking(app) as ws:
        await ws.send_text("x")
        assert await ws.receive_text() == "hello"


# --- rule 2: by exact name ----------------------------------------------------------------------


async def test_parameters_without_annotation_are_known_by_their_exact_name() -> None:
    app = App(secret_key="k")

    @app.ws("/")
    async def on_message(ws, send, data, session, app, state, user, scope) -> None:  # type: ignore[no-untyped-def]
        assert ws.app is app
        assert session == {"name": "anna"}
        assert state is ws.state
        assert user is None
        assert scope["type"] == "websocket"
        await send(data)

    async with talking(app, session={"name": "anna"}) as ws:
        assert await answer(ws, {"any": [1]}) == {"any": [1]}


async def test_a_known_name_with_an_annotation_of_its_own_is_a_field_of_the_payload() -> None:
    app = App()

    @app.ws("/")
    async def on_message(user: str, state: int) -> list[Any]:
        return [user, state]

    async with talking(app) as ws:
        assert await answer(ws, {"user": "anna", "state": 5}) == ["anna", 5]


# --- rule 3: path parameters --------------------------------------------------------------------


async def test_path_parameters_arrive_converted_with_or_without_annotation() -> None:
    app = App()

    @app.ws("/{room:int}/{key:uuid}/{ratio:float}/{rest:path}")
    async def on_message(msg: str, room: int, key, ratio: float, rest: Any) -> list[Any]:  # type: ignore[no-untyped-def]
        assert isinstance(key, UUID)
        return [room, ratio, rest]

    async with talking(app, f"/7/{UUID(int=1)}/0.5/a/b") as ws:
        await ws.send_text("x")
        assert await ws.receive_json() == [7, 0.5, "a/b"]


async def test_the_payload_cannot_override_a_path_parameter() -> None:
    app = App()

    @app.ws("/{room}")
    async def on_message(room: str, count: int) -> list[Any]:
        return [room, count]

    async with talking(app, "/kitchen") as ws:
        assert await answer(ws, {"room": "vault", "count": 1}) == ["kitchen", 1]


# --- rule 5: one model takes the whole payload --------------------------------------------------


@pytest.mark.parametrize("model", [Move, DataMove, DictMove, AttrsMove, PydanticMove])
async def test_one_parameter_of_a_model_type_takes_the_whole_payload(model: Any) -> None:
    app = App()

    @app.ws("/")
    async def on_message(move: model) -> Any:
        return [type(move).__name__, move["x"] if isinstance(move, dict) else move.x]

    name = "dict" if model is DictMove else model.__name__
    async with talking(app) as ws:
        assert await answer(ws, {"x": 1, "y": 2}) == [name, 1]
        assert "error" in await answer(ws, {"x": "one", "y": 2})


async def test_a_union_of_models_takes_the_whole_payload() -> None:
    class Go(msgspec.Struct, tag=True):
        to: str

    class Stop(msgspec.Struct, tag=True):
        pass

    app = App()

    @app.ws("/")
    async def on_message(order: Go | Stop) -> str:
        return type(order).__name__

    async with talking(app) as ws:
        assert await answer(ws, {"type": "Go", "to": "a"}) == "Go"
        assert await answer(ws, {"type": "Stop"}) == "Stop"


async def test_a_marked_parameter_takes_the_whole_payload_whatever_its_type() -> None:
    app = App()

    @app.ws("/")
    async def on_message(numbers: Annotated[list[int], Payload()], ws: WebSocket) -> int:
        return sum(numbers)

    async with talking(app) as ws:
        assert await answer(ws, [1, 2, 3]) == 6


async def test_the_whole_payload_may_go_to_a_keyword_parameter() -> None:
    app = App()

    @app.ws("/")
    async def on_message(ws: WebSocket, *, move: Move) -> int:
        return move.x

    async with talking(app) as ws:
        assert await answer(ws, {"x": 5}) == 5


async def test_two_models_are_two_fields() -> None:
    app = App()

    @app.ws("/")
    async def on_message(start: Move, end: Move) -> int:
        return end.x - start.x

    async with talking(app) as ws:
        assert await answer(ws, {"start": {"x": 1}, "end": {"x": 5}}) == 4


# --- rule 6: fields of the payload --------------------------------------------------------------


async def test_other_parameters_are_fields_with_their_defaults() -> None:
    app = App()

    @app.ws("/")
    async def on_message(
        text: str,
        to: str | None,
        count: int = 1,
        tags: list[str] = [],  # noqa: B006
        *,
        loud: bool = False,
    ) -> list[Any]:
        tags.append("seen")
        return [text, to, count, tags, loud]

    async with talking(app) as ws:
        sent = {"text": "a", "to": None, "count": 2, "tags": ["b"], "loud": True}
        assert await answer(ws, sent) == ["a", None, 2, ["b", "seen"], True]
        for _ in range(2):
            expected = ["a", "b", 1, ["seen"], False]
            assert await answer(ws, {"text": "a", "to": "b"}) == expected


async def test_constraints_in_annotations_are_checked() -> None:
    app = App()

    @app.ws("/")
    async def on_message(count: Annotated[int, msgspec.Meta(ge=1)]) -> int:
        return count

    async with talking(app) as ws:
        assert await answer(ws, {"count": 1}) == 1
        assert (await answer(ws, {"count": 0}))["error"]["details"][0]["loc"] == ["count"]


async def test_json_is_strict_and_every_problem_is_listed() -> None:
    app = App()

    @app.ws("/")
    async def on_message(text: str, count: int, loud: bool) -> None: ...

    async with talking(app) as ws:
        error = (await answer(ws, {"count": "5", "loud": 1}))["error"]
    assert error["code"] == "validation"
    assert [problem["loc"] for problem in error["details"]] == [["text"], ["count"], ["loud"]]


async def test_strings_are_coerced_in_a_dialect_that_carries_forms() -> None:
    app = App()

    @app.ws("/", dialect=Htmx())
    async def on_message(
        name: str, count: int, tags: list[int], loud: bool, note: str | None = None
    ) -> str:
        return f"{name} {count} {tags} {loud} {note}"

    async with talking(app) as ws:
        await ws.send_json({"name": "5", "count": "5", "tags": "1", "HEADERS": {}})
        assert await ws.receive_text() == "5 5 [1] False None"


async def test_a_dialects_own_parameter_is_filled_by_name() -> None:
    app = App()

    @app.ws("/", dialect=Htmx())
    async def on_message(name: str, htmx) -> str:  # type: ignore[no-untyped-def]
        return f"{name} {htmx.target}"

    async with talking(app) as ws:
        await ws.send_json({"name": "anna", "HEADERS": {"HX-Target": "list"}})
        assert await ws.receive_text() == "anna list"


async def test_data_stands_beside_fields() -> None:
    app = App()

    @app.ws("/")
    async def on_message(name: str, data) -> list[Any]:  # type: ignore[no-untyped-def]
        return [name, data]

    async with talking(app) as ws:
        assert await answer(ws, {"name": "a", "more": 1}) == ["a", {"name": "a", "more": 1}]


# --- frames as they are -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "takes_text", "takes_bytes"),
    [(str, True, False), (bytes, False, True), (str | bytes, True, True)],
)
async def test_one_parameter_of_str_or_bytes_takes_the_frame_itself(
    annotation: Any, takes_text: bool, takes_bytes: bool
) -> None:
    app = App()

    @app.ws("/")
    async def on_message(message: annotation) -> Any:
        return message

    for frame, is_taken in (('"text"', takes_text), (b"bytes", takes_bytes)):
        async with talking(app) as ws:
            ws.peer.send(frame)
            if is_taken:
                assert await ws.receive() == frame
            else:
                await ws.assert_closed(1003)


async def test_a_handler_without_parameters_is_called_for_every_frame() -> None:
    app = App()

    @app.ws("/")
    async def on_message() -> str:
        return "yes"

    async with talking(app) as ws:
        await ws.send_text("not JSON")
        await ws.send_bytes(b"\xff")
        assert [await ws.receive_text() for _ in range(2)] == ["yes", "yes"]


async def test_the_dialect_may_say_how_frames_are_read() -> None:
    app = App()

    @app.ws("/", dialect=Raw("json"))
    async def on_message(text: str) -> str:
        return text

    async with talking(app) as ws:
        assert await answer(ws, {"text": "hi"}) == "hi"


# --- what can be a handler ----------------------------------------------------------------------


async def test_methods_partials_and_callable_objects_are_handlers() -> None:
    class Desk:
        async def handle(self, n: int) -> str:
            return f"method {n}"

        async def __call__(self, n: int) -> str:
            return f"object {n}"

    async def add(step: int, n: int) -> str:
        return f"partial {n + step}"

    app = App()
    app.ws("/method")(Desk().handle)
    app.ws("/object")(Desk())
    app.ws("/partial")(functools.partial(add, 10))
    for name, expected in [
        ("method", "method 1"),
        ("object", "object 1"),
        ("partial", "partial 11"),
    ]:
        async with talking(app, f"/{name}") as ws:
            assert await answer(ws, {"n": 1}) == expected


# --- properties ---------------------------------------------------------------------------------


def compiled(function: Any, body: Any) -> Any:
    binder = Binder(MsgspecAdapter(), types={}, names={}, overrides={})
    return binder.compile(function, where="test", body=body)


async def called(plan: Any, body: Any) -> Any:
    shake = Shake({"type": "websocket", "path": "/", "headers": []})
    return await call_plan(plan, Context(None, shake, Store(), Call(body)))


async def everything(
    number: int, text: str, ratio: float | None = None, flag: bool = False, *, tags: list[str]
) -> list[Any]:
    return [number, text, ratio, flag, tags]


PLAN = compiled(everything, "json")


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
)
async def test_values_that_fit_arrive_equal(
    number: int, text: str, ratio: float | None, flag: bool, tags: list[str]
) -> None:
    sent = {"number": number, "text": text, "ratio": ratio, "flag": flag, "tags": tags}
    assert await called(PLAN, msgspec.json.encode(sent)) == list(sent.values())


async def test_what_nothing_fills_has_its_default_where_there_is_no_payload() -> None:
    app, seen = App(), []

    def lend(limit: int = 5, flag=True) -> Any:  # type: ignore[no-untyped-def]
        return [limit, flag]

    def conn(word: str = "a", data=None, *, other=()) -> None:  # type: ignore[no-untyped-def]
        seen.append([word, data, other])

    def disconn(code: int = 0, more: int = 1) -> None:
        seen.append([code, more])

    @app.ws("/", conn=conn, disconn=disconn)
    async def on_message(msg: str, lent: Annotated[Any, Depends(lend)]) -> Any:
        return lent

    @app.websocket("/held")
    async def held(ws: WebSocket, lent: Annotated[Any, Depends(lend)], size: int = 7) -> None:
        await ws.accept()
        await ws.send_json([lent, size])

    async with talking(app) as ws:
        await ws.send_text("x")
        assert await ws.receive_json() == [5, True]
    assert seen == [["a", None, ()], [1000, 1]]
    async with talking(app, "/held") as ws:
        assert await ws.receive_json() == [[5, True], 7]


class Request(msgspec.Struct):
    text: str


async def test_a_model_may_have_the_name_of_a_type_of_another_framework() -> None:
    app = App()

    @app.ws("/")
    async def on_message(request: Request) -> str:
        return request.text

    async with talking(app) as ws:
        await ws.send_json({"text": "a"})
        assert await ws.receive_json() == "a"
