"""`wirework run`, as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import WebSocketException

from tests.contract.harness import within
from tests.contract.process import HOST, ROOT, START
from tests.contract.sockets import NO_TLS
from tests.wire.native import until

COMMAND = (sys.executable, "-c", "from wirework.cli import main; main()", "run")
APP = """
import asyncio
import os
from wirework import App, Send

app = App(http=None)

@app.websocket("/rooms/{room_id:int}")
async def room(ws, room_id):
    await ws.accept()
    await ws.send_json([room_id, os.getpid(), type(ws.connection.link).name, GREETING])
    async for message in ws:
        await ws.send(message)

@app.ws("/message")
async def shout(msg: str) -> str:
    return msg.upper()

@app.ws("/stuck")
async def stuck(msg: str, send: Send) -> None:
    await send("begun")
    await asyncio.Event().wait()

@app.get("/")
async def index() -> str:
    return "hello"

not_callable = 5

def make() -> App:
    return app
"""
SITE = """
from fastapi import FastAPI
from starlette.websockets import WebSocket
from chat import app as chat

app = FastAPI(openapi_url=None)

@app.get("/")
async def index() -> str:
    return "hello"

@app.websocket("/hello")
async def hello(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_text("hello")
    await ws.close()

app.mount("/chat", chat)
"""
FAILING = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from wirework import App, SettingsError

@asynccontextmanager
async def lifespan(app):
    raise SettingsError("no tea today")
    yield

app, outer = App(lifespan=lifespan), FastAPI(lifespan=lifespan)
"""


class Running:
    def __init__(self, folder: Path, *options: str) -> None:
        self.log = folder / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def port(self) -> int:
        found = re.search(r" at https?://127\.0\.0\.1:(\d+)", self.output)
        return int(found.group(1)) if found else 0

    def accepts(self) -> bool:
        assert self.process.poll() is None, self.output
        try:
            httpx.get(f"http://{HOST}:{self.port}/", trust_env=False, verify=NO_TLS)
        except (httpx.HTTPError, OSError):
            return False
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "one")
    return tmp_path


def write(folder: Path, greeting: str) -> None:
    (folder / "chat.py").write_text(APP.replace("GREETING", repr(greeting)))


@asynccontextmanager
async def running(folder: Path, *options: str, target: str = "chat:app") -> AsyncIterator[Running]:
    """Run the command on a free port; at the end it must stop by itself."""
    command = Running(folder, target, "--port", "0", *options)
    try:
        await until(lambda: command.port and command.accepts(), every=0.05, within=START)
        yield command
        command.process.send_signal(signal.SIGINT)
        await until(lambda: command.process.poll() is not None, every=0.02)
    finally:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.wait()
    assert command.process.returncode in (0, -signal.SIGINT), command.output
    assert "Traceback" not in command.output


async def greeting(port: int) -> str:
    async with connect(f"ws://{HOST}:{port}/rooms/5", proxy=None) as client:
        return str(await within(client.recv()))


async def greeting_or_nothing(port: int) -> str:
    try:
        return await greeting(port)
    except (OSError, WebSocketException, EOFError):
        return ""


async def test_it_says_what_it_serves_and_serves_it(folder: Path) -> None:
    async with running(folder) as command:
        assert command.output.splitlines() == [
            f"chat:app at http://{HOST}:{command.port}",
            "  server uvicorn, transport native",
            "  broker memory",
            "  websocket /rooms/{room_id:int}  chat.room (connection handler)",
            "  websocket /message  chat.shout (message handler, raw)",
            "  websocket /stuck  chat.stuck (message handler, raw)",
            "  GET /",
        ]
        assert '"native","one"]' in await greeting(command.port)


@pytest.mark.parametrize(
    ("options", "transport"),
    [
        (("--transport", "asgi"), "asgi"),
        (("--server", "granian"), "rsgi"),
        (("--server", "granian", "--transport", "asgi"), "asgi"),
    ],
)
async def test_other_transports_are_an_option_away(
    folder: Path, options: tuple[str, ...], transport: str
) -> None:
    async with running(folder, *options) as command:
        assert f"transport {transport}" in command.output
        assert f'"{transport}","one"]' in await greeting(command.port)


async def test_workers_are_processes_and_all_of_them_stop(folder: Path) -> None:
    async with running(folder, "--workers", "2") as command:
        assert "transport native, 2 workers" in command.output
        found = await greeting(command.port)
        assert str(command.process.pid) not in found


async def test_reload_serves_what_was_written_last(folder: Path) -> None:
    async with running(folder, "--reload") as command:
        assert '"native","one"]' in await greeting(command.port)
        write(folder, "two")
        async with asyncio.timeout(30):
            while '"two"' not in await greeting_or_nothing(command.port):
                pass


@pytest.mark.parametrize("options", [(), ("--transport", "asgi")], ids=["native", "asgi"])
async def test_reload_waits_neither_for_open_sockets_nor_for_handlers(
    folder: Path, options: tuple[str, ...]
) -> None:
    async with running(folder, "--reload", *options) as command, AsyncExitStack() as stack:
        address = f"ws://{HOST}:{command.port}"
        paths = ["/stuck"] + [f"/rooms/{number}" for number in range(100)]
        opening = [connect(address + path, proxy=None, open_timeout=30) for path in paths]
        peers = [await stack.enter_async_context(each) for each in opening]
        await peers[0].send("begin")
        for peer in peers:
            await within(peer.recv())
        write(folder, "two")
        async with asyncio.timeout(30):
            while '"two"' not in await greeting_or_nothing(command.port):
                pass
        for peer in peers:
            await within(peer.wait_closed())
        assert {peer.close_code for peer in peers} == {1012}


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_another_application_is_served_with_the_one_that_it_mounts(
    folder: Path, server: str
) -> None:
    (folder / "site_.py").write_text(SITE)
    async with running(folder, "--server", server, target="site_:app") as command:
        assert "  websocket /hello\n" in command.output
        assert "  websocket /chat/message  chat.shout (message handler, raw)" in command.output
        for path in ("/hello", "/chat/rooms/5"):
            async with connect(f"ws://{HOST}:{command.port}{path}", proxy=None) as client:
                assert await within(client.recv())


