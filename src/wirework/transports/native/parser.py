"""Frames out of bytes, by picows. The only file that knows how picows works inside.

Used beyond its public interface: `picows.picows.WSProtocol`, its constructor, that it parses what
is put into `get_buffer` and `buffer_updated`, that it writes only through the transport given to it
when `ssl_object` is set, and that it announces a violation by writing a close frame. Whatever else
it would do (answering the handshake, pinging, closing) is done elsewhere; its writes come here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picows import (
    WSAutoPingStrategy,
    WSListener,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    picows,
)

__all__ = ["WSListener", "WSMsgType", "feed", "make_parser"]

_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_RESPONSE = WSUpgradeResponse.create_101_response()


class _Quiet:
    """A logger that is off."""

    def isEnabledFor(self, level: int) -> bool:
        return False

    def _drop(self, *args: Any, **kwargs: Any) -> None:
        pass

    debug = info = warning = error = exception = log = _drop


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
_shared_headers: Any = None


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


def make_parser(
    listener: WSListener, on_violation: Callable[[int, str], None], max_frame_size: int
) -> Any:
    """Return a protocol that is ready for frames.

    Args:
        listener: gets `on_ws_frame` for each frame, `on_ws_disconnected`, `pause_writing` and
            `resume_writing`.
        on_violation: called with close code and text when the peer breaks the protocol.
        max_frame_size: payload bytes; a frame that declares more is a violation with 1009.
    """

    def make_listener(request: Any) -> WSUpgradeResponseWithListener:
        global _shared_headers
        if _shared_headers is None:
            _shared_headers = request.headers
        request.headers = _shared_headers
        return WSUpgradeResponseWithListener(_RESPONSE, listener)

    parser: Any = picows.WSProtocol(  # type: ignore[attr-defined]
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
        2048,
    )
    parser.connection_made(_Outlet(on_violation))
    feed(parser, _REQUEST)
    return parser


def feed(parser: Any, data: bytes, is_over: Callable[[], bool] = lambda: False) -> None:
    """Hand bytes to `parser` that were read before it had the socket, until `is_over()`."""
    view = memoryview(data)
    while view and not is_over():
        buffer = parser.get_buffer(-1)
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        parser.buffer_updated(size)
        view = view[size:]
