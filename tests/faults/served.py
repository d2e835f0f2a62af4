"""`wirework run` under attack: a process of its own, whose memory and output are watched."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.contract.process import HOST, UNMEASURED, ServerProcess
from tests.contract.sockets import SocketServer
from tests.faults import measure
from tests.wire.raw import RawClient, frame, handshake, raw_client

__all__ = ["APPLICATION", "MEBIBYTE", "TRANSPORTS", "Growth", "Served", "served", "until"]

APPLICATION = "tests.faults.application:app"
MEBIBYTE = 2**20
TIMEOUT = 20.0

TRANSPORTS: Mapping[str, tuple[str, ...]] = {
    "native": (),
    "asgi": ("--transport", "asgi"),
    "rsgi": ("--server", "granian"),
}
"""What `wirework run` is told."""


class Growth:
    """How much memory the processes of a server have taken."""

    bytes = 0


class Served(SocketServer):
    """A running server."""

    def __init__(self, process: ServerProcess) -> None:
        super().__init__(process.name, process.port)
        self.process = process

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.process.output

    @property
    def pids(self) -> list[int]:
        """Its process, and its workers if it has any."""
        return measure.processes(self.process.process.pid)

    @property
    def descriptors(self) -> int:
        """How many descriptors its processes have open."""
        return sum(map(measure.descriptors, self.pids))

    @property
    def resident(self) -> int:
        """How many bytes of memory its processes have now."""
        return sum(map(measure.resident, self.pids))

    @property
    def cpu_seconds(self) -> float:
        """How long its processes have computed."""
        return sum(map(measure.cpu_seconds, self.pids))

    @contextmanager
    def growth(self) -> Iterator[Growth]:
        """Measure by how much the peak of its memory grows within the block."""
        growth, pids, before = Growth(), self.pids, self.resident
        for pid in pids:
            measure.forget_peak(pid)
        yield growth
        growth.bytes = sum(map(measure.peak, pids)) - before

    async def state(self) -> dict[str, Any]:
        """Return what its application says of itself at `/state`."""
        found: dict[str, Any] = (await self.request("GET", "/state")).json()
        return found

    async def is_alive(self, path: str = "/echo") -> bool:
        """Whether a new connection is served."""
        async with self.opened(path) as client:
            await client.send(frame(b"alive"))
            return await client.frame() == (1, b"alive")

    async def answer(self, data: bytes) -> bytes:
        """Send bytes; return everything that it says until it ends the connection."""
        async with raw_client(self.port) as client:
            await client.send(data)
            return await client.rest()

    @asynccontextmanager
    async def opened(
        self, path: str = "/echo", *lines: str, is_deaf: bool = False
    ) -> AsyncIterator[RawClient]:
        """Open a connection of bytes, whose handshake is accepted; `lines` are more headers."""
        async with raw_client(self.port, is_deaf=is_deaf) as client:
            await client.send(handshake(path, *lines, host=f"Host: {self.authority}"))
            head = await client.head()
            assert head.startswith(b"http/1.1 101 "), head
            yield client

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for pid in self.pids:
            os.kill(pid, number)


@contextmanager
def served(
    transport: str,
    log: Path,
    *options: str,
    application: str = APPLICATION,
    descriptors: int = 0,
    output: int = 0,
    **settings: Any,
) -> Iterator[Served]:
    """Serve `application` within the block; `descriptors` are how many it may have, `output` how
    many bytes its log; 0: no limit.

    `options` are those of the command line; `settings` reach it in its environment.
    """
    arguments = ("run", application, "--host", HOST, "--port", "{port}", *TRANSPORTS[transport])
    limits = {"descriptors": descriptors, "output": output}
    own = json.dumps({**limits, "environment": _variables(settings)})
    own = own.replace("{", "{{").replace("}", "}}")
    command = ("tests.faults.command", own, *arguments, *options)
    process = ServerProcess(transport, command, log, **UNMEASURED)
    try:
        process.wait_until_it_accepts()
        yield Served(process)
        process.end()
    finally:
        process.kill()
    assert not _tracebacks(process.output), process.output


def _tracebacks(output: str) -> list[str]:
    """Return the tracebacks of an output, but for those that Uvicorn's own class has of peers."""
    found = output.split("Traceback (most recent call last)")[1:]
    return [each for each in found if "websockets_sansio_impl.py" not in each]


def _variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as variables of the environment."""
    return {
        f"WIREWORK_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }


async def until(is_so: Callable[[], Any], *, every: float = 0.02) -> None:
    """Look again and again, until `is_so()`."""
    async with asyncio.timeout(TIMEOUT):
        while not is_so():  # noqa: ASYNC110 - other processes have no event for it
            await asyncio.sleep(every)
