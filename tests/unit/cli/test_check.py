"""What `wirework check` finds, where it says it is, and how it ends."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from wirework import (
    AnyOf,
    Anyone,
    App,
    Auth,
    Bearer,
    Controller,
    FirstMessage,
    QueryToken,
    Router,
    Session,
    SessionUser,
    Ticket,
    WebSocket,
)
from wirework.cli.check import Report, RouteReport, check, to_text
from wirework.cli.commands import cli
from wirework.cli.run import Options, RunError, serve
from wirework.dialects import Centrifugo, Typed
from wirework.security.tickets import Tickets

KEY = "b7Yk2mQ9xZ4tW8vN1cR6pL3sD5fH0jGa"
HERE = Path(__file__)


def application(**options: Any) -> App:
    """Return an application that leaves as little open as settings can tell."""
    closed: dict[str, Any] = {
        "secret_key": KEY,
        "session_https_only": True,
        "max_connections_per_address": 10,
        "max_connections_per_user": 10,
        "handshake_rate": 100,
        "message_rate": 10,
        "handler_timeout": 10,
    }
    return App(**{**closed, **options})


def codes(app: App) -> list[str]:
    return [f"{each.level} {each.code}" for each in check("m:app", app).findings]


def only_route(app: App) -> RouteReport:
    (route,) = check("m:app", app).routes
    return route


def findings_of(route: RouteReport) -> list[str]:
    return [f"{each.level} {each.code}" for each in route.findings]


class SharedTickets:
    async def spend(self, id: str, until: float) -> bool:
        return False


def members_only(session: Session) -> None: ...


async def user_of(token: str) -> str:
    return token


def line_of(function: Callable[..., Any]) -> int:
    return function.__code__.co_firstlineno


# --- settings ---------------------------------------------------------------------------------


def test_an_application_that_is_closed_has_no_findings() -> None:
    assert codes(application()) == []


@pytest.mark.parametrize(
    ("options", "finding"),
    [
        ({"debug": True}, "error debug"),
        ({"secret_key": None}, "note no-secret"),
        ({"secret_key": KEY[:15]}, "error short-secret"),
        ({"secret_key": KEY[:31]}, "warning short-secret"),
        ({"secret_key": "ab" * 20}, "error guessable-secret"),
        ({"secret_key": "Change me: make a good one, quickly"}, "error guessable-secret"),
        ({"session_https_only": False}, "warning cookie-not-secure"),
        ({"session_https_only": "auto"}, "note cookie-auto-secure"),
        ({"session_same_site": "none"}, "warning cookie-same-site"),
        ({"session_max_age": None}, "warning cookie-no-end"),
        ({"max_connections": None, "max_unauthenticated": 9}, "warning no-max-connections"),
        ({"max_unauthenticated": None}, "warning no-max-unauthenticated"),
        ({"heartbeat_interval": None}, "warning no-heartbeat"),
        ({"max_message_size": 2**25}, "warning large-messages"),
        ({"inbox_bytes": 2**25}, "warning large-inbox"),
        ({"outbox_bytes": 2**25}, "warning large-outbox"),
        ({"max_body_size": 2**27}, "warning large-bodies"),
        ({"max_header_bytes": 2**21}, "warning large-heads"),
        ({"max_connections_per_address": None}, "note no-max-connections-per-address"),
        ({"max_connections_per_user": None}, "note no-max-connections-per-user"),
        ({"handshake_rate": None}, "note no-handshake-rate"),
        ({"message_rate": None}, "note no-message-rate"),
        ({"handler_timeout": None}, "note no-handler-timeout"),
        (
            {"trusted_proxies": ["0.0.0.0/1"], "proxy_headers": ["forwarded"]},
            "warning wide-proxies",
        ),
        ({"trusted_proxies": ["10.0.0.5", "unix"]}, "note proxy-headers"),
    ],
)
def test_each_setting_that_leaves_something_open_is_found(
    options: dict[str, Any], finding: str
) -> None:
    assert codes(application(**options)) == [finding]


def test_a_limit_of_another_kind_is_enough() -> None:
    assert codes(application(handshake_rate=None, handshake_rate_per_address=1)) == []
    assert codes(application(message_rate=None, byte_rate=1000)) == []


def test_nothing_that_is_printed_shows_the_key() -> None:
    for key in (KEY, KEY[:12], "change me " * 4):
        report = check("m:app", application(secret_key=key))
        assert key not in repr(report)


# --- routes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origins", "key", "findings"),
    [
        ([], KEY, []),
        (["https://app.example.com"], KEY, []),
        (["*"], KEY, ["error any-origin"]),
        (["*"], None, ["warning any-origin"]),
        (["null"], KEY, ["error null-origin"]),
        (["null"], None, ["warning null-origin"]),
        (["http://app.example.com"], KEY, ["warning http-origin"]),
        (["http://localhost:3000", "http://127.0.0.1", "http://[::1]:80"], KEY, []),
        (["http://localhost.example:3000"], KEY, ["warning http-origin"]),
        (["https://*.example.com"], KEY, ["note origin-subdomains"]),
        (["https://*.com"], KEY, ["warning public-suffix-origin"]),
        (["https://*.CO.UK:8443"], None, ["warning public-suffix-origin"]),
        (["http://*.github.io"], KEY, ["warning public-suffix-origin"]),
        (["https://*.me.github.io"], KEY, ["note origin-subdomains"]),
        (["https://*.localhost"], KEY, ["note origin-subdomains"]),
        (["*", "null"], KEY, ["error any-origin", "error null-origin"]),
    ],
)
def test_origins_that_let_foreign_pages_in_are_found(
    origins: list[str], key: str | None, findings: list[str]
) -> None:
    app = application(secret_key=key)

    @app.ws("/echo", conn=members_only if key else None, allowed_origins=origins)
    async def echo(text: str) -> str:
        return text

    route = only_route(app)
    assert route.origins == origins
    assert [each for each in findings_of(route) if "auth" not in each] == findings


def test_a_route_has_the_origins_of_its_router_and_of_the_application() -> None:
    app, router = App(allowed_origins=["https://a.example"]), Router(allowed_origins=["*"])

    @router.ws("/router")
    async def one(text: str) -> str:
        return text

    @app.ws("/app", require_origin=True)
    async def other(text: str) -> str:
        return text

    app.include(router)
    found = {each.path: each for each in check("m:app", app).routes}
    assert found["/router"].origins == ["*"]
    assert found["/app"].origins == ["https://a.example"]
    assert [found[path].requires_origin for path in ("/router", "/app")] == [False, True]


def test_a_route_that_asks_nobody_is_found_with_its_file_and_line() -> None:
    app = application()

    @app.ws("/echo")
    async def echo(text: str) -> str:
        return text

    route = only_route(app)
    where = "test_a_route_that_asks_nobody_is_found_with_its_file_and_line.<locals>.echo"
    assert route.function == f"{__name__}.{where}"
    assert (Path.cwd() / str(route.file), route.line) == (HERE, line_of(echo))
    assert route.auth == "none"
    assert findings_of(route) == ["warning no-auth"]


def test_a_hook_may_refuse_and_is_named() -> None:
    app = application()

    @app.ws("/echo", conn=members_only)
    async def echo(text: str) -> str:
        return text

    assert only_route(app).auth == "none but the hook members_only"
    assert findings_of(only_route(app)) == ["note own-auth"]


def test_a_connection_handler_has_to_ask_itself() -> None:
    app = application()

    @app.websocket("/game")
    async def game(ws: WebSocket) -> None: ...

    assert only_route(app).auth == "none but the handler"
    assert findings_of(only_route(app)) == ["note own-auth"]
    assert only_route(app).line == line_of(game)


def test_a_route_with_auth_has_no_finding() -> None:
    app = application()
    events = app.events("/desk", dialect=Typed(), auth=FirstMessage(user_of))
    assert (only_route(app).file, only_route(app).line, only_route(app).function) == (
        None,
        None,
        "",
    )

    @events.on("order")
    async def order(count: int, user: str) -> int:
        return count

    route = only_route(app)
    assert "user_of" in route.auth
    assert findings_of(route) == []
    assert route.line == line_of(order)


SHARED = Tickets(KEY, store=SharedTickets())


@pytest.mark.parametrize(
    ("auth", "words", "findings"),
    [
        (Bearer(user_of), "Bearer(user_of)", []),
        (SessionUser(user_of), "SessionUser(user_of)", []),
        (
            AnyOf(Ticket(user_of), QueryToken(user_of)),
            "Ticket(user_of) or QueryToken(user_of)",
            ["note tickets-of-one-process", "note query-token"],
        ),
        (Ticket(user_of, tickets=SHARED), "Ticket(user_of)", []),
        (Bearer(user_of, optional=True), "Bearer(user_of), or nobody", ["note optional-auth"]),
        (Anyone(), "none, as Anyone() says", []),
    ],
    ids=["one", "session", "any-of", "shared tickets", "optional", "anyone"],
)
def test_the_sources_of_credentials_are_named_and_what_they_leave_open(
    auth: Auth, words: str, findings: list[str]
) -> None:
    app = application(auth=QueryToken(user_of))

    @app.websocket("/game", auth=auth)
    async def game(ws: WebSocket) -> None: ...

    assert only_route(app).auth == words
    assert findings_of(only_route(app)) == findings


@pytest.mark.parametrize(
    ("settings", "limits", "findings"),
    [
        ({}, {"max_message_size": 2**30}, ["warning large-messages"]),
        ({}, {"outbox_bytes": 2**30, "inbox_bytes": 2**26}, ["large-inbox", "large-outbox"]),
        ({}, {"heartbeat_interval": None}, ["warning no-heartbeat"]),
        ({"max_message_size": 2**25}, {"message_rate": 5}, []),
        ({"max_message_size": 2**25}, {"max_message_size": 2**26}, ["warning large-messages"]),
        ({"heartbeat_interval": None}, {}, []),
        ({}, {"max_message_size": 2**20, "handler_timeout": None}, []),
    ],
    ids=["messages", "queues", "heartbeat", "as set", "larger", "none as set", "fine"],
)
def test_limits_of_a_route_that_leave_something_open_are_found(
    settings: dict[str, Any], limits: dict[str, Any], findings: list[str]
) -> None:
    app = application(**settings)

    @app.ws("/echo", auth=Bearer(user_of), limits=limits)
    async def echo(text: str) -> str:
        return text

    found = findings_of(only_route(app))
    assert len(found) == len(findings)
    for said, wanted in zip(found, findings, strict=True):
        assert said.endswith(wanted)


def test_what_is_reached_over_http_is_listed() -> None:
    app = application()
    app.events("/live", dialect=Centrifugo(), auth=Bearer(user_of))

    @app.get("/about")
    async def about() -> str:
        return ""

    report = check("m:app", app)
    assert report.http == [
        "POST /live/http_stream  HTTP stream",
        "GET /live/sse  server-sent events",
        "POST /emulation  messages of streams",
        "GET /about",
    ]
    assert to_text(report)[-5:-1] == report.http


def test_a_route_without_auth_has_that_of_its_application() -> None:
    app = application(auth=Bearer(user_of))

    @app.ws("/echo")
    async def echo(text: str) -> str:
        return text

    assert only_route(app).auth == "Bearer(user_of)"
    assert findings_of(only_route(app)) == []


def test_a_controller_is_found_at_its_method() -> None:
    app = application()

    @app.controller("/chat")
    class Chat(Controller):
        async def on_receive(self, text: str) -> str:
            return text

    assert only_route(app).function.endswith("Chat.on_receive")
    assert only_route(app).line == line_of(Chat.on_receive)


def test_functions_in_wrappers_are_found_where_they_are_written() -> None:
    app = application()

    async def echo(greeting: str, text: str) -> str:
        return greeting + text

    class Callable_:
        async def __call__(self, text: str) -> str:
            return text

    app.ws("/partial")(functools.partial(echo, "hello "))
    app.ws("/object")(Callable_())
    lines = [route.line for route in check("m:app", app).routes]
    assert lines == [line_of(echo), line_of(Callable_.__call__)]


def test_what_is_ignored_is_left_out_everywhere_or_for_one_route() -> None:
    app = application(debug=True)

    @app.ws("/one")
    async def one(text: str) -> str:
        return text

    @app.ws("/two")
    async def two(text: str) -> str:
        return text

    def left(*ignored: str) -> int:
        counts = check("m:app", app, ignored=ignored).counts
        return sum(counts.values())

    assert left() == 3
    assert left("debug") == 2
    assert left("no-auth") == 1
    assert left("no-auth:/one") == 2
    assert left("no-auth:/one", "no-auth:/two", "debug") == 0


def test_another_application_cannot_be_checked() -> None:
    with pytest.raises(RunError, match=r"m:app: expected a wirework.App, got function"):
        check("m:app", lambda: None)


def test_the_text_has_a_line_for_each_thing_the_worst_first() -> None:
    limits: dict[str, Any] = {"message_rate": 1, "handshake_rate": 1, "handler_timeout": 1}
    app = App(secret_key=KEY, debug=True, session_https_only=False, **limits)

    @app.ws("/echo", allowed_origins=["*"], require_origin=True)
    async def echo(text: str) -> str:
        return text

    report = check("m:app", app, ignored=["no-max-connections-per-user"])
    route = report.routes[0]
    assert to_text(report) == [
        "m:app",
        "  error: debug is on: peers are told the text of unforeseen errors [debug]",
        "  warning: the session cookie travels without TLS too (session_https_only)"
        " [cookie-not-secure]",
        "  note: one address may take every place (max_connections_per_address)"
        " [no-max-connections-per-address]",
        f"websocket /echo  {route.function}  {route.file}:{route.line}",
        "  origins: same, *, Origin required",
        "  auth: none",
        "  error: every page of the web may connect and use its visitors' session (origin *)"
        " [any-origin]",
        "  warning: nobody asks who connects; give the route an auth=, or a hook that refuses"
        " [no-auth]",
        "2 errors, 2 warnings, 1 note",
    ]


@pytest.mark.parametrize(
    ("options", "is_strict", "has_failed"),
    [
        ({}, False, False),
        ({}, True, False),
        ({"handler_timeout": None}, True, False),
        ({"session_https_only": False}, False, False),
        ({"session_https_only": False}, True, True),
        ({"debug": True}, False, True),
    ],
)
def test_errors_fail_and_warnings_where_they_count(
    options: dict[str, Any], is_strict: bool, has_failed: bool
) -> None:
    report: Report = check("m:app", application(**options))
    assert report.has_failed(strict=is_strict) is has_failed


# --- the command ------------------------------------------------------------------------------

SOURCE = """
from wirework import App

