"""Frames out of bytes, by picows. The only file that knows how picows works inside.

Used beyond its public interface: `picows.picows.WSProtocol`, its constructor, that it parses what
is put into `get_buffer` and `buffer_updated`, that it writes only through the transport given to it
when `ssl_object` is set, that it announces a violation by writing a close frame, that it refuses a
second close frame until `connection_made` is called again, and that it keeps nothing from a frame
behind which nothing has come. Whatever else it would do (answering the handshake, pinging, closing)
is done elsewhere; its writes come here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from picows import (
    WSAutoPingStrategy,
    WSListener,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    picows,
)

from ...timers import PerLoop

__all__ = ["Bench", "Hearer", "PlainReader", "Reader", "bench_of"]

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CLOSE: Final = 8
_SEVERAL: Final = 256
"""Bytes of one read from which on it is worth a look whether they are texts."""
_WHOLE_TEXT: Final = 0x81
_MASKED: Final = 0x80

_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_RESPONSE = WSUpgradeResponse.create_101_response()


logger = logging.getLogger("wirework")


class _Quiet:
    """picows' logger: off, but for what our own code has raised while it took a frame."""

    def isEnabledFor(self, level: int) -> bool:
        return False

    def _drop(self, *args: Any, **kwargs: Any) -> None:
        pass

    def exception(self, *args: Any, **kwargs: Any) -> None:
        logger.error("a frame could not be taken", exc_info=True)

    debug = info = warning = error = log = _drop


class _NoSocket:
    """A socket whose options nobody needs: the server has set them."""

    def setsockopt(self, *args: Any) -> None:
        pass

    def getsockopt(self, *args: Any) -> int:
        return 0

    def fileno(self) -> int:
        return -1


_QUIET = _Quiet()
_NO_SOCKET = _NoSocket()
_BUFFER: Final = 8 * 1024
"""Bytes of a parser's buffer; it grows with frames that are larger."""
_MAX_SPARE: Final = 16
"""Parsers that are kept for whoever sends half a frame next."""
_MAX_KEPT: Final = 256 * 1024
"""A parser whose buffer has grown larger is not used again."""


class _Outlet:
    """Stands between picows and the socket: hears its verdicts, writes nothing."""

    __slots__ = ("_on_violation",)

    def __init__(self, on_violation: Callable[[int, str], None]) -> None:
        self._on_violation = on_violation

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return _NO_SOCKET
        return True if name == "ssl_object" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        if data[0] == 0x88:
            code = int.from_bytes(data[2:4], "big")
            self._on_violation(code, data[4:].decode(errors="replace"))

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        pass

    abort = close


class Hearer(Protocol):
    """What hears the frames of one connection."""

    is_plain: bool
    """Whether a whole text or binary frame is a message for `sink`."""
    sink: Any

    def on_frame(self, kind: int, frame: Any) -> None:
        """Take one frame; the payload is only valid within this call."""

    def on_violation(self, code: int, reason: str) -> None:
        """The peer has broken the protocol: nothing more will come."""


