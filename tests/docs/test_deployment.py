"""What docs/deployment.md says about options, time and the end of a server is so."""

from __future__ import annotations

import asyncio
import configparser
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.contract.process import HOST, ServerProcess
from tests.docs.blocks import Block, read
from tests.docs.test_tables import rows
from wirework import App, Settings
from wirework.cli.commands import cli
from wirework.cli.run import stop_timeout

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


def block(language: str) -> Block:
    return next(each for each in read(PAGE.read_text("utf-8")) if each.language == language)


def environment_of_the_page() -> dict[str, str]:
    """Return what the page has in the service's environment, but for its secrets."""
    lines = [each.text for each in read(PAGE.read_text("utf-8")) if "WIREWORK_SECRET" in each.text]
    pairs = (line.split("=", 1) for line in lines[0].split())
    return {name: value for name, value in pairs if value != "..."}


@pytest.fixture(name="server")
def serving(tmp_path: Path) -> Iterator[ServerProcess]:
    """Serve an application as the page says, by the native transport."""
    arguments = ("tests.docs.command", "run", "tests.docs.served:app", "--port", "{port}")
    environ = {"WIREWORK_DRAIN_TIMEOUT": "2", **environment_of_the_page()}
    server = ServerProcess("wirework run", arguments, tmp_path / "log", **environ)
    try:
        server.wait_until_it_accepts()
        yield server
    finally:
        server.kill()


def test_every_option_of_wirework_run_is_in_the_table_with_its_default() -> None:
    command = get_command(cli).commands["run"]  # type: ignore[attr-defined]
    options = {each.opts[0]: each.default for each in command.params if each.opts[0][0] == "-"}
    shown = {}
    for names, default, _ in rows("deployment.md", "option"):
        for name in re.findall(r"`(--[\w-]+)`", names):
            shown[name] = default.strip("`")
    assert shown == {name: words(default) for name, default in options.items()}


def words(default: object) -> str:
    """Return a default as the table has it."""
    if default is None or default is False:
        return "" if default is None else "no"
    return str(default)


def test_proxies_wait_longer_than_the_heartbeat() -> None:
    timeouts = re.findall(r"proxy_\w+_timeout (\d+)s;", block("nginx").text)
    interval = Settings().heartbeat_interval
    assert interval is not None
    assert timeouts
    assert all(int(timeout) > interval for timeout in timeouts)


def test_nginx_passes_on_what_the_page_asks_for() -> None:
    headers = dict(re.findall(r"proxy_set_header ([\w-]+) +(\S+);", block("nginx").text))
    assert headers == {
        "Upgrade": "$http_upgrade",
        "Connection": "$connection_upgrade",
        "Host": "$http_host",
        "X-Forwarded-For": "$proxy_add_x_forwarded_for",
        "X-Forwarded-Proto": "$scheme",
        "X-Forwarded-Host": "$http_host",
        "Forwarded": '""',
    }


def test_systemd_waits_longer_than_the_server() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(block("ini").text)
    patience = stop_timeout(App())
    assert f"the server ends after {patience} s at the latest" in PAGE.read_text("utf-8")
    assert int(unit["Service"]["TimeoutStopSec"]) > patience
    assert " run chat:app" in unit["Service"]["ExecStart"]


async def test_the_client_and_the_host_are_those_that_the_proxy_names(
    server: ServerProcess,
) -> None:
    origin = Origin("https://chat.example.com")
    told = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    proxied = connect(
        "ws://chat.example.com/who",
        host=HOST,
        port=server.port,
        origin=origin,
        additional_headers=told,
        proxy=None,
    )
    async with asyncio.timeout(10):
        async with proxied as ws:
            await ws.send("who am I?")
            assert await ws.recv() == "192.0.2.7 at wss://chat.example.com/who"
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(f"ws://{HOST}:{server.port}/who", origin=origin, proxy=None):
                pass


async def test_at_shutdown_peers_see_1012_and_the_running_handler_finishes(
    server: ServerProcess,
) -> None:
    async with asyncio.timeout(20), connect(f"ws://{HOST}:{server.port}/slow", proxy=None) as ws:
        await ws.send("begin")
        assert await ws.recv() == "begun"
        ending = asyncio.create_task(asyncio.to_thread(server.end, signal.SIGTERM))
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert await ending == 0
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert server.output.split("NOTE ")[1:] == ["finished\n", "gone with 1012\n", "stopped\n"]


@pytest.mark.parametrize("program", ["wirework", "uvicorn", "hypercorn", "daphne", "granian"])
def test_the_programs_of_the_page_are_installed_by_the_development_group(program: str) -> None:
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    assert found is not None
