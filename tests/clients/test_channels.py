"""Channels with centrifuge-js: what it asks, what it is told, what it gets after a cut."""

from __future__ import annotations

import pytest

from tests.wire.native import until
from wirework.commands import Gap
from wirework.publications import Position

from .application import JWT, Workers, token
from .conftest import Stage, in_protobuf_too

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY = 86_400.0
"""Tokens of parameters are made when the module is read."""


def channel_token(user: str, channel: str, seconds: float = 600.0, **claims: object) -> str:
    return token(user, seconds, channel=channel, **claims)


@in_protobuf_too(("node", "memory", "protobuf"), ("chromium", "memory", "protobuf"))
async def test_a_subscriber_publishes_and_asks_what_was_and_who_is_there(stage: Stage) -> None:
    text = """
        const c = made({token: await ask("token")});
        const sub = c.newSubscription("chat:tea", {joinLeave: true});
        const got = once(sub, "publication");
        sub.subscribe(); c.connect();
        await sub.ready();
        await sub.publish(pack({text: " hi "}));
        const {data, offset, info} = await got;
        await say([read(data), offset, info.user]);
        const wrong = await error(sub.publish(pack({text: 5})));
        await say([wrong.code, JSON.parse(wrong.message).details[0].loc]);
        await say((await error(sub.publish(pack({text: "rude"})))).code);
        await say(Object.values((await sub.presence()).clients).map((each) => each.user));
        await say(await sub.presenceStats());
        const {publications, epoch, offset: top} = await sub.history({limit: 10});
        await say([publications.map((each) => read(each.data)), top]);
        await say((await sub.history({limit: 10, since: {offset: 1, epoch}})).publications);
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await workers.other.channel_named("chat:tea").forget()
        start = (await workers.other.channel_named("chat:tea").position()).offset
        await script.replies("token", token("ada"))
        assert await script.heard() == [{"text": "hi"}, start + 1, "ada"]
        assert await script.heard() == [107, ["text"]]
        assert await script.heard() == 103
        assert await script.heard() == ["ada"]
        assert await script.heard() == {"numClients": 1, "numUsers": 1}
        assert await script.heard() == [[{"text": "hi"}], start + 1]
        since = await script.heard()
        assert since == [] if start == 0 else since


@in_protobuf_too()
async def test_who_comes_and_goes_is_told(stage: Stage) -> None:
    text = """
        const one = made({token: await ask("ada")}), two = made({token: await ask("ben")});
        const sub = one.newSubscription("chat:people", {joinLeave: true});
        for (const event of ["join", "leave"]) {
          sub.on(event, ({info}) => info.user === "ben" && say([event, info.user]));
        }
        sub.subscribe(); one.connect();
        await sub.ready();
        const other = two.newSubscription("chat:people");
        other.subscribe(); two.connect();
        await other.ready();
        await ask("leave?");
        other.unsubscribe();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("ada", token("ada"))
        await script.replies("ben", token("ben"))
        heard = [await script.next(), await script.next()]
        assert {"said": ["join", "ben"]} in heard
        assert {"asked": "leave?"} in heard
        script.answer(True)
        assert await script.heard() == ["leave", "ben"]


@pytest.mark.parametrize(
    ("channel", "code"), [("closed", 103), ("nothing", 102), ("private:a", 103), ("a b", 107)]
)
async def test_a_refused_subscription_ends_with_the_code_of_the_protocol(
    stage: Stage, channel: str, code: int
) -> None:
    text = """
        const c = made();
        const sub = c.newSubscription(await ask("channel"));
        tell(sub, "unsubscribed", "subscribed");
        sub.subscribe(); c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("channel", channel)
        said = await script.heard()
        assert (said["event"], said["code"]) == ("unsubscribed", code)


async def test_what_a_channel_does_not_have_is_not_available(stage: Stage) -> None:
    text = """
        const c = made();
        const sub = c.newSubscription("bare");
        sub.subscribe(); c.connect();
        await sub.ready();
        for (const call of ["history", "presence", "presenceStats"]) {
          await say((await error(sub[call]({limit: 1}))).code);
        }
        await say((await error(sub.publish(1))).code);
        await say((await error(c.publish("chat:tea", {text: "not subscribed"}))).code);
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        assert [await script.heard() for _ in range(5)] == [108, 108, 108, 103, 103]


async def test_who_unsubscribes_before_the_answer_is_unsubscribed(stage: Stage) -> None:
    text = """
        const c = made();
        c.connect();
        await once(c, "connected");
        const sub = c.newSubscription("chat:tea");
        tell(sub, "publication");
        for (let i = 0; i < 5; i++) { sub.subscribe(); sub.unsubscribe(); }
        await c.rpc("who");
        await say(sub.state);
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        assert await script.heard() == "unsubscribed"
        [connection] = workers.connections
        assert workers.app.channels.hub.subscriptions(connection) == {}


async def test_two_hundred_subscriptions_come_in_one_batch(stage: Stage) -> None:
    text = """
        const c = made();
        const subs = Array.from({length: 200}, (_, i) => c.newSubscription(`chat:${i}`));
        const last = [];
        for (const sub of subs) {
          sub.on("publication", ({channel}) => { last.push(channel); });
          sub.subscribe();
        }
        c.connect();
        await Promise.all(subs.map((sub) => sub.ready()));
        await say(subs.filter((sub) => sub.state === "subscribed").length);
        const ended = subs.map((sub) => once(sub, "publication"));
        await ask("publish?");
        await Promise.all(ended);
        await say(last.length);
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        assert await script.heard() == 200
        assert await script.asked() == "publish?"
        for number in range(200):
            await workers.other.publish(f"chat:{number}", {"text": "x"})
        script.answer(True)
        assert await script.heard() == 200


