"""Uvicorn's class for HTTP, with bounds for what peers send and for what they do not read."""

from __future__ import annotations

import math
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...timers import wheel
from ..head import fault_of
from .bounds import AccessLog, application, bounds_of, met
from .frames import response

__all__ = ["HEAD_TIMEOUT", "BoundedHttp"]

HEAD_TIMEOUT = 9.5
"""Seconds for the head of a request, from its first byte, or from the start of the connection.

The wheel is coarse, so a slow peer is gone within 10.
"""

_SLOWEST_BODY: Final = 100
"""Bytes a second that the body of a request must bring at least."""
_LOOK: Final = 1.0
"""Seconds between two looks at whether such a peer has read something."""

_IDLE: Final = "idle"
_HEAD: Final = "head"
_BODY: Final = "body"
_WHOLE: Final = "whole"
"""What the peer has sent of its latest request; idle: nothing since the last answer."""


class BoundedHttp(HttpToolsProtocol):
    """Uvicorn's class, and what it lacks.

    A head that is too large is refused with 431, and so are the trailers of a body. Each part of a
    request has a deadline, and so has a peer that does not read its answer. What came glued to an
    upgrade request is handed over.
    """

    _phase: str = _HEAD
    _head_size = 0
    """Bytes of the head that is being read, or of what came of a body beside its content."""
    _body_size = 0
    """Bytes of the body since it was last looked at."""
    _is_too_large = False
    _is_last = False
    """Whether the server ends this connection: a body may not take its time."""
    _input_due = math.inf
    """When the peer must have sent the part of its request that is awaited."""
    _output_due = math.inf
    """When the peer must have read something; it is looked at while the socket takes no more."""
    _taken = 0
    """How much it had taken when it was last looked at."""
    _next_look = math.inf
    _is_moving = False
    """Whether what was read last belongs to a body, or ends a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = wheel(self.loop)
        self._bounds = bounds_of(self.app)
        app = application(self.app)
        if self.access_log and app is not None:
            self.access_logger: Any = AccessLog(self.access_logger, app)

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.await_head(self._clock.now() + HEAD_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._clock.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._latest = data
        before, self._is_moving = self._phase, False
        super().data_received(data)
        if self.transport.is_closing() or self.parser is None:
            return
        if self._phase is _IDLE:  # Uvicorn's own timer ends with any byte, as a line break
            self.await_head(self._clock.now() + HEAD_TIMEOUT)
        if not self._is_moving and self._phase in (_HEAD, before):
            self._head_size += len(data)
            if self._head_size > self._bounds.head_bytes:
                self._refuse_head()

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        super().pause_writing()
        self._await_reader(self._clock.now())

    def resume_writing(self) -> None:
        """The socket's buffer has room."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._output_due = math.inf

    def shutdown(self) -> None:
        """Uvicorn shuts down: what is not answered yet may be, but not for a peer that dawdles."""
        self._is_last = True
        super().shutdown()
        if self._phase is _BODY:
            self._expect(self._clock.now() + self._bounds.body_timeout)

    def hurry(self) -> None:
        """Uvicorn was told twice to shut down: wait for nobody."""
        if self._phase is not _WHOLE or self.flow.write_paused or self.transport.is_closing():
            self.transport.abort()

    # --- what the parser calls ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another request begins."""
        super().on_message_begin()
        if self._phase is not _HEAD:
            self.await_head(self._clock.now() + HEAD_TIMEOUT)
        self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, so that no more of them are kept than there may be; no trailers."""
        if self._phase is _HEAD:
            super().on_header(name, value)
            self._check_head(0)

    def on_headers_complete(self) -> None:
        """The head is there: judge its size.

        Raises:
            ValueError: too large; the parser then stops, and the answer says why.
        """
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._check_head(size)
        self._phase = _BODY
        self._head_size = self._body_size = 0
        self._expect(self._clock.now() + self._bounds.body_timeout)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._is_moving = True
        self._head_size = 0
        self._body_size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._is_moving = True
        self._phase, self._input_due = _WHOLE, math.inf
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self.await_head(self._clock.now() + HEAD_TIMEOUT)

    # --- what the answer calls ------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """An answer is written; from here on Uvicorn's timer runs until the next byte."""
        super().on_response_complete()
        if self._phase is _BODY:
            self._expect(self._clock.now() + self._bounds.body_timeout)
        elif self._phase is _WHOLE and self.timeout_keep_alive_task is not None:
            self._phase = _IDLE

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        if self._is_too_large:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """Give the socket to the WebSocket protocol, and the rest of the bytes with it."""
        if self.parser.get_http_version() != "1.1":
            self.send_400_response("An upgrade needs HTTP/1.1.")
            return
        if fault := fault_of(self.headers):
            self.send_400_response(fault)
            return
        self._clock.forget(self)
        error: Any = sys.exc_info()[1]
        rest = self._latest[error.args[0] :] if error is not None and error.args else b""
        super().handle_websocket_upgrade()
        self._latest = b""
        self.parser = None  # type: ignore[assignment]  # it would keep this object alive
        if rest and not self.transport.is_closing():
            protocol: Any = self.transport.get_protocol()
            protocol.data_received(rest)

    # --- deadlines ------------------------------------------------------------------------------

    def await_head(self, due: float) -> None:
        """Wait for a request until `due`."""
        self._phase = _HEAD
        self._head_size = 0
        self._expect(due)

    def tick(self, now: float) -> float:
        """Look at what is due, and whether the socket was closed; the wheel calls it."""
        if self._output_due < math.inf or self.transport.is_closing():
            self._check_reader(now)
        if now >= self._input_due and not self.transport.is_closing():
            self._check_input(now)
        pause = _LOOK if self._output_due < math.inf else self._bounds.stall_timeout
        self._next_look = min(self._input_due, self._output_due, now + pause)
        return self._next_look

    def _expect(self, due: float) -> None:
        self._input_due = due
        self._look_by(due)

    def _look_by(self, due: float) -> None:
        """See to it that the wheel looks then, or before."""
        if due < self._next_look:
            self._next_look = due
            self._clock.watch(self, due)

    def _check_input(self, now: float) -> None:
        if self._phase is _HEAD:
            self._end("head_timeout")
            return
        timeout, cycle = self._bounds.body_timeout, self.cycle
        is_ours = cycle is not None and (self.flow.read_paused or cycle.waiting_for_100_continue)
        is_late = self._is_last or cycle is None or cycle.response_complete
        if is_ours or not (is_late or self._body_size < timeout * _SLOWEST_BODY):
            self._body_size = 0
            self._input_due = now + timeout
        else:
            self._end("body_timeout", 408, b"Request Timeout")

    def _await_reader(self, now: float) -> None:
        self._taken = _taken(self.transport)
        self._output_due = now + self._bounds.stall_timeout
        self._look_by(now + _LOOK)

    def _check_reader(self, now: float) -> None:
        """End the socket if the peer has taken nothing since the last look.

        A socket that was closed stays until all is taken, for ever if it has to.
        """
        if self._output_due == math.inf or _taken(self.transport) > self._taken:
            self._await_reader(now)
        elif now >= self._output_due:
            if not self.transport.is_closing():
                met(self.config, "write_stall_timeout")
            _reset(self.transport)
            self._output_due = self._input_due = math.inf

    # --- refusals -------------------------------------------------------------------------------

    def _check_head(self, size: int) -> None:
        if size > self._bounds.head_bytes or len(self.headers) > self._bounds.head_count:
            self._is_too_large = True
            raise ValueError("the head of the request is too large")

    def _refuse_head(self) -> None:
        is_long = len(self.headers or ()) <= self._bounds.head_count
        limit = "max_header_bytes" if is_long else "max_header_count"
        self._end(limit, 431, b"Request Header Fields Too Large")

    def _end(self, limit: str, status: int = 0, text: bytes = b"") -> None:
        """Close, with an answer unless one is being written."""
        met(self.config, limit)
        if status and self._is_free:
            self.transport.write(response(status, (), text))
        self.transport.close()
        self._input_due = math.inf

    @property
    def _is_free(self) -> bool:
        """Whether nothing of an answer was written since the last whole one."""
        cycle = self.cycle
        if cycle is None or self.pipeline:
            return cycle is None
        return cycle.response_complete if self._phase is _HEAD else not cycle.response_started


def _reset(transport: Any) -> None:
    """End a socket with all that waits in it, also in the system."""
    with suppress(AttributeError, OSError):
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def _taken(transport: Any) -> int:
    """Return a number that grows as the peer takes what was written.

    With TLS the buffers of a transport do not tell, so the system is asked, where it knows.
    """
    try:
        option = socket.TCP_INFO
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, option, 128)
    except (AttributeError, OSError):
        info = b""
    if len(info) < 128:
        return -int(transport.get_write_buffer_size())
    return int.from_bytes(info[120:128], sys.byteorder)  # tcpi_bytes_acked
