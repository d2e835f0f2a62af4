from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenTab, Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_echo_sends_back_what_was_typed(open_tab: OpenTab) -> None:
    tab = await open_tab("/echo/")
    await tab.expect_badge("connected")
    await tab.say("hello")
    await tab.say("<b>bold</b>")
    await tab.expect_lines("echo: hello", "echo: <b>bold</b>")


async def test_only_those_in_the_same_room_hear_each_other(open_tab: OpenTab) -> None:
    ana, ben = await open_tab("/rooms/"), await open_tab("/rooms/")
    for tab, name in ((ana, "Ana"), (ben, "Ben")):
        await tab.expect_badge("connected")
        await tab.find("[name=room]").fill("7")
        await tab.find("[name=name]").fill(name)
        await tab.click("Join")
        await expect(tab.find("#log")).to_contain_text(f"{name} joined room 7")
    await ben.say("hello")
    await expect(ana.find("#log li").last).to_have_text("Ben: hello")
    await ben.find("[name=room]").fill("8")
    await ben.click("Join")
    await expect(ana.find("#log li").last).to_have_text("Ben left")
    await ben.expect_badge("connected")
    await ben.say("is anybody here?")
    await expect(ben.find("#log li").last).to_have_text("Ben: is anybody here?")
    await expect(ana.find("#log li").last).to_have_text("Ben left")


async def test_the_server_picks_the_best_subprotocol_that_is_offered(open_tab: OpenTab) -> None:
    tab = await open_tab("/subprotocol/")
    await tab.expect_badge("connected")
    await tab.say("hello")
    await tab.expect_lines("agreed on chat.v2", '{"text":"hello","length":5}')
    await tab.page.get_by_label("chat.v2").uncheck()
    await tab.click("Connect")
    await expect(tab.find("#log li").last).to_have_text("agreed on chat.v1")
    await tab.say("hello")
    await expect(tab.find("#log li").last).to_have_text("hello")


async def test_an_offer_of_unknown_subprotocols_is_refused(open_tab: OpenTab) -> None:
    tab = await open_tab("/subprotocol/")
    await tab.page.get_by_label("chat.v1").uncheck()
    await tab.page.get_by_label("chat.v2").uncheck()
    await tab.page.get_by_label("chat.v9").check()
    await tab.click("Connect")
    await tab.expect_badge("closed 1006")
    (problem,) = tab.problems
    assert "400" in problem
    tab.problems.clear()


@pytest.mark.parametrize(
    ("button", "end"),
    [
        ("quit", "1000 bye"),
        ("busy", "1013 come back later"),
        ("secret", "4403 not for you"),
        ("binary frame", "1003 expected a text frame, got a binary frame"),
        ("huge message", "1009 at most 65536 bytes"),
    ],
)
async def test_guard_closes_with_a_code_and_a_reason(
    button: str, end: str, open_tab: OpenTab
) -> None:
    tab = await open_tab("/guard/")
    await tab.expect_badge("connected")
    await tab.click("hello")
    await tab.click(button)
    await tab.expect_badge(f"closed {end}")
    await tab.expect_lines("ok: hello", f"closed: {end}")
    await tab.click("connect again")
    await tab.expect_badge("connected")


async def test_a_crash_is_seen_as_1011_without_its_text(open_tab: OpenTab) -> None:
    tab = await open_tab("/guard/")
    await tab.expect_badge("connected")
    await tab.click("crash")
    await tab.expect_badge("closed 1011")


async def test_a_refused_handshake_is_seen_as_1006(open_tab: OpenTab) -> None:
    tab = await open_tab("/guard/")
    await tab.expect_badge("connected")
    await tab.click("closed door")
    await tab.expect_badge("closed 1006")
    (problem,) = tab.problems
    assert "403" in problem
    tab.problems.clear()


async def test_what_one_tab_says_all_the_others_hear(open_tab: OpenTab) -> None:
    tabs = [await open_tab("/broadcast/") for _ in range(3)]
    for tab in tabs:
        await tab.expect_badge("connected")
    await tabs[0].say("hello")
    await tabs[1].say("hello to you")
    await tabs[0].expect_lines("hello", "hello to you")
    await tabs[2].expect_lines("hello", "hello to you")


@pytest.mark.parametrize("version", [2, 4])
async def test_hello_swaps_two_elements_by_their_id(version: int, open_tab: OpenTab) -> None:
    tab = await open_tab(f"/hello/?htmx={version}")
    await expect(tab.find("[aria-current=page]")).to_have_text(f"htmx {version}")
    await tab.expect_badge("connected")
    await tab.say("<b>you</b>")
    await expect(tab.find("#notifications")).to_have_text("Hello <b>you</b>")
    await expect(tab.find("#notifications")).to_have_text("Goodbye <b>you</b>")
    await expect(tab.find("#form input")).to_have_value("")


async def test_fastapi_and_the_socket_share_one_session(open_tab: OpenTab) -> None:
    tab = await open_tab("/fastapi/")
    await tab.expect_lines("hello stranger")
    await tab.say("Ana", "#name")
    await tab.expect_lines("hello Ana")
    await tab.say("how are you?")
    await tab.expect_lines("hello Ana", "Ana: how are you?")


async def test_an_announcement_over_http_reaches_all_sockets(
    open_tab: OpenTab, visit: Visit
) -> None:
    visitor = await visit()
    tabs = [await open_tab("/fastapi/", visitor=visitor) for _ in range(2)]
    for tab in tabs:
        await tab.expect_lines("hello stranger")
    await tabs[0].say("lunch", "#announce")
    for tab in tabs:
        await tab.expect_lines("hello stranger", "announced: lunch")


async def test_fastapis_docs_work_without_internet(open_tab: OpenTab) -> None:
    tab, listener = await open_tab("/fastapi/"), await open_tab("/fastapi/")
    await listener.expect_lines("hello stranger")
    await tab.page.get_by_role("link", name="own docs page").click()
    await tab.find(".opblock-summary-path", "/announce").click()
    for button in ("Try it out", "Execute"):
        await tab.page.get_by_role("button", name=button).click()
    await expect(tab.find(".live-responses-table .response-col_status").last).to_have_text("200")
    await listener.expect_lines("hello stranger", "announced: string")