CUT = """
    const c = made({token: await ask("token")});
    const sub = c.newSubscription(await ask("channel"));
    tell(sub, "subscribed", "publication", "unsubscribed");
    sub.subscribe(); c.connect();
"""


async def cut(workers: Workers) -> None:
    """End the connection without a word, as a network does."""
    [connection] = workers.connections
    connection.link.abort()
    await until(lambda: connection.is_ended)


@in_protobuf_too()
async def test_every_publication_arrives_once_and_in_order_whatever_is_cut(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, CUT) as script:
        await script.replies("token", token("ben"))
        await script.replies("channel", "chat:cut")
        assert (await script.heard())["event"] == "subscribed"
        seen: list[str] = []
        for number in range(60):
            await workers.other.publish("chat:cut", {"text": str(number)})
            if number % 20 == 10:
                await until(lambda: workers.connections)
                await cut(workers)
        while len(seen) < 60:
            said = await script.heard()
            if said["event"] == "publication":
                seen.append(said["data"]["text"])
            else:
                assert (said["event"], said["recovered"]) == ("subscribed", True)
        assert seen == [str(number) for number in range(60)]


@in_protobuf_too()
async def test_a_client_that_missed_more_than_is_kept_is_told_so(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, CUT) as script:
        await script.replies("token", token("ben"))
        await script.replies("channel", "short:a")
        assert (await script.heard())["was"] is False
        await cut(workers)
        for number in range(10):
            await workers.other.publish("short:a", number)
        said = await script.heard()
        assert (said["event"], said["was"], said["recovered"]) == ("subscribed", True, False)
        await workers.other.publish("short:a", "new")
        while (said := await script.heard())["data"] != "new":
            assert said["event"] == "publication"


@in_protobuf_too()
async def test_channels_of_the_server_s_choice_are_recovered_too(stage: Stage) -> None:
    text = """
        const c = made({token: await ask("token")});
        tell(c, "subscribed", "publication", "unsubscribed");
        c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("token", token("ada"))
        first = await script.heard()
        assert (first["event"], first["channel"], first["was"]) == ("subscribed", "mine:ada", False)
        await workers.other.publish("mine:ada", 1)
        assert (await script.heard())["data"] == 1
        await cut(workers)
        await workers.other.publish("mine:ada", 2)
        again, missed = await script.heard(), await script.heard()
        assert (again["event"], again["was"], again["recovered"]) == ("subscribed", True, True)
        assert missed["data"] == 2


@in_protobuf_too()
async def test_a_gap_has_the_client_subscribe_anew(stage: Stage) -> None:
    text = CUT + '\ntell(sub, "subscribing");'
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("token", token("ben"))
        await script.replies("channel", "short:gap")
        while (await script.heard())["event"] != "subscribed":
            pass
        _say_gap(workers, "short:gap")
        said = await script.heard()
        assert (said["event"], said["code"]) == ("subscribing", 2500)
        again = await script.heard()
        assert (again["event"], again["was"]) == ("subscribed", True)
        await workers.other.publish("short:gap", "on")
        assert (await script.heard())["data"] == "on"


async def test_a_gap_in_the_server_s_choice_has_the_client_come_back(stage: Stage) -> None:
    text = """
        const c = made({token: await ask("token")});
        tell(c, "connecting", "connected", "subscribed");
        c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("token", token("ada"))
        events = {(await script.heard())["event"] for _ in range(3)}
        assert events == {"connecting", "connected", "subscribed"}
        _say_gap(workers, "mine:ada")
        said = await script.heard()
        assert (said["event"], said["code"]) == ("connecting", 3010)
        assert {(await script.heard())["event"] for _ in range(2)} == {"connected", "subscribed"}


def _say_gap(workers: Workers, channel: str) -> None:
    [connection] = workers.connections
    subscription = workers.app.channels.hub.subscriptions(connection)[channel]
    subscription.say(Gap(channel, Position("lost", 9)))


@in_protobuf_too()
async def test_the_server_ends_a_subscription(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, CUT) as script:
        await script.replies("token", token("ben"))
        await script.replies("channel", "chat:rude")
        assert (await script.heard())["event"] == "subscribed"
        await workers.other.expel("chat:rude", "ben", reason="be kind")
        said = await script.heard()
        assert (said["event"], said["code"]) == ("unsubscribed", 2000)


# --- tokens of subscriptions --------------------------------------------------------------------

