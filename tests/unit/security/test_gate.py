"""Authentication at the handshake: who gets in, how others are refused, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import talking
from wirework import (
    AnyOf,
    Anyone,
    App,
    BadCredentials,
    Bearer,
    Close,
    Controller,
    Depends,
    FirstMessage,
    Identity,
    QueryToken,
    RegistrationError,
    Reject,
    Router,
    SessionUser,
    SubprotocolToken,
    Ticket,
    WebSocket,
)
from wirework.dialects import Status, Typed
from wirework.testing import HandshakeRefused, TestClient
from wirework.timers import wheel

SECRET = "a secret that is long enough for tests"


class User(msgspec.Struct):
    name: str
    permissions: list[str] = []


USERS = {"t-ada": User("ada", ["orders:write"]), "t-bob": User("bob")}


async def verify(token: str) -> User | None:
    if token == "locked":
        raise BadCredentials("the account is locked")
    if token == "broken":
        raise ZeroDivisionError("the database of users")
    return USERS.get(token)


def bearer(token: str) -> dict[str, Any]:
    return {"headers": {"authorization": f"Bearer {token}"}}


def app_with(auth: Any, **options: Any) -> App:
    """Return an application whose routes of every style tell the user's name."""
    app = App(auth=auth, secret_key=SECRET, **options)

    @app.websocket("/loop")
    async def loop(ws: WebSocket, user: User | None) -> None:
        await ws.accept()
        await ws.send_json({"name": user.name if user else None})

    @app.ws("/message")
    async def message(n: int, user: User | None) -> Any:
        return {"name": user.name if user else None}

    @app.controller("/controller")
    class Desk(Controller):
        async def on_receive(self, n: int) -> Any:
            return {"name": self.ws.user.name if self.ws.user else None}

    events = app.events("/events", dialect=Typed())

    @events.on("who")
    async def who(user: User | None) -> Any:
        return {"name": user.name if user else None}

    return app


PATHS = ["/loop", "/message", "/controller", "/events"]


async def name_at(client: TestClient, path: str, **options: Any) -> Any:
    """Return the name that the route at `path` knows the client by."""
    async with client.connect(path, **options) as ws:
        if path == "/events":
            await ws.send_json({"type": "who"})
            return (await ws.receive_json())["data"]["name"]
        if path != "/loop":
            await ws.send_json({"n": 1})
        return (await ws.receive_json())["name"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_style_knows_the_user_of_its_handshake(path: str) -> None:
    async with TestClient(app_with(Bearer(verify))) as client:
        assert await name_at(client, path, **bearer("t-ada")) == "ada"
        assert await name_at(client, path, **bearer("t-bob")) == "bob"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("options", [{}, bearer("wrong"), bearer("locked"), bearer("!")])
async def test_strangers_are_refused_with_401_and_a_challenge(
    path: str, options: dict[str, Any]
) -> None:
    async with TestClient(app_with(Bearer(verify))) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect(path, **options):
                pass
    assert caught.value.status == 401
    assert caught.value.headers["www-authenticate"] == "Bearer"
    assert b"locked" not in caught.value.body


async def test_an_error_of_verify_is_500_and_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with TestClient(app_with(Bearer(verify))) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/loop", **bearer("broken")):
                pass
    assert caught.value.status == 500
    assert b"database" not in caught.value.body
    assert "the database of users" in caplog.text


async def test_credentials_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "wirework")
    async with TestClient(app_with(QueryToken(verify))) as client:
        for token in ("t-ada", "s3cret-wrong", "locked"):
            try:
                async with client.connect(f"/message?token={token}") as ws:
                    await ws.send_json({"n": 1})
                    await ws.receive_json()
            except HandshakeRefused:
                continue
    assert "the account is locked" in caplog.text
    assert "s3cret" not in caplog.text
    assert "t-ada" not in caplog.text


@pytest.mark.parametrize("path", PATHS)
async def test_a_refusal_can_be_a_close_that_scripts_in_browsers_can_read(path: str) -> None:
    app = app_with(Bearer(verify), auth_refusal="close")
    async with talking(app, path, **bearer("wrong")) as ws:
        if path == "/events":
            answer = await ws.receive_json()
            assert (answer["type"], answer["code"]) == ("error", "not_authenticated")
        elif path != "/loop":
            assert (await ws.receive_json())["error"]["code"] == "not_authenticated"
        await ws.assert_closed(4401)


