"""centrifuge-js where no WebSocket gets through: HTTP streams and server-sent events.

With Redis, every message of the client arrives at the worker that does not have its stream.
"""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.async_api import BrowserContext

from tests.browser.server import serving
from tests.wire.native import until
from wirework import App
from wirework.dialects import Centrifugo

from .application import Workers, token
from .conftest import Stage
from .script import Script, in_chromium

NODE_OPTIONS = "--experimental-eventsource"

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("kind", ["http_stream", "sse"]),
]


@pytest.fixture(autouse=True)
def _has_event_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_OPTIONS", NODE_OPTIONS)


far = pytest.mark.parametrize("stage", [("node", "redis")], ids="-".join, indirect=True)
"""Where messages go through the broker, in one place alone."""


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return f"chat:{uuid4().hex}"


def over(kind: str, workers: Workers, text: str) -> str:
    """Return a script whose `streamed` makes clients that use nothing but streams of one kind."""
    return f"""
        const streams = [
          {{transport: "{kind}", endpoint: "{workers.origin}/connection/{kind}"}},
        ];
        const streamed = (options = {{}}) => new Centrifuge(streams, {{
          minReconnectDelay: 20, maxReconnectDelay: 100, ...around,
          emulationEndpoint: "http://127.0.0.1:{workers.ports[-1]}/emulation",
          fetch: (...given) => fetch(...given), eventsource: globalThis.EventSource, ...options,
        }});
        {text}
    """


async def connected(script: Script) -> None:
    """Wait until the client is."""
    events = [(await script.heard())["event"] for _ in range(2)]
    assert events == ["connecting", "connected"]


async def test_a_client_calls_subscribes_publishes_and_asks(
    stage: Stage, kind: str, channel: str
) -> None:
    await call_subscribe_publish_and_ask(stage, kind, channel)


async def call_subscribe_publish_and_ask(stage: Stage, kind: str, channel: str) -> None:
    text = """
        const c = streamed({token: await ask("token")});
        c.connect();
        await say(read((await c.rpc("order", pack({item: "tea"}))).data));
        await say((await error(c.rpc("order", pack({})))).code);
        const sub = c.newSubscription(await ask("channel"));
        tell(sub, "publication");
        sub.subscribe();
        await sub.ready();
        await sub.publish(pack({text: " hi "}));
        await say((await sub.history({limit: 10})).publications.map(({data}) => read(data).text));
        await say(Object.values((await sub.presence()).clients).map(({user}) => user));
    """
    workers = stage.workers()
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        await script.replies("token", token("bob"))
        assert await script.heard() == {"item": "tea", "count": 1}
        assert await script.heard() == 107
        await script.replies("channel", channel)
        heard = [await script.heard() for _ in range(3)]
        assert {"text": "hi"} in [each["data"] for each in heard if isinstance(each, dict)]
        assert [each for each in heard if not isinstance(each, dict)] == [["hi"], ["bob"]]
        [connection] = workers.connections
        assert connection.link.name == kind


async def test_messages_of_the_server_come_in_order_and_each_once_after_a_cut(
    stage: Stage, kind: str, channel: str
) -> None:
    await miss_nothing_after_a_cut(stage, kind, channel)


async def miss_nothing_after_a_cut(stage: Stage, kind: str, channel: str) -> None:
    text = """
        const c = streamed();
        const sub = c.newSubscription(await ask("channel"));
        tell(c, "connecting", "connected", "disconnected");
        tell(sub, "publication");
        sub.subscribe(); c.connect();
        await sub.ready();
        await ask("ready");
    """
    workers = stage.workers()
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        await script.replies("channel", channel)
        await connected(script)
        await script.replies("ready", True)
        for number in range(30):
            await workers.other.publish(channel, {"text": str(number)})
            if number in (10, 20):
                for ws in workers.app.connections:
                    ws.connection.expire(1006, "a cut")
        texts: list[str] = []
        while len(texts) < 30:
            said = await script.heard()
            if said["event"] == "publication":
                texts.append(said["data"]["text"])
        assert texts == [str(number) for number in range(30)]


