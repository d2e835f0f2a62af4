"""Compression of messages, "permessage-deflate" (RFC 7692): negotiation, both directions. Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Any, Final, NamedTuple

from ... import closecodes
from .frames import frame_header

__all__ = [
    "THRESHOLD",
    "Agreement",
    "DeflateError",
    "Deflater",
    "Inflater",
    "deflater_of",
    "negotiate",
]

THRESHOLD: Final = 1024
"""Messages under so many bytes go plain by default: they fit into one packet anyway."""

BITS: Final = 12
"""log2 of the window: 4 KiB for each direction."""

_WIDEST: Final = 15
_LEVEL: Final = 3
_MEMORY: Final = 5
_TAIL: Final = b"\x00\x00\xff\xff"
"""The end of an empty stored block, which is left out on the wire (section 7.2.1)."""

_FINAL: Final = b"\x03\x00"
"""An empty final block: a stream that it ends was between two blocks."""

_MAX_FINALS: Final = 16
"""Final blocks within one frame; a peer that ends its stream there sends one."""

_RSV1: Final = 0x40

_OFFER: Final = re.compile(rb"[ \t,]*+([!#$%&'*+\-.^_`|~0-9A-Za-z]++)[ \t]*+(?=[;,]|$)")
_PARAMETER: Final = re.compile(
    rb";[ \t]*+([!#$%&'*+\-.^_`|~0-9A-Za-z]++)[ \t]*+"
    rb'(?:=[ \t]*+(?:([!#$%&\'*+\-.^_`|~0-9A-Za-z]++)|"((?:[^"\\]|\\.)*+)")[ \t]*+)?(?=[;,]|$)'
)
_WINDOW: Final = re.compile(rb"[89]|1[0-5]")

_Parameters = list[tuple[bytes, bytes | None]]


class DeflateError(Exception):
    """A message that cannot be inflated; `code` closes the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


# --- negotiation --------------------------------------------------------------------------------


class Agreement(NamedTuple):
    """What we answer to an offer.

    Our own context is never taken over, so that one compressed frame serves every connection.
    The client's is, where its window can be narrowed; else it would cost 40 KiB per connection.
    """

    server_bits: int
    """log2 of the window we compress with."""
    client_bits: int | None
    """log2 of the window the client compresses with; None: it did not say that it can narrow it."""
    has_context: bool
    """Whether the client's messages refer to those before."""

    @property
    def extension(self) -> str:
        """The value of Sec-WebSocket-Extensions."""
        parts = ["permessage-deflate", "server_no_context_takeover"]
        if not self.has_context:
            parts.append("client_no_context_takeover")
        parts.append(f"server_max_window_bits={self.server_bits}")
        if self.client_bits is not None:
            parts.append(f"client_max_window_bits={self.client_bits}")
        return "; ".join(parts)


def negotiate(header: bytes) -> Agreement | None:
    """Return the answer to the first offer that can be accepted, or None.

    Args:
        header: all values of Sec-WebSocket-Extensions, joined by commas. Malformed from some
            point on, only the offers before it count.
    """
    for name, parameters in _offers(header):
        agreement = _judge(parameters) if name == b"permessage-deflate" else None
        if agreement is not None:
            return agreement
    return None


def _offers(header: bytes) -> Iterator[tuple[bytes, _Parameters]]:
    position = 0
    while match := _OFFER.match(header, position):
        name, parameters = match[1], []
        position = match.end()
        while match := _PARAMETER.match(header, position):
            parameters.append((match[1], _value(match)))
            position = match.end()
        if header[position : position + 1] not in (b"", b","):
            return
        yield name, parameters


def _value(match: re.Match[bytes]) -> bytes | None:
    if match[3] is not None:
        return re.sub(rb"\\(.)", rb"\1", match[3], flags=re.DOTALL)
    return match[2]


def _judge(parameters: _Parameters) -> Agreement | None:
    given = dict(parameters)
    if len(given) != len(parameters) or not all(_is_legal(*each) for each in parameters):
        return None
    server_bits = min(BITS, int(given.get(b"server_max_window_bits") or BITS))
    if server_bits == 8:
        return None  # zlib cannot compress with so small a window
    if b"client_max_window_bits" not in given:
        return Agreement(server_bits, None, has_context=False)
    client_bits = min(BITS, int(given[b"client_max_window_bits"] or BITS))
    has_context = b"client_no_context_takeover" not in given
    return Agreement(server_bits, client_bits, has_context)