app = App(debug={debug}, secret_key="b7Yk2mQ9xZ4tW8vN1cR6pL3sD5fH0jGa")
other = 5


@app.ws("/echo")
async def echo(text: str) -> str:
    return text
"""


@pytest.fixture(name="command")
def checking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run `wirework check` in a folder that has `closed.py` and `open_.py`."""
    names = ("checked_closed", "checked_open")
    for name, debug in zip(names, (False, True), strict=True):
        (tmp_path / f"{name}.py").write_text(SOURCE.format(debug=debug))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield lambda *arguments: CliRunner().invoke(cli, ["check", *arguments])
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["checked_closed:app"], 0),
        (["checked_closed:app", "--strict"], 1),
        (["checked_open:app"], 1),
        (["checked_open:app", "--ignore", "debug"], 0),
        (["checked_open:app", "--format", "json"], 1),
        (["checked_open:missing"], 2),
        (["checked_open:other"], 2),
        (["no_such_module:app"], 2),
    ],
)
def test_the_exit_status_tells_what_was_found(
    command: Callable[..., Result], arguments: list[str], status: int
) -> None:
    assert command(*arguments).exit_code == status


def test_places_below_the_working_directory_are_short(command: Callable[..., Result]) -> None:
    output = command("checked_closed:app").output
    assert "websocket /echo  checked_closed.echo  checked_closed.py:8\n" in output


