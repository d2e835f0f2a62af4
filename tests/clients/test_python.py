"""The basics with centrifuge-python, in both formats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from centrifuge import Client, ClientEventHandler, ReplyError, SubscriptionEventHandler

from tests.wire.native import until
from wirework.commands import Gap
from wirework.publications import Position

from .application import Workers, token
from .script import SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Told(ClientEventHandler, SubscriptionEventHandler):  # type: ignore[misc]
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def next(self, name: str) -> Any:
        async with asyncio.timeout(SECONDS):
            while (event := await self.events.get())[0] != name:
                pass
        return event[1]

    async def on_connected(self, ctx: Any) -> None:
        self.events.put_nowait(("connected", ctx))

    async def on_connecting(self, ctx: Any) -> None:
        self.events.put_nowait(("connecting", ctx))

    async def on_disconnected(self, ctx: Any) -> None:
        self.events.put_nowait(("disconnected", ctx))

    async def on_subscribed(self, ctx: Any) -> None:
        self.events.put_nowait(("subscribed", ctx))

    async def on_publication(self, ctx: Any) -> None:
        self.events.put_nowait(("publication", ctx))

    async def on_unsubscribed(self, ctx: Any) -> None:
        self.events.put_nowait(("unsubscribed", ctx))


class Format:
    """What clients take and give as data: values in JSON, bytes in Protobuf."""

    def __init__(self, name: str) -> None:
        self.is_binary = name == "protobuf"

    def pack(self, value: Any) -> Any:
        return json.dumps(value).encode() if self.is_binary else value

    def read(self, data: Any) -> Any:
        return json.loads(data) if self.is_binary else data


@pytest.fixture(params=["json", "protobuf"])
def format(request: pytest.FixtureRequest) -> Format:
    return Format(request.param)


@asynccontextmanager
async def client_of(
    workers: Workers, told: Told, format: Format, **options: Any
) -> AsyncIterator[Client]:
    options |= {"min_reconnect_delay": 0.02, "proxy": None}
    client = Client(workers.url, told, use_protobuf=format.is_binary, **options)
    await client.connect()
    try:
        yield client
    finally:
        await client.disconnect()


@pytest.fixture
def workers() -> Workers:
    return Workers("memory://", 1)


async def test_a_client_calls_subscribes_publishes_and_asks(
    workers: Workers, format: Format
) -> None:
    told, heard = Told(), Told()
    async with workers.running(), client_of(workers, told, format, token=token("ada")) as client:
        pack, read = format.pack, format.read
        assert read((await told.next("connected")).data) == {"hello": "ada"}
        assert read((await client.rpc("who", pack(None))).data) == "ada"
        with pytest.raises(ReplyError) as caught:
            await client.rpc("order", pack({"item": 5}))
        assert (caught.value.code, caught.value.temporary) == (107, False)
        sub = client.new_subscription("chat:tea", heard)
        await sub.subscribe()
        await heard.next("subscribed")
        await sub.publish(pack({"text": " hi "}))
        publication = (await heard.next("publication")).pub
        assert (read(publication.data), publication.offset) == ({"text": "hi"}, 1)
        assert [each.user for each in (await sub.presence()).clients.values()] == ["ada"]
        assert (await sub.presence_stats()).num_users == 1
        page = await sub.history(limit=5)
        texts = [read(each.data) for each in page.publications]
        assert (texts, page.offset) == ([{"text": "hi"}], 1)
        await sub.unsubscribe()
        assert (await heard.next("unsubscribed")).code == 0


async def test_a_client_gets_what_it_missed_after_a_cut(workers: Workers, format: Format) -> None:
    told, heard = Told(), Told()
    async with workers.running(), client_of(workers, told, format) as client:
        sub = client.new_subscription("chat:tea", heard)
        await sub.subscribe()
        await heard.next("subscribed")
        [connection] = workers.connections
        connection.link.abort()
        await until(lambda: connection.is_ended)
        for number in range(5):
            await workers.app.publish("chat:tea", {"text": str(number)})
        assert (await heard.next("subscribed")).recovered is True
        missed = [format.read((await heard.next("publication")).pub.data) for _ in range(5)]
        assert missed == [{"text": str(number)} for number in range(5)]


async def test_a_refused_token_ends_and_an_expired_one_is_replaced(
    workers: Workers, format: Format
) -> None:
    async def newer() -> str:
        return token("ada")

    refused, replaced = Told(), Told()
    async with workers.running():
        async with client_of(workers, refused, format, token="forged"):
            assert (await refused.next("disconnected")).code == 101
        async with client_of(workers, replaced, format, token=token("ada", -60), get_token=newer):
            assert format.read((await replaced.next("connected")).data) == {"hello": "ada"}


async def test_a_token_is_refreshed_while_the_server_s_pushes_go_on(
    workers: Workers, format: Format
) -> None:
    tokens = [token("ada", 600), token("ada", 3)]

    async def newer() -> str:
        return tokens.pop()

    told = Told()
    async with workers.running(), client_of(workers, told, format, get_token=newer):
        await told.next("subscribed")
        [ws] = workers.app.connections
        first = ws.identity.expires_at
        await until(lambda: ws.identity.expires_at != first)
        await workers.app.publish("mine:ada", {"n": 1})
        assert format.read((await told.next("publication")).pub.data) == {"n": 1}
        assert workers.app.connections == [ws]


async def test_a_token_lets_a_client_into_a_channel(workers: Workers, format: Format) -> None:
    told, heard, other = Told(), Told(), Told()
    async with workers.running(), client_of(workers, told, format, token=token("ada")) as client:
        pass_ = token("ada", channel="private:a")
        await client.new_subscription("private:a", heard, token=pass_).subscribe()
        await heard.next("subscribed")
        await client.new_subscription("private:b", other, token=pass_).subscribe()
        assert (await other.next("unsubscribed")).code == 103


async def test_a_gap_in_what_the_server_chose_has_the_client_come_back(
    workers: Workers, format: Format
) -> None:
    told = Told()
    async with workers.running(), client_of(workers, told, format, token=token("ada")):
        await told.next("subscribed")
        [connection] = workers.connections
        subscription = workers.app.channels.hub.subscriptions(connection)["mine:ada"]
        subscription.say(Gap("mine:ada", Position("lost", 9)))
        assert (await told.next("connecting")).code == 3010
        await told.next("connected")
