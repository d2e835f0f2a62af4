"""A chat for a terminal, with centrifuge-python: what you type is published, and printed.

With scripts/demo, at a table of its page React:
`python examples/clients/python_chat.py ws://127.0.0.1:8000/connection/websocket table:window`.
"""

from __future__ import annotations

import asyncio
import sys

from centrifuge import Client, PublicationContext, SubscriptionEventHandler


class Printing(SubscriptionEventHandler):  # type: ignore[misc]
    async def on_publication(self, ctx: PublicationContext) -> None:
        print(ctx.pub.data["text"], flush=True)


async def main(url: str, channel: str) -> None:
    client = Client(url, proxy=None)
    chat = client.new_subscription(channel, Printing())
    await client.connect()
    await chat.subscribe()
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        await chat.publish({"text": line})
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
