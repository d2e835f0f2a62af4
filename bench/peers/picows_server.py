"""picows alone, on uvloop: a listener without a framework, limits or UTF-8 checks."""

import asyncio
import sys

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

from bench.peers.messages import answer, decode, encode

people = set()


class Listener(WSListener):
    def on_ws_connected(self, transport):
        people.add(transport)

    def on_ws_disconnected(self, transport):
        people.discard(transport)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.TEXT:
            self.on_text(transport, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


class Echo(Listener):
    def on_text(self, transport, data):
        transport.send(WSMsgType.TEXT, data)


class Json(Listener):
    def on_text(self, transport, data):
        transport.send(WSMsgType.TEXT, encode(answer(decode(data))))


class FanOut(Listener):
    def on_text(self, transport, data):
        for other in list(people):
            other.send(WSMsgType.TEXT, data)


listeners = {b"/echo": Echo, b"/json": Json, b"/fanout": FanOut}


async def main():
    server = await ws_create_server(
        lambda request: listeners[request.path](), "127.0.0.1", int(sys.argv[1])
    )
    async with server:
        await asyncio.Event().wait()


uvloop.run(main())
