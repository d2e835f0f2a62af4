"""Caspian's three kinds of sockets: PulsePoint's own runtime, on the native transport."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from examples import caspian, pulsepoint
from examples.demo import app
from tests.browser.conftest import OpenTab, Visit
from tests.browser.server import NATIVE, serving
from tests.browser.tab import Tab
from tests.browser.traffic import Traffic
from tests.wire.native import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNKNOWN = "no message is called 'nobody'"
PAGES = ["", "typed", "named"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def origin() -> AsyncIterator[str]:
    async with serving(app, ws=NATIVE) as origin:
        yield origin


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _nobody_of_other_tests() -> None:
    await until(lambda: not caspian.members and not caspian.guests)


@pytest.fixture
def ends(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the server saw of ends with 1000; tabs of other tests, when closed, end with 1001."""
    found: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        text = record.getMessage().partition(" ended with ")[2]
        if text.startswith("1000"):
            found.append(text)
        return True

    caplog.set_level(logging.DEBUG, "wirework.connection")
    caplog.handler.addFilter(note)
    return found


async def open_room(open_tab: OpenTab) -> Tab:
    tab = await open_tab("/caspian/named")
    await tab.expect_badge("connected")
    await tab.expect_lines("open")
    return tab


async def connect(tab: Tab, name: str, arguments: object, **options: object) -> None:
    """Open one more socket in the page, by hand, whose events are then in `events`."""
    await tab.page.evaluate(CONNECT, [name, arguments, options])


async def events(tab: Tab) -> list[Any]:
    found = await tab.page.evaluate("seen")
    assert isinstance(found, list)
    return found


async def expect_events(tab: Tab, *wanted: Any) -> None:
    """These have happened to the socket that `connect` opened, and nothing else."""
    await tab.page.wait_for_function("(count) => seen.length >= count", arg=len(wanted))
    assert await events(tab) == list(wanted)


# --- the document's template ----------------------------------------------------------------------


async def test_the_template_of_the_document_gets_its_echo(open_tab: OpenTab) -> None:
    tab = await open_tab("/caspian/")
    await tab.expect_badge("connected")
    await tab.click("Send")
    await tab.click("Send")
    await tab.expect_lines("ping", "ping")


@pytest.mark.parametrize("page", PAGES, ids=["live", "typed", "named"])
async def test_leaving_the_page_closes_the_socket_with_1000_and_dispose(
    page: str, open_tab: OpenTab, ends: list[str]
) -> None:
    tab = await open_tab(f"/caspian/{page}")
    await tab.expect_badge("connected")
    assert not ends
    await tab.click("typed" if page == "" else "live")
    await until(lambda: ends)
    assert ends == ["1000 dispose"]
    await tab.expect_badge("connected")


async def test_one_page_replaces_another_without_being_loaded(open_tab: OpenTab) -> None:
    tab = await open_tab("/caspian/")
    await tab.page.evaluate("window.stays = true")
    for name in ("typed", "named", "live"):
        await tab.click(name)
        await expect(tab.find("[aria-current=page]")).to_have_text(name)
        await tab.expect_badge("connected")
    assert await tab.page.evaluate("window.stays")
    await tab.click("Send")
    await tab.expect_lines("ping")


@pytest.mark.parametrize("page", PAGES, ids=["live", "typed", "named"])
async def test_the_way_back_to_the_index_loads_it_anew(page: str, open_tab: OpenTab) -> None:
    tab = await open_tab(f"/caspian/{page}")
    await tab.expect_badge("connected")
    await tab.click("All examples")
    await tab.click("Echo Every message")
    await tab.expect_badge("connected")
    await tab.say("hello")
    await tab.expect_lines("echo: hello")


async def test_without_the_runtime_the_page_says_what_to_run(
    open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulsepoint, "RUNTIME", tmp_path / "nothing.js")
    tab = await open_tab("/caspian/")
    await expect(tab.find("main .bad")).to_contain_text("run scripts/pulsepoint")
    await until(lambda: tab.problems)
    assert "404" in tab.problems[0]
    tab.problems.clear()


# --- typed envelopes ------------------------------------------------------------------------------


async def test_envelopes_have_the_types_that_the_document_asks_for(open_tab: OpenTab) -> None:
    tab = await open_tab("/caspian/typed")
    await tab.expect_lines("ready 1")
    await tab.say("hello")
    await tab.click("Ping")
    await tab.say("")
    await tab.say("still there?")
    await tab.expect_lines(
        "ready 1", "echo hello", "pong", "error message empty Say something.", "echo still there?"
    )


async def test_what_one_member_says_all_the_others_get(open_tab: OpenTab) -> None:
    ana = await open_tab("/caspian/typed")
    await ana.expect_lines("ready 1")
    ben = await open_tab("/caspian/typed")
    await ben.expect_lines("ready 2")
    await ana.say("<b>hello</b>")
    await ana.expect_lines("ready 1", "echo <b>hello</b>")
    await ben.expect_lines("ready 2", "message <b>hello</b>")


# --- named sockets --------------------------------------------------------------------------------