async def test_a_source_may_choose_the_refusal_by_itself() -> None:
    app = App(auth=Bearer(verify, refuse="close"))

    @app.ws("/", dialect=Status())
    async def on_message(n: int) -> int:
        return n

    async with talking(app) as ws:
        assert (await ws.receive_json())["statusCode"] == 401
        await ws.assert_closed(4401)


async def test_with_optional_strangers_are_nobody_and_bad_credentials_are_refused() -> None:
    async with TestClient(app_with(Bearer(verify, optional=True))) as client:
        assert await name_at(client, "/message") is None
        assert await name_at(client, "/message", **bearer("t-ada")) == "ada"
        with pytest.raises(HandshakeRefused):
            await name_at(client, "/message", **bearer("wrong"))


async def test_the_first_source_that_has_credentials_decides() -> None:
    app = app_with(AnyOf(Bearer(verify), QueryToken(verify)))
    async with TestClient(app) as client:
        assert await name_at(client, "/message?token=t-bob") == "bob"
        assert await name_at(client, "/message?token=t-bob", **bearer("t-ada")) == "ada"
        with pytest.raises(HandshakeRefused):
            await name_at(client, "/message?token=t-bob", **bearer("wrong"))


async def test_a_first_message_is_awaited_only_where_the_handshake_says_nothing() -> None:
    app = App(secret_key=SECRET)
    events = app.events("/", dialect=Typed(), auth=AnyOf(Bearer(verify), FirstMessage(verify)))

    @events.on("who")
    async def who(user: User) -> str:
        return user.name

    async with TestClient(app) as client:
        async with client.connect("/", **bearer("t-ada")) as ws:
            await ws.send_json({"type": "who"})
            assert (await ws.receive_json())["data"] == "ada"
        async with client.connect("/") as ws:
            await ws.send_json({"type": "auth", "data": {"token": "t-bob"}})
            assert (await ws.receive_json())["type"] == "ready"
            await ws.send_json({"type": "who"})
            assert (await ws.receive_json())["data"] == "bob"
        async with client.connect("/") as ws:
            await ws.send_json({"type": "who"})
            assert (await ws.receive_json())["code"] == "not_authenticated"
            await ws.assert_closed(4401)


async def test_the_session_cookie_says_who_logged_in_over_http() -> None:
    app = App(secret_key=SECRET)

    @app.ws("/", auth=SessionUser())
    async def on_message(n: int, user: object) -> Any:
        return user

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused):
            async with client.connect("/"):
                pass
        client.cookies.update(app.sign_session({"user": "ada"}))
        async with client.connect("/") as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == "ada"


async def test_a_ticket_lets_in_once() -> None:
    app = App(secret_key=SECRET)

    @app.ws("/", auth=Ticket())
    async def on_message(n: int, user: object) -> Any:
        return user

    async with TestClient(app) as client:
        ticket = app.tickets.issue("ada")
        async with client.connect(f"/?ticket={ticket}") as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == "ada"
        with pytest.raises(HandshakeRefused):
            async with client.connect(f"/?ticket={ticket}"):
                pass


async def test_a_token_among_the_subprotocols_is_never_agreed() -> None:
    app = app_with(SubprotocolToken(verify))
    async with TestClient(app) as client:
        for path in PATHS:
            offered = ["chat.v1", "token.t-ada"]
            async with client.connect(path, subprotocols=offered) as ws:
                assert ws.subprotocol == "chat.v1"
        async with client.connect("/message", subprotocols=["token.t-ada"]) as ws:
            assert ws.subprotocol is None


async def test_dependencies_of_verify_are_released_before_the_handshake_is_answered() -> None:
    lines: list[str] = []

    async def users() -> AsyncIterator[dict[str, User]]:
        lines.append("open")
        yield USERS
        lines.append("close")

    async def look(
        token: str, found: Annotated[dict[str, User], Depends(users, scope="connection")]
    ) -> User | None:
        return found.get(token)

    app = App(auth=Bearer(look))

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        lines.append("handler")
        await ws.accept()

    async with talking(app, **bearer("t-ada")):
        assert lines == ["open", "close", "handler"]


# --- permissions --------------------------------------------------------------------------------


def permissions(user: User) -> list[str]:
    return user.permissions


async def test_a_route_is_for_those_who_have_what_it_requires() -> None:
    app = App(auth=Bearer(verify, permissions=permissions))

    @app.ws("/orders", requires="orders:write")
    async def on_message(n: int) -> int:
        return n

    async with TestClient(app) as client:
        async with client.connect("/orders", **bearer("t-ada")) as ws:
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == 1
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/orders", **bearer("t-bob")):
                pass
        assert caught.value.status == 403


