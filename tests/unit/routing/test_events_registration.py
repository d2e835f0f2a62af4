"""Misuse of events, message middleware and their options: told at registration, in exact words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import msgspec
import pytest

from wirework import App, Depends, RegistrationError, Router, WebSocket
from wirework.dialects import Htmx, NamedSockets, Raw, State, Status, Typed

Register = Callable[[App], Any]

WHERE = "tests.unit.routing.test_events_registration"


class Order(msgspec.Struct):
    item: str


def desk(app: App) -> Any:
    return app.events("/desk", dialect=Typed())


async def nothing() -> None: ...


def refused(register: Register) -> str:
    """Return the error of a registration."""
    with pytest.raises(RegistrationError) as caught:
        register(App())
    return str(caught.value)


# --- events -------------------------------------------------------------------------------------


def no_path(app: App) -> Any:
    events: Any = app.events
    return events(nothing)


@pytest.mark.parametrize(
    ("register", "text"),
    [
        (
            no_path,
            "events, nothing: the decorator has no path, and so got the function for one; "
            "write @app.events('/path')",
        ),
        (
            lambda app: app.events(5),
            "events: path: expected a str such as '/path', got 5",
        ),
        (
            lambda app: app.events("/desk", dialect=Typed),
            "events('/desk'): dialect: expected an object, got the class Typed; "
            "write dialect=Typed()",
        ),
        (
            lambda app: app.events("/desk", dialect="typed"),
            "events('/desk'): dialect: expected one such as Raw() or Htmx(), got 'typed'",
        ),
        (
            lambda app: app.events("/desk"),
            "events('/desk'): messages of the dialect raw have no names; "
            "choose one where they have (Typed(), State()), or use app.ws",
        ),
        *[
            (
                lambda app, dialect=dialect: app.events("/desk", dialect=dialect),
                f"events('/desk'): messages of the dialect {dialect.name} have no names; "
                "choose one where they have (Typed(), State()), or use app.ws",
            )
            for dialect in (Raw("json"), Status(), Htmx())
        ],
        *[
            (
                lambda app, n=n: app.events("/desk", dialect=Typed(), concurrency=n),
                f"events('/desk'): concurrency: expected an int >= 1, got {n!r}",
            )
            for n in (0, -1, "2", 1.5, None)
        ],
        (
            lambda app: app.events("/desk", dialect=NamedSockets(), concurrency=4),
            "events('/desk'): concurrency: the dialect named has one call for each connection, "
            "got 4; leave it out",
        ),
    ],
)
def test_events_that_cannot_work_are_refused(register: Register, text: str) -> None:
    assert refused(register) == text


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "events('/desk').on(''): name: expected a str, got ''"),
        (5, "events('/desk').on(5): name: expected a str, got 5"),
        (None, "events('/desk').on(None): name: expected a str, got None"),
        (nothing, "events('/desk'): on() has no name; write @events.on('name')"),
    ],
    ids=["empty", "number", "none", "function"],
)
def test_a_name_is_a_text_that_is_not_empty(name: Any, text: str) -> None:
    assert refused(lambda app: desk(app).on(name)) == text


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        *[
            (Typed(), name)
            for name in (
                "answer",
                "auth",
                "cancel",
                "disconnect",
                "end",
                "error",
                "ping",
                "pong",
                "ready",
            )
        ],
        (Typed(flat=True), "ping"),
        (State(), "error"),
        (State(), "initialised"),
    ],
    ids=lambda each: each if isinstance(each, str) else repr(each),
)
def test_a_word_of_the_dialect_is_no_name(dialect: Any, name: str) -> None:
    assert refused(lambda app: app.events("/desk", dialect=dialect).on(name)(nothing)) == (
        f"events('/desk').on({name!r}): "
        f"the dialect {dialect.name} has messages called {name!r} of its own; choose another name"
    )


@pytest.mark.parametrize("name", ["message", "Ping", "error ", "state", "__init__"])
def test_any_other_name_is_fine(name: str) -> None:
    desk(App()).on(name)(nothing)


def test_a_name_has_one_function() -> None:
    events = desk(App())
    events.on("note")(nothing)
    with pytest.raises(RegistrationError) as caught:
        events.on("note")
    assert str(caught.value) == "events('/desk').on('note'): 'note' has a function already"


def test_a_name_that_was_taken_between_the_two_parentheses_is_taken() -> None:
    events = desk(App())
    first, second = events.on("note"), events.on("note")
    first(nothing)
    with pytest.raises(RegistrationError, match="'note' has a function already"):
        second(nothing)


def test_a_name_whose_function_was_refused_is_still_free() -> None:
    events = desk(App())

    async def wrong(*args: int) -> None: ...

    with pytest.raises(RegistrationError):
        events.on("note")(wrong)
    events.on("note")(nothing)


@pytest.mark.parametrize("after", ["note", "later", ""])
def test_after_names_a_message_that_is_known(after: str) -> None:
    def register(app: App) -> None:
        events = desk(app)
        events.on("open")(nothing)
        events.on("note", after=after)

    assert refused(register) == (
        f"events('/desk').on('note'): after: no message is called {after!r} yet; "
        "register that one first"
    )


# --- functions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (5, "events('/desk').on('note'): expected a function, got 5"),
        (None, "events('/desk').on('note'): expected a function, got None"),
        (
            Order,
            "events('/desk').on('note'), Order: expected a function, got a class; "
            "give it a function, or a method of an object",
        ),
    ],
    ids=["number", "none", "class"],
)
def test_what_is_no_function_is_refused(function: Any, text: str) -> None:
    assert refused(lambda app: desk(app).on("note")(function)) == text


async def takes_all(*args: int) -> None: ...


async def takes_unknown(text) -> None:  # type: ignore[no-untyped-def]
    ...


async def takes_two_models(a: Order, b: Order, c: object = None) -> None: ...


async def takes_result(result) -> None:  # type: ignore[no-untyped-def]
    ...


async def takes_default(db: str = Depends(nothing)) -> None:  # type: ignore[assignment]
    ...


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (takes_all, "takes_all: parameter *args cannot be filled"),
        (takes_unknown, "takes_unknown: parameter 'text' has no annotation and no known name"),
        (takes_result, "takes_result: parameter 'result' has no annotation and no known name"),
        (takes_default, "takes_default: parameter 'db' has Depends(nothing) as its default"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_parameter_that_nothing_fills_is_named(function: Any, start: str) -> None:
    text = refused(lambda app: desk(app).on("note")(function))
    assert text.startswith(f"events('/desk').on('note'), {start}")


def test_functions_of_a_router_are_refused_where_it_is_included() -> None:
    router = Router(prefix="/r")
    events = router.events("/desk", dialect=Typed())
    events.on("note")(takes_all)
    with pytest.raises(RegistrationError, match=r"events\('/desk'\).on\('note'\), takes_all: "):
        App().include(router)


def test_a_router_has_no_dialect_to_refuse_until_it_is_included() -> None:
    router = Router()
    router.events("/desk").on("note")(nothing)
    with pytest.raises(RegistrationError, match="messages of the dialect raw have no names"):
        App().include(router)
    router = Router()
    router.events("/desk").on("note")(nothing)
    App(dialect=Typed()).include(router)


# --- hooks --------------------------------------------------------------------------------------

HOOKS = ["on_connect", "on_ready", "on_disconnect", "before", "after"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("function", "text"),
    [
        (5, "expected a function, got 5"),
        (None, "expected a function, got None"),
        (Order, "expected a function, got a class"),
    ],
    ids=["number", "none", "class"],
)
def test_a_hook_is_a_function(hook: str, function: Any, text: str) -> None:
    told = refused(lambda app: getattr(desk(app), hook)(function))
    assert told.startswith(f"events('/desk'), {hook.removeprefix('on_')} hook")
    assert text in told


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("kind", ["async generator", "generator"])
def test_a_hook_does_not_yield(hook: str, kind: str) -> None:
    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    def synchronous() -> Iterator[int]:
        yield 1

    function = asynchronous if kind == "async generator" else synchronous
    told = refused(lambda app: getattr(desk(app), hook)(function))
    assert told.endswith(
        f"it is called once and returns, this is {'an' if kind[0] == 'a' else 'a'} {kind}; "
        "write a def or an async def without yield"
    )


@pytest.mark.parametrize("hook", ["on_connect", "on_ready", "on_disconnect"])
def test_there_is_one_hook_for_each_end(hook: str) -> None:
    def register(app: App) -> None:
        events = desk(app)
        getattr(events, hook)(nothing)
        getattr(events, hook)(nothing)

    assert refused(register) == f"events('/desk'): there is an {hook} already"


def code(code: int) -> None: ...


def result(result) -> None:  # type: ignore[no-untyped-def]
    ...


def call(message) -> None:  # type: ignore[no-untyped-def]
    ...


def order(order: Order) -> None: ...


def data(data) -> None:  # type: ignore[no-untyped-def]
    ...


TAKES = {
    code: {"on_disconnect"},
    result: {"after"},
    call: {"before", "after"},
    order: set[str](),
    data: set[str](),
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("function", TAKES, ids=lambda each: each.__name__)
def test_a_hook_takes_what_there_is_at_its_time(hook: str, function: Any) -> None:
    app = App()
    if hook in TAKES[function]:
        getattr(desk(app), hook)(function)
        return
    with pytest.raises(RegistrationError, match=rf"events\('/desk'\), {function.__name__}: "):
        getattr(desk(app), hook)(function)


def test_a_hook_that_was_refused_is_not_kept() -> None:
    events = desk(App())
    with pytest.raises(RegistrationError):
        events.on_connect(order)
    events.on_connect(nothing)


# --- middleware ---------------------------------------------------------------------------------


async def too_few(message: Any, ws: WebSocket) -> None: ...


async def too_many(message: Any, ws: WebSocket, call_next: Any, more: int) -> None: ...


async def yields(message: Any, ws: WebSocket, call_next: Any) -> AsyncIterator[int]:
    yield 1


def synchronous(message: Any, ws: WebSocket, call_next: Any) -> None: ...


async def good(message: Any, ws: WebSocket, call_next: Any) -> Any:
    return await call_next(message)


REMEDY = "write async def middleware(message, ws, call_next)"


@pytest.mark.parametrize("style", ["App", "Router", "ws", "events", "controller"])
@pytest.mark.parametrize(
    ("middleware", "text"),
    [
        (good, f"middleware: expected a list, got {good!r}"),
        ([too_few], "middleware too_few cannot be called as such"),
        ([good, too_many], "middleware too_many cannot be called as such"),
        ([yields], "middleware yields cannot be called as such"),
        ([synchronous], "middleware synchronous cannot be called as such"),
        ([5], "middleware int cannot be called as such"),
    ],
    ids=["no list", "too few", "too many", "yields", "def", "number"],
)
def test_middleware_is_a_list_of_async_functions_of_three(
    style: str, middleware: Any, text: str
) -> None:
    register: Register = {
        "App": lambda app: App(message_middleware=middleware),
        "Router": lambda app: Router(message_middleware=middleware),
    }.get(style, lambda app: getattr(app, style)("/desk", middleware=middleware))
    where = style if style in ("App", "Router") else f"{style}('/desk')"
    assert refused(register) == f"{where}: {text}; {REMEDY}"


def test_middleware_may_be_an_object_or_a_method() -> None:
    class Limit:
        async def __call__(self, message: Any, ws: WebSocket, call_next: Any) -> Any: ...

        async def method(self, message: Any, ws: WebSocket, call_next: Any) -> Any: ...

    App().events("/desk", dialect=Typed(), middleware=(Limit(), Limit().method, good))


# --- dependencies -------------------------------------------------------------------------------


async def of_message(message) -> None:  # type: ignore[no-untyped-def]
    ...


async def of_data(data) -> None:  # type: ignore[no-untyped-def]
    ...


@pytest.mark.parametrize("reads", [of_message, of_data], ids=lambda each: each.__name__)
def test_what_reads_the_message_cannot_last_as_long_as_the_connection(reads: Any) -> None:
    async def message_scope(x: Annotated[None, Depends(reads)]) -> None: ...

    async def connection_scope(x: Annotated[None, Depends(reads, scope="connection")]) -> None: ...

    desk(App()).on("note")(message_scope)
    with pytest.raises(RegistrationError, match="it lasts as long as the connection, but reads"):
        desk(App()).on("note")(connection_scope)
