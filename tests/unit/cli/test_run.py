"""What `wirework run` says, and what it refuses, without a server."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.websockets import WebSocket as StarletteWebSocket
from typer.main import get_command
from typer.testing import CliRunner

import wirework
from wirework import App, WebSocket
from wirework.cli.addresses import make_room
from wirework.cli.commands import cli
from wirework.cli.loading import load
from wirework.cli.run import Options, RunError, describe, serve, stop_timeout
from wirework.cli.served import Served


async def inner(scope: Any, receive: Any, send: Any) -> None: ...


def test_an_application_describes_its_routes() -> None:
    app = App()

    @app.websocket("/rooms/{room_id:int}")
    async def room(ws: WebSocket, room_id: int) -> None: ...

    @app.ws("/message")
    async def message(msg: str) -> None: ...

    @app.get("/")
    async def index() -> str:
        return ""

    @app.post("/login")
    async def login() -> str:
        return ""

    app.mount("/static", inner)
    where = f"{__name__}.test_an_application_describes_its_routes.<locals>"
    assert app.describe_routes() == [
        f"websocket /rooms/{{room_id:int}}  {where}.room (connection handler)",
        f"websocket /message  {where}.message (message handler, raw)",
        "GET /",
        "POST /login",
        "mount /static",
    ]


def test_an_application_behind_another_one_is_named() -> None:
    assert App(http=inner).describe_routes() == [f"http  {__name__}.inner"]


@pytest.mark.parametrize(
    ("environ", "given", "settings", "believed"),
    [
        pytest.param(None, None, {}, None, id="nobody"),
        pytest.param("", None, {}, None, id="an empty variable"),
        pytest.param(None, "10.0.0.5", {}, "10.0.0.5", id="the option"),
        pytest.param("10.0.0.6", None, {}, "10.0.0.6", id="the variable"),
        pytest.param("10.0.0.6", "10.0.0.5", {}, "10.0.0.5", id="both"),
        pytest.param(
            "10.0.0.6", None, {"trusted_proxies": ["10.0.0.7"]}, None, id="Wirework reads"
        ),
    ],
)
def test_it_says_whom_uvicorn_believes(
    monkeypatch: pytest.MonkeyPatch,
    environ: str | None,
    given: str | None,
    settings: dict[str, Any],
    believed: str | None,
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if environ is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", environ)
    options = Options(app="m:app", forwarded_allow_ips=given)
    said = [line for line in describe(Served(App(**settings)), options) if "believes" in line]
    text = f"  Uvicorn believes X-Forwarded-For and X-Forwarded-Proto of {believed}"
    assert said == ([] if believed is None else [text])


@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        ({}, "m:app at http://127.0.0.1:8000", "  server uvicorn, transport native"),
        (
            {"server": "granian", "port": 9, "workers": 3},
            "m:app at http://127.0.0.1:9",
            "  server granian, transport asgi, 3 workers",
        ),
        (
            {"transport": "asgi"},
            "m:app at http://127.0.0.1:8000",
            "  server uvicorn, transport asgi",
        ),
        (
            {"uds": Path("/run/chat.sock")},
            "m:app at unix:/run/chat.sock",
            "  server uvicorn, transport native",
        ),
    ],
    ids=["defaults", "granian", "asgi", "a Unix socket"],
)
def test_it_says_where_and_how(options: dict[str, Any], first: str, second: str) -> None:
    assert describe(Served(inner), Options(app="m:app", **options)) == [first, second]


@pytest.mark.parametrize(
    ("app", "transport"),
    [(App(), "rsgi"), (FastAPI(), "asgi"), (CORSMiddleware(App()), "asgi")],
    ids=["Wirework", "FastAPI", "behind middleware"],
)
def test_granian_serves_by_rsgi_what_has_it(app: Any, transport: str) -> None:
    assert Options(app="m:app", server="granian").carrier(Served(app)) == transport


def test_it_says_which_broker_and_channels_there_are_and_no_address() -> None:
    app = App(broker="redis://:secret@10.1.2.3:6379/0")
    app.channel("room:{name}")
    app.channel("news")
    lines = ["broker redis", "channel room:{name}", "channel news"]
    assert list(Served(app).lines()) == lines


def site(**options: Any) -> FastAPI:
    """Return an application that holds another one, in an included router and behind middleware."""
    live, api = App(**options), FastAPI(openapi_url=None)
    live.channel("room:{name}")
    live.mount("/static", inner)

    @live.get("/page")
    async def page() -> str:
        return ""

    @live.ws("/shout")
    async def shout(text: str) -> str:
        return text

    router = APIRouter(prefix="/v1")

    @router.websocket("/old")
    async def old(websocket: StarletteWebSocket) -> None: ...

    @router.get("/items/{item}")
    async def item(item: int) -> None: ...

    api.include_router(router, prefix="/api")
    inside = FastAPI(openapi_url=None)
    inside.mount("/live", CORSMiddleware(live))
    api.mount("/sub", inside)
    api.mount("/files", inner)
    return api


def test_it_says_what_other_applications_hold_and_below_which_path() -> None:
    shout = f"{__name__}.site.<locals>.shout (message handler, raw)"
    assert list(Served(site()).lines()) == [
        "websocket /api/v1/old",
        "GET /api/v1/items/{item}",
        "broker memory  (at /sub/live)",
        f"websocket /sub/live/shout  {shout}",
        "mount /sub/live/static",
        "GET /sub/live/page",
        "channel room:{name}  (at /sub/live)",
        "mount /files",
    ]


def test_it_says_at_most_twenty_routes_of_other_applications() -> None:
    routes = [Route(f"/{number}", inner, methods=["POST", "GET"]) for number in range(22)]
    lines = list(Served(Starlette(routes=routes)).lines())
    assert lines[0] == "GET POST /0"
    assert lines[19:] == ["GET POST /19", "and 2 more routes"]


def test_the_routes_behind_http_are_said_but_for_sockets_that_nobody_can_open() -> None:
    api = FastAPI(openapi_url=None)
    api.get("/items")(inner)
    api.websocket("/old")(inner)
    name = "http  fastapi.applications.FastAPI"
    assert list(Served(App(http=api)).lines()) == ["broker memory", name, "GET /items"]


def test_the_server_waits_for_a_mounted_application_as_for_one_alone() -> None:
    short: dict[str, Any] = {"drain_timeout": 10, "drain_spread": 1}
    assert stop_timeout(site(**short)) == stop_timeout(App(**short)) < stop_timeout(App())
    assert stop_timeout(inner) == stop_timeout(App())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transport": "rsgi"}, "expected native or asgi"),
        ({"server": "granian", "transport": "native"}, "expected rsgi or asgi"),
        ({"reload": True, "workers": 2}, "leave out --workers"),
        ({"server": "granian", "forwarded_allow_ips": "*"}, "needs --server uvicorn"),
        ({"uds": Path("a.sock"), "port": 9}, "leave out --host and --port"),
    ],
    ids=["transport", "transport of Granian", "reload", "proxies", "two addresses"],
)
def test_a_combination_that_cannot_work_is_refused_before_anything_is_loaded(
    options: dict[str, Any], words: str
) -> None:
    said: list[str] = []
    with pytest.raises(RunError, match=words):
        serve(Options(app="nowhere:app", **options), said.append)
    assert said == []


KEY = "k" * 32
ALONE = {
    "sessions": (
        "from wirework import App, MemorySessions\n"
        f"app = App(secret_key={KEY!r}, sessions=MemorySessions())\n",
        "MemorySessions knows the sessions of one process alone",
    ),
    "tickets": (
        "from wirework import App, Ticket\n"
        f"app = App(secret_key={KEY!r}, auth=Ticket())\n"
        "@app.ws('/x')\ndef say(text: str) -> str: ...\n",
        "each worker remembers for itself which tickets were used",
    ),
    "channels": (
        "from wirework import App\napp = App()\napp.channel('chat')\n",
        "memory:// knows the channels of one process alone",
    ),
    "streams": (
        "from wirework import App\nfrom wirework.dialects import Centrifugo\n"
        "app = App()\napp.events('/connection', dialect=Centrifugo())\n",
        "memory:// knows the HTTP streams of one process alone",
    ),
}
HELD = {
    "itself": ("app", ""),
    "made": ("made", ""),
    "mounted": ("outer", "the application at /live: "),
    "mounted and made": ("make_outer", "the application at /live: "),
    "behind middleware": ("wrapped", ""),
}
HOLDERS = """
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

