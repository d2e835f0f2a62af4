from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from examples import demo, htmx
from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from wirework import WebSocket

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAIRS = [(2, 2), (4, 4), (2, 4)]
STEAL = "document.title = 'taken over'"
MARKUP = f'<script>{STEAL}</script><img src="x" onerror="{STEAL}">'


async def enter(open_tab: OpenTab, name: str, version: int) -> Tab:
    tab = await open_tab("/chat/")
    await tab.say(name, "#login")
    await tab.click(f"htmx {version}")
    await expect(tab.find("[aria-current=page]")).to_have_text(f"htmx {version}")
    assert await tab.page.evaluate("htmx.version[0]") == str(version)
    await tab.expect_badge("connected")
    return tab


def members() -> set[WebSocket]:
    return {ws for ws in demo.app.connections if ws.handshake.path == "/chat/ws"}


async def expect_messages(tab: Tab, *messages: str) -> None:
    """The chat shows exactly these, in this order."""
    await expect(tab.find("#messages li")).to_have_text(list(messages))


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_two_tabs_see_each_message_once_and_in_order(
    first: int, second: int, open_tab: OpenTab
) -> None:
    ana, ben = await enter(open_tab, "Ana", first), await enter(open_tab, "Ben", second)
    await ana.say("hello")
    await expect_messages(ben, "Anahello")
    await ben.say("hello Ana")
    for number in range(5):
        await ana.say(f"line {number}")
    lines = ["Anahello", "Benhello Ana", *(f"Analine {number}" for number in range(5))]
    for tab in (ana, ben):
        await expect_messages(tab, *lines)
        await expect(tab.find("#form input")).to_have_value("")


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_script_markup_in_a_message_is_shown_and_not_executed(
    first: int, second: int, open_tab: OpenTab
) -> None:
    ana, ben = await enter(open_tab, "Ana", first), await enter(open_tab, "<i>Ben</i>", second)
    await ana.say(MARKUP)
    await ben.say("unharmed")
    for tab in (ana, ben):
        await expect_messages(tab, f"Ana{MARKUP}", "<i>Ben</i>unharmed")
        await expect(tab.page).to_have_title("HTMX chat · Wirework")
        assert await tab.find("#messages :is(script, img, i)").count() == 0


@pytest.mark.parametrize("version", [2, 4])
async def test_whoever_comes_later_gets_what_was_said(version: int, open_tab: OpenTab) -> None:
    ana = await enter(open_tab, "Ana", 2)
    await ana.say("first")
    await expect_messages(ana, "Anafirst")
    await expect_messages(await enter(open_tab, "Ben", version), "Anafirst")


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("code", [1012, 1013])
async def test_a_tab_comes_back_after_the_server_asked_it_to(
    version: int, code: int, open_tab: OpenTab
) -> None:
    ana, ben = await enter(open_tab, "Ana", version), await enter(open_tab, "Ben", 2)
    await ana.say("before")
    await expect_messages(ben, "Anabefore")
    sockets = members()
    async with ana.page.expect_event("websocket"), ben.page.expect_event("websocket"):
        for socket in sockets:
            await socket.close(code, "restarting")
    for tab in (ana, ben):
        await tab.expect_badge("connected")
    assert not members() & sockets
    await ben.say("after")
    for tab in (ana, ben):
        await expect_messages(tab, "Anabefore", "Benafter")


@pytest.mark.parametrize("version", [2, 4])
async def test_an_empty_message_is_answered_with_a_word_to_its_sender(
    version: int, open_tab: OpenTab
) -> None:
    ana, ben = await enter(open_tab, "Ana", version), await enter(open_tab, "Ben", 2)
    await ana.say("  ")
    await expect(ana.find("#ws-error")).to_have_text("Say something.")
    await expect(ben.find("#ws-error")).to_have_text("")
    assert not await demo.app.channel_named("chat").history()


async def test_without_login_the_page_asks_for_a_name_and_opens_no_socket(
    open_tab: OpenTab,
) -> None:
    tab = await open_tab("/chat/")
    await expect(tab.find("#login")).to_be_visible()
    await tab.expect_badge("not connected")
    assert await tab.find("#chat").count() == 0


async def test_after_logging_out_the_page_asks_for_a_name_again(open_tab: OpenTab) -> None:
    tab = await enter(open_tab, "Ana", 2)
    await tab.click("Log out")
    await expect(tab.find("#login")).to_be_visible()


async def test_a_socket_without_login_is_refused(open_tab: OpenTab) -> None:
    tab = await open_tab("/chat/")
    opened = await tab.page.evaluate(CONNECT, f"{tab.origin.replace('http', 'ws')}/chat/ws")
    assert opened == "closed 1006"
    (problem,) = tab.problems
    assert "HTTP Authentication failed" in problem
    tab.problems.clear()


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_the_chat_works_with_the_files_of_the_python_package_alone(
    first: int, second: int, open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(htmx, "NODE_MODULES", tmp_path)
    ana, ben = await enter(open_tab, "Ana", first), await enter(open_tab, "Ben", second)
    await ana.say("hello")
    await expect_messages(ben, "Anahello")
    await ben.say("hello Ana")
    for tab in (ana, ben):
        await expect_messages(tab, "Anahello", "Benhello Ana")


CONNECT = """(url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onopen = () => resolve("open");
  socket.onclose = ({ code }) => resolve(`closed ${code}`);
})"""
