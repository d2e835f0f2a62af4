"""Whythawk's session: websocket-as-promised in a Vue page, on the native transport."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
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

pytestmark = pytest.mark.asyncio(loop_scope="session")

INITIALISED = {"state": "initialised", "data": {}}
NO_WAY_IN = {"state": "error", "error": "Could not validate credentials."}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def origin() -> AsyncIterator[str]:
    async with serving(app, ws=NATIVE) as origin:
        yield origin


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _no_users_of_other_tests() -> None:
    await until(lambda: not whythawk.users)


async def enter(open_tab: OpenTab, name: str) -> tuple[Tab, Traffic]:
    """Log in; the page then fetches its token and begins the session."""
    tab = await open_tab("/whythawk/")
    traffic = Traffic(tab.page)
    await tab.say(name, "#login")
    await tab.expect_badge("connected")
    await expect(tab.find("#users")).to_contain_text(name)
    return tab, traffic


async def test_a_token_begins_the_session_and_the_page_starts_its_things(
    open_tab: OpenTab,
) -> None:
    _, traffic = await enter(open_tab, "Ana")
    (socket,) = traffic.sockets
    await socket.expect(
        INITIALISED,
        {"state": "somethingElse", "data": {"users": ["Ana"]}},
        {"state": "startThings", "data": {"something": "yes, something", "entries": []}},
    )
    token, start = (json.loads(each) for each in socket.sent)
    assert list(token) == ["token"]
    assert start == {"state": "startThings", "data": {}}


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
    assert not whythawk.users


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
    assert [each["state"] for each in said] == [
        "initialised",
        "error",
        "somethingElse",
        "startThings",
        "save",
    ]
    assert said[1]["data"] == {"state": "save", "code": "not_ready"}
    assert code == 1000


async def test_saving_answers_and_ends_the_session_with_1000(open_tab: OpenTab) -> None:
    tab, traffic = await enter(open_tab, "Ana")
    await tab.click("Save")
    await tab.expect_badge("closed 1000")
    await expect(tab.find("#users")).to_have_text("The session has ended.")
    await traffic.sockets[0].expect_last({"state": "save", "data": {}})
    assert not whythawk.users


async def test_leaving_the_route_ends_the_session_and_coming_back_begins_one(
    open_tab: OpenTab,
) -> None:
    tab, _ = await enter(open_tab, "Ana")
    (session,) = whythawk.users
    await tab.click("elsewhere")
    await tab.expect_badge("closed 1005")  # the library's close() says no code
    await until(lambda: session not in whythawk.users)
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
    await ana.say("a lamp")
    await expect(ben.find("#messages li")).to_contain_text("Anaa lamp")
    await ben.say("<b>a chair</b>")
    for tab in (ana, ben):
        await expect(tab.find("#messages li")).to_have_count(2)
        await expect(tab.find("#messages li").last).to_contain_text("Ben<b>a chair</b>")
    late, _ = await enter(open_tab, "Cid")
    await expect(late.find("#messages li")).to_have_count(2)
    await ben.page.close()
    for tab in (ana, late):
        await expect(tab.find("#users")).to_have_text("Here: Ana, Cid")


async def test_identities_times_decimals_and_enums_arrive_as_json(open_tab: OpenTab) -> None:
    tab, traffic = await enter(open_tab, "Ana")
    await tab.find("[name=kind]").select_option("wish")
    await tab.find("[name=price]").fill("12.50")
    await tab.say("a lamp")
    await expect(tab.find("#messages li small")).to_contain_text("wish 12.50, ")
    (entry,) = whythawk.entries
    data = {
        "text": "a lamp",
        "price": "12.50",
        "kind": "wish",
        "by": "Ana",
        "id": str(entry.id),
        "at": entry.at.isoformat().replace("+00:00", "Z"),
    }
    await traffic.sockets[0].expect_last({"state": "somethingHappened", "data": data})
    assert (type(entry.id), entry.price) == (UUID, Decimal("12.50"))


async def test_what_does_not_fit_is_told_to_its_sender_and_the_session_goes_on(
    open_tab: OpenTab,
) -> None:
    tab, _ = await enter(open_tab, "Ana")
    await tab.find("[name=price]").fill("much")
    await tab.say("")
    await expect(tab.find("#notice")).to_contain_text("text: Field required; price: ")
    await tab.find("[name=price]").fill("0")
    await tab.say("a lamp")
    await expect(tab.find("#notice")).to_have_text("")
    await expect(tab.find("#messages li small")).to_contain_text("offer 0, ")
    await tab.find("[name=price]").fill("-1")
    await tab.say("a lamp")
    await expect(tab.find("#notice")).to_contain_text("Error: The price is below a million")
    assert len(whythawk.entries) == 1


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
