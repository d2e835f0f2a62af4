"""Whythawk's session: websocket-as-promised in a Vue page, on the native transport."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Route, expect

from examples import npm, whythawk
from examples.demo import app
from tests.browser.conftest import OpenTab, Visit
from tests.browser.server import NATIVE, serving
from tests.browser.tab import Tab
from tests.browser.traffic import Traffic
from tests.wire.native import until
from wirework import WebSocket

pytestmark = pytest.mark.asyncio(loop_scope="session")

INITIALISED = {"state": "initialised", "data": {}}
NO_WAY_IN = {"state": "error", "error": "Could not validate credentials."}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def origin() -> AsyncIterator[str]:
    async with serving(app, ws=NATIVE) as origin:
        yield origin


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _nothing_of_other_tests() -> None:
    things = app.channel_named("things")
    if app.channels.hub.broker.is_available:
        await until(lambda: not sessions())
        await things.forget()


def sessions() -> list[WebSocket]:
    """Return the connections that share the session."""
    topic = app.channels.hub.topic("things")
    return [each.ws for each in topic or ()]


async def enter(open_tab: OpenTab, name: str) -> tuple[Tab, Traffic]:
    """Log in; the page then fetches its token and begins the session."""
    tab = await open_tab("/whythawk/")
    traffic = Traffic(tab.page)
    await tab.say(name, "#login")
    await tab.expect_badge("connected")
    await expect(tab.find("#users")).to_contain_text(name)
    return tab, traffic


async def change(tab: Tab, text: str, kind: str = "offer") -> None:
    await tab.find("[name=kind]").select_option(kind)
    await tab.say(text, "#thing")


async def expect_thing(tab: Tab, text: str, kind: str, by: str) -> None:
    await expect(tab.find("[name=text]")).to_have_value(text)
    await expect(tab.find("[name=kind]")).to_have_value(kind)
    await expect(tab.find("#thing-by")).to_contain_text(f"{by}, ")


async def test_a_token_begins_the_session_and_the_page_starts_its_things(
    open_tab: OpenTab,
) -> None:
    _, traffic = await enter(open_tab, "Ana")
    (socket,) = traffic.sockets
    things = {"something": "yes, something", "channel": "things"}
    assert socket.said[:2] == [
        INITIALISED,
        {"state": "startThings", "data": things},
    ]
    token, start, presence = (json.loads(each) for each in socket.sent)
    assert list(token) == ["token"]
    assert start == {"state": "startThings", "data": {}}
    assert presence == {"state": "channel.presence", "data": {"channel": "things"}}


@pytest.mark.parametrize(
    "token",
    ["", "forged", whythawk.new_token("Ana", kind="refresh"), whythawk.new_token("Ana") + "x"],
    ids=["none", "forged", "of another kind", "changed"],
)
async def test_a_wrong_token_is_told_once_and_the_page_does_not_come_back(
    token: str, open_tab: OpenTab
) -> None:
    tab = await open_tab("/whythawk/")
    traffic = Traffic(tab.page)

    async def answer(route: Route) -> None:
        await route.fulfill(json={"token": token})

    await tab.page.route("**/whythawk/token", answer)
    await tab.say("Ana", "#login")
    await tab.expect_badge("closed 4401 not authenticated")
    await expect(tab.find("#notice")).to_have_text("Error: Could not validate credentials.")
    await expect(tab.find("#users")).to_have_text("The session has ended.")
    (socket,) = traffic.sockets
    await socket.expect(NO_WAY_IN)
    assert not sessions()


async def test_a_state_before_the_token_is_refused(open_tab: OpenTab) -> None:
    tab, _ = await enter(open_tab, "Ana")
    said, code = await tab.page.evaluate(TALK, [{"state": "startThings", "data": {}}])
    assert (said, code) == ([NO_WAY_IN], 4401)


async def test_a_state_before_its_turn_is_answered_and_the_session_goes_on(
    open_tab: OpenTab,
) -> None:
    tab, _ = await enter(open_tab, "Ana")
    token = {"token": whythawk.new_token("Eve")}
    states: list[object] = [{"state": name, "data": {}} for name in ("save", "startThings", "save")]
    said, code = await tab.page.evaluate(TALK, [token, *states])
    assert [each["state"] for each in said] == ["initialised", "error", "startThings", "save"]
    assert said[1]["data"] == {"state": "save", "code": "not_ready"}
    assert code == 1000


async def test_saving_answers_and_ends_the_session_with_1000(open_tab: OpenTab) -> None:
    tab, traffic = await enter(open_tab, "Ana")
    await tab.click("Save")
    await tab.expect_badge("closed 1000")
    await expect(tab.find("#users")).to_have_text("The session has ended.")
    await traffic.sockets[0].expect_last({"state": "save", "data": {}})
    await until(lambda: not sessions())


async def test_leaving_the_route_ends_the_session_and_coming_back_begins_one(
    open_tab: OpenTab,
) -> None:
    tab, _ = await enter(open_tab, "Ana")
    (session,) = sessions()
    await tab.click("elsewhere")
    await tab.expect_badge("closed 1005")  # the library's close() says no code
    await until(lambda: session not in sessions())
    assert session.close_code == 1005
    await tab.click("session")
    await tab.expect_badge("connected")
    await expect(tab.find("#users")).to_have_text("Here: Ana")


async def test_each_update_reaches_all_users_of_the_session(
    open_tab: OpenTab, visit: Visit
) -> None:
    (ana, _), (ben, _) = await enter(open_tab, "Ana"), await enter(open_tab, "Ben")
    for tab in (ana, ben):
        await expect(tab.find("#users")).to_have_text("Here: Ana, Ben")
    await change(ana, "a lamp", "wish")
    for tab in (ana, ben):
        await expect_thing(tab, "a lamp", "wish", "Ana")
    await change(ben, "<b>a chair</b>")
    await ben.say("7.50", "#price")
    for tab in (ana, ben):
        await expect_thing(tab, "<b>a chair</b>", "offer", "Ben")
        await expect(tab.find("[name=price]")).to_have_value("7.50")
    late, _ = await enter(open_tab, "Cid")
    await expect_thing(late, "<b>a chair</b>", "offer", "Ben")
    await expect(late.find("[name=price]")).to_have_value("7.50")
    await ben.page.close()
    for tab in (ana, late):
        await expect(tab.find("#users")).to_have_text("Here: Ana, Cid")


async def test_two_tabs_of_one_user_are_one_user_and_see_the_same(
    open_tab: OpenTab, visit: Visit
) -> None:
    visitor = await visit()
    first = await open_tab("/whythawk/", visitor=visitor)
    await first.say("Ana", "#login")
    second = await open_tab("/whythawk/", visitor=visitor)
    for tab in (first, second):
        await expect(tab.find("#users")).to_have_text("Here: Ana")
    for tab, other, text in ((first, second, "a lamp"), (second, first, "a chair")):
        await change(tab, text)
        await expect_thing(other, text, "offer", "Ana")
    await second.page.close()
    await change(first, "a table")
    await expect_thing(first, "a table", "offer", "Ana")
    await expect(first.find("#users")).to_have_text("Here: Ana")


async def test_identities_times_decimals_and_enums_arrive_as_json(open_tab: OpenTab) -> None:
    tab, traffic = await enter(open_tab, "Ana")
    await change(tab, "a lamp", "wish")
    await expect_thing(tab, "a lamp", "wish", "Ana")
    await tab.say("12.50", "#price")
    await expect(tab.find("#price-by")).to_contain_text("Ana, ")
    updates = {
        each["state"]: each["data"]
        for each in traffic.sockets[0].said
        if "value" in each.get("data", {})
    }
    assert updates["thing"]["value"] == {"text": "a lamp", "kind": "wish"}
    assert updates["price"]["value"] == {"price": "12.50"}
    for update in updates.values():
        assert UUID(update["id"]).version == 4
        assert datetime.fromisoformat(update["at"]).tzinfo is not None


async def test_what_does_not_fit_is_told_to_its_sender_and_the_session_goes_on(
    open_tab: OpenTab,
) -> None:
    (ana, _), (ben, traffic) = await enter(open_tab, "Ana"), await enter(open_tab, "Ben")
    await change(ana, "")
    await expect(ana.find("#notice")).to_have_text("Error: text: Field required")
    await ana.say("much", "#price")
    await expect(ana.find("#notice")).to_contain_text("Error: price: ")
    await ana.say("0", "#price")
    await expect(ana.find("#notice")).to_have_text("")
    await expect(ben.find("[name=price]")).to_have_value("0")
    await ana.say("-1", "#price")
    await expect(ana.find("#notice")).to_contain_text("Error: The price is below a million")
    await change(ana, "a lamp")
    await expect_thing(ben, "a lamp", "offer", "Ana")
    await expect(ben.find("#notice")).to_have_text("")
    assert "error" not in {each["state"] for each in traffic.sockets[0].said}


async def test_without_login_the_page_asks_for_a_name_and_opens_no_socket(
    open_tab: OpenTab,
) -> None:
    tab = await open_tab("/whythawk/")
    await expect(tab.find("#login")).to_be_visible()
    await tab.expect_badge("not connected")


async def test_without_its_packages_the_page_says_what_to_do(
    open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(npm, "NODE_MODULES", tmp_path)
    tab = await open_tab("/whythawk/")
    await expect(tab.find("main .bad")).to_contain_text("run npm install")
    assert {each.split()[0] for each in tab.problems} == {"Failed"}  # to load the two scripts
    tab.problems.clear()


TALK = """(messages) => new Promise(async (resolve) => {
  const said = [];
  const wsp = apiSockets.socketRequest();
  wsp.onUnpackedMessage.addListener((message) => said.push(message));
  wsp.onClose.addListener(({ code }) => resolve([said, code]));
  await wsp.open();
  messages.forEach((message) => wsp.sendPacked(message));
})"""