async def test_an_event_is_for_those_who_have_what_it_requires() -> None:
    app = App()
    auth = FirstMessage(verify, permissions=permissions)
    events = app.events("/", dialect=Typed(), auth=auth)

    @events.on("read")
    async def read(user: User) -> str:
        return "read"

    @events.on("write", requires=["orders:write"])
    async def write(user: User) -> str:
        return "written"

    for token, expected in (("t-ada", "written"), ("t-bob", "forbidden")):
        async with talking(app) as ws:
            await ws.send_json({"type": "auth", "data": {"token": token}})
            await ws.receive_json()
            await ws.send_json({"type": "write", "id": 1})
            answer = await ws.receive_json()
            assert answer.get("data", answer.get("code")) == expected
            await ws.send_json({"type": "read", "id": 2})
            assert (await ws.receive_json())["data"] == "read"


async def test_a_first_message_without_the_permission_ends_with_4403() -> None:
    app = App()
    auth = FirstMessage(verify, permissions=permissions)
    app.events("/", dialect=Typed(), auth=auth, requires="orders:write")
    async with talking(app) as ws:
        await ws.send_json({"type": "auth", "data": {"token": "t-bob"}})
        assert (await ws.receive_json())["code"] == "forbidden"
        await ws.assert_closed(4403)


# --- registration -------------------------------------------------------------------------------


def register_requires(app: App) -> None:
    app.ws("/", requires="x")(nothing)


def register_event(app: App) -> None:
    app.events("/", dialect=Typed()).on("x", requires="y")(nothing)


def register_session(app: App) -> None:
    app.ws("/", auth=SessionUser())(nothing)


def register_ticket(app: App) -> None:
    app.ws("/", auth=Ticket())(nothing)


def register_first(app: App) -> None:
    async def loop(ws: WebSocket) -> None: ...

    app.websocket("/", auth=FirstMessage(verify))(loop)


def register_wordless(app: App) -> None:
    app.ws("/", auth=AnyOf(Bearer(verify), FirstMessage(verify)))(nothing)


def register_no_auth(app: App) -> None:
    app.ws("/", auth=verify)(nothing)  # type: ignore[arg-type]


async def nothing() -> None: ...


@pytest.mark.parametrize(
    ("register", "words"),
    [
        (register_requires, "it requires something of the user, but asks nobody"),
        (register_event, "it requires something of the user, but nobody asks who that is"),
        (register_session, "reads the session, and there is none"),
        (register_ticket, "takes the application's tickets, and they cannot be signed"),
        (register_first, "it would be open to everybody"),
        (register_wordless, "the dialect raw has no message in which a client says who it is"),
        (register_no_auth, "auth: expected one such as Bearer"),
    ],
    ids=lambda value: getattr(value, "__name__", "says"),
)
def test_what_cannot_work_is_refused_at_registration(
    register: Callable[[App], None], words: str
) -> None:
    with pytest.raises(RegistrationError, match=words):
        register(App())


async def test_anyone_opens_a_route_of_an_application_that_asks() -> None:
    app = App(auth=Bearer(verify))
    router = Router(auth=Anyone())

    @app.ws("/closed")
    async def closed(n: int) -> int:
        return n

    @app.ws("/open", auth=Anyone())
    @router.ws("/open-too")
    async def opened(n: int) -> int:
        return n

    app.include(router)
    async with TestClient(app) as client:
        for path in ("/open", "/open-too"):
            async with client.connect(path) as ws:
                await ws.send_json({"n": 1})
                assert await ws.receive_json() == 1
        with pytest.raises(HandshakeRefused):
            async with client.connect("/closed"):
                pass


# --- as time goes by ----------------------------------------------------------------------------


def pass_time(seconds: float) -> None:
    """Let the wheel look at everything that is due by then."""
    clock = wheel()
    now = clock.now() + seconds
    for slot in list(clock._slots):
        for member in list(clock._slots.get(slot, ())):
            clock._slots[slot].discard(member)
            clock._look(member, now)


async def test_credentials_that_have_expired_already_let_nobody_in() -> None:
    async def old(token: str) -> Identity[User]:
        return Identity(USERS[token], expires_at=time.time() - 1)

    async with TestClient(app_with(Bearer(old))) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/loop", **bearer("t-ada")):
                pass
    assert caught.value.status == 401


async def test_expired_credentials_end_the_connection_with_4401() -> None:
    async def short(token: str) -> Identity[User]:
        return Identity(USERS[token], expires_at=time.time() + 0.2)

    app = App(auth=Bearer(short))

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:
            pass

    async with talking(app, **bearer("t-ada")) as ws:
        await ws.assert_closed(4401)


