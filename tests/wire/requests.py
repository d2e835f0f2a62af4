"""Requests that no server may take for a handshake."""

from __future__ import annotations

from tests.wire.raw import KEY, handshake

__all__ = ["LARGE", "LENIENT", "REFUSED", "request", "without"]


def request(*lines: str, start: str = "GET / HTTP/1.1") -> bytes:
    return "\r\n".join((start, *lines, "", "")).encode("latin-1")


def without(*names: str, start: str = "GET / HTTP/1.1", more: tuple[str, ...] = ()) -> bytes:
    """Return an upgrade request that lacks some headers and has some more."""
    _, *lines = handshake().decode().rstrip("\r\n").split("\r\n")
    kept = [line for line in lines if line.partition(":")[0] not in names]
    return request(*kept, *more, start=start)


REFUSED = {
    "a1 no key": without("Sec-WebSocket-Key"),
    "a1 post": without(start="POST / HTTP/1.1", more=("Content-Length: 0",)),
    "a2 short key": without("Sec-WebSocket-Key", more=("Sec-WebSocket-Key: YQ==",)),
    "a2 no base64": without("Sec-WebSocket-Key", more=("Sec-WebSocket-Key: " + "!" * 24,)),
    "a2 two keys": without(more=(f"Sec-WebSocket-Key: {KEY}",)),
    "a6 null": handshake("/", "X-A: a\x00b"),
    "a6 vertical tab": handshake("/", "X-A: a\x0bb"),
    "a6 separators": handshake("/", "X-A: a\x1c\x1d\x1eb"),
    "a6 lone return": handshake("/", "X-A: a\rX-B: b"),
    "a6 form feed": handshake("/", "X-A: a\x0cb"),
    "a6 no colon": handshake("/", "X-A"),
    "a6 no name": handshake("/", ": a"),
    "a6 space before the colon": handshake("/", "X-A : a"),
    "a6 space in the name": handshake("/", "X A: a"),
    "a10 no host": without("Host"),
    "a10 two hosts": without(more=("Host: other",)),
    "a10 poisoned host": without("Host", more=("Host: a@b/c",)),
    "a10 two in one host": without("Host", more=("Host: a, b",)),
    "a10 absolute form": without(start="GET http://testserver/ HTTP/1.1"),
    "a10 fragment": without(start="GET /a#b HTTP/1.1"),
    "a10 no path": without(start="GET * HTTP/1.1"),
    "a11 body": handshake("/", "Content-Length: 5") + b"hello",
    "a11 chunks": handshake("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "a11 two lengths": handshake("/", "Content-Length: 5", "Content-Length: 6") + b"hello!",
    "a11 length and chunks": handshake("/", "Content-Length: 5", "Transfer-Encoding: chunked"),
    "a9 malformed subprotocol": handshake("/", "Sec-WebSocket-Protocol: a b"),
}

LENIENT = {
    "a6 lone line feed": handshake("/", "X-A: a\nX-B: b"),
    "a6 folded": handshake("/", "X-A: a\r\n b"),
}
"""Requests that h11, beneath another class of Uvicorn, reads as if they were right."""

LARGE = {
    "3000 headers": request(*(f"X-{number}: a" for number in range(3000))),
    "a large header": handshake("/", "X-A: " + "a" * 2**20),
    "a large path": handshake("/" + "a" * 2**20),
    "no end": b"GET / HTTP/1.1\r\n" + b"X-A: aaaaaaaaaa\r\n" * 2**16,
}