PRIVATE = """
    const c = made({token: await ask("connection")});
    const options = {token: await ask("token"), getToken: () => ask("newer")};
    const sub = c.newSubscription("private:a", options);
    tell(sub, "subscribing", "subscribed", "unsubscribed", "error");
    sub.subscribe(); c.connect();
"""


async def test_a_token_for_the_channel_lets_the_client_in_and_tells_of_it(stage: Stage) -> None:
    text = (
        PRIVATE + "\nawait sub.ready(); await say(Object.values((await sub.presence()).clients));"
    )
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        await script.replies("connection", token("ben"))
        await script.replies("token", channel_token("ben", "private:a", info={"name": "Ben"}))
        assert (await script.heard())["event"] == "subscribing"
        assert (await script.heard())["event"] == "subscribed"
        [member] = await script.heard()
        assert (member["user"], member["chanInfo"]) == ("ben", {"name": "Ben"})


@pytest.mark.parametrize(
    "bad",
    [
        channel_token("ben", "private:b", DAY),
        channel_token("eve", "private:a", DAY),
        token("ben", DAY),
        JWT.encode({"channel": "private:a"}, lifetime=DAY),
        "none",
    ],
    ids=["of another channel", "of another user", "of a connection", "of nobody", "no token"],
)
async def test_a_token_for_something_else_is_refused(stage: Stage, bad: str) -> None:
    async with stage.workers().running() as workers, stage.run(workers, PRIVATE) as script:
        await script.replies("connection", token("ben"))
        await script.replies("token", bad)
        assert (await script.heard())["event"] == "subscribing"
        said = await script.heard()
        assert (said["event"], said["code"]) == ("unsubscribed", 103)


async def test_an_expired_token_of_a_channel_is_replaced(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, PRIVATE) as script:
        await script.replies("connection", token("ben"))
        await script.replies("token", channel_token("ben", "private:a", -60))
        assert (await script.heard())["event"] == "subscribing"
        assert (await script.heard())["error"] == 109
        await script.replies("newer", channel_token("ben", "private:a"))
        assert (await script.heard())["event"] == "subscribed"


@in_protobuf_too()
async def test_a_newer_token_keeps_the_subscription(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, PRIVATE) as script:
        await script.replies("connection", token("ben"))
        await script.replies("token", channel_token("ben", "private:a", 3))
        assert (await script.heard())["event"] == "subscribing"
        assert (await script.heard())["event"] == "subscribed"
        [connection] = workers.connections
        subscription = workers.app.channels.hub.subscriptions(connection)["private:a"]
        first = subscription.expiry
        assert first is not None
        await script.replies("newer", channel_token("ben", "private:a"))
        await until(lambda: subscription.expiry is not first)
        assert subscription.topic is not None
        assert subscription.expiry is not None
        assert subscription.expiry.at > first.at + 500


async def test_without_a_newer_token_the_subscription_ends_and_begins_anew(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, PRIVATE) as script:
        await script.replies("connection", token("ben"))
        await script.replies("token", channel_token("ben", "private:a", 2))
        assert (await script.heard())["event"] == "subscribing"
        assert (await script.heard())["event"] == "subscribed"
        assert await script.asked() == "newer"
        ended = await script.heard()
        assert (ended["event"], ended["code"]) == ("subscribing", 2501)
        script.answer(channel_token("ben", "private:a"))
        events = []
        while "subscribed" not in events:
            what = await script.next()
            if "asked" in what:
                script.answer(channel_token("ben", "private:a"))
            else:
                events.append(what["said"]["event"])
        assert set(events) <= {"error", "subscribed"}


async def test_an_expired_newer_token_has_the_client_ask_for_another(stage: Stage) -> None:
    async with stage.workers().running() as workers, stage.run(workers, PRIVATE) as script:
        await script.replies("connection", token("ben"))
        await script.replies("token", channel_token("ben", "private:a", 3))
        assert [(await script.heard())["event"] for _ in range(2)][1] == "subscribed"
        await script.replies("newer", channel_token("ben", "private:a", -60))
        said = await script.heard()
        assert (said["event"], said["code"]) == ("subscribing", 2501)
        assert (await script.heard())["error"] == 109
        await script.replies("newer", channel_token("ben", "private:a"))
        assert (await script.heard())["event"] == "subscribed"


@in_protobuf_too()
async def test_a_page_whose_state_is_too_old_is_asked_for_it_again(stage: Stage) -> None:
    text = """
        const c = made();
        const sub = c.newSubscription("short:state", {getState: () => ask("state")});
        tell(sub, "subscribed");
        sub.subscribe(); c.connect();
    """
    async with stage.workers().running() as workers, stage.run(workers, text) as script:
        channel = workers.other.channel_named("short:state")
        for number in range(10):
            await channel.publish(number)
        top = await channel.position()
        await script.replies("state", {"offset": top.offset - 9, "epoch": top.epoch})
        await script.replies("state", {"offset": top.offset - 1, "epoch": top.epoch})
        said = await script.heard()
        assert (said["was"], said["recovered"]) == (True, True)
