"""A bare ASGI application."""

from bench.peers.messages import answer, decode, encode

people = set()


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    path = scope["path"]
    people.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            text = event["text"]
            if path == "/fanout":
                for other in list(people):
                    await other({"type": "websocket.send", "text": text})
                continue
            if path == "/json":
                text = encode(answer(decode(text))).decode()
            await send({"type": "websocket.send", "text": text})
    finally:
        people.discard(send)
