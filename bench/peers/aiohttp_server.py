"""aiohttp on uvloop."""

import sys

import uvloop
from aiohttp import WSMsgType, web

from bench.peers.messages import answer, decode, encode

people = set()


async def echo(request):
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
    return ws


async def json(request):
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(encode(answer(decode(message.data))).decode())
    return ws


async def fanout(request):
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    people.add(ws)
    try:
        async for message in ws:
            for other in list(people):
                await other.send_str(message.data)
    finally:
        people.discard(ws)
    return ws


app = web.Application()
app.add_routes([web.get("/echo", echo), web.get("/json", json), web.get("/fanout", fanout)])

if __name__ == "__main__":
    port = int(sys.argv[1])
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, loop=loop, print=None)
