"""WebSockets on Granian's RSGI."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import msgspec
import pytest

from tests.contract.harness import closed, refused, within
from tests.wire.rsgi_application import FRIEND
from tests.wire.rsgi_server import RsgiServer, running
from wirework.types import Frame

APPLICATION = "tests.wire.rsgi_application:app"
MANY = 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RsgiServer]:
    with running(APPLICATION, tmp_path_factory.mktemp("rsgi") / "log") as server:
        yield server


@pytest.fixture
def id() -> str:
    return uuid4().hex


async def echoes(server: RsgiServer) -> bool:
    async with server.connect("/echo") as peer:
        await peer.send("still there?")
        return await peer.receive() == "still there?"


# --- messages ------------------------------------------------------------------------------------


async def test_frames_come_back_as_they_went_and_in_order(server: RsgiServer) -> None:
    frames: list[Frame] = [
        "text \u2603",
        b"\x00\xff",
        "",
        b"",
        *(str(number) for number in range(1000)),
    ]
    async with server.connect("/echo") as peer:
        sending = asyncio.gather(*(peer.send(frame) for frame in frames))
        assert [await peer.receive() for _ in frames] == frames
        await sending


async def test_a_message_that_does_not_fit_is_answered_and_the_next_is_handled(
    server: RsgiServer,
) -> None:
    async with server.connect("/point") as peer:
        await peer.send('{"x": "no"}')
        assert '"code":"validation"' in str(await peer.receive())
        await peer.send('{"x": 1, "y": 2}')
        assert await peer.receive() == '{"x":2,"y":1}'


async def test_what_conn_sends_leaves_after_the_acceptance(server: RsgiServer, id: str) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        assert [await peer.receive() for _ in range(3)] == ["one", "two", "three"]
        await peer.send("four")
        assert await peer.receive() == "FOUR"


async def test_a_message_over_the_limit_ends_the_connection(server: RsgiServer, id: str) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        assert [await peer.receive() for _ in range(3)] == ["one", "two", "three"]
        await peer.send("x" * 65_537)
        assert (await closed(peer)).code == 1005
    assert await server.notes(id, 1) == [["disconnect", 1009, "at most 65536 bytes"]]


async def test_the_scope_is_that_of_asgi(server: RsgiServer) -> None:
    path = "/scope/42/a%20b%2520%C3%BC?q=%20x&q="
    headers = [("x-tag", "a"), ("x-tag", "b"), ("x-unreadable", "caf\u00e9")]
    async with server.connect(path, headers=headers, subprotocols=["v1", "v2"]) as peer:
        seen = msgspec.json.decode(await peer.receive())
    assert seen.pop("client")[0] == "127.0.0.1"
    assert seen == {
        "type": "websocket",
        "scheme": "ws",
        "path": "/scope/42/a b%20\u00fc",
        "raw_path": "/scope/42/a%20b%2520%C3%BC",
        "query_string": "q=%20x&q=",
        "number": 42,
        "name": "a b%20\u00fc",
        "tags": ["a", "b"],
        "unreadable": "",
        "subprotocols": ["v1", "v2"],
        "server": ["127.0.0.1", server.port],
        "state": {"greeting": "hello"},
        "extensions": {},
    }


# --- ends ----------------------------------------------------------------------------------------


async def test_the_peers_close_runs_the_hook_once_after_what_arrived_before(
    server: RsgiServer, id: str
) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        for text in ("a", "b", "c"):
            await peer.send(text)
        await peer.close(4000, "enough")
    assert await server.notes(id, 4) == [
        ["message", "a"],
        ["message", "b"],
        ["message", "c"],
        ["disconnect", 1005, ""],
    ]
    assert await echoes(server)
    assert len(await server.notes(id, 4)) == 4


async def test_a_peer_that_vanishes_runs_the_hook_once(server: RsgiServer, id: str) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        await peer.receive()
        await peer.abort()
    assert await server.notes(id, 1) == [["disconnect", 1006, ""]]


async def test_our_close_sends_what_went_before_and_keeps_its_code_for_the_hook(
    server: RsgiServer, id: str
) -> None:
    async with server.connect(f"/hooks?id={id}") as peer:
        for _ in range(3):
            await peer.receive()
        await peer.send("close")
        assert (await closed(peer)).code == 1005
    expected = [["message", "close"], ["disconnect", 4401, "who are you?"]]
    assert await server.notes(id, 2) == expected


async def test_a_peer_that_does_not_read_is_given_up_and_the_others_are_served(
    server: RsgiServer, id: str
) -> None:
    async with server.connect(f"/flood?id={id}", is_deaf=True):
        assert await echoes(server)
        assert await server.notes(id, 1) == [["closed", 1013]]


async def test_a_handler_that_is_busy_gets_no_more_than_its_inbox_holds(
    server: RsgiServer, id: str
) -> None:
    async with server.connect(f"/gated?id={id}") as peer:
        sending = asyncio.gather(*(peer.send(bytes(1000 + number)) for number in range(500)))
        await server.request("POST", f"/open/{id}")
        await within(sending)
        seen = await server.notes(id, 500)
    (_, waiting), *sizes = seen
    assert waiting <= 64
    assert sizes == [[1000 + number] for number in range(1, 500)]


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/unknown", (), 404),
        ("/friends", ("Origin: https://evil.example",), 403),
        ("/friends", ("Origin: caf\u00e9",), 403),
        ("/never", (), 500),
        ("/raise", (), 500),
        ("/conn", (), 500),
        ("/close", (), 401),
        ("/teapot", (), 418),
        ("/scope/no-number/x", (), 404),
    ],
)
async def test_refused_handshakes_do_not_harm_the_worker(
    server: RsgiServer, path: str, headers: tuple[str, ...], status: int
) -> None:
    pid = await server.pid()
    answers = {await server.handshake(path, *headers) for _ in range(MANY)}
    assert answers == {status}
    assert await server.pid() == pid
    assert await echoes(server)


async def test_a_listed_origin_is_let_in(server: RsgiServer) -> None:
    assert await server.handshake("/friends", f"Origin: {FRIEND}") == 101


@pytest.mark.parametrize("start", ["POST {} HTTP/1.1", "PUT {} HTTP/1.1", "GET {} HTTP/1.0"])
async def test_what_is_no_handshake_is_refused_though_granian_takes_it(
    server: RsgiServer, start: str
) -> None:
    assert await server.handshake("/echo", start=start) == 400
    assert await echoes(server)


async def test_a_handshake_that_takes_too_long_is_refused(server: RsgiServer) -> None:
    assert await server.handshake("/hang") == 503
    assert await echoes(server)


async def test_a_peer_that_leaves_before_the_answer_harms_nobody(server: RsgiServer) -> None:
    pid = await server.pid()
    for _ in range(20):
        knock = await server.knock("/hang")
        await knock.abort()
    assert await echoes(server)
    assert await server.pid() == pid


async def test_an_acceptance_that_was_cancelled_is_not_tried_again(
    server: RsgiServer, id: str
) -> None:
    pid = await server.pid()
    await server.handshake(f"/twice?id={id}")
    assert await server.notes(id, 1) == [["closed"]]
    assert await server.pid() == pid


# --- what RSGI cannot carry ----------------------------------------------------------------------


async def test_what_cannot_be_carried_is_left_out_and_said_once(server: RsgiServer) -> None:
    for _ in range(3):
        async with server.connect("/rich", subprotocols=["chat.v2"]) as peer:
            assert await peer.receive() == "null"
            assert peer.subprotocol is None
            assert not {"x-one", "set-cookie"} & set(peer.headers)
            assert (await closed(peer)).code == 1005
        refusal = await refused(server, "/teapot")
        assert (refusal.status, refusal.body, refusal.headers.get("x-pot")) == (418, b"", None)
    said = [line for line in server.output.splitlines() if "RSGI cannot carry" in line]
    for kind in (
        "the subprotocol 'chat.v2'",
        "headers with the answer to a handshake: left out x-one",
        "cookies with the answer to a handshake",
        "the close code",
        "the body of a refusal",
        "headers with a refusal: left out x-pot",
    ):
        assert len([line for line in said if kind in line]) == 1, said