def test_json_has_the_same_for_machines(command: Callable[..., Result]) -> None:
    found = json.loads(command("checked_open:app", "--format", "json").stdout)
    assert found["target"] == "checked_open:app"
    assert found["findings"][0] == {
        "level": "error",
        "code": "debug",
        "message": "debug is on: peers are told the text of unforeseen errors",
    }
    (route,) = found["routes"]
    assert (route["path"], route["file"], route["line"]) == ("/echo", "checked_open.py", 8)
    assert (route["origins"], route["requires_origin"], route["auth"]) == ([], False, "none")
    assert [each["code"] for each in route["findings"]] == ["no-auth"]
    assert found["counts"]["error"] == 1


def test_what_cannot_be_checked_is_said(command: Callable[..., Result]) -> None:
    result = command("checked_open:missing")
    assert result.stderr == "wirework check: 'checked_open' has no 'missing'\n"
    assert result.stdout == ""


def test_proxies_are_named_in_one_place(command: Callable[..., Result], tmp_path: Path) -> None:
    text = "from wirework import App\napp = App(trusted_proxies=['10.0.0.5'])\n"
    (tmp_path / "checked_open.py").write_text(text)
    options = Options(app="checked_open:app", forwarded_allow_ips="10.0.0.5", transport="asgi")
    said: list[str] = []
    with pytest.raises(RunError, match="trusted_proxies both say who is believed"):
        serve(options, said.append)
    assert said == []
