"""Parts of a page that htmx shows: what a page gets that was away."""

from __future__ import annotations

import pytest
from htpy import li, ul
from playwright.async_api import expect

from examples import htmx
from examples.page import document
from tests.browser.cable import Cable, cable_to
from tests.browser.conftest import OpenTab, OpenWired, Visit
from tests.browser.server import serving
from tests.browser.tab import Tab
from tests.browser.test_channels import expect_messages
from wirework import App, WebSocket
from wirework.dialects import Htmx

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("version", [2, 4])
async def test_a_page_with_htmx_whose_network_was_cut_gets_what_it_missed(
    version: int, open_tab: OpenTab, open_wired: OpenWired, cable: Cable
) -> None:
    ana, ben = await open_tab("/chat/"), await open_wired(f"/chat/?htmx={version}")
    await ana.say("Ana", "#login")
    await ben.say("Ben", "#login")
    await ben.click(f"htmx {version}")
    for tab in (ana, ben):
        await tab.expect_badge("connected")
    await ben.say("before")
    await expect_messages(ana, "Benbefore")
    cable.pull()
    await ana.say("meanwhile")
    await expect_messages(ana, "Benbefore", "Anameanwhile")
    cable.plug()
    await expect_messages(ben, "Benbefore", "Anameanwhile")
    await ana.say("after")
    await expect_messages(ben, "Benbefore", "Anameanwhile", "Anaafter")


def shop() -> App:
    """Return an application with a page for each version of htmx, and a board in mode "latest"."""
    app = App()
    board = app.channel("board", mode="latest")
    app.include(htmx.router)

    @app.get("/{version:int}")
    async def page(version: int) -> object:
        used = htmx.VERSIONS[version]
        shown = ul(used.connect("/ws"))[(li(id=each)["?"] for each in ("tea", "milk", "rice"))]
        return document("Shop", shown, scripts=used.scripts)

    async def joined(ws: WebSocket) -> None:
        await ws.accept()
        await board().subscribe(ws)

    @app.ws("/ws", dialect=Htmx(), conn=joined)
    async def quiet() -> None: ...

    return app


@pytest.mark.parametrize("version", [2, 4])
async def test_a_part_shows_the_newest_at_once_to_who_comes_later_and_who_comes_back(
    version: int, visit: Visit
) -> None:
    app = shop()
    board = app.channel_named("board")
    async with serving(app) as origin, cable_to(origin) as cable:
        for left in (3, 2):
            await board.publish(li(id="tea")[f"{left} left"])
        tab = await Tab.of(await visit(), cable.origin, f"/{version}")
        await expect(tab.find("li")).to_have_text(["2 left", "?", "?"])
        cable.pull()
        for left in (9, 8, 7):
            await board.publish(li(id="rice")[f"{left} left"])
        await board.publish(li(id="tea")["none left"])
        cable.plug()
        await expect(tab.find("li")).to_have_text(["none left", "?", "7 left"])
        await tab.page.close()
