"""Who connects with centrifuge-js, how it ends, and what is said meanwhile."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import BrowserContext

from tests.wire.native import until

from .application import PATH, Workers, token
from .conftest import Stage, in_protobuf_too
from .script import in_chromium

pytestmark = pytest.mark.asyncio(loop_scope="session")


@in_protobuf_too(("node", "memory", "protobuf"), ("chromium", "memory", "protobuf"))
async def test_a_client_connects_with_a_token_and_is_who_it_says(stage: Stage) -> None:
    text = """
        const c = made({token: await ask("token")});
        tell(c, "connected", "disconnected");
        c.connect();
        await say(read((await c.rpc("who")).data));
        c.disconnect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("token", token("ada"))
        assert (await script.heard())["data"] == {"hello": "ada"}
        assert await script.heard() == "ada"
        assert (await script.heard())["event"] == "disconnected"
        await until(lambda: not workers.connections)


@pytest.mark.parametrize("bad", ["no token", "forged"])
@in_protobuf_too()
async def test_a_client_whose_token_is_refused_does_not_come_back(stage: Stage, bad: str) -> None:
    text = """
        const c = made({token: await ask("token")});
        tell(c, "connecting", "connected", "disconnected");
        c.connect();
        await once(c, "disconnected");
        await say(c.state);
    """
    sent = token("ada")[:-6] + "forged" if bad == "forged" else bad
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("token", sent)
        events = [await script.heard() for _ in range(3)]
        assert [each["event"] for each in events[:2]] == ["connecting", "disconnected"]
        assert (events[1]["code"], events[2]) == (101, "disconnected")


@in_protobuf_too()
async def test_an_expired_token_is_replaced(stage: Stage) -> None:
    text = """
        const c = made({token: await ask("old"), getToken: () => ask("new")});
        tell(c, "error", "connected", "disconnected");
        c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("old", token("ada", -60))
        assert (await script.heard())["error"] == 109
        await script.replies("new", token("ada"))
        assert (await script.heard())["event"] == "connected"


@in_protobuf_too()
async def test_a_token_is_refreshed_while_the_connection_stays(stage: Stage) -> None:
    text = """
        const c = made({getToken: () => ask("token")});
        tell(c, "connecting", "connected", "disconnected", "error", "message");
        c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        assert (await script.heard())["event"] == "connecting"
        await script.replies("token", token("ada", 3))
        assert (await script.heard())["event"] == "connected"
        [ws] = workers.app.connections
        assert ws.identity is not None
        first = ws.identity.expires_at
        await script.replies("token", token("ada"))
        await until(lambda: ws.identity is not None and ws.identity.expires_at != first)
        await ws.send("still here")
        assert (await script.heard())["data"] == "still here"


async def test_a_client_that_brings_no_newer_token_in_time_is_closed_and_comes_back(
    stage: Stage,
) -> None:
    text = """
        const c = made({getToken: () => ask("token")});
        tell(c, "connecting", "connected", "disconnected");
        c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.heard()
        await script.replies("token", token("ada", 2))
        assert (await script.heard())["event"] == "connected"
        assert await script.asked() == "token"
        closed = await script.heard()
        assert (closed["event"], closed["code"]) == ("connecting", 3005)
        script.answer(token("ada"))
        while "said" not in (what := await script.next()):
            assert what == {"asked": "token"}
            script.answer(token("ada"))
        assert what["said"]["event"] == "connected"


async def test_an_expired_newer_token_has_the_client_come_back_with_another(stage: Stage) -> None:
    text = """
        const c = made({getToken: () => ask("token")});
        tell(c, "connecting", "connected", "disconnected");
        c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.heard()
        await script.replies("token", token("ada", 5))
        assert (await script.heard())["event"] == "connected"
        await script.replies("token", token("ada", -60))
        closed = await script.heard()
        assert (closed["event"], closed["code"]) == ("connecting", 3005)
        await script.replies("token", token("ada"))
        assert (await script.heard())["event"] == "connected"


async def test_a_visitor_with_a_session_needs_no_token(visitor: BrowserContext) -> None:
    text = """
        const c = made();
        tell(c, "disconnected");
        c.connect();
        await say(await c.rpc("who"));
    """
    async with Workers("memory://", 1).running() as workers:
        url = workers.url.replace(PATH, f"/session{PATH}")
        page = await visitor.new_page()
        await page.goto(workers.origin)
        await page.evaluate("() => fetch('/sign-in/eve', {method: 'POST'})")
        async with in_chromium(page, url, text) as script:
            assert await script.heard() == {"data": "eve"}


async def test_calls_wait_until_the_client_is_connected(stage: Stage) -> None:
    text = """
        const c = made();
        const early = c.rpc("order", {item: "tea"});
        await ask("connect?");
        c.connect();
        await say((await early).data);
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("connect?", True)
        assert await script.heard() == {"item": "tea", "count": 1}


@in_protobuf_too()
async def test_a_call_that_fails_has_the_code_and_the_words_of_the_protocol(stage: Stage) -> None:
    text = """
        const c = made();
        c.connect();
        for (const [method, data] of [["order", {}], ["order", {item: "coffee"}],
                                      ["order", {item: "fire"}], ["nothing", {}]]) {
          const {code, message, temporary} = await error(c.rpc(method, pack(data)));
          await say([code, message, temporary ?? false]);
        }
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        code, message, _ = await script.heard()
        assert (code, json.loads(message)["code"]) == (107, "validation")
        assert json.loads(message)["details"][0]["loc"] == ["item"]
        code, message, _ = await script.heard()
        assert code == 400
        assert json.loads(message) == {
            "code": "sold_out",
            "message": "no coffee left",
            "details": {"item": "coffee"},
        }
        assert await script.heard() == [100, "internal error", True]
        assert await script.heard() == [104, "no message is called 'nothing'", False]


