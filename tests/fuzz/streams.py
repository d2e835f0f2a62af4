"""Inputs of the fuzzer of the native transport: which handshake, how it is cut, and the bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from random import Random

from tests.fuzz.sockets import LIMIT, PATH, Peer, probe
from tests.wire.raw import frame, handshake

__all__ = ["change", "first_inputs", "try_input"]

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
REQUESTS = (b"", handshake(PATH), handshake(PATH, DEFLATE), handshake("/at-once"))
"""What is said before the bytes of an input, by number; after the first one they are frames."""

LINES = [
    *["Host: other", "Host:", "Content-Length: 5", "Transfer-Encoding: chunked", "Upgrade: h2c"],
    *["Connection: close", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Key: short"],
    *["Sec-WebSocket-Version: 8", "Sec-WebSocket-Protocol: a, b", DEFLATE, DEFLATE + "=9"],
    *[
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=1",
        "Expect: 100-continue",
    ],
    *[
        "Origin: null",
        "X: \x00",
        " folded",
        "a b: c",
        "X : y",
        "no colon",
        "X: é",
        "Cookie: a=b;" * 9,
    ],
    *["X: " + "y" * 3000, "Sec-WebSocket-Extensions: " + "x;" * 500],
]
BITS = (*range(16), 0x40, 0x41, 0x42, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0xC2, 0xF1)
SIZES = (0, 1, 125, 126, 127, 0x80, 0x81, 0xFD, 0xFE, 0xFF)


def first_inputs(*, planted: bool) -> list[bytes]:
    """Return an input for each handshake, with whole messages, fragments and control frames."""
    said = [
        [frame(b"hello"), frame(b"\x00\xff", 2), frame(b"ping", 9), frame(b"\x03\xe8bye", 8)],
        [
            frame("h\u20ac".encode()[:2], is_final=False),
            frame(b"", 9),
            frame("\u20ac".encode()[1:], 0),
        ],
        [
            frame(bytes(200), 2, is_final=False),
            *[frame(b"x", 0, is_final=False)] * 5,
            frame(b"", 0),
        ],
        [frame(b"a"), frame(bytes(LIMIT), 2), frame(b"b"), frame(b"", 10), frame(b"", 8)],
        [_deflated(b"over and over " * 20), _deflated(b""), frame(b"plain"), _deflated(b"x" * 900)],
    ]
    streams = [b"".join(each) for each in said]
    heads = [request + streams[0] for request in REQUESTS[1:]]
    heads += [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /echo HTTP/1.1\r\nHost: x\r\n\r\n"]
    found = [bytes([0, cut]) + head for head in heads for cut in (0, 1)]
    return found + [
        bytes([kind, cut]) + each for kind in (1, 2, 3) for cut in (0, 1, 7) for each in streams
    ]


def try_input(data: bytes, *, planted: bool) -> None:
    """Send what `data` says to the server, as it is cut.

    Raises:
        Violation: the server did what no peer may make it do; the bytes are printed.
    """
    kind, cut, rest = sum(data[:1]) % len(REQUESTS), sum(data[1:2]), data[2:]
    request = REQUESTS[kind]
    known = request if kind in (1, 2) else b""
    try:
        probe(_peer(planted), known, _cut(request + rest, cut))
    except Exception:
        print(f"it broke on {request + rest!r}, cut by {cut}", flush=True)
        raise


def change(data: bytes, random: Random) -> bytes:
    """Return `data` with its bytes mutated, or cut otherwise, or behind another handshake."""
    start, rest = bytearray(data[:2].ljust(2, b"\0")), data[2:]
    if random.randrange(6) == 0:
        start[1] = random.randrange(256)
    changes = _HEAD_CHANGES if start[0] % len(REQUESTS) == 0 else _FRAME_CHANGES
    for _ in range(random.randint(1, 4)):
        rest = random.choice(changes)(rest, random)
    return bytes(start) + rest


@cache
def _peer(planted: bool) -> Peer:
    return Peer(planted=planted)


def _cut(data: bytes, cut: int) -> list[bytes]:
    """Return `data` whole for 0, the first of it in single bytes for 1, else cut at random."""
    if cut < 2:
        most = 300 * cut
        return [*(data[place : place + 1] for place in range(min(most, len(data)))), data[most:]]
    random = Random(cut)
    places = sorted(random.randrange(len(data) + 1) for _ in range(cut % 8))
    return [data[one:two] for one, two in zip([0, *places], [*places, len(data)], strict=True)]


def _deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    found = bytearray(frame((deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]))
    found[0] |= 0x40
    return bytes(found)


# --- heads --------------------------------------------------------------------------------------


def _change_lines(data: bytes, random: Random) -> bytes:
    head, end, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    place, what = random.randrange(len(lines)), random.randrange(6)
    if what == 0:
        del lines[place]
    elif what == 1:
        lines.insert(place, random.choice(lines))
    elif what < 5:
        lines.insert(random.randint(1, len(lines)), random.choice(LINES).encode("latin-1"))
    else:
        lines[place] = _change_bytes(lines[place], random)
    return b"\r\n".join(lines) + end + rest


def _change_end(data: bytes, random: Random) -> bytes:
    return data.replace(b"\r\n", random.choice([b"\n", b"\r", b"\r\n ", b"\r\r\n"]), 1)


def _repeat(data: bytes, random: Random) -> bytes:
    return data * 2 if len(data) < 2000 else data


def _change_bytes(data: bytes, random: Random) -> bytes:
    found = bytearray(data)
    place = random.randint(0, len(found))
    what = random.randrange(4)
    if what == 0:
        del found[place : place + random.choice([1, 2, 8, 100])]
    elif what == 1:
        found[place:place] = random.randbytes(random.choice([1, 2, 14]))
    elif found:
        found[place % len(found)] ^= 1 << random.randrange(8)
    return bytes(found)


# --- frames -------------------------------------------------------------------------------------


def _split(data: bytes) -> list[bytearray]:
    """Return the frames of a client, as far as they can be told apart."""
    found = []
    while len(data) > 1:
        size, start = data[1] & 0x7F, 6
        if size > 125:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2 : start - 4], "big")
        found.append(bytearray(data[: start + size]))
        data = data[start + size :]
    return found


def _change_frames(data: bytes, random: Random) -> bytes:
    frames = _split(data)
    if not frames:
        return data + frame(b"hey")
    place, what = random.randrange(len(frames)), random.randrange(7)
    if what == 0:
        del frames[place]
    elif what == 1:
        frames.insert(place, random.choice(frames))
    elif what == 2:
        frames[place][0] = random.choice(BITS)
    elif what == 3:
        frames[place][0] ^= random.choice([0x80, 0x40, 0x01])
    elif what == 4:
        frames[place][1] = random.choice(SIZES)
    elif what == 5:
        frames.insert(
            place, bytearray(frame(random.randbytes(random.randrange(9)), random.choice(BITS)))
        )
    else:
        frames[place] = bytearray(_change_bytes(bytes(frames[place]), random))
    return b"".join(frames)


_HEAD_CHANGES: list[Callable[[bytes, Random], bytes]] = [
    *[_change_lines] * 5,
    _change_end,
    _repeat,
    _change_bytes,
]
_FRAME_CHANGES: list[Callable[[bytes, Random], bytes]] = [*[_change_frames] * 5, _change_bytes]
