"""Messages that arrive at a worker without their connection: Redis brings them there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.brokers.servers import BrokerServer, redis_server
from tests.unit.applications import Gate
from tests.unit.transports.exchange import Stream, streaming
from wirework import App
from wirework.dialects import Centrifugo

pytestmark = pytest.mark.asyncio

KEY = "the key that all workers have"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    server = redis_server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


class Workers:
    """Applications like those of one server's workers."""

    def __init__(self, redis: BrokerServer, stack: AsyncExitStack) -> None:
        self.gate = Gate()
        self.gate.open.set()
        self._redis = redis
        self._stack = stack

    async def start(self, **options: Any) -> App:
        app = App(broker=self._redis.url, secret_key=KEY, **options)
        live = app.events("/connection", dialect=Centrifugo())

        @live.on("double")
        async def double(n: int) -> int:
            await self.gate()
            return 2 * n

        await self._stack.enter_async_context(app.lifespan_context())
        return app


@pytest.fixture
async def workers(redis: BrokerServer) -> AsyncIterator[Workers]:
    async with AsyncExitStack() as stack:
        yield Workers(redis, stack)


def at(worker: App, stream: Stream) -> Stream:
    """Return the stream as it sends its messages to another worker."""
    stream.app = worker
    return stream


@pytest.mark.parametrize("kind", ["http_stream", "sse"])
async def test_a_message_reaches_its_connection_from_another_worker(
    workers: Workers, kind: str
) -> None:
    here, there = await workers.start(), await workers.start()
    async with streaming(here, kind) as stream:
        assert await at(there, stream).rpc(2, "double", {"n": 4}) == {"id": 2, "rpc": {"data": 8}}


async def test_messages_through_several_workers_keep_the_order_of_their_answers(
    workers: Workers,
) -> None:
    apps = [await workers.start() for _ in range(3)]
    async with streaming(apps[0], "http_stream") as stream:
        for n in range(2, 32):
            data = {"id": n, "rpc": {"method": "double", "data": {"n": n}}}
            assert await at(apps[1 + n % 2], stream).send(data) == 204
        assert [(await stream.receive())["id"] for _ in range(30)] == list(range(2, 32))


async def test_a_session_that_no_worker_has_issued_is_refused_without_asking_the_broker(
    workers: Workers, redis: BrokerServer
) -> None:
    here, there = await workers.start(), await workers.start()
    async with streaming(here, "http_stream") as stream:
        secret, _, signature = stream.said["session"].partition(".")
        for forged in (secret, f"{secret}.", f"other.{signature}", "", "\u2603.\u2603"):
            assert await at(there, stream).send("{}", session=forged) == 404
        assert await at(there, stream).send("{}", node=there.mailboxes.node[::-1]) == 404
        assert await stream.rpc(2, "double", {"n": 1}) == {"id": 2, "rpc": {"data": 2}}


async def test_a_session_may_send_no_more_through_other_workers(workers: Workers) -> None:
    here = await workers.start()
    there = await workers.start(message_rate=0.01, message_burst=2)
    async with streaming(here, "http_stream") as stream:
        at(there, stream)
        assert [await stream.send({"id": n, "ping": {}}) for n in (2, 3, 4)] == [204, 204, 429]
        assert [(await stream.receive())["id"] for _ in range(2)] == [2, 3]


async def test_a_flood_through_other_workers_ends_the_connection(workers: Workers) -> None:
    here, there = await workers.start(inbox_frames=2), await workers.start()
    workers.gate.open.clear()
    async with streaming(here, "http_stream") as stream:
        at(there, stream)
        for n in range(2, 12):
            await stream.send({"id": n, "rpc": {"method": "double", "data": {"n": n}}})
        told = await stream.receive()
        assert told["push"]["disconnect"]["code"] == 3013
        workers.gate.open.set()


async def test_without_the_broker_the_client_is_told_to_come_back(
    workers: Workers, redis: BrokerServer
) -> None:
    here, there = await workers.start(), await workers.start(broker_timeout=0.2)
    async with streaming(here, "http_stream") as stream:
        redis.kill()
        try:
            assert await at(there, stream).send("{}") == 503
        finally:
            redis.start()
