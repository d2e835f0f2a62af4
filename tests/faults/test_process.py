"""Processes that die, do not start, or cannot write their log: rows H3 and H4 of the page."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contract.process import ROOT
from tests.faults.served import Served, served, until
from tests.wire.requests import REFUSED

BROKEN = {
    "does not import": "import nothing_of_that_name",
    "raises": "raise RuntimeError('no database')",
    "ends": "raise SystemExit(3)",
    "has no lifespan": """
from contextlib import asynccontextmanager
from wirework import App

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database")
    yield

app = App(lifespan=lifespan)
""",
}


def workers_of(server: Served) -> set[int]:
    """Return all processes of a server but for the first."""
    return {pid for pid in server.pids if pid != server.process.process.pid}


async def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """H3: the others serve meanwhile, and afterwards there are as many as before."""
    with served("native", tmp_path / "log", "--workers", "2") as server:
        await until(lambda: server.output.count("\n") and len(workers_of(server)) >= 2)
        pid = (await server.state())["pid"]
        before = len(workers_of(server))
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pid not in workers_of(server) and len(workers_of(server)) >= before)
        assert await server.is_alive()
        assert (await server.state())["pid"] != pid


CASES = [(name, workers) for name in BROKEN for workers in "12"]
CASES.remove(("has no lifespan", "2"))  # Uvicorn ends with status 0 then, and late


@pytest.mark.parametrize(("name", "workers"), CASES)
def test_an_application_that_cannot_start_ends_the_command(
    name: str, workers: str, tmp_path: Path
) -> None:
    """H3: with a status that says so, and without trying for ever."""
    (tmp_path / "broken.py").write_text(BROKEN[name])
    own = '{"descriptors": 0, "output": 0, "environment": {}}'
    command = [sys.executable, "-m", "tests.faults.command", own, "run", "broken:app"]
    ended = subprocess.run(
        [*command, "--port", "0", "--workers", workers],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode in (1, 3)


async def test_a_full_disk_below_the_log_harms_nobody(tmp_path: Path) -> None:
    """H4: every further line of the log is an error of the system."""
    with served("native", tmp_path / "log", output=2000) as server:
        for _ in range(100):
            await server.answer(REFUSED["a6 no colon"])
        assert (tmp_path / "log").stat().st_size == 2000
        assert await server.is_alive()
        server.process.kill()  # at its end nothing could be written either, such as coverage


async def test_a_log_that_nobody_reads_harms_nobody(tmp_path: Path) -> None:
    """H4: its pipe is full after a few lines; all of them come when it is read again."""
    log = tmp_path / "log"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with served("native", log) as server:
        for _ in range(300):
            await server.answer(REFUSED["a6 no colon"])
        assert await server.is_alive()
        said = b""
        while said.count(b"request") < 300:
            with suppress(BlockingIOError):
                said += os.read(reader, 65_536)
            await asyncio.sleep(0)
        log.unlink()
        log.touch()  # for who looks for tracebacks
    os.close(reader)