outer = FastAPI()
outer.mount("/live", GZipMiddleware(app))
wrapped = CORSMiddleware(GZipMiddleware(app))
made = lambda: app
make_outer = lambda config=None: outer
"""


@pytest.fixture(name="folder")
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own, with modules that are forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    return tmp_path


def refusal(target: str, **options: Any) -> str:
    """Return why it is not served; nothing may be said before."""
    said: list[str] = []
    with pytest.raises(RunError) as refused:
        serve(Options(app=target, **options), said.append)
    assert said == []
    return str(refused.value)


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("kind", ALONE)
def test_what_one_process_knows_alone_is_refused_with_several_workers(
    kind: str, held: str, folder: Path
) -> None:
    (text, words), (name, place) = ALONE[kind], HELD[held]
    (folder / "alone.py").write_text(text + HOLDERS)
    found = refusal(f"alone:{name}", workers=2, transport="asgi")
    assert found.startswith(place)
    assert words in found


@pytest.mark.parametrize("name", ["app", "outer"])
def test_two_words_on_who_is_believed_are_refused(name: str, folder: Path) -> None:
    text = "from wirework import App\napp = App(trusted_proxies=['10.0.0.5'])\n"
    (folder / "proxied.py").write_text(text + HOLDERS)
    assert "both say who is believed" in refusal(f"proxied:{name}", forwarded_allow_ips="*")


def test_rsgi_is_refused_for_what_has_none(folder: Path) -> None:
    (folder / "holder.py").write_text("from wirework import App\napp = App()\n" + HOLDERS)
    found = refusal("holder:outer", server="granian", transport="rsgi")
    assert "expected an application with __rsgi__" in found
    assert "got holder:outer, a FastAPI" in found


# --- what is loaded -----------------------------------------------------------------------------

PARTS = """
from wirework import App, Controller, Router, WebSocket
from wirework.dialects import Typed
app, router = App(), Router()
channel = app.channel("room")
named = channel()
events = app.events("/desk", dialect=Typed())
number = 5

