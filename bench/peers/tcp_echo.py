"""No WebSockets at all: answers any request with 101, then sends back the bytes that come.

It shows what the load generator and the event loop can do together; nothing can be faster here.
"""

import asyncio
import sys

import uvloop

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.is_open = False

    def data_received(self, data):
        if self.is_open:
            self.transport.write(data)
        elif data.endswith(b"\r\n\r\n"):
            self.is_open = True
            self.transport.write(ANSWER)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    async with server:
        await asyncio.Event().wait()


uvloop.run(main())
