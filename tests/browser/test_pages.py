from __future__ import annotations

import pytest
from playwright.async_api import expect

from examples.demo import EXAMPLES
from tests.browser.conftest import OpenTab, Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHONE = (390, 844)
TITLES = [example.title for example in EXAMPLES]
PATHS = [f"{example.path}/" for example in EXAMPLES]
SAID = {
    "/chat/": ("#form", "#messages li"),
    "/react/": ("#window", "#window li"),
    "/talk/": ("#form", "#messages li"),
    "/whythawk/": ("#thing", "#thing-by"),
}
"""Where one says something on a page, and where it is shown then."""


@pytest.mark.parametrize("title", TITLES)
async def test_every_link_of_the_index_leads_to_a_page_that_connects(
    title: str, open_tab: OpenTab
) -> None:
    tab = await open_tab("/")
    await tab.page.get_by_role("link", name=title).click()
    await expect(tab.find("h1")).to_have_text(title)
    if await tab.find("#login").count():
        await tab.expect_badge("not connected")
        await tab.say("Ana", "#login")
    await tab.expect_badge("connected")
    await tab.click("All examples")
    await expect(tab.page).to_have_title("Examples · Wirework")


@pytest.mark.parametrize("path", ["/", *PATHS])
async def test_no_page_scrolls_sideways_on_a_phone(
    path: str, open_tab: OpenTab, visit: Visit
) -> None:
    tab = await open_tab(path, visitor=await visit(PHONE))
    if await tab.find("#login").count():
        await tab.say("A name of twenty let", "#login")
        await tab.expect_badge("connected")
    if path in SAID:
        form, shown = SAID[path]
        if path == "/whythawk/":
            await expect(tab.find("#users")).to_contain_text("A name of twenty let")
        await tab.say("unbreakable" * 18, form)
        await expect(tab.find(shown).last).not_to_be_empty()
    for summary in await tab.find("summary").all():
        await summary.click()
    assert await tab.page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


async def test_each_page_shows_the_code_of_its_example(open_tab: OpenTab) -> None:
    tab = await open_tab("/echo/")
    await tab.page.get_by_text("examples/echo.py").click()
    await expect(tab.find("pre").first).to_contain_text("async def echo(ws: WebSocket)")
