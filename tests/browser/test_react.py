"""The example with React: what its hooks subscribe to, and that they let go of it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import expect

from tests.browser.cable import Cable
from tests.browser.conftest import OpenTab, OpenWired
from tests.browser.tab import Tab
from tests.browser.traffic import Traffic

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAIR = """() => {
    const Listener = ({ id }) => {
        useSubscription("table:stove", {
            onSubscribed: () => (document.getElementById(id).textContent = "in "),
            onPublication: ({ data }) => document.getElementById(id).append(data.text),
        });
        return React.createElement("p", { id });
    };
    const Pair = () => {
        const [ids, setIds] = useState([]);
        window.show = (...ids) => setIds(ids);
        return ids.map((id) => React.createElement(Listener, { key: id, id }));
    };
    const url = "/connection/websocket";
    root.render(html`
        <${StrictMode}><${Connection} url=${url}><${Pair} /></${Connection}></${StrictMode}>`);
}"""
"""Components of a test's own, in place of the page's: `show(...ids)` says which ones are there."""


async def sit_down(open_page: Callable[[str], Awaitable[Tab]]) -> Tab:
    tab = await open_page("/react/")
    await expect(tab.find("#window h2 small")).not_to_have_text("0 here")
    return tab


async def expect_here(tab: Tab, table: str, count: int) -> None:
    await expect(tab.find(f"#{table} h2 small")).to_have_text(f"{count} here")


async def expect_lines(tab: Tab, table: str, *lines: str) -> None:
    await expect(tab.find(f"#{table} li")).to_have_text(list(lines))


async def toggle(tab: Tab, table: str) -> None:
    await tab.page.get_by_label(table, exact=True).click()


async def test_strict_mode_runs_effects_twice_and_there_is_one_of_each(
    open_tab: OpenTab,
) -> None:
    tab = await open_tab("/")
    traffic = Traffic(tab.page)
    await tab.open("/react/")
    await expect_here(tab, "window", 1)
    await toggle(tab, "stove")
    await expect_here(tab, "stove", 1)
    (socket,) = traffic.sockets
    said = "\n".join(socket.sent)
    for table in ("window", "stove"):
        assert said.count(f'{{"subscribe":{{"channel":"table:{table}"') == 1
    assert "unsubscribe" not in said


async def test_a_table_that_is_closed_is_left_and_one_that_is_opened_again_hears_each_line_once(
    open_tab: OpenTab,
) -> None:
    ana, ben = await sit_down(open_tab), await sit_down(open_tab)
    for tab in (ana, ben):
        await expect_here(tab, "window", 2)
    for _ in range(3):
        await toggle(ben, "window")
        await expect_here(ana, "window", 1)
        await toggle(ben, "window")
        await expect_here(ana, "window", 2)
    await ana.say("hello", "#window")
    for tab in (ana, ben):
        await expect_lines(tab, "window", "Guesthello")
    await toggle(ben, "window")
    await ana.say("gone?", "#window")
    await expect_lines(ana, "window", "Guesthello", "Guestgone?")
    await toggle(ben, "window")
    await expect_lines(ben, "window", "Guesthello", "Guestgone?")


async def test_each_table_hears_its_own_and_a_line_has_the_newest_name(open_tab: OpenTab) -> None:
    ana, ben = await sit_down(open_tab), await sit_down(open_tab)
    for tab, name in ((ana, "Ana"), (ben, "Ben")):
        await tab.find("[name=name]").fill(name)
        await toggle(tab, "stove")
        await expect(tab.find("#stove h2 small")).not_to_have_text("0 here")
    await ana.say("it is warm here", "#stove")
    await ben.say("<b>it rains</b>", "#window")
    for tab in (ana, ben):
        await expect_lines(tab, "stove", "Anait is warm here")
        await expect_lines(tab, "window", "Ben<b>it rains</b>")


async def test_a_table_whose_network_was_cut_gets_what_was_said_meanwhile(
    open_tab: OpenTab, open_wired: OpenWired, cable: Cable
) -> None:
    ana, ben = await sit_down(open_tab), await sit_down(open_wired)
    await expect_here(ana, "window", 2)
    await ana.say("before", "#window")
    await expect_lines(ben, "window", "Guestbefore")
    cable.pull()
    await expect(ben.find("[role=status]").last).to_have_text("Connection: connecting")
    await ana.say("meanwhile", "#window")
    await expect_lines(ana, "window", "Guestbefore", "Guestmeanwhile")
    cable.plug()
    await expect_lines(ben, "window", "Guestbefore", "Guestmeanwhile")
    await expect(ben.find("[role=status]").last).to_have_text("Connection: connected")
    await expect_here(ben, "window", 2)


async def test_when_all_of_it_is_gone_so_is_the_connection(open_tab: OpenTab) -> None:
    ana, ben = await sit_down(open_tab), await sit_down(open_tab)
    await expect_here(ana, "window", 2)
    await ben.page.evaluate("root.unmount()")
    await ben.expect_badge("closed 1005")
    await expect_here(ana, "window", 1)


async def test_components_of_one_channel_share_a_subscription_and_the_last_one_ends_it(
    open_tab: OpenTab,
) -> None:
    ana, ben = await sit_down(open_tab), await open_tab("/")
    traffic = Traffic(ben.page)
    await ben.open("/react/")
    await toggle(ana, "stove")
    await ben.page.evaluate(PAIR)
    await ben.page.wait_for_function("'show' in window")
    for shown in (["first"], ["first", "second"], ["second"]):
        await ben.page.evaluate("ids => show(...ids)", shown)
        for each in shown:
            await expect(ben.find(f"#{each}")).to_contain_text("in ")
        await expect_here(ana, "stove", 2)
    await ana.say("hello", "#stove")
    await expect(ben.find("#second")).to_have_text("in hello")
    said = "\n".join(frame for socket in traffic.sockets for frame in socket.sent)
    assert said.count('{"subscribe":{"channel":"table:stove"') == 1
    await ben.page.evaluate("show()")
    await expect_here(ana, "stove", 1)