@pytest.mark.parametrize("stage", [("node", "memory")], ids="-".join, indirect=True)
@pytest.mark.parametrize(
    ("ours", "theirs", "event"),
    [(4403, 3507, "disconnected"), (4401, 3500, "disconnected"), (1012, 3001, "connecting")],
    ids=["forbidden", "not authenticated", "restarting"],
)
async def test_a_close_code_has_the_client_come_back_or_not(
    stage: Stage, kind: str, ours: int, theirs: int, event: str
) -> None:
    text = """
        const c = streamed();
        tell(c, "connecting", "connected", "disconnected");
        c.connect();
    """
    workers = stage.workers()
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        await connected(script)
        [ws] = workers.app.connections
        await ws.close(ours, "why")
        said = await script.heard()
        assert (said["event"], said["code"]) == (event, theirs)
        if event == "connecting":
            assert (await script.heard())["event"] == "connected"


@far
async def test_a_client_that_disconnects_ends_its_connection(stage: Stage, kind: str) -> None:
    text = """
        const c = streamed();
        c.connect();
        await c.rpc("who");
        await ask("leave?");
        c.disconnect();
    """
    workers = stage.workers()
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        assert await script.asked() == "leave?"
        assert len(workers.connections) == len(workers.app.mailboxes) == 1
        script.answer(True)
        await until(lambda: not workers.app.mailboxes)
        assert not workers.connections


@far
async def test_a_token_is_refreshed_while_the_stream_stays(stage: Stage, kind: str) -> None:
    text = """
        const c = streamed({getToken: () => ask("token")});
        tell(c, "connecting", "connected", "disconnected", "error");
        c.connect();
    """
    workers = stage.workers()
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        assert (await script.heard())["event"] == "connecting"
        await script.replies("token", token("ada", 3))
        assert (await script.heard())["event"] == "connected"
        [ws] = workers.app.connections
        first = ws.identity.expires_at
        await script.replies("token", token("ada", 600))
        await until(lambda: ws.identity.expires_at != first)
        assert workers.app.connections == [ws]


@far
async def test_pings_are_answered_by_requests(stage: Stage, kind: str) -> None:
    text = """
        const c = streamed();
        tell(c, "connecting", "connected", "disconnected");
        c.connect();
    """
    workers = stage.workers(ping_interval=1.0)
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        await connected(script)
        [connection] = workers.connections
        await until(lambda: connection.received >= 3)


@far
async def test_a_client_comes_back_after_the_server_was_restarted(stage: Stage, kind: str) -> None:
    text = """
        const c = streamed();
        tell(c, "connecting", "connected", "disconnected");
        c.connect();
    """
    workers = stage.workers()
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        await connected(script)
        await workers.stop()
        assert (await script.heard())["event"] == "connecting"
        await workers.start()
        assert (await script.heard())["event"] == "connected"


@pytest.mark.parametrize("stage", [("node", "memory")], ids="-".join, indirect=True)
async def test_a_client_takes_the_stream_where_websockets_do_not_get_through(
    stage: Stage, kind: str
) -> None:
    text = """
        streams.unshift({transport: "websocket", endpoint: "ws://127.0.0.1:1/connection/websocket"});
        const c = streamed();
        c.on("connected", ({transport}) => say(transport));
        c.connect();
    """
    workers = stage.workers()
    async with workers.running(), stage.run(workers, over(kind, workers, text)) as script:
        assert await script.heard() == kind


@pytest.mark.parametrize("is_allowed", [True, False], ids=["allowed", "not allowed"])
async def test_a_browser_lets_pages_of_allowed_origins_alone_connect(
    visitor: BrowserContext, kind: str, is_allowed: bool
) -> None:
    async with serving(App()) as origin:
        app = App(allowed_origins=[origin] if is_allowed else ["https://elsewhere.example"])
        app.events("/connection", dialect=Centrifugo()).on("add")(add)
        async with serving(app) as other:
            text = f"""
                const base = "{other}";
                const c = new Centrifuge(
                  [{{transport: "{kind}", endpoint: `${{base}}/connection/{kind}`}}],
                  {{emulationEndpoint: `${{base}}/emulation`}},
                );
                c.on("error", ({{error}}) => say(error.code));
                c.connect();
                await say((await c.rpc("add", {{a: 1, b: 2}})).data);
            """
            page = await visitor.new_page()
            await page.goto(origin)
            async with in_chromium(page, other, text) as script:
                assert await script.heard() == (3 if is_allowed else 2)
                assert bool(app.mailboxes) == is_allowed


async def add(a: int, b: int) -> int:
    return a + b
