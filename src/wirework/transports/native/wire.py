"""One WebSocket on one socket: messages in, frames out, the close handshake.

It checks what picows leaves to its user: reserved bits, the order of fragments and their total,
UTF-8, who may still send. It knows no application: a `Sink` hears what comes in.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from ... import closecodes
from ...timers import wheel
from ...types import Frame
from .deflate import Deflater
from .draining import Drain
from .flushing import Flusher
from .frames import CLOSE, PING, PONG, close_frame, control_frame
from .parser import PlainReader, Reader, bench_of

__all__ = ["Sink", "Wire"]

TEXT = 1
BINARY = 2
CONTINUATION = 0

CLOSE_TIMEOUT = 9.5
"""Seconds for the peer to answer our close; the wheel is coarse, so the socket ends within 10."""
LINGER = 2.0
"""Seconds for a peer that we have hung up on to do the same."""
_GATHER = 64 * 1024
"""Bytes that are gathered at most before they are handed to the socket."""

_MOST = 32 * 1024
"""Bytes of one read: picows doubles its buffer whenever a read has filled it, and what one peer has
sent is handled before the next peer's turn."""
_MUCH = 4 * 1024
"""Bytes of one read after which a parser's buffer may have grown."""
_Utf8 = codecs.getincrementaldecoder("utf-8")


class Sink(Protocol):
    """What hears a wire."""

    def feed(self, frame: Frame) -> None:
        """A whole message has come."""

    def feed_all(self, frames: list[str]) -> None:
        """Messages have come together."""

    def pong(self) -> None:
        """The peer has answered a ping."""

    def lost(self, code: int = ..., reason: str = ...) -> None:
        """The peer has closed, or the socket is gone; once."""

    def met(self, limit: str) -> None:
        """The peer has met the limit of this name."""


class _Nobody:
    """Hears a wire that is gone, so that the wire keeps nobody alive."""

    def feed(self, frame: Frame) -> None: ...

    def feed_all(self, frames: list[str]) -> None: ...

    def pong(self) -> None: ...

    def lost(self, code: int = 0, reason: str = "") -> None: ...

    def met(self, limit: str) -> None: ...


_NOBODY = _Nobody()