@pytest.mark.parametrize(
    "options",
    [(), ("--factory",), ("--workers", "2"), ("--server", "granian")],
    ids=["found out", "said", "workers", "granian"],
)
async def test_a_factory_makes_what_is_served(folder: Path, options: tuple[str, ...]) -> None:
    async with running(folder, *options, target="chat:make") as command:
        assert "  websocket /stuck  chat.stuck (message handler, raw)" in command.output
        assert '"one"]' in await greeting(command.port)
    assert "factory" not in command.output


async def test_granian_reloads_what_was_written_last(folder: Path) -> None:
    async with running(folder, "--reload", "--server", "granian") as command:
        assert '"one"]' in await greeting(command.port)
        write(folder, "two")
        async with asyncio.timeout(30):
            while '"two"' not in await greeting_or_nothing(command.port):
                pass


@pytest.mark.parametrize(
    "options",
    [(), ("--workers", "2"), ("--server", "granian")],
    ids=["native", "workers", "granian"],
)
async def test_a_unix_socket_is_an_option(folder: Path, options: tuple[str, ...]) -> None:
    path = folder / "s"
    command = Running(folder, "chat:app", "--uds", "s", *options)
    try:
        async with asyncio.timeout(START):
            while not (found := await greeting_at(path)):
                assert command.process.poll() is None, command.output
        assert '"one"]' in found
        assert command.output.startswith("chat:app at unix:s\n")
        command.process.send_signal(signal.SIGTERM)
        await until(lambda: command.process.poll() is not None, every=0.02)
    finally:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.wait()
    assert command.process.returncode == 0, command.output
    assert not path.exists()


async def greeting_at(path: Path) -> str:
    try:
        async with unix_connect(str(path), "ws://localhost/rooms/5") as client:
            return str(await within(client.recv()))
    except (OSError, WebSocketException, EOFError):
        return ""


@pytest.mark.parametrize("options", [(), ("--transport", "asgi")], ids=["rsgi", "asgi"])
def test_an_application_that_does_not_start_in_granian_says_why_without_a_traceback(
    folder: Path, options: tuple[str, ...]
) -> None:
    (folder / "failing.py").write_text(FAILING)
    found = subprocess.run(
        [*COMMAND, "failing:app", "--port", "0", "--server", "granian", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    output = found.stdout + found.stderr
    assert found.returncode == 1
    assert output.count("no tea today") == 1
    assert "Traceback" not in output


@pytest.mark.parametrize("name", ["app", "outer"])
def test_an_application_that_does_not_start_says_why_in_a_line_with_its_place(
    folder: Path, name: str
) -> None:
    (folder / "failing.py").write_text(FAILING)
    found = subprocess.run(
        [*COMMAND, f"failing:{name}", "--port", "0"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 1
    assert [line.split(maxsplit=1)[1] for line in found.stderr.splitlines()] == [
        "failing.py:8: no tea today",
        "Application startup failed. Exiting.",
    ]


async def test_the_access_log_is_an_option(folder: Path) -> None:
    async with running(folder, "--access-log") as command:
        await greeting(command.port)
    assert '"GET / HTTP/1.1" 200' in command.output
    assert '"WebSocket /rooms/5" [accepted]' in command.output


@pytest.mark.parametrize(
    ("options", "count"),
    [
        pytest.param([], 0, id="by default"),
        pytest.param(["--access-log"], 1, id="with the access log"),
        pytest.param(["--log-level", "info"], 1, id="from level info on"),
        pytest.param(["--access-log", "--server", "granian"], 1, id="granian"),
    ],
)
async def test_the_end_of_each_connection_is_a_line_where_it_is_asked_for(
    folder: Path, options: list[str], count: int
) -> None:
    async with running(folder, *options) as command:
        await greeting(command.port)
    assert len(re.findall(r"'/rooms/5' ended with \d+ ", command.output)) == count


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chat"], "expected module:name, got 'chat'"),
        (["nowhere:app"], "there is no module 'nowhere' here"),
        (["chat:nothing"], "'chat' has no 'nothing'"),
        (["chat:not_callable"], "expected an ASGI application, such as a wirework.App, got int 5"),
        (["chat:app", "--factory"], "expected a function without arguments, got App"),
        (["chat:app", "--uds", "nowhere/s"], "there is no folder 'nowhere'"),
        (["chat:app", "--transport", "rsgi"], "expected native or asgi"),
        (["chat:app", "--reload", "--workers", "2"], "--reload works with one worker"),
        (["chat:app", "--ssl-certfile", "a.pem"], "TLS needs both"),
        (
            ["chat:app", "--ssl-certfile", "a.pem", "--ssl-keyfile", "b.pem"],
            "there is no file 'a.pem'",
        ),
        (["chat:app", "--host", "nowhere.invalid", "--port", "0"], "cannot listen on"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    folder: Path, arguments: list[str], words: str
) -> None:
    found = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("wirework run: ")
    assert words in found.stderr
    assert found.stderr.count("\n") == 1
