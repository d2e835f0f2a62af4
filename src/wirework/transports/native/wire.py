"""One WebSocket on one socket: messages in, frames out, the close handshake.

It checks what picows leaves to its user: reserved bits, the order of fragments and their total,
UTF-8, who may still send. It knows no application: a `Sink` hears what comes in.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from typing import Any, Protocol

from ... import closecodes
from ...types import Frame
from .deflate import Deflater
from .frames import CLOSE, PING, PONG, close_frame, control_frame
from .parser import WSListener, WSMsgType, feed, make_parser

__all__ = ["Sink", "Wire"]

TEXT = 1
BINARY = 2
CONTINUATION = 0

_TEXT = WSMsgType.TEXT
_BINARY = WSMsgType.BINARY
_Utf8 = codecs.getincrementaldecoder("utf-8")


class Sink(Protocol):
    """What hears a wire."""

    def feed(self, frame: Frame) -> None:
        """A whole message has come."""

    def pong(self) -> None:
        """The peer has answered a ping."""

    def lost(self, code: int = ..., reason: str = ...) -> None:
        """The peer has closed, or the socket is gone; once."""


class Wire(WSListener):
    """The frame layer of one accepted connection.

    Args:
        transport: the socket's, plain or TLS.
        sink: hears messages and the end.
        max_message_size: bytes of a message, all fragments together; over it 1009.
    """

    extension: str | None = None
    """What the answer says about extensions of the protocol."""
    deflater: Deflater | None = None
    """Makes the frames to write, where compression was agreed on."""

    __slots__ = (
        "_close_sent",
        "_decoder",
        "_is_lost",
        "_is_plain",
        "_max_size",
        "_opcode",
        "_parts",
        "is_paused",
        "on_gone",
        "on_writable",
        "sink",
        "transport",
    )

    def __init__(self, transport: asyncio.Transport, sink: Sink, max_message_size: int) -> None:
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
        self._is_plain = True
        """Whether a whole data frame can be delivered: no fragment before it, no close."""
        self._is_lost = False
        self._close_sent = False

    def start(self, early: bytes) -> Any:
        """Return the protocol to give to the socket; `early` came before it had one."""
        parser = make_parser(self, self._fail_soon, self._max_frame())
        if early:
            feed(parser, early)
        return parser

    # --- what picows calls ----------------------------------------------------------------------

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Take one frame; the payload is only valid within this call."""
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.fail(closecodes.PROTOCOL_ERROR, "reserved bits are set")
        elif self._is_plain and kind is _TEXT and frame.fin:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self.fail(closecodes.INVALID_DATA, "not UTF-8")
                return
            self.sink.feed(text)
        elif self._is_plain and kind is _BINARY and frame.fin:
            self.sink.feed(frame.get_payload_as_bytes())
        elif not self._is_lost:
            self._take(int(kind), frame)

    def on_ws_disconnected(self, transport: Any) -> None:
        """The socket is gone."""
        self._lose(closecodes.ABNORMAL, "")
        if self.on_gone is not None:
            self.on_gone()

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The socket's buffer has room."""
        self.is_paused = False
        if self.on_writable is not None:
            self.on_writable()

    # --- what the application's side calls ------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write frames that are built already."""
        self.transport.write(data)

    def ping(self, payload: bytes = b"") -> None:
        """Ask for a pong."""
        if not self._close_sent:
            self.transport.write(control_frame(PING, payload))

    def close(self, code: int | None, reason: str = "") -> None:
        """Begin the close handshake; the peer's answer ends the socket."""
        if not self._close_sent:
            self._close_sent = True
            self._is_plain = False
            self._parts = None
            self.transport.write(close_frame(code, reason))
            self.transport.resume_reading()

    def abort(self) -> None:
        """End the socket at once."""
        self.transport.abort()

    def fail(self, code: int, reason: str) -> None:
        """Close because the peer broke the protocol: nothing more of it is read."""
        if not self._is_lost:
            self._is_plain = False
            if not self._close_sent:
                self._close_sent = True
                reason = closecodes.shorten_reason(reason)
                self.transport.write(close_frame(code, reason))
            self._lose(code, reason)
            self.transport.close()

    # --- within ---------------------------------------------------------------------------------

    def _fail_soon(self, code: int, reason: str) -> None:
        """Fail after this turn: picows looks one frame ahead, the one before is still to come."""
        asyncio.get_running_loop().call_soon(self.fail, code, reason)

    def _fail_size(self) -> None:
        self.fail(closecodes.MESSAGE_TOO_BIG, f"at most {self._max_size} bytes")

    def _max_frame(self) -> int:
        """The largest payload of a frame in bytes."""
        return self._max_size

    def _lose(self, code: int, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._is_plain = False
            self.sink.lost(code, reason)

    def _take(self, kind: int, frame: Any) -> None:
        if kind == CLOSE:
            self._take_close(frame)
        elif kind == PING:
            if not self._close_sent:
                self.transport.write(control_frame(PONG, frame.get_payload_as_bytes()))
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
            self.transport.write(close_frame(code if data else None))
        self._lose(code, data[2:].decode(errors="replace"))
        self.transport.close()

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
            self._is_plain = False
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
        self._is_plain = True
        self.sink.feed(bytes(parts) if self._opcode == BINARY else parts.decode())


def _is_valid(decoder: codecs.IncrementalDecoder, payload: bytes, is_last: bool) -> bool:
    """Whether a message is UTF-8 so far: it need not be complete to be refused."""
    try:
        decoder.decode(payload, is_last)
    except UnicodeDecodeError:
        return False
    return True
