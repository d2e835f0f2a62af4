from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.async_api import WebSocket as Socket
from playwright.async_api import expect

from examples import htmx_votes
from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")
VERSIONS = [2, 4]


@pytest.fixture(autouse=True)
def _no_old_votes() -> None:
    htmx_votes.votes.update(tea=0, coffee=0)


async def enter(open_tab: OpenTab, version: int) -> Tab:
    tab = await open_tab(f"/votes/?htmx={version}")
    assert await tab.page.evaluate("htmx.version[0]") == str(version)
    await tab.expect_badge("connected")
    return tab


async def expect_votes(tab: Tab, tea: int, coffee: int) -> None:
    await expect(tab.find("#result p")).to_have_text([f"tea: {tea}", f"coffee: {coffee}"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_pushed_reaches_a_page_that_sent_nothing(
    version: int, open_tab: OpenTab
) -> None:
    first = await enter(open_tab, version)
    await expect(first.find("#visitors")).to_have_text("1 here now")
    second = await enter(open_tab, 2)
    for tab in (first, second):
        await expect(tab.find("#visitors")).to_have_text("2 here now")
    await second.page.close()
    await expect(first.find("#visitors")).to_have_text("1 here now")


@pytest.mark.parametrize(("first", "second"), [(2, 2), (4, 4), (2, 4)])
async def test_a_vote_shows_on_every_page_whatever_its_version(
    first: int, second: int, open_tab: OpenTab
) -> None:
    ana, ben = await enter(open_tab, first), await enter(open_tab, second)
    await ana.click("I like tea")
    await ben.click("I like tea")
    await ben.click("I like coffee")
    for tab in (ana, ben):
        await expect_votes(tab, tea=2, coffee=1)
        await expect(tab.find("#visitors")).to_have_text("2 here now")
        await expect(tab.find("#ws-error")).to_have_text("")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_push_from_an_http_route_reaches_every_page(
    version: int, open_tab: OpenTab
) -> None:
    ana, ben = await enter(open_tab, version), await enter(open_tab, 2)
    await ana.click("I like coffee")
    await expect_votes(ben, tea=0, coffee=1)
    await ben.click("Count anew")
    for tab in (ana, ben):
        await expect_votes(tab, tea=0, coffee=0)


@pytest.mark.parametrize("version", VERSIONS)
async def test_two_sockets_of_a_page_have_their_own_routes_and_lives(
    version: int, open_tab: OpenTab
) -> None:
    tab = await open_tab("/echo/")
    sockets: dict[str, Socket] = {}
    frames: dict[str, int] = {"visitors": 0, "votes": 0}

    def listen(socket: Socket) -> None:
        name = urlsplit(socket.url).path.rpartition("/")[2]
        sockets[name] = socket
        socket.on("framesent", lambda _: frames.update({name: frames[name] + 1}))

    tab.page.on("websocket", listen)
    await tab.open(f"/votes/?htmx={version}")
    await expect(tab.find("#visitors")).to_have_text("1 here now")
    await tab.click("I like tea")
    await expect_votes(tab, tea=1, coffee=0)
    assert frames == {"visitors": 0, "votes": 1}
    (voter,) = htmx_votes.voters
    async with tab.page.expect_event("websocket"):
        await voter.close(1012, "restarting")
    assert not sockets["visitors"].is_closed()
    await expect(tab.find("#visitors")).to_have_text("1 here now")
    await tab.expect_badge("connected")
    await tab.click("I like tea")
    await expect_votes(tab, tea=2, coffee=0)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_vote_that_does_not_fit_is_told_to_its_sender_only(
    version: int, open_tab: OpenTab
) -> None:
    ana, ben = await enter(open_tab, version), await enter(open_tab, 2)
    await ana.page.evaluate("document.querySelector('[value=tea]').value = 'water'")
    await ana.click("I like tea")
    await expect(ana.find("#ws-error li")).to_have_text("choice: Input should be 'coffee' or 'tea'")
    await expect(ben.find("#ws-error")).to_have_text("")
    await ana.click("I like coffee")
    await expect_votes(ben, tea=0, coffee=1)
