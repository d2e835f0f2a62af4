"""What `wirework run` says, and what it refuses, without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from wirework import App, WebSocket
from wirework.cli.run import Options, RunError, describe, serve


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
    ("options", "first", "second"),
    [
        ({}, "m:app at http://127.0.0.1:8000", "  server uvicorn, transport native"),
        (
            {"server": "granian", "port": 9, "workers": 3},
            "m:app at http://127.0.0.1:9",
            "  server granian, transport rsgi, 3 workers",
        ),
        (
            {"transport": "asgi"},
            "m:app at http://127.0.0.1:8000",
            "  server uvicorn, transport asgi",
        ),
    ],
)
def test_it_says_where_and_how(options: dict[str, Any], first: str, second: str) -> None:
    assert describe(inner, Options(app="m:app", **options)) == [first, second]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transport": "rsgi"}, "expected native or asgi"),
        ({"server": "granian", "transport": "native"}, "expected rsgi or asgi"),
        ({"reload": True, "workers": 2}, "leave out --workers"),
        ({"server": "granian", "forwarded_allow_ips": "*"}, "needs --server uvicorn"),
    ],
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


@pytest.mark.parametrize("kind", ALONE)
def test_what_one_process_knows_alone_is_refused_with_several_workers(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, words = ALONE[kind]
    (tmp_path / f"alone_{kind}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    said: list[str] = []
    with pytest.raises(RunError, match=words):
        serve(Options(app=f"alone_{kind}:app", workers=2, transport="asgi"), said.append)
    assert said == []