@in_protobuf_too()
async def test_what_is_sent_needs_no_answer_and_the_server_sends_messages(stage: Stage) -> None:
    text = """
        const c = made();
        tell(c, "message");
        c.connect();
        await c.send(pack({text: "hi"}));
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        assert (await script.heard())["data"] == {"type": "got", "data": "hi"}
        assert workers.app.state.heard == ["hi"]


@pytest.mark.parametrize(
    ("ours", "theirs", "event"),
    [
        (1000, 3503, "disconnected"),
        (1001, 3001, "connecting"),
        (1008, 3501, "disconnected"),
        (1011, 3004, "connecting"),
        (1012, 3001, "connecting"),
        (1013, 3008, "connecting"),
        (4401, 3500, "disconnected"),
        (4403, 3507, "disconnected"),
        (4409, 3503, "disconnected"),
        (4429, 3013, "connecting"),
        (4000, 4000, "connecting"),
        (4500, 4500, "disconnected"),
    ],
    ids=lambda each: str(each),
)
@pytest.mark.parametrize("stage", [("node", "memory")], ids="-".join, indirect=True)
async def test_a_close_code_has_the_client_come_back_or_not(
    stage: Stage, ours: int, theirs: int, event: str
) -> None:
    text = """
        const c = made();
        c.connect();
        await once(c, "connected");
        tell(c, "connecting", "disconnected");
        await say("ready");
        await Promise.race([once(c, "connected"), once(c, "disconnected")]);
        await say(c.state);
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        assert await script.heard() == "ready"
        [ws] = workers.app.connections
        await ws.close(ours, "why")
        said = await script.heard()
        assert (said["event"], said["code"]) == (event, theirs)
        assert await script.heard() == {"connecting": "connected"}.get(event, event)


async def test_a_client_that_connects_and_disconnects_in_a_loop_ends_with_one_connection(
    stage: Stage,
) -> None:
    text = """
        const c = made({token: await ask("token")});
        const sub = c.newSubscription("chat:tea");
        for (let i = 0; i < 20; i++) {
          sub.subscribe(); c.connect();
          if (i % 3 == 0) await new Promise((resolve) => setTimeout(resolve));
          if (i % 5 == 0) await once(c, "connected");
          if (i % 2) sub.unsubscribe();
          c.disconnect();
        }
        sub.subscribe(); c.connect();
        await sub.ready();
        await say(Object.keys((await sub.presence()).clients).length);
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("token", token("bob"))
        assert await script.heard() >= 1
        await until(lambda: len(workers.connections) == 1)
        [connection] = workers.connections
        hub = workers.app.channels.hub
        assert list(hub.subscriptions(connection)) == ["chat:tea"]


async def test_pings_are_answered_and_a_client_that_answers_none_is_closed(stage: Stage) -> None:
    text = """
        const c = made({minReconnectDelay: 60000});
        tell(c, "connecting", "disconnected");
        c.connect();
        await once(c, "connected");
        const dumb = new WebSocket(url);
        dumb.onmessage = () => {};
        dumb.onopen = () => dumb.send('{"id": 1, "connect": {}}');
        dumb.onclose = ({code, reason}) => say([code, reason, c.state]);
    """
    workers = stage.workers(ping_interval=1.0)
    async with workers.running(), stage.run(workers, text) as script:
        assert (await script.heard())["event"] == "connecting"
        assert await script.heard() == [3012, "no pong", "connected"]


@in_protobuf_too()
async def test_a_client_comes_back_after_the_server_was_restarted(stage: Stage) -> None:
    text = """
        const c = made();
        const sub = c.newSubscription("chat:tea");
        tell(sub, "subscribed", "publication");
        sub.subscribe(); c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        assert (await script.heard())["was"] is False
        await workers.other.publish("chat:tea", {"text": "1"})
        assert (await script.heard())["data"] == {"text": "1"}
        await workers.stop()
        if stage.is_shared:
            await workers.other.publish("chat:tea", {"text": "2"})
        await workers.start()
        again = await script.heard()
        assert (again["event"], again["was"]) == ("subscribed", True)
        # What memory knew is gone, and the client is told so; Redis knows it still.
        assert again["recovered"] is stage.is_shared
        if stage.is_shared:
            assert (await script.heard())["data"] == {"text": "2"}


OFFLINE = """
    const net = around.networkEventTarget;
    const c = made();
    const sub = c.newSubscription("chat:tea");
    tell(c, "connecting", "connected");
    tell(sub, "publication");
    sub.subscribe(); c.connect();
    await sub.ready();
    await ask("offline?");
    if (net) net.dispatchEvent(new Event("offline"));
    await ask("online?");
    if (net) net.dispatchEvent(new Event("online"));
"""


async def test_a_client_goes_offline_and_comes_back_with_what_it_missed(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, OFFLINE) as script:
        assert [(await script.heard())["event"] for _ in range(2)] == ["connecting", "connected"]
        assert await script.asked() == "offline?"
        if stage.place == "chromium":
            await stage.be_offline(True)
        script.answer(True)
        gone = await script.heard()
        assert (gone["event"], gone["code"]) == ("connecting", 1)
        await until(lambda: not workers.connections)
        for number in range(10):
            await workers.other.publish("chat:tea", {"text": str(number)})
        assert await script.asked() == "online?"
        if stage.place == "chromium":
            await stage.be_offline(False)
        script.answer(True)
        events = [await script.heard() for _ in range(11)]
        assert events[0]["event"] == "connected"
        assert [each["data"]["text"] for each in events[1:]] == [str(n) for n in range(10)]
