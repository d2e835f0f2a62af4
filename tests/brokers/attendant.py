"""A process that is present until it is killed: attendant.py URL LEASE CHANNEL USER."""

from __future__ import annotations

import asyncio
import sys

from tests.brokers.record import Recorder
from wirework.brokers import Member, broker_of


async def attend(url: str, lease: float, channel: str, user: str) -> None:
    broker = broker_of(url, prefix="test")
    broker.lease = lease
    await broker.start(Recorder())
    await broker.join(channel, Member("dead-1", user))
    await broker.join(channel, Member("dead-2", user))
    print("present", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(attend(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]))
