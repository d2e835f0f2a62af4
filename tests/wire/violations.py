"""What RFC 6455 forbids a client to send, and the code that has to end it."""

from __future__ import annotations

import struct

from tests.wire.raw import RawClient, frame

__all__ = ["BROKEN", "LIMIT", "code_of", "masked"]

LIMIT = 64 * 1024
CLOSE, PING = 8, 9


def masked(first: int, size: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a frame whose header says `size`, in a `length` of 0, 2 or 8 bytes."""
    length = (0 if size < 126 else 2 if size < 65536 else 8) if length is None else length
    sizes = {0: bytes([0x80 | size & 0x7F]), 2: b"\xfe" + struct.pack("!H", size & 0xFFFF)}
    sizes[8] = b"\xff" + struct.pack("!Q", size)
    return bytes([first]) + sizes[length] + bytes(4) + payload


async def code_of(client: RawClient) -> int:
    """Return the code of the server's close, which must be its last word."""
    opcode, payload = await client.frame()
    assert opcode == CLOSE, (opcode, payload)
    assert await client.rest() == b""
    return int.from_bytes(payload[:2], "big")


BROKEN = {
    "b2 unmasked": (b"\x81\x02hi", 1002),
    **{f"b2 rsv {bit:x}": (masked(0x81 | bit, 2, b"hi"), 1002) for bit in (0x40, 0x20, 0x10)},
    **{f"b2 opcode {code}": (masked(0x80 | code, 0), 1002) for code in (3, 7, 11, 15)},
    "b2 fragmented ping": (masked(PING, 0), 1002),
    "b2 long ping": (masked(0x80 | PING, 126, bytes(126)), 1002),
    "b2 continuation of nothing": (frame(b"x", 0), 1002),
    "b2 message within a message": (frame(b"x", is_final=False) + frame(b"y"), 1002),
    "b3 highest bit": (masked(0x82, 1 << 63, length=8), 1002),
    "b3 huge": (masked(0x82, 1 << 62, length=8), 1009),
    "b3 short in two": (masked(0x82, 5, bytes(5), length=2), 1002),
    "b3 short in eight": (masked(0x82, 5, bytes(5), length=8), 1002),
    "b4 from the header alone": (masked(0x82, LIMIT + 1), 1009),
    "b4 all fragments": (masked(0x02, LIMIT, bytes(LIMIT)) + frame(b"x", 0), 1009),
    "b5 not utf-8": (frame(b"\xff"), 1007),
    "b5 surrogate": (frame(b"\xed\xa0\x80"), 1007),
    "b5 cut": (frame(b"\xe2\x82"), 1007),
    "b5 early, in a fragment": (frame(b"a\xc0", is_final=False), 1007),
    "b5 cut by the last fragment": (frame(b"\xe2", is_final=False) + frame(b"\x82", 0), 1007),
    "b6 close of one byte": (frame(b"\x03", CLOSE), 1002),
    "b6 reason": (frame(b"\x03\xe8\xff", CLOSE), 1007),
    **{
        f"b6 code {code}": (frame(struct.pack("!H", code), CLOSE), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
}
