"""Channels in a real browser: what a page gets that was away, and who is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import expect

from examples import centrifugo
from examples.demo import app
from tests.browser.cable import Cable
from tests.browser.conftest import OpenTab, OpenWired
from tests.browser.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def enter(open_page: Callable[..., Awaitable[Tab]], name: str) -> Tab:
    tab = await open_page("/talk/")
    await tab.say(name, "#login")
    await subscribed(tab)
    return tab


async def subscribed(tab: Tab) -> None:
    """Wait until the page's subscription is in force."""
    await tab.expect_badge("connected")
    await tab.page.evaluate("talk.ready()")


async def expect_messages(tab: Tab, *messages: str) -> None:
    """The page shows exactly these, in this order."""
    await expect(tab.find("#messages li")).to_have_text(list(messages))


# --- chat -----------------------------------------------------------------------------------------


async def test_two_pages_talk_and_each_sees_each_line_once_and_in_order(open_tab: OpenTab) -> None:
    ana, ben = await enter(open_tab, "Ana"), await enter(open_tab, "<i>Ben</i>")
    await ana.say("hello")
    await expect_messages(ben, "Anahello")
    await ben.say("<b>hello</b>")
    for number in range(5):
        await ana.say(f"line {number}")
    lines = [f"Analine {number}" for number in range(5)]
    for tab in (ana, ben):
        await expect_messages(tab, "Anahello", "<i>Ben</i><b>hello</b>", *lines)
    await ben.page.reload()
    await expect_messages(ben, "Anahello", "<i>Ben</i><b>hello</b>", *lines)


async def test_a_page_whose_network_was_cut_gets_what_it_missed(
    open_tab: OpenTab, open_wired: OpenWired, cable: Cable
) -> None:
    ana, ben = await enter(open_tab, "Ana"), await enter(open_wired, "Ben")
    await ana.say("before")
    await expect_messages(ben, "Anabefore")
    cable.pull()
    for text in ("one", "two", "three"):
        await ana.say(text)
    lines = ["Anabefore", "Anaone", "Anatwo", "Anathree"]
    await expect_messages(ana, *lines)
    await expect_messages(ben, "Anabefore")
    cable.plug()
    await expect(ben.find("#news")).to_have_text("Back: 3 came while you were away.")
    await expect_messages(ben, *lines)
    await ana.say("after")
    await expect_messages(ben, *lines, "Anaafter")
    cable.pull()
    cable.plug()
    await expect(ben.find("#news")).to_have_text("Back: nothing missed.")
    await expect_messages(ben, *lines, "Anaafter")


async def test_what_is_said_while_the_network_is_cut_is_sent_once_when_it_is_back(
    open_tab: OpenTab, open_wired: OpenWired, cable: Cable
) -> None:
    ana, ben = await enter(open_tab, "Ana"), await enter(open_wired, "Ben")
    cable.pull()
    await ben.expect_badge("closed 1006")
    await ben.say("one")
    await ben.say("two")
    await ana.say("meanwhile")
    await expect_messages(ana, "Anameanwhile")
    cable.plug()
    for tab in (ana, ben):
        await expect_messages(tab, "Anameanwhile", "Benone", "Bentwo")


async def test_a_line_whose_answer_was_lost_is_not_published_twice(
    open_tab: OpenTab, open_wired: OpenWired, cable: Cable
) -> None:
    ana, ben = await enter(open_tab, "Ana"), await enter(open_wired, "Ben")
    await ana.say("before")
    await expect_messages(ben, "Anabefore")
    cable.deafen()
    await ben.say("once")
    await expect_messages(ana, "Anabefore", "Benonce")
    cable.pull()
    cable.plug()
    await expect(ben.find("#news")).to_have_text("Back: 1 came while you were away.")
    await ben.say("and on")
    for tab in (ana, ben):
        await expect_messages(tab, "Anabefore", "Benonce", "Benand on")


async def test_what_is_said_while_a_page_loads_is_shown_once_and_in_order(
    open_tab: OpenTab,
) -> None:
    ben, other = await enter(open_tab, "Ben"), await open_tab("/echo/")
    reloading = asyncio.create_task(ben.page.reload())
    for number in range(50):  # as many as are kept
        await app.publish("talk", {"name": "Ana", "text": str(number)})
        await other.page.title()  # the browser works meanwhile
    await reloading
    await expect_messages(ben, *(f"Ana{number}" for number in range(50)))


async def test_a_page_that_missed_more_than_is_kept_says_so_and_loads_all_anew(
    open_wired: OpenWired, cable: Cable
) -> None:
    ben = await enter(open_wired, "Ben")
    await app.publish("talk", {"name": "Ana", "text": "before"})
    await expect_messages(ben, "Anabefore")
    cable.pull()
    for number in range(60):
        await app.publish("talk", {"name": "Ana", "text": str(number)})
    cable.plug()
    await expect(ben.find("#news")).to_have_text("More was said than is kept: loaded anew.")
    await expect_messages(ben, *(f"Ana{number}" for number in range(10, 60)))


