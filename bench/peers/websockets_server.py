"""The `websockets` library on uvloop, with its `broadcast`."""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import broadcast, serve

from bench.peers.messages import answer, decode, encode

people = set()


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def json(ws):
    async for message in ws:
        await ws.send(encode(answer(decode(message))).decode())


async def fanout(ws):
    people.add(ws)
    try:
        async for message in ws:
            broadcast(people, message)
    finally:
        people.discard(ws)


handlers = {"/echo": echo, "/json": json, "/fanout": fanout}


async def handler(ws):
    await handlers[ws.request.path](ws)


async def main():
    async with serve(handler, "127.0.0.1", int(sys.argv[1]), compression=None):
        await asyncio.Event().wait()


uvloop.run(main())
