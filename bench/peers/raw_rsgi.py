"""A bare RSGI application."""

from bench.peers.messages import answer, decode, encode

people = set()


async def app(scope, protocol):
    if scope.proto != "ws":
        protocol.response_empty(404, [])
        return
    socket = await protocol.accept()
    path = scope.path
    people.add(socket)
    try:
        while (message := await socket.receive()).kind:
            text = message.data
            if path == "/fanout":
                for other in list(people):
                    await other.send_str(text)
                continue
            if path == "/json":
                text = encode(answer(decode(text))).decode()
            await socket.send_str(text)
    finally:
        people.discard(socket)
    protocol.close(None)
