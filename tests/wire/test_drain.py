"""`wirework run`, told to stop: connections end in turn, handlers finish, hooks run, status 0."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.contract.harness import Peer, closed, refused, within
from tests.contract.process import HOST, STOP, UNMEASURED, ServerProcess
from tests.contract.sockets import SocketServer
from tests.wire.native import until

RUN = ("tests.docs.command", "run", "--host", HOST, "--port", "{port}")
APP = "tests.wire.draining:app"
LONG = 3000
"""Seconds that no test waits for."""

SERVERS: dict[str, tuple[str, ...]] = {
    "native": (),
    "workers": ("--workers", "2"),
    "asgi": ("--transport", "asgi"),
    "rsgi": ("--server", "granian"),
}
CODES = {"rsgi": 1006}
"""What peers see, where it is not 1012."""


class Running(SocketServer):
    """A running server that is to be told to stop."""

    def __init__(self, process: ServerProcess) -> None:
        super().__init__(process.name, process.port)
        self._process = process
        self.code = CODES.get(process.name, 1012)

    @property
    def notes(self) -> list[str]:
        """What the application has written."""
        lines = self._process.output.splitlines()
        return [line.removeprefix("NOTE ").strip() for line in lines if line.startswith("NOTE ")]

    @property
    def ends(self) -> list[str]:
        """The connections whose disconnect hook has run, as often as it has."""
        return [note.split()[1] for note in self.notes if note.startswith("disconnect")]

    async def join(self, stack: AsyncExitStack, path: str, id: str) -> Peer:
        peer = await stack.enter_async_context(self.connect(f"{path}?id={id}"))
        assert await peer.receive() == "ready"
        return peer

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.process.send_signal(number)

    async def status(self) -> int:
        return await asyncio.to_thread(self._process.process.wait, STOP)


@asynccontextmanager
async def running(
    name: str, folder: Path, *, spread: float = 0, timeout: float = 25
) -> AsyncIterator[Running]:
    environ = {
        "WIREWORK_DRAIN_SPREAD": str(spread),
        "WIREWORK_DRAIN_TIMEOUT": str(timeout),
        "GATES": str(folder),
        **(UNMEASURED if name == "workers" else {}),  # tests of the command have their coverage
    }
    arguments = (*RUN, *SERVERS[name], APP)
    process = ServerProcess(name, arguments, folder / "log", **environ)
    try:
        await asyncio.to_thread(process.wait_until_it_accepts)
        yield Running(process)
    finally:
        process.kill()
    assert "Traceback" not in process.output, process.output


async def test_closes_are_spread_over_the_time_that_is_set(tmp_path: Path) -> None:
    async with (
        running("native", tmp_path, spread=LONG, timeout=LONG) as server,
        AsyncExitStack() as stack,
    ):
        ids = ["messages0", "messages1", "loop0"]
        peers = [await server.join(stack, f"/{id[:-1]}", id) for id in ids]
        server.stop()
        assert (await closed(peers[0])).code == 1012
        await peers[1].send("still here")
        assert await peers[1].receive() == "still here"
        assert server.ends == ["messages0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", SERVERS)
async def test_a_second_signal_ends_all_at_once(
    name: str, number: signal.Signals, tmp_path: Path
) -> None:
    async with running(name, tmp_path, timeout=LONG) as server, AsyncExitStack() as stack:
        idle = await server.join(stack, "/messages", "idle")
        loop = await server.join(stack, "/stuck-loop", "loop")
        stuck = await server.join(stack, "/stuck", "stuck")
        await stuck.send("it")
        assert await stuck.receive() == "began it"
        server.stop(number)
        await until(lambda: "idle" in server.ends)
        assert "stuck" not in server.ends
        server.stop(number)
        assert [(await closed(peer)).code for peer in (idle, loop, stuck)] == [server.code] * 3
        assert await server.status() == 0
        assert sorted(server.ends) == ["idle", "loop", "stuck"]


# Of several workers one may not have begun to stop when another already has.
@pytest.mark.parametrize("name", [name for name in SERVERS if name != "workers"])
async def test_a_running_handler_answers_and_what_waits_behind_it_is_dropped(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as server, AsyncExitStack() as stack:
        await server.join(stack, "/messages", "idle")
        peers = [await server.join(stack, f"/{id}", id) for id in ("working", "loop")]
        for peer in peers:
            await peer.send("one")
            await peer.send("two")
            assert await peer.receive() == "began one"
        server.stop()
        await until(lambda: "idle" in server.ends)
        for peer, id in zip(peers, ("working", "loop"), strict=True):
            await peer.send("three")
            (tmp_path / id).touch()
            assert await peer.receive() == "answered one"
        assert [(await closed(peer)).code for peer in peers] == [server.code] * 2
        assert await server.status() == 0
        assert sorted(server.ends) == ["idle", "loop", "working"]
        assert "shutdown" in server.notes


@pytest.mark.parametrize("name", SERVERS)
async def test_a_handler_that_does_not_end_is_cancelled_and_its_cleanup_runs(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path, timeout=0.5) as server, AsyncExitStack() as stack:
        loop = await server.join(stack, "/stuck-loop", "loop")
        stuck = await server.join(stack, "/stuck", "stuck")
        await stuck.send("it")
        assert await stuck.receive() == "began it"
        server.stop()
        assert [(await closed(peer)).code for peer in (loop, stuck)] == [server.code] * 2
        assert await server.status() == 0
        assert Counter(server.notes) == Counter(
            [f"{end} {id}" for end in ("connect", "cleaned") for id in ("loop", "stuck")]
            + [f"disconnect {id} 1012" for id in ("loop", "stuck")]
            + ["shutdown"] * server.notes.count("shutdown")
        )


@pytest.mark.parametrize("name", SERVERS)
async def test_every_one_of_a_hundred_connections_ends_once(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, spread=0.5) as server, AsyncExitStack() as stack:
        ids = [f"{kind}{number}" for kind in ("messages", "loop") for number in range(50)]
        peers = [await server.join(stack, f"/{id.rstrip('0123456789')}", id) for id in ids]
        server.stop()
        codes = await within(asyncio.gather(*(closed(peer) for peer in peers)))
        assert {close.code for close in codes} == {server.code}
        assert await server.status() == 0
        assert Counter(server.ends) == Counter(ids)


@pytest.mark.parametrize(("name", "retry_after"), [("native", "5"), ("asgi", "1"), ("rsgi", None)])
async def test_a_handshake_that_is_not_answered_is_refused(
    name: str, retry_after: str | None, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as server, asyncio.TaskGroup() as group:
        asking = group.create_task(refused(server, "/hesitant?id=late"))
        await until(lambda: "asked late" in server.notes)
        server.stop()
        refusal = await asking
        assert (refusal.status, refusal.headers.get("retry-after")) == (503, retry_after)
        assert await server.status() == 0