async def handler(ws: WebSocket, name: str) -> None: ...
async def wide(*arguments): ...
async def make() -> App: ...
def make_router() -> Router: return router
class Desk(Controller): ...
"""


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("router", "Router "),
        ("channel", "Channel <Channel room>"),
        ("named", "NamedChannel <channel room>"),
        ("events", "Events <Events "),
        ("handler", "the function handler(ws: wirework.websocket.WebSocket, name: str)"),
        ("make", "the function make()"),
        ("make_router", "Router "),
        ("Desk", "Desk "),
        ("number", "int 5"),
    ],
)
def test_what_is_no_application_is_refused_with_what_it_is(
    name: str, what: str, folder: Path
) -> None:
    (folder / "parts.py").write_text(PARTS)
    with pytest.raises(RunError) as refused:
        load(f"parts:{name}")
    expected = "is no application: expected an ASGI application, such as a wirework.App, got"
    assert f" {expected} {what}" in f" {refused.value}"


@pytest.mark.parametrize("name", ["app", "wide"])
def test_what_can_be_called_with_a_scope_is_an_application(name: str, folder: Path) -> None:
    (folder / "parts.py").write_text(PARTS)
    assert not load(f"parts:{name}").is_factory


def test_a_factory_is_called_once(folder: Path) -> None:
    (folder / "made.py").write_text(
        "from wirework import App\nmade = []\n"
        "def make(config=None):\n    made.append(App())\n    return made[-1]\n"
    )
    for asked in (False, True):
        loaded = load("made:make", factory=asked)
        assert loaded.is_factory
        assert loaded.app is sys.modules["made"].made[-1]
    assert len(sys.modules["made"].made) == 2


def test_factory_is_refused_for_an_application(folder: Path) -> None:
    (folder / "parts.py").write_text(PARTS)
    with pytest.raises(RunError, match="--factory: expected a function without arguments, got App"):
        load("parts:app", factory=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("app = App(max_mesage_size=3)\n", "broken.py:3: unknown setting max_mesage_size"),
        (
            "app = App()\n\n@app.ws('/x/{id}')\nasync def f(id: int): ...\n",
            "broken.py:5: ws('/x/{id}'), f: parameter 'id'",
        ),
        (
            "def app():\n    return App(max_mesage_size=3)\n",
            "broken.py:4: unknown setting max_mesage_size",
        ),
    ],
    ids=["setting", "route", "factory"],
)
def test_an_error_of_ours_is_one_line_with_its_place(text: str, words: str, folder: Path) -> None:
    (folder / "broken.py").write_text("from wirework import App\n\n" + text)
    with pytest.raises(RunError) as told:
        load("broken:app")
    assert str(told.value).startswith(words)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("import nowhere\n", ["<module>"]),
        ("def make():\n    return {}['key']\napp = make()\n", ["<module>", "make"]),
        ("def app():\n    return {}['key']\n", ["app"]),
    ],
    ids=["import", "module", "factory"],
)
def test_another_error_has_its_traceback_from_the_application_on(
    text: str, frames: list[str], folder: Path
) -> None:
    (folder / "broken.py").write_text(text)
    with pytest.raises(RunError) as told:
        load("broken:app")
    found = re.findall(r'File ".*broken\.py", line \d+, in (.*)', str(told.value))
    assert found == frames
    assert str(told.value).count("File ") == len(frames)
    assert str(told.value).splitlines()[-1].startswith(("KeyError: ", "ModuleNotFoundError: "))


def test_a_method_without_its_class_is_said_before_anything_is_served(folder: Path) -> None:
    (folder / "method.py").write_text(
        "from wirework import App\napp = App()\n"
        "class Desk:\n    @app.ws('/x')\n    async def say(self, text: str) -> None: ...\n"
    )
    assert "it is a method, but its class is no controller" in refusal("method:app")


# --- Unix sockets ---------------------------------------------------------------------------------


def test_a_socket_that_a_dead_process_left_is_removed(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    make_room(path)
    assert not path.exists()


def test_a_socket_that_somebody_listens_at_is_kept(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen()
        with pytest.raises(RunError, match="a process listens at"):
            make_room(path)
    assert path.is_socket()


@pytest.mark.parametrize(
    ("path", "words"),
    [("file", "expected a new file or a socket"), ("nowhere/s", "there is no folder")],
)
def test_a_socket_that_cannot_be_made_is_refused(path: str, words: str, folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(RunError, match=words):
        make_room(folder / path)
    assert (folder / "file").is_file()


def test_the_version_is_said() -> None:
    found = CliRunner().invoke(cli, ["--version"])
    assert (found.exit_code, found.output) == (0, f"wirework {wirework.__version__}\n")


def test_the_access_log_is_said_alike_in_the_help_and_in_the_docs() -> None:
    page = Path(__file__).parents[3] / "docs" / "deployment.md"
    (shown,) = re.findall(r"\| `--access-log` \| `no` \| (.*?) \|", page.read_text("utf-8"))
    command = get_command(cli).commands["run"]  # type: ignore[attr-defined]
    (said,) = [each.help for each in command.params if each.name == "access_log"]
    assert shown == said
