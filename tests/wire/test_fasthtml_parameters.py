"""FastHTML's parameters, each row of its table, filled by rules that are written down."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import Enum
from html import unescape
from typing import Any, Literal
from uuid import UUID

import pytest
from starlette.datastructures import State

from wirework import App, FirstMessage, Handshake, RegistrationError, Send, Session, WebSocket
from wirework.dialects import Htmx, HtmxHeaders, Typed
from wirework.testing import TestClient

KEY = "a key of thirty-two bytes or more"
HEADERS = {"HX-Request": "true", "HX-Trigger": "form", "HX-Target": "log"}


def app_of(kind: Any, **default: Any) -> App:
    """Return an application whose handler says its one field `v`, a `kind`, as Python writes it."""
    app = App(dialect=Htmx())

    async def on_message(v: Any, name: str = "") -> str:
        return repr(v)

    if default:
        on_message.__defaults__ = (default["default"], "")
    on_message.__annotations__["v"] = kind
    app.ws("/")(on_message)
    return app


async def answer(app: App, form: dict[str, Any], **options: Any) -> str:
    """Return what a connection answers to the form, as text."""
    async with TestClient(app) as client, client.connect("/", **options) as ws:
        await ws.send_json({**form, "HEADERS": HEADERS})
        return unescape(await ws.receive_text())


class User(str):
    __slots__ = ()


class Colour(Enum):
    RED = "red"


FIELDS: list[tuple[Any, Any, Any]] = [
    (str, "5", "5"),
    (str, "", ""),
    (int, "5", 5),
    (float, "1.5", 1.5),
    (bool, "on", True),
    (bool, "off", False),
    (bool, "1", True),
    (bool, "0", False),
    (date, "2024-05-01", date(2024, 5, 1)),
    (datetime, "2024-05-01T10:30", datetime(2024, 5, 1, 10, 30)),
    (time, "10:30", time(10, 30)),
    (UUID, "12345678123456781234567812345678", UUID("12345678123456781234567812345678")),
    (Colour, "red", Colour.RED),
    (Literal["a", "b"], "b", "b"),
    (list[str], "one", ["one"]),
    (list[str], ["one", "two"], ["one", "two"]),
    (list[int], ["1", "2"], [1, 2]),
    (list[int], "1", [1]),
    (list[date], ["2024-05-01"], [date(2024, 5, 1)]),
    (list[bool], ["on", "off"], [True, False]),
    (set[int], ["1", "1"], {1}),
    (tuple[int, str], ["1", "2"], (1, "2")),
    (int | None, "5", 5),
    (date | None, "2024-05-01", date(2024, 5, 1)),
    (int | float, "5", 5),
    (int | float, "5.5", 5.5),
    (int | str, "5", "5"),
    (str | None, "", ""),
]


@pytest.mark.parametrize(
    ("kind", "sent", "value"), FIELDS, ids=[f"{kind} {sent!r}" for kind, sent, _ in FIELDS]
)
async def test_a_field_is_cast_by_its_annotation(kind: Any, sent: Any, value: Any) -> None:
    assert await answer(app_of(kind), {"v": sent}) == repr(value)


@pytest.mark.parametrize(
    ("kind", "value"), [(bool, False), (list[int], [])], ids=["checkbox", "list"]
)
async def test_what_browsers_leave_out_when_nothing_is_chosen_is_filled_in(
    kind: Any, value: Any
) -> None:
    assert await answer(app_of(kind), {}) == repr(value)


@pytest.mark.parametrize(
    ("kind", "default"),
    [(int, 7), (bool, True), (list[int], [7]), (int | None, None), (date | None, None)],
    ids=str,
)
async def test_a_field_that_is_absent_or_empty_has_its_default(kind: Any, default: Any) -> None:
    app = app_of(kind, default=default)
    assert await answer(app, {}) == repr(default)
    if kind not in (bool, list[int]):
        assert await answer(app, {"v": ""}) == repr(default)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [(int, "five"), (int, ""), (bool, "perhaps"), (date, "tomorrow"), (list[int], ["1", "x"])],
    ids=str,
)
async def test_what_cannot_be_cast_is_told_to_the_sender(kind: Any, sent: Any) -> None:
    said = await answer(app_of(kind), {"v": sent})
    assert said.startswith('<div id="ws-error" hx-swap-oob="innerHTML">the message does not fit')
    assert ("<li>v.1: " if kind == list[int] else "<li>v: ") in said


# --- special names --------------------------------------------------------------------------------


async def test_the_special_names_need_no_annotation() -> None:
    app = App(secret_key=KEY, dialect=Htmx())
    seen: dict[str, Any] = {}

    @app.ws("/")
    async def on_message(  # type: ignore[no-untyped-def]
        msg: str, ws, send, data, session, scope, app, state, htmx, user
    ):
        seen.update(locals())
        state.count = 1
        await send("sent")

    assert await answer(app, {"msg": "hi"}, session={"name": "Ada"}) == "sent"
    assert isinstance(seen["ws"], WebSocket)
    assert seen["data"] == {"msg": "hi"}
    assert seen["session"]["name"] == "Ada"
    assert (seen["scope"]["type"], seen["scope"]["path"]) == ("websocket", "/")
    assert seen["app"] is app
    assert seen["state"].count == seen["ws"].state.count == 1
    assert seen["htmx"].trigger_id == "form"
    assert seen["user"] is None


async def test_the_same_are_known_by_their_types_whatever_the_name() -> None:
    app = App(secret_key=KEY, dialect=Htmx())
    seen: dict[str, Any] = {}

    @app.ws("/")
    async def on_message(
        msg: str,
        a: WebSocket,
        b: Send,
        c: Session,
        d: App,
        e: State,
        f: HtmxHeaders,
        g: Handshake,
    ) -> str:
        seen.update(locals())
        return msg

    assert await answer(app, {"msg": "hi", "a": "x", "g": "y"}, session={"n": 1}) == "hi"
    assert isinstance(seen["a"], WebSocket)
    assert seen["d"] is app
    assert seen["f"].target_id == "log"
    assert seen["g"].path == "/"


async def test_what_fasthtml_calls_auth_is_the_user_that_authentication_returned() -> None:
    async def verify(token: str) -> User | None:
        return User("Ada") if token == "good" else None

    app = App()
    desk = app.events("/", dialect=Typed(), auth=FirstMessage(verify))

    @desk.on("who")
    async def who(user, someone: User) -> list[str]:  # type: ignore[no-untyped-def]
        return [user, someone]

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_json({"type": "auth", "data": {"token": "good"}})
        await ws.receive_json()
        await ws.send_json({"type": "who"})
        assert (await ws.receive_json())["data"] == ["Ada", "Ada"]


@pytest.mark.parametrize("name", ["auth", "s", "r", "req", "sess", "request"])
def test_other_names_without_an_annotation_are_refused_at_registration(name: str) -> None:
    made: dict[str, Any] = {}
    exec(f"async def on_message(msg: str, {name}): ...", made)
    with pytest.raises(RegistrationError, match=f"parameter '{name}' has no annotation"):
        App(dialect=Htmx()).ws("/")(made["on_message"])


async def test_scope_and_session_cannot_come_from_the_form() -> None:
    app = App(secret_key=KEY, dialect=Htmx())

    @app.ws("/")
    async def on_message(session, scope, app) -> str:  # type: ignore[no-untyped-def]
        return f"{dict(session)} {scope['path']} {type(app).__name__}"

    form = {"session": "mine", "scope": "mine", "app": "mine"}
    assert await answer(app, form, session={"name": "Ada"}) == "{'name': 'Ada'} / App"


# --- the whole form -------------------------------------------------------------------------------


@dataclass
class Profile:
    name: str
    age: int
    likes: list[str]
    news: bool
    born: date | None = None
    langs: list[str] = field(default_factory=lambda: ["en"])


async def test_a_dataclass_takes_the_whole_form() -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def save(profile: Profile) -> str:
        return repr(profile)

    form = {"name": "Ada", "age": "36", "likes": "tea", "born": "", "extra": "ignored"}
    expected = Profile("Ada", 36, ["tea"], news=False)
    assert await answer(app, form) == repr(expected)
    said = await answer(app, {"age": "old"})
    assert "<li>name: Field required</li><li>age: " in said


async def test_a_dataclass_beside_other_fields_is_a_field_of_its_name() -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def save(profile: Profile, msg: str) -> str:
        return f"{profile.name} {msg}"

    nested = {"name": "Ada", "age": 36, "likes": [], "news": False}
    assert await answer(app, {"profile": nested, "msg": "hi"}) == "Ada hi"


async def test_data_is_the_whole_form_beside_the_typed_fields() -> None:
    app = App(dialect=Htmx())

    @app.ws("/")
    async def save(count: int, data) -> str:  # type: ignore[no-untyped-def]
        return json.dumps([count, data])

    form = {"count": "5", "other": ["a", "b"]}
    assert json.loads(await answer(app, form)) == [5, form]