def _is_legal(name: bytes, value: bytes | None) -> bool:
    if name in (b"server_no_context_takeover", b"client_no_context_takeover"):
        return value is None
    if name == b"client_max_window_bits" and value is None:
        return True
    is_window = name in (b"server_max_window_bits", b"client_max_window_bits")
    return is_window and value is not None and _WINDOW.fullmatch(value) is not None


# --- from the client ----------------------------------------------------------------------------


class Inflater:
    """Inflates the messages of one connection.

    It costs 12 KiB from the first message on where the client's context is kept, else nothing
    between messages. After an error it must not be used again.
    """

    __slots__ = ("_bits", "_has_context", "_is_between", "_stream")

    def __init__(self, agreement: Agreement) -> None:
        self._bits = _WIDEST if agreement.client_bits is None else BITS
        self._has_context = agreement.has_context
        self._stream: Any = None
        self._is_between = True
        """Whether nothing has come since the last message, or since a final block."""

    def inflate(self, data: bytes | memoryview, max_size: int, *, is_last: bool) -> bytes:
        """Return what `data`, one frame of a message, stands for; `is_last` ends the message.

        Raises:
            DeflateError: more than `max_size` bytes (1009), of which no more are inflated;
                corrupt or cut off (1007).
        """
        inflated = b""
        if data or not self._is_between:
            try:
                whole = b"".join((data, _TAIL)) if is_last else data
                inflated = self._inflate(whole, max_size, is_last)
            except zlib.error:
                raise _corrupt() from None
        if is_last:
            self._is_between = True
            if not self._has_context:
                self._stream = None
        return inflated

    def _inflate(self, data: bytes | memoryview, max_size: int, is_last: bool) -> bytes:
        stream = self._stream or zlib.decompressobj(-self._bits)
        inflated = _within(max_size, stream.decompress(data, max_size + 1))
        self._is_between = False
        if stream.eof:
            stream, inflated = self._go_on(stream, inflated, max_size, is_last)
        if is_last and not self._is_between and not self._is_whole(stream):
            raise _corrupt()
        self._stream = stream
        return inflated

    def _go_on(
        self, stream: Any, inflated: bytes, max_size: int, is_last: bool
    ) -> tuple[Any, bytes]:
        """Inflate what follows a final block, which is legal (section 7.2.3.4)."""
        for _ in range(_MAX_FINALS):
            rest = stream.unused_data
            stream = zlib.decompressobj(-self._bits)
            if rest == (_TAIL if is_last else b""):
                self._is_between = True
                return stream, inflated
            inflated += stream.decompress(rest, max_size + 1 - len(inflated))
            _within(max_size, inflated)
            if not stream.eof:
                return stream, inflated
        raise _corrupt()

    def _is_whole(self, stream: Any) -> bool:
        """Whether the message did not break off within a block."""
        probe = stream.copy() if self._has_context else stream
        return not probe.decompress(_FINAL, 1) and bool(probe.eof)


def _within(max_size: int, inflated: bytes) -> bytes:
    if len(inflated) > max_size:
        raise DeflateError(closecodes.MESSAGE_TOO_BIG, f"at most {max_size} bytes")
    return inflated


def _corrupt() -> DeflateError:
    return DeflateError(closecodes.INVALID_DATA, "not deflate data")


# --- to the client ------------------------------------------------------------------------------


class Deflater:
    """Makes frames for all connections that have agreed on the same window.

    Every message stands for itself: the one stream is flushed with `Z_FULL_FLUSH`, after which it
    refers to nothing before. So no secret of one peer shapes the bytes for another, and a
    connection costs nothing.
    """

    def __init__(self, bits: int, threshold: int) -> None:
        self.threshold = threshold
        """Messages under so many bytes are not worth it."""
        self.is_shared = bits == BITS
        """Whether its frames may be kept for other connections: those with the usual window."""
        self._bits = bits
        self._lock = Lock()
        self._stream: Any = None

    def frame(self, opcode: int, data: bytes) -> bytes:
        """Return a whole frame, its payload compressed if that makes it smaller."""
        if len(data) >= self.threshold:
            deflated = self._deflate(data)
            if len(deflated) < len(data):
                return frame_header(_RSV1 | opcode, len(deflated)) + deflated
        return frame_header(opcode, len(data)) + data

    def _deflate(self, data: bytes) -> bytes:
        with self._lock:
            stream, self._stream = self._stream, None
            if stream is None:
                stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -self._bits, _MEMORY)
            deflated: bytes = stream.compress(data) + stream.flush(zlib.Z_FULL_FLUSH)
            self._stream = stream
        return deflated[: -len(_TAIL)]


@cache
def deflater_of(bits: int, threshold: int) -> Deflater:
    """Return the deflater for a window and a threshold."""
    return Deflater(bits, threshold)