class Reader(WSListener):
    """A parser, lent to whatever connection has read something.

    Args:
        max_frame_size: payload bytes; a frame that declares more is a violation with 1009.
    """

    __slots__ = (
        "_feed",
        "_is_broken",
        "_last",
        "_outlet",
        "_parser",
        "get_buffer",
        "has_close",
        "view",
        "wire",
    )

    def __init__(self, max_frame_size: int) -> None:
        self.wire: Hearer | None = None
        self.view: Any = None
        """The buffer that was last read to."""
        self._last: Any = None
        """The last frame that was heard."""
        self.has_close = False
        """Whether a close frame was heard."""
        self._is_broken = False
        self._outlet: _Outlet | None = _Outlet(self._break)
        self._parser = _make_parser(self, max_frame_size)
        self.get_buffer: Any = self._parser.get_buffer
        self._feed: Any = self._parser.buffer_updated
        self._parser.connection_made(self._outlet)
        view = self.get_buffer(-1)
        view[: len(_REQUEST)] = _REQUEST
        self._feed(len(_REQUEST))

    def read(self, size: int, *, is_fresh: bool) -> bool:
        """Take `size` bytes that were put into the buffer; `is_fresh`: they begin it.

        Returns whether they end with a whole frame, so that this can read for anybody.
        """
        self._last = None
        self._feed(size)
        return self._last is not None and not self._last.tail_size and not self._is_broken

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Hand on what picows has found."""
        self._last = frame
        kind = int(frame.msg_type)
        if kind == _CLOSE:
            self.has_close = True
        assert self.wire is not None
        self.wire.on_frame(kind, frame)

    def renew(self) -> None:
        """Be ready for another connection, after a close frame."""
        self.has_close = False
        self._parser.connection_made(self._outlet)

    def discard(self) -> None:
        """Drop the parser: nothing is left to wait for the garbage collector."""
        self.wire = self.view = self._last = None
        self._parser = self._outlet = self._feed = self.get_buffer = None

    def _break(self, code: int, reason: str) -> None:
        self._is_broken = True
        if self.wire is not None:
            self.wire.on_violation(code, reason)


class PlainReader(Reader):
    """Takes the short way with whole messages of connections without compression."""

    __slots__ = ("_texts",)

    def __init__(self, max_frame_size: int) -> None:
        self._texts: list[str] | None = None
        """What is read now, where every frame is a whole text message."""
        super().__init__(max_frame_size)

    def read(self, size: int, *, is_fresh: bool) -> bool:
        """Take `size` bytes that were put into the buffer; `is_fresh`: they begin it."""
        wire = self.wire
        assert wire is not None
        is_usual = size >= _SEVERAL and is_fresh and wire.is_plain and _are_texts(self.view, size)
        if not is_usual:
            return Reader.read(self, size, is_fresh=is_fresh)
        texts = self._texts = []
        try:
            self._feed(size)
        finally:
            self._texts = None
        if texts:
            wire.sink.feed_all(texts)
        return not self._is_broken

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Hand on what picows has found."""
        wire, texts = self.wire, self._texts
        assert wire is not None
        if texts is not None:
            try:
                texts.append(frame.get_payload_as_utf8_text())
            except UnicodeDecodeError:
                self._texts = None
                if texts:
                    wire.sink.feed_all(texts.copy())
                    texts.clear()
                wire.on_frame(1, frame)
            return
        self._last = frame
        kind = frame.msg_type
        if not wire.is_plain or not frame.fin or frame.rsv1 or frame.rsv2 or frame.rsv3:
            pass
        elif kind is _TEXT:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                wire.on_frame(1, frame)
            else:
                wire.sink.feed(text)
            return
        elif kind is _BINARY:
            wire.sink.feed(frame.get_payload_as_bytes())
            return
        if kind == _CLOSE:
            self.has_close = True
        wire.on_frame(int(kind), frame)


def _are_texts(view: Any, size: int) -> bool:
    """Whether the first `size` bytes are whole text frames, none of them a fragment.

    To look at the headers here costs a third of asking picows for the parts of each frame.
    """
    at = 0
    while at + 4 <= size:
        if view[at] != _WHOLE_TEXT:
            return False
        length = view[at + 1] - _MASKED
        if 0 <= length < 126:
            at += 6 + length
        elif length == 126:
            at += 8 + (view[at + 2] << 8 | view[at + 3])
        else:
            return False
    return at == size


def _make_parser(listener: WSListener, max_frame_size: int) -> Any:
    """Return a protocol that awaits `_REQUEST`, and then frames."""

    def make_listener(request: Any) -> WSUpgradeResponseWithListener:
        return WSUpgradeResponseWithListener(_RESPONSE, listener)

    return picows.WSProtocol(  # type: ignore[attr-defined]
        None,
        None,
        False,
        make_listener,
        _QUIET,
        False,
        None,
        False,
        None,
        None,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,
        max_frame_size,
        None,
        _BUFFER,
    )


class Bench:
    """Where a reader waits for whoever reads next: connections without half a frame share it.

    Args:
        kind: of the readers.
        max_frame_size: as `Reader` takes it.
    """

    __slots__ = ("_kind", "_max_frame_size", "_spare", "reader")

    def __init__(self, kind: type[Reader], max_frame_size: int) -> None:
        self._kind = kind
        self._max_frame_size = max_frame_size
        self.reader = kind(max_frame_size)
        """The one to read with."""
        self._spare: list[Reader] = []
        """Some that are ready: to make one costs twenty times what a message does."""

    def take(self) -> Reader:
        """Take the reader away, for a connection that has sent half a frame."""
        reader, self.reader = self.reader, self._new()
        return reader

    def settle(self, reader: Reader) -> None:
        """Make one that is between frames ready for others."""
        reader.wire = None
        if reader.has_close:
            reader.renew()
        if len(reader.get_buffer(-1)) > _MAX_KEPT:
            reader.discard()
            if reader is self.reader:
                self.reader = self._new()
        elif reader is not self.reader:
            if len(self._spare) < _MAX_SPARE:
                self._spare.append(reader)
            else:
                reader.discard()

    def _new(self) -> Reader:
        return self._spare.pop() if self._spare else self._kind(self._max_frame_size)


_Benches: TypeAlias = dict[tuple[type[Reader], int], Bench]


def _no_benches(loop: asyncio.AbstractEventLoop) -> _Benches:
    return {}


_benches = PerLoop(_no_benches)


def bench_of(loop: asyncio.AbstractEventLoop, kind: type[Reader], max_frame_size: int) -> Bench:
    """Return the loop's bench of such readers."""
    found, key = _benches.of(loop), (kind, max_frame_size)
    bench = found.get(key)
    if bench is None:
        bench = found[key] = Bench(kind, max_frame_size)
    return bench
