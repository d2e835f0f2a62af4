"""What clients ask of channels, and what they are answered."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Gate
from tests.unit.channels.halting import Halting
from tests.unit.channels.talking import (
    Text,
    User,
    client_of,
    desk_app,
    plain,
    publish,
    subscribe,
    to,
    until,
)
from tests.unit.session.talk import message, send
from wirework import (
    Allow,
    App,
    Bearer,
    Depends,
    History,
    NamedChannel,
    Post,
    Presence,
    Reject,
    WebSocket,
)
from wirework.dialects import Typed
from wirework.testing import TestClient

# --- on_subscribe -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (True, {}),
        ({"topic": "tea"}, {"data": {"topic": "tea"}}),
        (0, {"data": 0}),
        ("", {"data": ""}),
        (Allow(), {}),
        (Allow([1], {"name": "Ada"}), {"data": [1]}),
        (False, "forbidden"),
        (None, "forbidden"),
        (Reject("banned", "no"), "banned"),
    ],
    ids=["true", "data", "zero", "empty", "allow", "more", "false", "none", "reject"],
)
async def test_on_subscribe_decides(answer: Any, told: Any) -> None:
    app = desk_app()
    news = app.channel("news")

    @news.on_subscribe
    async def may_join() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with TestClient(app) as client, client_of(client) as ws:
        expected = told if isinstance(told, str) else {"channel": "news", **told}
        assert await subscribe(ws, "news") == expected
        assert await news().subscriber_count() == int(not isinstance(told, str))


async def test_without_functions_clients_may_neither_subscribe_nor_publish() -> None:
    app = desk_app()
    app.channel("closed")
    open_ = app.channel("open")
    open_.on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        assert await subscribe(ws, "closed") == "forbidden"
        await subscribe(ws, "open")
        assert await publish(ws, "open", 1) == "forbidden"


async def test_the_functions_take_what_handlers_take() -> None:
    app = desk_app()
    chat = app.channel("chat:{room}:{number:int}")
    seen: list[Any] = []

    async def database(ws: WebSocket) -> str:
        return "database"

    @chat.on_subscribe
    async def may_join(
        room: str,
        number: int,
        user: User,
        ws: WebSocket,
        channel: NamedChannel[Any],
        db: Annotated[str, Depends(database)],
        key: str,
        limit: int = 3,
    ) -> bool:
        seen.append((room, number, user, ws.user, channel, db, key, limit))
        return True

    async with TestClient(app) as client, client_of(client, "ada") as ws:
        refused = await to(ws, "subscribe", "chat:a:7", data={"key": 5})
        assert (refused["code"], refused["details"][0]["loc"]) == ("validation", ["key"])
        await subscribe(ws, "chat:a:7", data={"key": "k"})
    ada = User("ada")
    assert seen == [("a", 7, ada, ada, chat(room="a", number=7), "database", "k", 3)]


async def test_a_model_takes_all_that_the_client_says() -> None:
    app = desk_app()
    news = app.channel("news")

    @news.on_subscribe
    async def may_join(wish: Text) -> Any:
        return wish

    async with TestClient(app) as client, client_of(client) as ws:
        said = await subscribe(ws, "news", data={"text": "tea"})
        assert said["data"] == {"text": "tea"}


class Other(msgspec.Struct):
    id: str


@pytest.mark.parametrize(
    ("hint", "user", "outcome"),
    [
        (User, "ada", {"channel": "news", "data": "ada"}),
        (User, None, "not_authenticated"),
        (User | None, None, {"channel": "news", "data": "nobody"}),
        (User | None, "ada", {"channel": "news", "data": "ada"}),
        (Other, "ada", "forbidden"),
        (Other | None, "ada", "forbidden"),
        (Any, None, {"channel": "news", "data": "nobody"}),
    ],
    ids=["user", "nobody", "perhaps nobody", "perhaps", "other", "perhaps other", "anything"],
)
async def test_the_user_is_of_the_type_that_is_asked_for(
    hint: Any, user: str | None, outcome: Any
) -> None:
    app = desk_app()
    news = app.channel("news")

    async def may_join(user: Any) -> str:
        return "nobody" if user is None else str(user.id)

    may_join.__annotations__["user"] = hint
    news.on_subscribe(may_join)
    async with TestClient(app) as client, client_of(client, user) as ws:
        assert await subscribe(ws, "news") == outcome


async def test_the_user_never_comes_from_what_the_client_says() -> None:
    app = desk_app()
    news = app.channel("news:{room}")

    @news.on_subscribe
    async def may_join(user: User | None, room: str) -> Any:
        return [user and user.id, room]

    async with TestClient(app) as client, client_of(client) as ws:
        said = await subscribe(ws, "news:1", data={"user": {"id": "root"}, "room": "2"})
        assert said["data"] == [None, "1"]


async def test_an_error_in_a_function_is_logged_and_told_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = desk_app()
    news = app.channel("news")

    @news.on_subscribe
    async def may_join() -> bool:
        raise RuntimeError("the secret")

    async with TestClient(app) as client, client_of(client) as ws:
        said = await to(ws, "subscribe", "news")
        assert said["code"] == "internal"
        assert "secret" not in str(said)
        assert await to(ws, "subscribe", "news") == said
    assert "the secret" in caplog.text


@pytest.mark.parametrize(
    ("name", "code"),
    [("newz", "unknown_channel"), ("a b", "bad_channel"), ("$wirework", "bad_channel")],
    ids=["unknown", "no name", "our own"],
)
async def test_a_name_that_is_none_is_refused(name: str, code: str) -> None:
    app = desk_app()
    app.channel("{name}:x").on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        for word in ("subscribe", "unsubscribe", "history", "presence"):
            told = (await to(ws, word, name))["code"]
            is_looked_up = word == "subscribe" or code == "bad_channel"
            assert told == (code if is_looked_up else "not_subscribed")


async def test_a_client_subscribes_once() -> None:
    app = desk_app()
    app.channel("news").on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        assert await subscribe(ws, "news") == "subscribed"
        assert (await to(ws, "unsubscribe", "news"))["data"] == {"channel": "news"}
        assert await subscribe(ws, "news") == {"channel": "news"}


async def test_what_a_client_is_not_subscribed_to_it_may_not_ask() -> None:
    app = desk_app()
    news = app.channel("news", history=History(), presence=True)
    news.on_publish(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        for word in ("unsubscribe", "history", "presence"):
            assert (await to(ws, word, "news"))["code"] == "not_subscribed"
        assert await publish(ws, "news", 1) == "not_subscribed"
        assert await news().history() == []


# --- limits -------------------------------------------------------------------------------------


async def test_a_connection_has_so_many_channels_and_no_more() -> None:
    app = desk_app(max_channels=2)
    app.channel("a:{n:int}").on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        for number in range(2):
            await subscribe(ws, f"a:{number}")
        assert await subscribe(ws, "a:3") == "too_many_channels"
        await to(ws, "unsubscribe", "a:0")
        assert await subscribe(ws, "a:3") == {"channel": "a:3"}


@pytest.mark.parametrize("presence", [False, Presence(grace=0)], ids=["here", "everywhere"])
async def test_a_channel_has_so_many_subscribers_and_no_more(presence: Any) -> None:
    app = desk_app()
    app.channel("a", max_subscribers=1, presence=presence).on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as first, client_of(client) as second:
        await subscribe(first, "a")
        assert await subscribe(second, "a") == "full"
        await to(first, "unsubscribe", "a")
        assert await subscribe(second, "a") == {"channel": "a"}


@pytest.mark.parametrize("presence", [False, True], ids=["here", "everywhere"])
async def test_nobody_slips_past_the_limit_by_coming_at_the_same_time(presence: bool) -> None:
    app = desk_app()
    app.channel("a", max_subscribers=1, presence=presence).on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as first, client_of(client) as second:
        for ws in (first, second):
            send(ws, message("channel.subscribe", {"channel": "a"}, id=1))
        types = {(await ws.receive_json())["type"] for ws in (first, second)}
        assert types == {"channel.subscribed", "error"}


async def test_nobody_slips_past_the_limit_while_the_broker_counts() -> None:
    broker = Halting()
    broker.turns = 5
    app = desk_app(broker=broker)
    app.channel("a", max_subscribers=2, presence=True).on_subscribe(lambda: True)
    async with TestClient(app) as client, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(client_of(client)) for _ in range(8)]
        for ws in peers:
            send(ws, message("channel.subscribe", {"channel": "a"}, id=1))
        types = [(await ws.receive_json())["type"] for ws in peers]
        assert types.count("channel.subscribed") == 2


# --- on_publish ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (True, {"text": "tea"}),
        (Text("more"), {"text": "more"}),
        (Post(Text("more")), {"text": "more"}),
        (Post(True), {"text": "tea"}),
        (0, 0),
        (False, "forbidden"),
        (None, "forbidden"),
        (Reject("rude", "no"), "rude"),
    ],
    ids=["true", "data", "post", "post true", "zero", "false", "none", "reject"],
)
async def test_on_publish_decides_what_is_published(answer: Any, outcome: Any) -> None:
    app = desk_app()
    news = app.channel("news", history=History())
    news.on_subscribe(lambda: True)

    @news.on_publish
    async def said(message: Text) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        told = await publish(ws, "news", {"text": "tea"})
        kept = [each.data for each in await news().history()]
        if isinstance(outcome, str):
            assert (told, kept) == (outcome, [])
        else:
            assert (told["position"]["offset"], kept) == (1, [outcome])


async def test_a_message_that_does_not_fit_is_not_published() -> None:
    app = desk_app()
    news = app.channel("news", model=Text, history=History())
    news.on_subscribe(lambda: True)
    news.on_publish(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        said = await to(ws, "publish", "news", data={"text": 5})
        assert (said["code"], said["details"][0]["loc"]) == ("validation", ["text"])
        assert await news().history() == []


async def test_a_publication_tells_who_it_is_from_and_the_sender_may_be_left_out() -> None:
    app = desk_app()
    news = app.channel("news")
    news.on_subscribe(lambda: Allow(info={"name": "Ada"}))

    @news.on_publish
    async def said(text: str) -> Post:
        return Post(text, to_sender=text != "quiet")

    async with (
        TestClient(app) as client,
        client_of(client, "ada") as ada,
        client_of(client) as other,
    ):
        await subscribe(ada, "news")
        await subscribe(other, "news")
        await publish(ada, "news", {"text": "quiet"})
        send(ada, message("channel.publish", {"channel": "news", "data": {"text": "loud"}}, id=2))
        assert plain(await ada.receive_json()) == "loud"
        quiet = await other.receive_json()
        assert plain(quiet) == "quiet"
        by = quiet["data"]["by"]
        assert (by["user"], by["info"]) == ("ada", {"name": "Ada"})


async def test_a_message_sent_again_is_answered_alike_and_published_once() -> None:
    app = desk_app()
    news = app.channel("news", history=History())
    news.on_subscribe(lambda: True)
    news.on_publish(lambda: True)
    async with (
        TestClient(app) as client,
        client_of(client, "ada") as ada,
        client_of(client, "ada") as back,
        client_of(client, "bob") as bob,
    ):
        for ws in (ada, back, bob):
            await subscribe(ws, "news")
        first = await publish(ada, "news", 1, idempotency_key="m-1")
        assert await publish(back, "news", 1, idempotency_key="m-1") == first
        assert (await publish(bob, "news", 1, idempotency_key="m-1")) != first
        assert len(await news().history()) == 2


async def test_nobody_can_choose_a_key_that_is_somebody_elses() -> None:
    async def verify(token: str) -> User:
        return User(token.replace("+", " "))

    app = App()
    app.events("/spaced", dialect=Typed(), auth=Bearer(verify))
    news = app.channel("news", history=History())
    news.on_subscribe(lambda: True)
    news.on_publish(lambda: True)
    async with (
        TestClient(app) as client,
        client_of(client, "ada", "/spaced") as ada,
        client_of(client, "ada+b", "/spaced") as other,
    ):
        await subscribe(ada, "news")
        await subscribe(other, "news")
        first = await publish(ada, "news", 1, idempotency_key="b c")
        assert await publish(other, "news", 1, idempotency_key="c") != first


async def test_who_is_expelled_while_its_message_is_judged_publishes_nothing() -> None:
    app = desk_app()
    news, gate = app.channel("news", history=History()), Gate()
    news.on_subscribe(lambda: True)

    @news.on_publish
    async def said(text: str) -> str:
        await gate()
        return text

    async with TestClient(app) as client, client_of(client, "ada") as ws:
        await subscribe(ws, "news")
        send(ws, message("channel.publish", {"channel": "news", "data": {"text": "x"}}, id=2))
        await gate.reached.wait()
        await app.expel("news", "ada")
        gate.open.set()
        assert (await ws.receive_json())["type"] == "channel.unsubscribed"
        assert (await ws.receive_json())["code"] == "not_subscribed"
        assert await news().history() == []


# --- history and presence -----------------------------------------------------------------------


async def test_a_subscriber_reads_history_in_pages_both_ways() -> None:
    app = desk_app(history_limit=3)
    news = app.channel("news", history=History())
    news.on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        positions = [await news().publish(number) for number in range(5)]
        await to(ws, "presence", "news")

        async def read(**wish: Any) -> list[Any]:
            said = await to(ws, "history", "news", **wish)
            assert said["data"]["position"]["offset"] == 5
            return [each["data"] for each in said["data"]["publications"]]

        assert await read() == [0, 1, 2]
        assert await read(limit=1) == [0]
        assert await read(limit=0) == []
        assert await read(limit=100, reverse=True) == [4, 3, 2]
        since = msgspec.to_builtins(positions[2])
        assert await read(since=since) == [3, 4]
        assert await read(since=since, reverse=True) == [1, 0]
        gone = await to(ws, "history", "news", since={"epoch": "gone", "offset": 1})
        assert gone["code"] == "unrecoverable"


async def test_a_channel_that_keeps_or_tells_nothing_says_so() -> None:
    app = desk_app()
    app.channel("news").on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        assert (await to(ws, "history", "news"))["code"] == "no_history"
        assert (await to(ws, "presence", "news"))["code"] == "no_presence"


async def test_presence_lists_connections_and_counts_users() -> None:
    app = desk_app()
    news = app.channel("news", presence=True)
    news.on_subscribe(lambda: Allow(info="here"))
    async with (
        TestClient(app) as client,
        client_of(client, "ada") as phone,
        client_of(client, "ada") as laptop,
    ):
        await subscribe(phone, "news")
        await subscribe(laptop, "news")
        said = (await to(laptop, "presence", "news"))["data"]
        assert (said["connections"], said["users"]) == (2, 1)
        assert [(each["user"], each["info"]) for each in said["members"]] == [("ada", "here")] * 2
        assert len(await news().presence()) == await news().subscriber_count() == 2


async def test_who_comes_while_the_list_is_read_is_told_after_it() -> None:
    broker = Halting()
    app = desk_app(broker=broker)
    app.channel("news", presence=True).on_subscribe(lambda: True)
    async with (
        TestClient(app) as client,
        client_of(client, "ada") as ada,
        client_of(client, "bob") as bob,
    ):
        await subscribe(ada, "news")
        gate = broker.halt_after("members")
        send(ada, message("channel.presence", {"channel": "news"}, id=5))
        await gate.reached.wait()
        await subscribe(bob, "news")
        gate.open.set()
        said = [await ada.receive_json() for _ in range(2)]
        assert [each["type"] for each in said] == ["channel.presence", "channel.joined"]
        assert said[0]["data"]["connections"] == 1


async def test_a_big_channel_tells_numbers_only() -> None:
    app = desk_app()
    news = app.channel("news", presence=Presence(announce=False, members=False))
    news.on_subscribe(lambda: True)
    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        said = await to(ws, "presence", "news")
        assert said["data"] == {"channel": "news", "connections": 1, "users": 1}


# --- on_unsubscribe -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["unsubscribe", "disconnect", "expel", "drop", "server", "end"])
async def test_on_unsubscribe_runs_once_in_whatever_way_it_ends(way: str) -> None:
    app = desk_app()
    chat = app.channel("chat:{room}")
    gone: list[Any] = []
    sockets: list[WebSocket] = []

    @chat.on_subscribe
    async def may_join(ws: WebSocket) -> bool:
        sockets.append(ws)
        return True

    @chat.on_unsubscribe
    async def left(room: str, user: User, channel: NamedChannel[Any]) -> None:
        gone.append((room, user.id, channel.name))

    async with TestClient(app) as client, client_of(client, "ada") as ws:
        await subscribe(ws, "chat:1")
        if way == "unsubscribe":
            await to(ws, "unsubscribe", "chat:1")
        elif way == "disconnect":
            await ws.close()
        elif way == "expel":
            await app.expel("chat:1", "ada", code="banned")
        elif way == "drop":
            sockets[0].connection.lost()
            await chat(room="1").publish("x")
        elif way == "server":
            assert chat(room="1").unsubscribe(sockets[0])
            assert not chat(room="1").unsubscribe(sockets[0])
        if way != "end":
            await until(lambda: gone)
    assert gone == [("1", "ada", "chat:1")]


async def test_an_error_in_on_unsubscribe_is_logged_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = desk_app()
    news = app.channel("news")
    news.on_subscribe(lambda: True)

    @news.on_unsubscribe
    async def left() -> None:
        raise RuntimeError("broken")

    async with TestClient(app) as client, client_of(client) as ws:
        await subscribe(ws, "news")
        await to(ws, "unsubscribe", "news")
        await until(lambda: "broken" in caplog.text)
        assert await subscribe(ws, "news") == {"channel": "news"}


# --- what cannot be read ------------------------------------------------------------------------


@pytest.mark.parametrize("is_flat", [False, True], ids=["nested", "flat"])
@pytest.mark.parametrize(
    ("word", "data"),
    [
        ("channel.subscribe", {}),
        ("channel.subscribe", {"channel": 7}),
        ("channel.publish", {"channel": "news"}),
        ("channel.history", {"channel": "news", "limit": -1}),
        ("channel.publication", {"channel": "news"}),
    ],
    ids=["no channel", "no name", "no data", "no count", "a word of the server"],
)
async def test_what_cannot_be_read_is_answered_with_its_id(
    word: str, data: dict[str, Any], is_flat: bool
) -> None:
    app = App()
    app.events("/", dialect=Typed(flat=is_flat))
    async with TestClient(app) as client, client.connect("/") as ws:
        send(ws, message(word, id="a1", **data) if is_flat else message(word, data, id="a1"))
        error = await ws.receive_json()
        assert (error["type"], error["id"], error["code"]) == ("error", "a1", "malformed")
