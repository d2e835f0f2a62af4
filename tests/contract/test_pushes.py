"""What the server says unasked: greetings of `conn`, and broadcasts."""

from __future__ import annotations

from contextlib import AsyncExitStack

from .differences import expected
from .harness import Peer, Server, seen

BIG = "x" * 60_000
ROUNDS = 160
"""Together far more than the buffers of two sockets and an outbox hold."""


async def test_what_conn_sends_arrives_right_after_the_acceptance_in_order(
    server: Server, id: str
) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        await peer.send("four")
        assert [await peer.receive() for _ in range(4)] == ["one", "two", "three", "FOUR"]


async def test_a_message_of_one_peer_reaches_all(server: Server, id: str) -> None:
    async with AsyncExitStack() as stack:
        peers = [await _join(stack, server, id) for _ in range(3)]
        await peers[0].send("hello all")
        assert [await peer.receive() for peer in peers] == ["hello all"] * 3


async def test_a_peer_that_does_not_read_is_closed_and_the_others_get_everything(
    server: Server, id: str
) -> None:
    async with AsyncExitStack() as stack:
        await _join(stack, server, id, is_deaf=True)
        first, second = await _join(stack, server, id), await _join(stack, server, id)
        for number in range(ROUNDS):
            await first.send(f"{number} {BIG}")
            for peer in (first, second):
                assert await peer.receive() == f"{number} {BIG}"
        if expected(server, "a peer that does not read", 1013) == 1013:
            assert await seen(server, id, 1) == [["left", 1013]]


async def _join(stack: AsyncExitStack, server: Server, room: str, *, is_deaf: bool = False) -> Peer:
    connection = server.connect(f"/rooms/{room}", is_deaf=is_deaf)
    peer = await stack.enter_async_context(connection)
    if not is_deaf:
        assert await peer.receive() == "joined"
    return peer
