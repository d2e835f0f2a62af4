"""`FirstMessage`: what it takes, who the user is in a handler, and what verify depends on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, NewType

import msgspec
import pytest

from tests.unit.applications import Journal, talking
from tests.unit.session.talk import User, ask, error, login, message, plain, send, user_of, value
from wirework import (
    App,
    Depends,
    Events,
    FirstMessage,
    Header,
    Payload,
    Query,
    RegistrationError,
    Reject,
    Router,
    WebSocket,
)
from wirework.dialects import Htmx, NamedSockets, Raw, Status, Typed
from wirework.testing import TestWebSocket

JOURNAL = Journal()
get_db, get_pool = JOURNAL.lending("db"), JOURNAL.lending("pool")

LIAR = {"name": "admin"}
"""What a client sends that wants to be somebody else."""


class Staff(User):
    """A user with more rights."""

    role: str = "clerk"


class Guest(msgspec.Struct):
    """Somebody without a name."""


def desk_of(verify: Any) -> tuple[App, Events]:
    app = App()
    return app, app.events("/", dialect=Typed(), auth=FirstMessage(verify))


@pytest.fixture(autouse=True)
def _new_journal() -> None:
    JOURNAL.lines.clear()


async def log_in(ws: TestWebSocket, token: str = "ada") -> None:
    """Authenticate."""
    send(ws, login(token))
    assert await ws.receive_json() == {"type": "ready"}


# --- what it takes ------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [None, "token", User], ids=repr)
def test_verify_is_a_function(verify: Any) -> None:
    with pytest.raises(TypeError, match="FirstMessage: expected a function, got"):
        FirstMessage(verify)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_the_timeout_is_above_zero(timeout: float) -> None:
    with pytest.raises(ValueError, match="FirstMessage timeout: expected seconds above 0, got"):
        FirstMessage(user_of, timeout=timeout)


def test_it_names_its_function() -> None:
    assert repr(FirstMessage(user_of)) == "FirstMessage(user_of)"


@pytest.mark.parametrize("style", ["App", "Router", "events", "ws", "controller"])
def test_something_else_as_auth_fails_at_registration(style: str) -> None:
    auth: Any = user_of
    makers: dict[str, Any] = {"App": App, "Router": Router}
    register = makers.get(style) or partial(getattr(App(), style), "/")
    with pytest.raises(
        RegistrationError, match=r"auth: expected one such as Bearer\(verify\), got"
    ):
        register(auth=auth)


@pytest.mark.parametrize(
    "dialect", [Raw(), Status(), Htmx(), NamedSockets()], ids=lambda each: each.name
)
def test_a_dialect_without_words_for_it_fails_at_registration(dialect: Any) -> None:
    with pytest.raises(RegistrationError) as caught:
        App().events("/", dialect=dialect, auth=FirstMessage(user_of))
    assert str(caught.value) == (
        f"events('/'): the dialect {dialect.name} has no message in which a client says who it is; "
        "choose one that has: Typed(), State()"
    )


def test_a_verify_that_cannot_be_called_fails_at_registration() -> None:
    async def needs_more(token: str, database: int) -> None: ...

    async def yields(token: str) -> AsyncIterator[User]:
        yield User(token)

    with pytest.raises(RegistrationError, match=r"needs_more: parameter 'database' \(int\)"):
        desk_of(needs_more)
    with pytest.raises(RegistrationError, match="yields: it is called once and returns"):
        desk_of(yields)


# --- what verify takes --------------------------------------------------------------------------


async def test_verify_takes_dependencies_that_are_released_before_ready_is_said() -> None:
    async def verify(token: str, db: Annotated[str, Depends(get_db)]) -> User:
        return User(f"{token} of {db}")

    app, desk = desk_of(verify)

    @desk.on_ready
    async def on_ready() -> None:
        JOURNAL.lines.append("ready")

    @desk.on("who")
    async def who(user: User) -> str:
        return user.name

    async with talking(app) as ws:
        await log_in(ws)
        assert JOURNAL.lines == ["open db", "close db", "ready"]
        assert await ask(ws, "who") == value("who", "ada of db")


async def test_dependencies_of_verify_are_released_when_it_turns_the_peer_away() -> None:
    async def verify(
        token: str,
        db: Annotated[str, Depends(get_db)],
        pool: Annotated[str, Depends(get_pool, scope="connection")],
    ) -> User:
        raise Reject("expired")

    app, _ = desk_of(verify)
    async with talking(app) as ws:
        send(ws, login())
        assert plain(await ws.receive_json()) == error("expired", id=None)
        await ws.assert_closed(4401)
    assert sorted(JOURNAL.lines) == [
        "Reject in db",
        "close db",
        "close pool",
        "open db",
        "open pool",
    ]


async def test_an_error_while_verify_is_released_turns_the_peer_away() -> None:
    async def verify(token: str, db: Annotated[None, Depends(audit)]) -> User:
        return User(token)

    app, _desk = desk_of(verify)
    async with talking(app) as ws:
        send(ws, login(), message("who", id=1))
        assert plain(await ws.receive_json()) == error("audit_failed", id=None)
        await ws.assert_closed(4401)


async def test_verify_sees_the_handshake_and_the_connection() -> None:
    async def verify(
        token: str,
        ws: WebSocket,
        room: Annotated[str, Query()],
        agent: Annotated[str, Header("user-agent")] = "none",
    ) -> str:
        return f"{token} in {room} with {agent}, {ws.user}"

    app, desk = desk_of(verify)

    @desk.on("who")
    async def who(user: str) -> str:
        return user

    async with talking(app, "/?room=7") as ws:
        await log_in(ws)
        assert await ask(ws, "who") == value("who", "ada in 7 with none, None")


@pytest.mark.parametrize("kind", ["def", "lambda", "method", "partial", "object"])
async def test_verify_is_any_function(kind: str) -> None:
    class Tokens:
        def verify(self, token: str) -> str:
            return token.upper()

        async def __call__(self, token: str) -> str:
            return token.upper()

    def verify(token: str) -> str:
        return token.upper()

    def longer(extra: str, token: str) -> str:
        return (token + extra).upper()

    verifies: dict[str, Any] = {
        "def": verify,
        "lambda": lambda token: token.upper(),
        "method": Tokens().verify,
        "partial": partial(longer, ""),
        "object": Tokens(),
    }
    app, desk = desk_of(verifies[kind])

    @desk.on("who")
    async def who(user) -> Any:  # type: ignore[no-untyped-def]
        return user

    async with talking(app) as ws:
        await log_in(ws)
        assert await ask(ws, "who") == value("who", "ADA")


# --- the user of a handler ----------------------------------------------------------------------


async def audit() -> AsyncIterator[None]:
    yield
    raise Reject("audit_failed")


async def staff(token: str) -> Staff | None:
    return Staff(token)


async def fields(token: str) -> dict[str, Any]:
    return {"name": token}


async def either(token: str) -> Staff | Guest:
    return Staff(token)


async def untold(token: str):  # type: ignore[no-untyped-def]
    return User(token)


def by_name(user) -> Any:  # type: ignore[no-untyped-def]
    return user


async def by_type(me: Staff) -> Any:
    return me


async def by_optional_type(me: Staff | None) -> Any:
    return me


async def optional(user: Staff | None) -> Any:
    return user


async def base(user: User) -> Any:
    return user


async def base_or_none(user: User | None = None) -> Any:
    return user


async def anything(user: Any) -> Any:
    return user


async def mapping(user: dict[str, Any]) -> Any:
    return user


async def union(user: Staff | Guest) -> Any:
    return user


async def union_of_others(user: Guest | int) -> Any:
    return user


async def among_fields(text: str, user: Staff, count: int = 0) -> Any:
    return user


async def beside_model(order: Guest, *, user: Staff) -> Any:
    return user


@pytest.mark.parametrize(
    ("verify", "handler"),
    [
        *[
            (staff, each)
            for each in (
                by_name,
                by_type,
                by_optional_type,
                optional,
                base,
                base_or_none,
                anything,
                among_fields,
                beside_model,
            )
        ],
        *[(fields, each) for each in (by_name, anything, mapping)],
        *[(either, each) for each in (by_name, union)],
        *[(untold, each) for each in (by_name, base, base_or_none, mapping)],
    ],
    ids=lambda each: each.__name__,
)
async def test_a_client_cannot_say_who_it_is_in_a_payload(verify: Any, handler: Any) -> None:
    app, desk = desk_of(verify)
    desk.on("who")(handler)
    async with talking(app) as ws:
        await log_in(ws)
        for lie in (LIAR, {"user": LIAR, "me": LIAR}):
            said = await ask(ws, "who", {"text": "x", **lie})
            assert said["data"]["name"] == "ada"


@pytest.mark.parametrize(
    ("verify", "handler", "given", "made"),
    [
        (staff, mapping, "dict", "Staff"),
        (staff, union_of_others, "tests.unit.security.test_auth.Guest | int", "Staff"),
        (fields, base, "User", "dict"),
        (either, base, "User", "Staff | tests.unit.security.test_auth.Guest"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_user_of_another_type_fails_at_registration(
    verify: Any, handler: Any, given: str, made: str
) -> None:
    _app, desk = desk_of(verify)
    with pytest.raises(RegistrationError) as caught:
        desk.on("who")(handler)
    text = str(caught.value)
    assert text.startswith("events('/').on('who')")
    assert f"parameter 'user' is annotated {given}" in text
    assert f"{made}; annotate it so, or choose another name for what the message carries" in text


UserId = NewType("UserId", str)


class Desk:
    async def __call__(self, token: str) -> Staff:
        return Staff(token)


async def branch(place: str, token: str) -> Staff:
    return Staff(token)


@pytest.mark.parametrize("verify", [Desk(), partial(branch, "here")], ids=["object", "partial"])
async def test_the_user_is_known_by_type_whatever_kind_of_function_verify_is(verify: Any) -> None:
    app, desk = desk_of(verify)
    desk.on("who")(by_type)
    async with talking(app) as ws:
        await log_in(ws)
        assert (await ask(ws, "who", LIAR))["data"]["name"] == "ada"


async def test_the_user_is_known_by_a_new_type_and_by_an_annotated_one() -> None:
    async def verify(token: str) -> UserId:
        return UserId(token)

    app, desk = desk_of(verify)

    @desk.on("new")
    async def new(me: UserId) -> str:
        return me

    @desk.on("told")
    async def told(me: Annotated[UserId, "who asks"]) -> str:
        return me

    async with talking(app) as ws:
        await log_in(ws)
        for name in ("new", "told"):
            assert await ask(ws, name, {"me": "admin"}) == value(name, "ada")


async def one_of_either(me: Staff) -> Any:
    return me


async def either_or_more(me: Staff | User, text: str) -> Any:
    return me


@pytest.mark.parametrize(
    ("verify", "handler"),
    [
        (untold, by_type),
        (untold, either_or_more),
        (lambda token: token, by_optional_type),
        (either, one_of_either),
        (staff, either_or_more),
    ],
    ids=["untold", "untold, among fields", "lambda", "one of a union", "a union with it"],
)
def test_what_may_be_meant_to_be_the_user_is_not_filled_by_the_client(
    verify: Any, handler: Any
) -> None:
    _app, desk = desk_of(verify)
    with pytest.raises(RegistrationError, match=r"parameter 'me' is annotated .* may be the user"):
        desk.on("who")(handler)


async def test_a_payload_that_is_marked_needs_no_word_of_verify() -> None:
    app, desk = desk_of(untold)

    @desk.on("guest")
    async def guest(guest: Annotated[Guest, Payload()], user: Any) -> str:
        return f"{type(guest).__name__} of {user.name}"

    async with talking(app) as ws:
        await log_in(ws)
        assert await ask(ws, "guest") == value("guest", "Guest of ada")


async def test_a_parameter_that_says_where_it_is_from_may_be_called_user() -> None:
    async def get_user() -> str:
        return "made"

    app = App()
    desk = app.events("/", dialect=Typed(), auth=FirstMessage(staff))

    @desk.on("depends")
    async def depends(user: Annotated[str, Depends(get_user)]) -> str:
        return user

    @desk.on("query")
    async def query(user: Annotated[str, Query()]) -> str:
        return user

    @desk.on("payload")
    async def payload(user: Annotated[Guest, Payload()], me: Staff) -> str:
        return f"{type(user).__name__} of {me.name}"

    async with talking(app, "/?user=asked") as ws:
        await log_in(ws)
        assert await ask(ws, "depends") == value("depends", "made")
        assert await ask(ws, "query") == value("query", "asked")
        assert await ask(ws, "payload", LIAR) == value("payload", "Guest of ada")


async def test_a_payload_that_has_a_user_is_a_model() -> None:
    class Mention(msgspec.Struct):
        user: str

    app, desk = desk_of(staff)

    @desk.on("mention")
    async def mention(mention: Mention, user: Staff) -> str:
        return f"{user.name} mentions {mention.user}"

    async with talking(app) as ws:
        await log_in(ws)
        said = await ask(ws, "mention", {"user": "eve"})
        assert said == value("mention", "ada mentions eve")


async def test_hooks_take_the_user_as_handlers_do() -> None:
    app, desk = desk_of(staff)
    seen: list[Any] = []

    @desk.before
    async def before(user: Staff | None) -> None:
        seen.append(("before", user.name if user else None))

    @desk.on_disconnect
    async def on_disconnect(who: Staff) -> None:
        seen.append(("disconnect", who.name))

    @desk.on("note")
    async def note() -> None: ...

    async with talking(app) as ws:
        await log_in(ws)
        await ask(ws, "note")
    assert seen == [("before", "ada"), ("disconnect", "ada")]


# --- where it is given --------------------------------------------------------------------------


async def test_the_nearest_auth_counts() -> None:
    async def outer(token: str) -> str:
        return f"outer {token}"

    async def inner(token: str) -> str:
        return f"inner {token}"

    async def who(user: str) -> str:
        return user

    app = App(auth=FirstMessage(outer), dialect=Typed())
    router = Router(prefix="/r", auth=FirstMessage(inner))
    app.events("/app").on("who")(who)
    app.events("/own", auth=FirstMessage(inner)).on("who")(who)
    router.events("/router").on("who")(who)
    app.include(router)
    for path, name in (("/app", "outer"), ("/own", "inner"), ("/r/router", "inner")):
        async with talking(app, path) as ws:
            await log_in(ws)
            assert await ask(ws, "who") == value("who", f"{name} ada")
