"""Tornado on uvloop."""

import asyncio
import sys

import uvloop
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from bench.peers.messages import answer, decode, encode


class Echo(WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(message)


class Json(WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(encode(answer(decode(message))).decode())


class FanOut(WebSocketHandler):
    people = set()

    def open(self):
        self.people.add(self)

    def on_message(self, message):
        for other in list(self.people):
            other.write_message(message)

    def on_close(self):
        self.people.discard(self)


async def main():
    app = Application([("/echo", Echo), ("/json", Json), ("/fanout", FanOut)], log_function=id)
    app.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


uvloop.run(main())
