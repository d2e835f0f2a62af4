"""The life of an application in Granian's workers: its start, and the end of its connections."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contract.harness import Closed, Peer, closed
from tests.contract.process import STOP, ServerProcess
from tests.wire.rsgi_ending import WORDS
from tests.wire.rsgi_server import COMMAND, RsgiServer

MODULE = "tests.wire.rsgi_ending"
OPTIONS: dict[str, Sequence[str]] = {
    "uvloop": ("--loop", "uvloop"),
    "asyncio": ("--loop", "asyncio"),
    "threads": ("--loop", "asyncio", "--runtime-mode", "mt"),
}
IDS = [f"{kind}{number}" for kind in ("messages", "loop") for number in range(3)]


@pytest.fixture(params=OPTIONS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RsgiServer]:
    yield from serving("app", tmp_path, OPTIONS[request.param])


@pytest.fixture
def plain_server(tmp_path: Path) -> Iterator[RsgiServer]:
    yield from serving("app", tmp_path)


def serving(name: str, path: Path, options: Sequence[str] = ()) -> Iterator[RsgiServer]:
    process = ServerProcess("rsgi", (*COMMAND, *options, f"{MODULE}:{name}"), path / "log")
    try:
        process.wait_until_it_accepts()
        yield RsgiServer(process)
    finally:
        process.kill()


async def exit_code(server: RsgiServer) -> int:
    return await asyncio.to_thread(server.process.process.wait, STOP)


def noted(server: RsgiServer) -> list[str]:
    lines = server.output.splitlines()
    return [line.removeprefix("NOTE ").strip() for line in lines if line.startswith("NOTE ")]


async def join(stack: AsyncExitStack, server: RsgiServer, id: str) -> Peer:
    path = f"/{id.rstrip('0123456789')}?id={id}"
    peer = await stack.enter_async_context(server.connect(path))
    assert await peer.receive() == "ready"
    return peer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_every_connection_ends_once_with_1012_and_clients_see_it_dropped(
    server: RsgiServer, number: signal.Signals
) -> None:
    async with AsyncExitStack() as stack:
        peers = [await join(stack, server, id) for id in IDS]
        server.process.process.send_signal(number)
        assert [(await closed(peer)).code for peer in peers] == [1006] * len(peers)
        assert await exit_code(server) == 0
    notes = noted(server)
    assert sorted(notes[1:-1]) == sorted(
        [f"connect {id}" for id in IDS] + [f"disconnect {id} 1012 restarting" for id in IDS]
    )
    assert (notes[0], notes[-1]) == ("startup", "shutdown")


async def test_two_signals_end_it_like_one(plain_server: RsgiServer) -> None:
    server = plain_server
    worker = await server.pid()
    async with AsyncExitStack() as stack:
        peer = await join(stack, server, "busy0")
        await peer.send("one")
        await server.notes("busy0", 1)
        os.kill(worker, signal.SIGINT)
        os.kill(worker, signal.SIGTERM)
        await server.request("POST", "/open/busy0")
        assert (await closed(peer)).code == 1006
        await exit_code(server)
    assert noted(server)[-3:] == [
        "handled busy0 one",
        "disconnect busy0 1012 restarting",
        "shutdown",
    ]


async def test_a_running_handler_finishes_and_its_hook_runs(server: RsgiServer) -> None:
    async with AsyncExitStack() as stack:
        idle = await join(stack, server, "messages0")
        peer = await join(stack, server, "busy0")
        await peer.send("one")
        await peer.send("two")
        assert await server.notes("busy0", 1) == [["began", "one"]]
        server.process.process.terminate()
        assert await server.notes("messages0", 1) == [["disconnect", 1012]]
        assert await server.handshake("/messages?id=late") == 503
        await server.request("POST", "/open/busy0")
        assert [(await closed(each)).code for each in (peer, idle)] == [1006, 1006]
        assert await exit_code(server) == 0
    assert noted(server)[-3:] == [
        "handled busy0 one",
        "disconnect busy0 1012 restarting",
        "shutdown",
    ]


async def test_what_was_sent_before_the_end_arrives(server: RsgiServer) -> None:
    async with server.connect("/words?id=words0") as peer:
        await peer.send("go")
        heard = [str(await peer.receive()).split()[0] for _ in range(WORDS)]
        assert heard == [str(number) for number in range(WORDS)]
        assert (await closed(peer)).code == 1006
        await exit_code(server)
    assert noted(server)[-2:] == ["disconnect words0 1012 restarting", "shutdown"]


async def test_a_handshake_that_is_not_answered_is_refused(plain_server: RsgiServer) -> None:
    server = plain_server
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(server.handshake("/opening?id=opening0"))
        await server.notes("opening0", 1)
        server.process.process.terminate()
    assert asking.result() == 503
    assert await exit_code(server) == 0
    assert noted(server)[-2:] == ["gave up opening0", "shutdown"]


async def test_a_request_on_its_way_is_answered(plain_server: RsgiServer) -> None:
    server = plain_server
    async with AsyncExitStack() as stack:
        peer = await join(stack, server, "messages0")
        asking = asyncio.create_task(server.notes("messages0", 1))
        assert await server.pid()
        server.process.process.terminate()
        assert await asking == [["disconnect", 1012]]
        assert (await closed(peer)).code == 1006
        assert await exit_code(server) == 0
    assert noted(server)[-2:] == ["disconnect messages0 1012 restarting", "shutdown"]


async def test_hooks_run_too_where_the_signals_are_taken_by_others(
    plain_server: RsgiServer,
) -> None:
    server = plain_server
    async with AsyncExitStack() as stack:
        peers = [await join(stack, server, id) for id in IDS]
        await server.request("POST", "/take-signals")
        server.process.process.terminate()
        assert await exit_code(server) == 0
        for peer in peers:
            with pytest.raises(Closed):
                await peer.receive()
    notes = noted(server)
    ends = [note for note in notes if note.startswith("disconnect")]
    assert sorted(ends) == sorted(f"disconnect {id} 1012 restarting" for id in IDS)
    assert notes[-1] == "shutdown"


def test_a_start_that_fails_ends_the_worker_and_says_why(tmp_path: Path) -> None:
    arguments = (*COMMAND, f"{MODULE}:broken_at_the_start")
    process = ServerProcess("rsgi", arguments, tmp_path / "log")
    try:
        assert process.process.wait(STOP) != 0
    finally:
        process.kill()
    assert "startup failed: ConnectionError: the database is down" in process.output


async def test_a_stop_that_fails_is_logged(tmp_path: Path) -> None:
    for server in serving("broken_at_the_end", tmp_path):
        server.process.process.terminate()
        await exit_code(server)
        assert "shutdown failed" in server.output
        assert "the database has gone" in server.output