async def test_messages_go_both_ways_and_to_all_in_the_room(open_tab: OpenTab) -> None:
    ana, ben = await open_room(open_tab), await open_room(open_tab)
    await until(lambda: len(caspian.guests) == 2)
    await ana.say("hello")
    await expect(ben.find("#log li").last).to_contain_text('"text":"hello"')
    await ben.say("hello to you")
    for tab in (ana, ben):
        await expect(tab.find("#log li")).to_have_count(3)
        await expect(tab.find("#log li").last).to_contain_text('"text":"hello to you"')


async def test_choosing_another_socket_closes_the_one_before(
    open_tab: OpenTab, ends: list[str]
) -> None:
    tab = await open_room(open_tab)
    await tab.click("countdown")
    await tab.expect_lines("open", "closed: 1000 dispose", "open", "3", "2", "1", "closed: 1000")
    await until(lambda: len(ends) == 2)
    assert ends == ["1000 dispose", "1000 "]


async def test_a_function_that_returns_ends_its_socket_for_good(open_tab: OpenTab) -> None:
    tab = await open_room(open_tab)
    await connect(tab, "countdown", {"start": 2})
    await expect_events(tab, "open", 2, 1, [1000, False])


@pytest.mark.parametrize(
    ("name", "arguments", "error", "code"),
    [
        ("nobody", {}, UNKNOWN, 4404),
        ("room", {}, "name: Field required", 1000),
        ("room", {"name": 5}, "name: Input should be a valid string", 1000),
        ("countdown", {"start": "3"}, "start: Input should be a valid integer", 1000),
    ],
    ids=["unknown name", "missing argument", "wrong type", "number as text"],
)
async def test_what_will_never_work_is_told_and_the_page_does_not_come_back(
    name: str, arguments: object, error: str, code: int, open_tab: OpenTab
) -> None:
    tab = await open_room(open_tab)
    traffic = Traffic(tab.page)
    await connect(tab, name, arguments)
    await expect_events(tab, "open", {"error": error}, [code, False])
    assert len(traffic.sockets) == 1


async def test_a_value_that_does_not_fit_ends_the_socket_for_good(open_tab: OpenTab) -> None:
    tab = await open_room(open_tab)
    await connect(tab, "room", {"name": "Ana"})
    await tab.page.evaluate("socket.send(5)")
    await expect_events(tab, "open", {"error": "Input should be a valid string"}, [1000, False])


async def test_the_heartbeat_is_answered_while_the_function_waits(open_tab: OpenTab) -> None:
    tab = await open_room(open_tab)
    traffic = Traffic(tab.page)
    await connect(tab, "room", {"name": "Ana"}, heartbeatInterval=20, heartbeatTimeout=10_000)
    await until(lambda: traffic.sockets and traffic.sockets[0].said.count({"__pp": "pong"}) > 3)
    await tab.page.evaluate("socket.send('hello')")
    await expect_events(tab, "open", {"name": "Ana", "text": "hello"})
    assert json.loads(traffic.sockets[0].sent[1]) == {"__pp": "ping"}


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4408])
async def test_the_page_comes_back_after_the_server_asked_it_to(
    code: int, open_tab: OpenTab
) -> None:
    tab = await open_room(open_tab)
    await until(lambda: caspian.guests)
    (guest,) = caspian.guests
    await guest.close(code, "restarting")
    lines = ("open", f"closed: {code} restarting", "coming back, attempt 1", "open again")
    await tab.expect_lines(*lines)
    await tab.say("hello")
    await expect(tab.find("#log li").last).to_contain_text('"text":"hello"')
    assert guest not in caspian.guests


@pytest.mark.parametrize("code", [1000, 1008, 1009])
async def test_the_page_stays_away_after_a_final_code(code: int, open_tab: OpenTab) -> None:
    tab = await open_room(open_tab)
    (before,) = caspian.guests
    await connect(tab, "room", {"name": "Ana"})
    await until(lambda: len(caspian.guests) == 2)
    (guest,) = caspian.guests - {before}
    await guest.close(code)
    await expect_events(tab, "open", [code, False])


async def test_the_page_comes_back_when_the_server_was_restarted(visit: Visit) -> None:
    async with serving(caspian.app, ws=NATIVE) as origin:
        tab = await Tab.of(await visit(), origin, "/named")
        await tab.expect_lines("open")
        await until(lambda: caspian.guests)
    await expect(tab.find("#log li").nth(1)).to_contain_text("closed: 1012")
    await expect(tab.find("#log li").nth(2)).to_have_text("coming back, attempt 1")
    async with serving(caspian.app, port=urlsplit(origin).port or 0, ws=NATIVE):
        await expect(tab.find("#log li").last).to_have_text("open again")
        await tab.say("hello")
        await expect(tab.find("#log li").last).to_contain_text('"text":"hello"')
    await tab.page.close()


async def test_closing_the_tab_leaves_the_room(open_tab: OpenTab) -> None:
    tab = await open_room(open_tab)
    await until(lambda: caspian.guests)
    (guest,) = caspian.guests
    await tab.page.close()
    await until(lambda: not caspian.guests)
    assert guest.close_code == 1001


CONNECT = """([name, args, options]) => {
  window.seen = [];
  window.socket = pp.socket(name, args, {
    reconnectDelay: 10,
    onOpen: ({ reconnected }) => seen.push(reconnected ? "open again" : "open"),
    onMessage: (value) => seen.push(value),
    onError: ({ message }) => seen.push({ error: message }),
    onClose: ({ code, willReconnect }) => seen.push([code, willReconnect]),
    ...options,
  });
}"""
