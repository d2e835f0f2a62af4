"""Ends: each has a code, the handler learns it, and exactly one hook runs."""

from __future__ import annotations

import pytest

from .differences import close_code, expected
from .harness import Server, closed, seen


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1013, 3000, 4401, 4999])
async def test_the_handlers_close_reaches_the_peer_with_its_code_and_reason(
    server: Server, code: int
) -> None:
    async with server.connect(f"/close/{code}?reason=gr%C3%BC%C3%9Fe") as peer:
        assert await peer.receive() == "goodbye"
        close = await closed(peer)
    assert close.code == close_code(server, code)
    assert close.reason == expected(server, "reason of the server's close", "grüße")


async def test_a_returned_close_is_a_close(server: Server) -> None:
    async with server.connect("/return") as peer:
        await peer.send("now")
        close = await closed(peer)
    assert close.code == close_code(server, 3333)
    assert close.reason == expected(server, "reason of the server's close", "enough")


@pytest.mark.parametrize("path", ["/fail", "/await"])
async def test_a_failing_handler_closes_with_1011_and_tells_nothing(
    server: Server, path: str
) -> None:
    async with server.connect(path) as peer:
        if path == "/fail":
            await peer.send("now")
        close = await closed(peer)
    assert close.code == close_code(server, 1011)
    assert "secret" not in close.reason


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "tab closed"), (4321, "grüße")])
async def test_the_peers_close_is_seen_by_the_handler(
    server: Server, id: str, code: int, reason: str
) -> None:
    async with server.connect(f"/watch?id={id}") as peer:
        await peer.send("hello")
        await peer.close(code, reason)
    code = expected(server, "code of the peer's close", code)
    reason = expected(server, "reason of the peer's close", reason)
    assert await seen(server, id, 3) == [
        ["message", "hello"],
        ["closed", code, reason],
        ["finally", True, code],
    ]


async def test_the_peers_close_is_seen_by_the_hook(server: Server, id: str) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        for word in ("one", "two", "three"):
            assert await peer.receive() == word
        await peer.close(4321, "grüße")
    code = expected(server, "code of the peer's close", 4321)
    reason = expected(server, "reason of the peer's close", "grüße")
    assert await seen(server, id, 2) == [["connect"], ["disconnect", code, reason]]


async def test_a_close_without_a_code_is_1005(server: Server, id: str) -> None:
    async with server.connect(f"/watch?id={id}") as peer:
        await peer.close(None)
    code = expected(server, "a close without a code", 1005)
    assert (await seen(server, id, 2))[0] == ["closed", code, ""]


async def test_a_peer_that_vanishes_is_1006(server: Server, id: str) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        await peer.receive()
        await peer.abort()
    code = expected(server, "a lost connection", 1006)
    assert (await seen(server, id, 2))[1][:2] == ["disconnect", code]


async def test_the_server_closes_and_the_hook_runs_once_with_its_code(
    server: Server, id: str
) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        for _ in range(3):
            await peer.receive()
        await peer.send("x" * 65_537)
        assert (await closed(peer)).code == close_code(server, 1009)
    assert (await seen(server, id, 2))[1][:2] == ["disconnect", 1009]


async def test_a_client_that_leaves_during_a_running_handler_loses_nothing(
    server: Server, id: str
) -> None:
    async with server.connect(f"/hooks/slow?id={id}") as peer:
        await peer.send("first")
        assert await seen(server, id, 1) == [["began", "first"]]
        await peer.abort()
    await server.request("POST", f"/open/{id}")
    entries = await seen(server, id, 3)
    assert entries[1][:2] == ["ended", "first"]
    assert entries[2][0] == "disconnect"
    assert len(entries) == 3


async def test_a_client_that_leaves_during_a_stream_stops_it(server: Server, id: str) -> None:
    async with server.connect(f"/hooks/stream?id={id}") as peer:
        await peer.send("go")
        assert [await peer.receive() for _ in range(3)] == ["0", "1", "2"]
        await peer.abort()
    entries = await seen(server, id, 2)
    assert [entry[0] for entry in entries] == ["stopped", "disconnect"]


async def test_sending_to_a_gone_peer_raises(server: Server, id: str) -> None:
    async with server.connect(f"/watch/sends?id={id}") as peer:
        await peer.close(4321)
    code = expected(server, "code of the peer's close", 4321)
    assert await seen(server, id, 1) == [["closed", code]]
