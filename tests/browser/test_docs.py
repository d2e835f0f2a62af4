"""The scripts of the docs do in Chromium what their pages say, with the applications there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect
from playwright.async_api import Page as BrowserPage
from starlette.responses import HTMLResponse

from tests.browser.conftest import Visit
from tests.browser.server import SECONDS, serving
from tests.docs.blocks import Block, Page, read
from tests.docs.test_tables import rows
from wirework import App, Close, Events, WebSocket

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCS = Path(__file__).parents[2] / "docs"
CHANNELS = (DOCS.parent / "examples/static/channels.js").read_text("utf-8")
COMES_BACK = {int(code): said.startswith("yes") for code, _, said, _ in rows("errors.md", "code")}


async def program(page: str, word: str) -> dict[str, Any]:
    """Return the names of the program of a page, up to the Python block with this word."""
    path = DOCS / page
    running = Page(path, read(path.read_text("utf-8")))
    return await running.run(next(each for each in running.blocks if word in each.text))


def scripts(page: str) -> list[str]:
    """Return what a page says in JavaScript."""
    blocks: list[Block] = read((DOCS / page).read_text("utf-8"))
    return [each.text for each in blocks if each.language in ("js", "javascript")]


def show(app: App, script: str) -> None:
    """Serve a page with this script, and a list for it to fill."""

    @app.get("/shown")
    async def shown() -> HTMLResponse:
        return HTMLResponse(f"<ul id=log></ul><script>{script}</script>")


async def opened(visitor: BrowserContext, origin: str) -> BrowserPage:
    page = await visitor.new_page()
    await page.goto(f"{origin}/shown")
    return page


# --- getting-started.md ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        pytest.param("Ada Lovelace/ß & ?", "Ada Lovelace/ß & ?", id="any-characters"),
        pytest.param("..", "..", id="dots"),
        pytest.param("", "somebody", id="empty"),
        pytest.param(None, "somebody", id="cancelled"),
    ],
)
async def test_whoever_chats_has_the_name_that_they_gave(
    answer: str | None, name: str, visit: Visit
) -> None:
    names = await program("getting-started.md", "<form>")
    async with serving(names["app"]) as origin:
        page = await (await visit()).new_page()
        page.on(
            "dialog",
            lambda asked: asked.dismiss() if answer is None else asked.accept(answer),
        )
        await page.goto(origin)
        await page.wait_for_function("socket.readyState === WebSocket.OPEN")
        await page.fill("#text", "hello")
        await page.click("button")
        await expect(page.locator("#log li")).to_have_text([f"{name}: hello"])


# --- dialects/typed.md ----------------------------------------------------------------------------


@pytest_asyncio.fixture(name="desk", loop_scope="session")
async def desk_page(visit: Visit) -> AsyncIterator[BrowserPage]:
    names = await program("dialects/typed.md", "countdown")
    desk: Events = names["desk"]

    @desk.on("ticks")
    async def ticks() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.Event().wait()

    @desk.on("fail")
    async def fail() -> AsyncIterator[int]:
        yield 1
        raise names["Reject"]("broken", "no more")

    @desk.on("leave")
    async def leave() -> None:
        raise Close(4000, "enough")

    show(names["app"], scripts("dialects/typed.md")[0])
    async with serving(names["app"]) as origin:
        page = await opened(await visit(), origin)
        await page.wait_for_function("socket.readyState === WebSocket.OPEN")
        yield page


async def test_the_lines_that_use_the_script_of_typed_say_what_is_beside_them(
    desk: BrowserPage,
) -> None:
    said: list[str] = []
    desk.on("console", lambda each: said.append(each.text))
    lines = scripts("dialects/typed.md")[1]
    receipt = await desk.evaluate(f"(async () => {{ {lines}\nreturn receipt; }})()")
    assert receipt == {"number": 1, "total": 2.5}
    events = ["event stock.changed {tea: 9}"]
    assert said == [*events, "sold_out", "5", "4", "3", "2", "1", "{count: 5}"]
    assert await desk.evaluate("waiting.size") == 0


async def test_a_stream_that_the_page_cancels_ends_with_its_count(desk: BrowserPage) -> None:
    ended = await desk.evaluate("""async () => {
        const seen = [];
        const ticks = call("ticks", {}, (tick) => seen.push(tick) === 2 && ticks.cancel());
        return [await ticks, seen, waiting.size];
    }""")
    assert ended == [{"count": 2}, [1, 2], 0]


async def test_a_stream_that_fails_rejects_after_its_values(desk: BrowserPage) -> None:
    ended = await desk.evaluate("""async () => {
        const seen = [];
        const failing = call("fail", {}, (value) => seen.push(value));
        return [await failing.catch(({ code }) => code), seen, waiting.size];
    }""")
    assert ended == ["broken", [1], 0]


async def test_what_waits_when_the_connection_ends_is_rejected(desk: BrowserPage) -> None:
    ended = await desk.evaluate("call('leave', {}).catch((error) => error)")
    assert ended == {"code": 4000, "message": "enough"}


# --- channels.md, and the client that it names ---------------------------------------------------


class Follower(NamedTuple):
    """A script that shows the channel `news` in a list, and how to part it from the server."""

    script: str
    socket: str
    cut: str
    back: str


HOLD = """
const held = [], send = WebSocket.prototype.send;
WebSocket.prototype.send = function (message) {
    message.includes("channel.history") ? held.push([this, message]) : send.call(this, message);
};
const release = () => held.splice(0).forEach(([socket, message]) => send.call(socket, message));
const url = location.origin.replace("http", "ws") + "/live";
"""
"""Questions for history stay in the page until they are released."""

OF_THE_PAGE = """
let socket;
const open = () => follow((socket = new WebSocket(url)), "news");
open();
"""
OF_THE_CLIENT = """
const log = document.getElementById("log");
const item = (textContent) => Object.assign(document.createElement("li"), { textContent });
const add = (text) => log.append(item(text));
const channels = new Channels(url);
channels.subscribe("news", { publication: add, anew: () => log.replaceChildren() });
const cut = (socket) => (channels.lose(1000), socket.close());
"""
FOLLOWERS = {
    "page": Follower(
        f"{HOLD}{scripts('channels.md')[0]}{OF_THE_PAGE}", "socket", "socket.close()", "open()"
    ),
    "channels.js": Follower(
        f"{HOLD}{CHANNELS}{OF_THE_CLIENT}",
        "channels.socket",
        "cut(channels.socket)",
        "channels.connect()",
    ),
}


class Scene:
    """A page that follows a channel of which two publications are kept."""

    def __init__(self, follower: Follower, news: Any) -> None:
        self.page: BrowserPage
        self.follower = follower
        self.news = news
        self.gone: asyncio.Queue[WebSocket] = asyncio.Queue()
        news.on_unsubscribe(self.note)

    async def note(self, ws: WebSocket) -> None:
        self.gone.put_nowait(ws)

    async def expect(self, *texts: str) -> None:
        await expect(self.page.locator("#log li")).to_have_text(list(texts))

    async def asked(self, count: int = 1) -> None:
        """Wait until it has asked for history so often, without an answer."""
        await self.page.wait_for_function(f"held.length === {count}")

    async def release(self) -> None:
        await self.page.evaluate("release()")

    async def cut(self) -> None:
        """End its connection, and wait until the server has seen that."""
        await self.page.evaluate(self.follower.cut)
        await self.gone.get()

    async def come_back(self) -> None:
        await self.page.evaluate(self.follower.back)


@pytest_asyncio.fixture(name="scene", params=FOLLOWERS, loop_scope="session")
async def scene_of(request: pytest.FixtureRequest, visit: Visit) -> AsyncIterator[Scene]:
    names = await program("channels.md", "History(size=3, ttl=60)")
    scene = Scene(FOLLOWERS[request.param], names["news"])
    show(names["app"], scene.follower.script)
    async with serving(names["app"]) as origin:
        await scene.news().publish("one")
        await scene.news().publish("two")
        scene.page = await opened(await visit(), origin)
        errors: list[str] = []
        scene.page.on("pageerror", lambda error: errors.append(str(error)))
        yield scene
    assert errors == []


async def test_what_is_published_before_the_history_is_read_is_shown_once(scene: Scene) -> None:
    await scene.asked()
    await scene.news().publish("three")
    await scene.release()
    await scene.expect("one", "two", "three")
    await scene.news().publish("four")
    await scene.expect("one", "two", "three", "four")


async def test_a_page_that_comes_back_shows_what_it_missed_once(scene: Scene) -> None:
    await scene.asked()
    await scene.release()
    await scene.expect("one", "two")
    await scene.cut()
    await scene.news().publish("three")
    await scene.come_back()
    await scene.expect("one", "two", "three")


async def test_a_page_that_missed_more_than_is_kept_shows_what_is_kept(scene: Scene) -> None:
    await scene.asked()
    await scene.release()
    await scene.expect("one", "two")
    await scene.cut()
    for text in ("three", "four", "five", "six"):
        await scene.news().publish(text)
    await scene.come_back()
    await scene.asked()
    await scene.release()
    await scene.expect("four", "five", "six")


async def test_a_page_that_is_cut_before_it_has_the_history_asks_again(scene: Scene) -> None:
    await scene.asked()
    await scene.cut()
    await scene.page.evaluate("held.length = 0")
    await scene.come_back()
    await scene.asked()
    await scene.release()
    await scene.expect("one", "two")


async def test_a_gap_while_the_history_is_read_shows_nothing_twice(scene: Scene) -> None:
    await scene.asked()
    position = await scene.news().position()
    data = {"channel": "news", "position": {"epoch": position.epoch, "offset": position.offset}}
    gap = json.dumps({"type": "channel.gap", "data": data})
    hear = f"(gap) => {scene.follower.socket}.onmessage({{ data: gap }})"
    await scene.page.evaluate(hear, gap)
    await scene.asked(2)
    await scene.news().publish("three")
    await scene.release()
    await scene.expect("one", "two", "three")
    await scene.news().publish("four")
    await scene.expect("one", "two", "three", "four")


# --- deployment.md and the table of codes ---------------------------------------------------------


@pytest.mark.parametrize(
    "script", [scripts("deployment.md")[0], CHANNELS], ids=["deployment.md", "channels.js"]
)
async def test_a_page_comes_back_after_the_codes_of_which_the_table_says_so(
    script: str, visit: Visit
) -> None:
    app = App()
    show(app, script)
    async with serving(app) as origin:
        page = await opened(await visit(), origin)
        codes = [*COMES_BACK, 3000, 4000, 4410]
        told = await page.evaluate("(codes) => codes.map(mayComeBack)", codes)
    assert dict(zip(codes, told, strict=True)) == {
        **COMES_BACK,
        3000: True,
        4000: True,
        4410: False,
    }


@pytest.mark.parametrize("code", [1012, 4408, 4429])
async def test_a_page_that_was_closed_connects_again(code: int, visit: Visit) -> None:
    app = App()
    ends = [code]
    stayed = asyncio.Event()

    @app.websocket("/chat")
    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        if ends:
            raise Close(ends.pop())
        stayed.set()
        await ws.receive()

    show(app, scripts("deployment.md")[0] + "connect();")
    async with serving(app) as origin:
        page = await opened(await visit(), origin)
        async with asyncio.timeout(SECONDS):
            await stayed.wait()
        await page.close()
