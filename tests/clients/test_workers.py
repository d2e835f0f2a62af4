"""A client of one of two workers, as `wirework run` serves them: that worker is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.brokers.servers import BrokerServer
from tests.faults.served import served
from wirework import Publisher

from .application import PATH
from .script import in_node

SCRIPT = """
    const c = made();
    const sub = c.newSubscription("chat:kill");
    sub.on("publication", ({data}) => say(data.text));
    sub.subscribe(); c.connect();
    await sub.ready();
    tell(sub, "subscribed");
    await ask((await c.rpc("pid")).data);
    await once(sub, "subscribed");
    await say((await c.rpc("pid")).data);
"""


async def test_a_client_of_a_killed_worker_recovers_at_another(
    redis: BrokerServer, tmp_path: Path
) -> None:
    serving = served(
        "native",
        tmp_path / "log",
        "--workers",
        "2",
        application="tests.clients.service:app",
        broker=redis.url,
    )
    with serving as server:
        url = f"ws://{server.authority}{PATH}"
        async with in_node(url, SCRIPT) as script, Publisher(redis.url) as outside:
            worker = await script.asked()
            await outside.publish("chat:kill", {"text": "0"})
            assert await script.heard() == "0"
            os.kill(worker, signal.SIGKILL)
            for number in range(1, 20):
                await outside.publish("chat:kill", {"text": str(number)})
            script.answer(True)
            heard = [await script.heard() for _ in range(21)]
    said = [each for each in heard if isinstance(each, dict)]
    assert [(each["event"], each["recovered"]) for each in said] == [("subscribed", True)]
    assert [each for each in heard if isinstance(each, str)] == [str(n) for n in range(1, 20)]
    assert heard[-1] != worker