async def test_newer_credentials_of_the_same_user_keep_the_connection() -> None:
    ends = iter([time.time() + 60, time.time() + 600])

    async def short(token: str) -> Identity[User]:
        return Identity(USERS[token], expires_at=next(ends))

    app = App()
    events = app.events("/", dialect=Typed(), auth=FirstMessage(short))

    @events.on("until")
    async def until(ws: WebSocket) -> bool:
        return bool(ws.identity.expires_at > time.time() + 500)

    async with talking(app) as ws:
        for _ in range(2):
            await ws.send_json({"type": "auth", "data": {"token": "t-ada"}})
            assert (await ws.receive_json())["type"] == "ready"
        await ws.send_json({"type": "until"})
        assert (await ws.receive_json())["data"] is True


async def test_credentials_of_another_user_change_nothing() -> None:
    app = App()
    events = app.events("/", dialect=Typed(), auth=FirstMessage(verify))

    @events.on("who")
    async def who(user: User) -> str:
        return user.name

    async with talking(app) as ws:
        await ws.send_json({"type": "auth", "data": {"token": "t-ada"}})
        await ws.receive_json()
        await ws.send_json({"type": "auth", "data": {"token": "t-bob"}})
        assert (await ws.receive_json())["code"] == "authenticated"
        await ws.send_json({"type": "who"})
        assert (await ws.receive_json())["data"] == "ada"


async def test_verify_is_asked_again_and_its_no_ends_the_connection() -> None:
    users = dict(USERS)
    asked = asyncio.Event()

    async def look(token: str) -> User | None:
        asked.set()
        return users.get(token)

    app = App(auth=Bearer(look, recheck=30.0))

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    async with talking(app, **bearer("t-ada")) as ws:
        asked.clear()
        pass_time(31)
        await asked.wait()
        await ws.send_text("still here")
        assert await ws.receive_text() == "still here"
        del users["t-ada"]
        pass_time(62)
        await ws.assert_closed(4401)


async def test_an_error_of_a_further_check_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    fails: list[bool] = []

    async def look(token: str) -> User | None:
        if fails:
            raise OSError("no database")
        return USERS.get(token)

    app = App(auth=Bearer(look, recheck=30.0))

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    async with talking(app, **bearer("t-ada")) as ws:
        fails.append(True)
        pass_time(31)
        await ws.send_text("still here")
        assert await ws.receive_text() == "still here"
    assert "no database" in caplog.text


# --- disconnect ---------------------------------------------------------------------------------


async def test_the_connections_of_a_user_can_be_closed() -> None:
    app = app_with(Bearer(verify))
    async with (
        TestClient(app) as client,
        client.connect("/message", **bearer("t-ada")) as one,
        client.connect("/events", **bearer("t-ada")) as two,
        client.connect("/message", **bearer("t-bob")) as other,
    ):
        assert app.disconnect(user=USERS["t-ada"], reason="locked") == 2
        await one.assert_closed(4401, "locked")
        await two.assert_closed(4401, "locked")
        await other.send_json({"n": 1})
        assert (await other.receive_json())["name"] == "bob"
        assert [ws.user.name for ws in app.connections] == ["bob"]


async def test_the_connections_of_a_session_and_a_single_one_can_be_closed() -> None:
    app = App(secret_key=SECRET)

    @app.ws("/")
    async def on_message(n: int, ws: WebSocket) -> str:
        return ws.id

    async with TestClient(app) as client:
        client.cookies.update(app.sign_session({"user": "ada"}))
        async with client.connect("/") as one, client.connect("/") as two:
            await one.send_json({"n": 1})
            assert app.disconnect(connection=await one.receive_json(), code=4403) == 1
            await one.assert_closed(4403)
            assert app.disconnect(session={"user": "bob"}) == 0
            assert app.disconnect(session={"user": "ada"}) >= 1
            await two.assert_closed(4401)
    with pytest.raises(TypeError, match="expected user, session or connection"):
        app.disconnect()


async def test_verify_may_say_close_or_reject() -> None:
    async def say(token: str) -> User | None:
        raise {"close": Close(4429, "later"), "reject": Reject("banned", "You are banned.")}[token]

    async with TestClient(app_with(Bearer(say))) as client:
        for token, status in (("close", 429), ("reject", 401)):
            with pytest.raises(HandshakeRefused) as caught:
                await name_at(client, "/message", **bearer(token))
            assert caught.value.status == status
