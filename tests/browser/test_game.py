from __future__ import annotations

import json
import struct

import pytest
from playwright.async_api import WebSocket as Socket
from playwright.async_api import expect

from examples import game
from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def see_player_at(tab: Tab, x: int, y: int) -> None:
    near = f"({{x, y}}) => Math.abs(x - {x}) < 3 && Math.abs(y - {y}) < 3"
    await tab.page.wait_for_function(f"() => players.some({near})")


async def drag_to(tab: Tab, x: float, y: float) -> None:
    """Press the mouse in the middle of the field and drag it there, in shares of its size."""
    box = await tab.find("#field").bounding_box()
    assert box is not None
    mouse = tab.page.mouse
    await mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await mouse.down()
    await mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
    await mouse.up()


async def test_every_player_sees_every_other_one_where_it_is(open_tab: OpenTab) -> None:
    tabs = [await open_tab("/game/") for _ in range(3)]
    for tab in tabs:
        await expect(tab.find("#count")).to_have_text("3")
        await expect(tab.find("#size")).to_have_text("18")
    places = [(120, 80), (360, 80), (240, 240)]
    for tab, (x, y) in zip(tabs, places, strict=True):
        await drag_to(tab, x / game.WIDTH, y / game.HEIGHT)
    for tab in tabs:
        for x, y in places:
            await see_player_at(tab, x, y)
    await tabs[0].page.close()
    for tab in tabs[1:]:
        await expect(tab.find("#count")).to_have_text("2")


async def test_a_dot_is_painted_where_the_player_is(open_tab: OpenTab) -> None:
    tab = await open_tab("/game/")
    await expect(tab.find("#count")).to_have_text("1")
    await drag_to(tab, 0.25, 0.25)
    await see_player_at(tab, 120, 80)
    painted = "([x, y]) => pen.getImageData(x * 2, y * 2, 1, 1).data[3]"
    assert await tab.page.evaluate(painted, [120, 80]) == 255
    assert await tab.page.evaluate(painted, [360, 240]) == 0


async def test_moves_leave_as_json_and_are_acknowledged_and_positions_come_as_bytes(
    open_tab: OpenTab,
) -> None:
    tab = await open_tab("/echo/")
    received: list[str | bytes] = []

    def listen(socket: Socket) -> None:
        socket.on("framereceived", lambda frame: received.append(frame))

    tab.page.on("websocket", listen)
    await tab.open("/game/")
    await expect(tab.find("#count")).to_have_text("1")
    before = await tab.find("#tick").inner_text()
    await drag_to(tab, 0.75, 0.5)
    await see_player_at(tab, 360, 160)
    await tab.page.keyboard.press("ArrowDown")
    await see_player_at(tab, 360, 168)
    assert int(await tab.find("#tick").inner_text()) > int(before)
    last_ack = [json.loads(each) for each in received if isinstance(each, str)][-1]
    position = [each for each in received if isinstance(each, bytes)][-1]
    assert last_ack["ack"] == {"x": 360, "y": 168}
    assert struct.unpack(">HHH", position)[1:] == (360, 168)


async def test_a_player_cannot_leave_the_field(open_tab: OpenTab) -> None:
    tab = await open_tab("/game/")
    await expect(tab.find("#count")).to_have_text("1")
    await drag_to(tab, 2.0, -1.0)
    await see_player_at(tab, game.WIDTH, 0)
    await tab.page.keyboard.press("ArrowRight")
    await tab.page.keyboard.press("ArrowDown")
    await see_player_at(tab, game.WIDTH, 8)
    await tab.expect_badge("connected")
