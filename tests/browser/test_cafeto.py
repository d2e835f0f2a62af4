from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")
WAYS = {"ws": "200 System: Hi Ana", "callbacks": "200 System: Hi Ana", "reply": "201 Hi Ana"}
WAYS |= {"methods": "201 System: Hi Ana"}


async def choose(open_tab: OpenTab, way: str) -> Tab:
    """Open the page and have it talk to the server in this way."""
    tab = await open_tab("/cafeto/")
    await tab.expect_lines("200 System: Welcome")
    if way != "ws":
        await tab.find("#way").select_option(way)
    await tab.expect_badge("connected")
    await tab.page.evaluate("document.getElementById('log').replaceChildren()")
    return tab


@pytest.mark.parametrize("way", WAYS)
async def test_a_message_that_fits_is_answered_with_a_status_and_a_body(
    way: str, open_tab: OpenTab
) -> None:
    tab = await choose(open_tab, way)
    await tab.find("[name=user]").fill("Ana")
    await tab.say("hello")
    await tab.expect_lines(WAYS[way])


@pytest.mark.parametrize("way", WAYS)
async def test_a_400_shows_every_problem_at_its_field_and_the_next_message_is_answered(
    way: str, open_tab: OpenTab
) -> None:
    tab = await choose(open_tab, way)
    await tab.find("[name=user]").fill("a name that is too long")
    await tab.click("Send")
    too_long = "400 user: String should have at most 12 characters"
    missing = "400 message: Field required"
    await tab.expect_lines(missing, too_long)
    await expect(tab.find("[aria-invalid=true]")).to_have_count(2)
    await tab.find("[name=user]").fill("Ana")
    await tab.say("hello")
    await tab.expect_lines(missing, too_long, WAYS[way])
    await expect(tab.find("[aria-invalid=true]")).to_have_count(0)


@pytest.mark.parametrize("way", WAYS)
async def test_broken_json_is_a_400_and_the_next_message_is_answered(
    way: str, open_tab: OpenTab
) -> None:
    tab = await choose(open_tab, way)
    await tab.click("Break the JSON")
    await expect(tab.find("#log li")).to_contain_text("400 __model__: not readable as JSON")
    await tab.find("[name=user]").fill("Ana")
    await tab.say("hello")
    await expect(tab.find("#log li").last).to_have_text(WAYS[way])


async def test_the_loop_takes_any_json_and_closes_where_it_is_none(open_tab: OpenTab) -> None:
    tab = await choose(open_tab, "traditional")
    await tab.click("Send")
    await tab.expect_lines('{"message":"Hi","user":"System"}')
    await tab.click("Break the JSON")
    await tab.expect_badge("closed 1007 not readable as JSON: input data was truncated")
