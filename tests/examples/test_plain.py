"""The examples without htmx, driven in this process."""

from __future__ import annotations

import struct

import pytest

from examples import broadcast, echo, game, guard, rooms, subprotocol
from wirework.testing import HandshakeRefused, TestClient, TestWebSocket


async def test_echo_sends_back_what_it_gets() -> None:
    async with TestClient(echo.app) as client, client.connect("/ws") as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "echo: hello"


async def test_the_name_in_a_room_comes_from_the_query_or_from_a_header() -> None:
    header = {"X-Client-Name": "robot"}
    async with (
        TestClient(rooms.app) as client,
        client.connect("/rooms/7", query={"name": "Ana"}) as ana,
        client.connect("/rooms/7", headers=header) as robot,
        client.connect("/rooms/8") as stranger,
    ):
        assert await stranger.receive_json() == "stranger joined room 8"
        assert await ana.receive_json() == "Ana joined room 7"
        assert await ana.receive_json() == "robot joined room 7"
        assert await robot.receive_json() == "robot joined room 7"
        await robot.send_text("beep")
        assert await ana.receive_json() == await robot.receive_json() == "robot: beep"
        await robot.close()
        assert await ana.receive_json() == "robot left"
        await stranger.assert_silent()


async def test_a_room_whose_number_is_none_does_not_exist() -> None:
    async with TestClient(rooms.app) as client:
        with pytest.raises(HandshakeRefused, match="404"):
            async with client.connect("/rooms/seven"):
                pass


async def receive_positions(ws: TestWebSocket) -> dict[int, tuple[int, int]]:
    frame = await ws.receive_bytes()
    return {number: (x, y) for number, x, y in struct.iter_unpack(">HHH", frame)}


async def test_a_move_is_acknowledged_and_all_players_get_all_positions_as_bytes() -> None:
    async with TestClient(game.app) as client, client.connect("/ws") as ana:
        you = (await ana.receive_json())["you"]
        assert list(await receive_positions(ana)) == [you]
        async with client.connect("/ws") as ben:
            other = (await ben.receive_json())["you"]
            assert (await receive_positions(ana)).keys() == {you, other}
            await ana.send_json({"x": 480, "y": 0})
            answer = await ana.receive_json()
            assert answer["ack"] == {"x": 480, "y": 0}
            assert (await receive_positions(ana))[you] == (480, 0)
            await receive_positions(ben)
            assert (await receive_positions(ben))[you] == (480, 0)
        assert list(await receive_positions(ana)) == [you]


@pytest.mark.parametrize("move", [{"x": 481, "y": 0}, {"x": "1", "y": 0}, {"y": 0}, [1, 2]])
async def test_a_move_that_does_not_fit_ends_the_connection(move: object) -> None:
    async with TestClient(game.app) as client, client.connect("/ws") as ws:
        await ws.receive_json()
        await ws.receive_bytes()
        await ws.send_json(move)
        await ws.assert_closed(1007)
    assert not game.players


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["chat.v1", "chat.v2"], "chat.v2"),
        (["chat.v9", "chat.v1"], "chat.v1"),
    ],
)
async def test_the_newest_known_subprotocol_is_chosen(offered: list[str], chosen: str) -> None:
    app = subprotocol.app
    async with TestClient(app) as client, client.connect("/ws", subprotocols=offered) as ws:
        assert ws.subprotocol == chosen


@pytest.mark.parametrize("offered", [[], ["chat.v9"]])
async def test_unknown_subprotocols_are_refused(offered: list[str]) -> None:
    async with TestClient(subprotocol.app) as client:
        with pytest.raises(HandshakeRefused, match=r"400.*offer one of chat\.v2, chat\.v1"):
            async with client.connect("/ws", subprotocols=offered):
                pass


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("quit", 1000, "bye"),
        ("busy", 1013, "come back later"),
        ("secret", 4403, "not for you"),
        ("crash", 1011, ""),
        ("x" * 70_000, 1009, "at most 65536 bytes"),
    ],
)
async def test_guard_closes_with_intent(text: str, code: int, reason: str) -> None:
    async with TestClient(guard.app) as client, client.connect("/ws") as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "ok: hello"
        await ws.send_text(text)
        await ws.assert_closed(code, reason)


async def test_guard_takes_no_binary_frames_and_keeps_its_door_closed() -> None:
    async with TestClient(guard.app) as client:
        async with client.connect("/ws") as ws:
            await ws.send_bytes(b"\x01")
            await ws.assert_closed(1003)
        with pytest.raises(HandshakeRefused, match=r"403.*closed"):
            async with client.connect("/door"):
                pass


async def test_a_broadcast_reaches_everybody_else() -> None:
    async with TestClient(broadcast.app) as client:
        async with (
            client.connect("/ws") as ana,
            client.connect("/ws") as ben,
            client.connect("/ws") as eve,
        ):
            await ana.send_text("hello")
            assert await ben.receive_text() == await eve.receive_text() == "hello"
            await ana.assert_silent()
        assert not broadcast.connections