async def test_a_page_that_could_not_read_what_is_kept_tries_again(
    open_wired: OpenWired, cable: Cable
) -> None:
    ben = await enter(open_wired, "Ben")
    await ben.page.evaluate("""() => {
        const history = talk.history;
        talk.history = async () => {
            talk.history = history;
            throw new Error("no answer");
        };
    }""")
    cable.pull()
    for number in range(60):
        await app.publish("talk", {"name": "Ana", "text": str(number)})
    cable.plug()
    await expect_messages(ben, *(f"Ana{number}" for number in range(10, 60)))


async def test_a_line_of_nothing_is_refused_in_words_and_the_next_one_is_sent(
    open_tab: OpenTab,
) -> None:
    ana = await enter(open_tab, "Ana")
    await ana.say("   ")
    await expect(ana.find("#news")).to_have_text("Not sent: Say something.")
    await ana.say("something")
    await expect_messages(ana, "Anasomething")


async def test_a_page_whose_token_has_expired_comes_back_with_a_newer_one(
    open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await enter(open_tab, "Ana")
    with monkeypatch.context() as clock:
        clock.setattr(centrifugo, "TOKEN_AGE", -1)
        app.disconnect(user="Ana", code=1012, reason="restarting")
        await ana.expect_badge("closed 3005 connection expired")
    await subscribed(ana)
    await ana.say("here again")
    await expect_messages(ana, "Anahere again")


async def test_who_has_logged_out_elsewhere_is_told_when_the_token_has_expired(
    open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await enter(open_tab, "Ana")
    await ana.page.context.clear_cookies()
    monkeypatch.setattr(centrifugo, "TOKEN_AGE", -1)
    app.disconnect(user="Ana", code=1012, reason="restarting")
    await expect(ana.find("#news")).to_have_text("This did not work: unauthorized")
    (problem,) = ana.problems
    assert "401" in problem
    ana.problems.clear()


async def test_a_browser_that_is_offline_for_a_while_misses_and_repeats_nothing(
    open_tab: OpenTab,
) -> None:
    ana, ben = await enter(open_tab, "Ana"), await enter(open_tab, "Ben")
    await ben.page.context.set_offline(True)
    await ben.say("from afar")
    await ana.say("are you there?")
    await expect_messages(ana, "Anaare you there?")
    await expect_messages(ben)
    app.disconnect(user="Ben", code=1012, reason="restarting")
    await ana.say("Ben?")
    await ben.page.context.set_offline(False)
    for tab in (ana, ben):
        await expect_messages(tab, "Anaare you there?", "AnaBen?", "Benfrom afar")
    ben.forgive("ERR_INTERNET_DISCONNECTED")  # where it tried meanwhile


# --- cursors --------------------------------------------------------------------------------------


async def join(open_page: Callable[..., Awaitable[Tab]], name: str) -> Tab:
    tab = await open_page("/cursors/")
    await tab.say(name, "#join")
    await expect(tab.find("#names b", f"{name} (you)")).to_be_visible()
    return tab


async def point(tab: Tab, x: float, y: float) -> None:
    """Move the mouse, in shares of the field."""
    box = await tab.find("#field").bounding_box()
    assert box is not None
    await tab.page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)


async def test_cursors_are_where_people_point_and_go_with_them(open_tab: OpenTab) -> None:
    ana, ben = await join(open_tab, "Ana"), await join(open_tab, "Ben")
    for tab in (ana, ben):
        await expect(tab.find("#count")).to_have_text("2")
    await expect(ana.find("#log li").last).to_have_text("Ben joined")
    await point(ben, 0.25, 0.5)
    cursor = ana.find(".cursor:visible")
    await expect(cursor).to_have_text("Ben")
    assert (await cursor.evaluate("({style}) => [style.left, style.top]")) == ["25%", "50%"]
    eve = await join(open_tab, "Eve")
    await expect(eve.find(".cursor:visible")).to_have_text("Ben")
    await ben.page.close()
    await expect(ana.find("#log li").last).to_have_text("Ben left")
    for tab in (ana, eve):
        await expect(tab.find(".cursor:visible")).to_have_count(0)
        await expect(tab.find("#count")).to_have_text("2")


async def test_a_cursor_has_the_colour_of_its_name_on_every_page(open_tab: OpenTab) -> None:
    ana, ben = await join(open_tab, "Ana"), await join(open_tab, "Ben")
    await point(ben, 0.5, 0.5)
    await expect(ana.find(".cursor")).to_be_visible()
    colour = "element => getComputedStyle(element).color"
    own = await ben.find("#names b", "Ben (you)").evaluate(colour)
    assert await ana.find(".cursor").evaluate(colour) == own
    assert await ana.find("#names b", "Ana (you)").evaluate(colour) != own


async def test_a_page_that_comes_back_sees_who_is_there_now(
    open_tab: OpenTab, open_wired: OpenWired, cable: Cable
) -> None:
    ana, ben = await join(open_tab, "Ana"), await join(open_wired, "Ben")
    cable.pull()
    await expect(ana.find("#names")).to_have_text("Ana (you)")
    eve = await join(open_tab, "Eve")
    await point(eve, 0.5, 0.5)
    cable.plug()
    await expect(ben.find("#names b")).to_have_text(["Ana", "Eve", "Ben (you)"])
    await expect(ben.find(".cursor:visible")).to_have_text("Eve")
    await expect(ana.find("#count")).to_have_text("3")


async def test_who_leaves_while_the_list_is_on_its_way_is_not_in_it(open_tab: OpenTab) -> None:
    ana, ben = await join(open_tab, "Ana"), await join(open_tab, "Ben")
    await expect(ana.find("#count")).to_have_text("2")
    await ana.page.evaluate("""async () => {
        const read = channel.presence.bind(channel);
        const old = await read();
        channel.presence = () => new Promise((done) => (window.arrive = () => done(old)));
        meet();
    }""")
    await ben.page.close()
    await expect(ana.find("#log li").last).to_have_text("Ben left")
    await ana.page.evaluate("arrive()")
    await expect(ana.find("#names")).to_have_text("Ana (you)")
    await ana.page.evaluate("new Promise((done) => setTimeout(done))")
    await expect(ana.find("#names")).to_have_text("Ana (you)")


async def test_another_name_is_that_of_the_same_cursor(open_tab: OpenTab) -> None:
    ana, ben = await join(open_tab, "Ana"), await join(open_tab, "Ben")
    await point(ben, 0.5, 0.5)
    await expect(ana.find(".cursor:visible")).to_have_text("Ben")
    await ben.say("Eve", "#join")
    await expect(ben.find("#names b", "Eve (you)")).to_be_visible()
    await expect(ana.find(".cursor:visible")).to_have_text("Eve")
    await expect(ana.find("#log li").last).to_have_text("Eve joined")
    await expect(ana.find("#count")).to_have_text("2")


# --- dashboard ------------------------------------------------------------------------------------


async def turn(tab: Tab, sensor: str, celsius: float) -> None:
    slider = tab.find(f"form:has([value={sensor}]) input[type=range]")
    await slider.fill(str(celsius))


async def test_a_dashboard_shows_each_reading_and_the_newest_to_who_comes_later(
    open_tab: OpenTab,
) -> None:
    ana = await open_tab("/dashboard/")
    await ana.expect_badge("connected")
    await turn(ana, "garden", 7.5)
    await expect(ana.find("#garden output")).to_have_text("7.5 °C")
    await turn(ana, "kitchen", 21)
    await turn(ana, "garden", -3)
    await expect(ana.find("#garden output")).to_have_text("-3.0 °C")
    ben = await open_tab("/dashboard/")
    await expect(ben.find(".gauges output")).to_have_text(["21.0 °C", "-3.0 °C", "–"])


async def test_a_thermometer_that_is_moved_fast_reports_one_after_another_and_ends_where_it_is(
    open_tab: OpenTab,
) -> None:
    ana = await open_tab("/dashboard/")
    await ana.expect_badge("connected")
    await ana.page.evaluate("""() => {
        const ask = fetch;
        let asking = 0;
        window.most = 0;
        window.fetch = async (...asked) => {
            most = Math.max(most, ++asking);
            return ask(...asked).finally(() => asking--);
        };
    }""")
    slider = "form:has([value=garden]) input[type=range]"
    await ana.find(slider).evaluate("""slider => {
        for (let celsius = -20; celsius <= 30; celsius++) {
            slider.value = celsius;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
        }
    }""")
    await expect(ana.find("#garden output")).to_have_text("30.0 °C")
    assert await ana.page.evaluate("most") == 1


async def test_a_dashboard_that_comes_back_shows_the_newest_of_each_at_once(
    open_tab: OpenTab, open_wired: OpenWired, cable: Cable
) -> None:
    ana, ben = await open_tab("/dashboard/"), await open_wired("/dashboard/")
    await ben.expect_badge("connected")
    await turn(ana, "cellar", 10)
    await expect(ben.find("#cellar output")).to_have_text("10.0 °C")
    cable.pull()
    await ben.expect_badge("closed 1006")
    for celsius in (11, 12, 13):
        await turn(ana, "cellar", celsius)
        await expect(ana.find("#cellar output")).to_have_text(f"{celsius}.0 °C")
    await turn(ana, "kitchen", 20)
    await expect(ana.find("#kitchen output")).to_have_text("20.0 °C")
    cable.plug()
    await expect(ben.find(".gauges output")).to_have_text(["20.0 °C", "–", "13.0 °C"])


async def test_a_reading_that_cannot_be_reported_is_told_and_the_next_one_goes(
    open_wired: OpenWired, cable: Cable
) -> None:
    ana = await open_wired("/dashboard/")
    await ana.expect_badge("connected")
    cable.pull()
    await turn(ana, "garden", 7)
    await expect(ana.find("#news")).to_have_text("A reading was not reported.")
    cable.plug()
    await turn(ana, "garden", 8)
    await expect(ana.find("#garden output")).to_have_text("8.0 °C")
    await expect(ana.find("#news")).to_have_text("")
