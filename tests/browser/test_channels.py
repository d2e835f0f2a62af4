"""Channels in a real browser: what a page gets that was away, and who is there."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from examples.demo import app
from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.wire.native import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def enter(open_tab: OpenTab, name: str) -> Tab:
    tab = await open_tab("/talk/")
    await tab.say(name, "#login")
    await tab.expect_badge("connected")
    return tab

async def test_x(open_tab: OpenTab) -> None:
    ana, ben = await enter(open_tab, "Ana"), await enter(open_tab, "Ben")
    await ana.say("hello")
    await expect(ben.find("#messages li")).to_have_text(["Anahello"])
    await ben.page.context.set_offline(True)
    await ana.say("one")
    await expect(ana.find("#messages li")).to_have_text(["Anahello", "Anaone"])
    import asyncio
    await asyncio.sleep(2)
    print(await ben.find("#badge").text_content(), await ben.find("#messages").text_content())
    for ws in app.connections:
        if ws.user == "Ben": await ws.close(1012, "x")
    await asyncio.sleep(2)
    print(await ben.find("#badge").text_content(), await ben.find("#messages").text_content())
    await ben.page.context.set_offline(False)
    await asyncio.sleep(2)
    print(await ben.find("#badge").text_content(), await ben.find("#messages").text_content(), await ben.find("#news").text_content())
    print(ben.problems); ben.problems.clear()