class Wire(asyncio.BufferedProtocol):
    """The frame layer of one accepted connection, and the protocol of its socket.

    Args:
        transport: the socket's, plain or TLS.
        sink: hears messages and the end.
        max_message_size: bytes of a message, all fragments together; over it 1009.
        flusher: that of the event loop.
    """

    extension: str | None = None
    """What the answer says about extensions of the protocol."""
    deflater: Deflater | None = None
    """Makes the frames to write, where compression was agreed on."""

    reader: ClassVar[type[Reader]] = PlainReader
    """What finds the frames in what is read."""

    __slots__ = (
        "_bench",
        "_close_sent",
        "_decoder",
        "_flusher",
        "_is_failing",
        "_is_gone",
        "_is_lost",
        "_max_size",
        "_opcode",
        "_out",
        "_out_size",
        "_parts",
        "_pong",
        "_reader",
        "is_paused",
        "is_plain",
        "on_gone",
        "on_writable",
        "sink",
        "transport",
    )

    def __init__(
        self, transport: asyncio.Transport, sink: Sink, max_message_size: int, flusher: Flusher
    ) -> None:
        self._flusher = flusher
        self.transport = transport
        self.sink = sink
        self.is_paused = False
        """Whether the socket takes no more for now."""
        self.on_writable: Callable[[], None] | None = None
        """Called when the socket takes bytes again."""
        self.on_gone: Callable[[], None] | None = None
        """Called when the socket is gone."""
        self._max_size = max_message_size
        self._parts: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._opcode = 0
        self.is_plain = True
        """Whether a whole data frame can be delivered: no fragment before it, no close."""
        self._is_lost = False
        self._close_sent = False
        self._is_failing = False
        """Whether picows has seen a violation; what it would make of the rest is not for us."""
        self._is_gone = False
        self._bench = bench_of(flusher.loop, self.reader, self._max_frame())
        self._reader: Reader | None = None
        """What has read half a frame of this peer."""
        self._out: list[bytes] | None = None
        """Frames that leave at the end of this turn."""
        self._out_size = 0
        self._pong = b""
        """The answer to the last ping of a peer that does not read."""

    # --- asyncio.BufferedProtocol ---------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> Any:
        """Return where to read to; `buffer_updated` follows before anybody else reads."""
        reader = self._reader or self._bench.reader
        view = reader.get_buffer(-1)
        if len(view) > _MOST:
            view = view[:_MOST]
        reader.view = view
        return view

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        bench = self._bench
        own = self._reader
        reader = own or bench.reader
        reader.wire = self
        try:
            is_between = reader.read(nbytes, is_fresh=own is None)
        except BaseException:
            self._reader = own or bench.take()
            raise
        if is_between:
            self._reader = reader.wire = None
            if own is not None or reader.has_close or nbytes > _MUCH:
                bench.settle(reader)
        elif own is None:
            self._reader = bench.take()

    def eof_received(self) -> None:
        """The peer will send no more: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._is_gone = True
        self._out = None
        if self._reader is not None:
            self._reader.discard()
            self._reader = None
        self._lose(closecodes.ABNORMAL, "")
        wheel().forget(self)
        on_gone, self.on_gone, self.on_writable = self.on_gone, None, None
        self.sink = _NOBODY
        if on_gone is not None:
            on_gone()

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The socket's buffer has room."""
        self.is_paused = False
        pong, self._pong = self._pong, b""
        if pong and not self._close_sent:
            self.write(pong)
        if self.on_writable is not None:
            self.on_writable()

    # --- what the reader calls ------------------------------------------------------------------

    def on_frame(self, kind: int, frame: Any) -> None:
        """Take one frame; the payload is only valid within this call."""
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.fail(closecodes.PROTOCOL_ERROR, "reserved bits are set")
        elif self.is_plain and kind == TEXT and frame.fin:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self.fail(closecodes.INVALID_DATA, "not UTF-8")
                return
            self.sink.feed(text)
        elif self.is_plain and kind == BINARY and frame.fin:
            self.sink.feed(frame.get_payload_as_bytes())
        elif not self._is_lost:
            self._take(kind, frame)

    def on_violation(self, code: int, reason: str) -> None:
        """Fail after this turn: picows looks one frame ahead, the one before is still to come."""
        if self._is_failing:
            return
        self._is_failing = True
        self.transport.set_protocol(Drain(self))
        asyncio.get_running_loop().call_soon(self.fail, code, reason)

    # --- what the application's side calls ------------------------------------------------------

    def take_early(self, early: bytes) -> None:
        """Take what came before this had the socket."""
        view = memoryview(early)
        while view and not self._is_failing:
            buffer = self.get_buffer(-1)
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            self.buffer_updated(size)
            view = view[size:]

    @property
    def backlog(self) -> int:
        """Bytes that were written and that the socket has not taken."""
        return self.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write frames that are built already; all of one turn leave together."""
        out = self._out
        if out is None:
            self._out = [data]
            self._out_size = size = len(data)
            self._flusher.add(self)
        else:
            out.append(data)
            self._out_size = size = self._out_size + len(data)
        if size >= _GATHER:
            self.flush()

    def flush(self) -> None:
        """Hand what was gathered to the socket."""
        out, self._out = self._out, None
        if out and not self.transport.is_closing():
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def ping(self, payload: bytes = b"") -> None:
        """Ask for a pong."""
        if not self._close_sent:
            self.write(control_frame(PING, payload))

    def close(self, code: int | None, reason: str = "") -> None:
        """Begin the close handshake; the peer's answer ends the socket."""
        if not self._close_sent:
            self._close_sent = True
            self.is_plain = False
            self._parts = None
            self._write_close(code, reason)
            self._abort_after(CLOSE_TIMEOUT)
            self.transport.resume_reading()

    def abort(self) -> None:
        """End the socket at once."""
        self.transport.abort()

    def fail(self, code: int, reason: str) -> None:
        """Close because the peer broke the protocol: nothing more of it is read."""
        if not self._is_lost:
            if code == closecodes.MESSAGE_TOO_BIG:
                self.sink.met("max_message_size")
            self.is_plain = False
            if not self._close_sent:
                self._close_sent = True
                reason = closecodes.shorten_reason(reason)
                self._write_close(code, reason)
            self._lose(code, reason)
            self._hang_up()

    def tick(self, now: float) -> None:
        """The peer has not ended the socket in time; the wheel calls it."""
        self.transport.abort()

    # --- within ---------------------------------------------------------------------------------

    def _fail_size(self) -> None:
        self.fail(closecodes.MESSAGE_TOO_BIG, f"at most {self._max_size} bytes")

    def _max_frame(self) -> int:
        """The largest payload of a frame in bytes."""
        return self._max_size

    def _lose(self, code: int, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            self.is_plain = False
            self.sink.lost(code, reason)

    def _take(self, kind: int, frame: Any) -> None:
        if kind == CLOSE:
            self._take_close(frame)
        elif kind == PING:
            if not self._close_sent:
                self._answer_ping(control_frame(PONG, frame.get_payload_as_bytes()))
        elif kind == PONG:
            self.sink.pong()
        elif not self._close_sent:
            self._take_fragment(kind, frame)

    def _take_close(self, frame: Any) -> None:
        data = frame.get_payload_as_bytes()
        code = int.from_bytes(data[:2], "big") if data else closecodes.NO_STATUS
        if data and not closecodes.is_sendable(code) and code != closecodes.PROTOCOL_ERROR:
            self.fail(closecodes.PROTOCOL_ERROR, "invalid close code")
            return
        if not self._close_sent:
            self._close_sent = True
            self._write_close(code if data else None, "")
        self._lose(code, data[2:].decode(errors="replace"))
        self.transport.close()
        self._abort_after(CLOSE_TIMEOUT)

    def _answer_ping(self, pong: bytes) -> None:
        """Write `pong`; a peer that does not read gets the last one (RFC 6455 section 5.5.3)."""
        if self.is_paused:
            self._pong = pong
        else:
            self.write(pong)

    def _write_close(self, code: int | None, reason: str) -> None:
        frame = close_frame(code, reason)
        if self._out is not None:
            self._out.append(frame)
            self.flush()
        elif not self.transport.is_closing():
            self.transport.write(frame)

    def _hang_up(self) -> None:
        """End the socket so that the peer still reads our close.

        Closing a socket that holds unread bytes resets it, and a reset overtakes what was written.
        """
        transport = self.transport
        if transport.is_closing() or not transport.can_write_eof():
            transport.close()
            self._abort_after(CLOSE_TIMEOUT)
            return
        transport.set_protocol(Drain(self))
        try:
            transport.write_eof()
        except OSError:  # the peer has gone, unnoticed while nothing was read
            transport.abort()
            return
        transport.resume_reading()
        self._abort_after(LINGER)

    def _abort_after(self, seconds: float) -> None:
        if not self._is_gone:
            clock = wheel()
            clock.watch(self, clock.now() + seconds)

    def _take_fragment(self, kind: int, frame: Any) -> None:
        parts = self._parts
        if (kind == CONTINUATION) is (parts is None):
            text = "nothing to continue" if parts is None else "a message is unfinished"
            self.fail(closecodes.PROTOCOL_ERROR, text)
            return
        if parts is None:
            parts = self._parts = bytearray()
            self._opcode = kind
            self._decoder = _Utf8() if kind == TEXT else None
            self.is_plain = False
        self._add(parts, frame.get_payload_as_bytes(), frame.fin)

    def _add(self, parts: bytearray, payload: bytes, is_last: bool) -> None:
        parts += payload
        if len(parts) > self._max_size:
            self._fail_size()
        elif self._decoder is not None and not _is_valid(self._decoder, payload, is_last):
            self.fail(closecodes.INVALID_DATA, "not UTF-8")
        elif is_last:
            self._finish(parts)

    def _finish(self, parts: bytearray) -> None:
        self._parts = None
        self._decoder = None
        self.is_plain = True
        self.sink.feed(bytes(parts) if self._opcode == BINARY else parts.decode())


def _is_valid(decoder: codecs.IncrementalDecoder, payload: bytes, is_last: bool) -> bool:
    """Whether a message is UTF-8 so far: it need not be complete to be refused."""
    try:
        decoder.decode(payload, is_last)
    except UnicodeDecodeError:
        return False
    return True
