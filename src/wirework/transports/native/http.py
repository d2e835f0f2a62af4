"""Uvicorn's HTTP protocol, with bounds on the head of a request and nothing lost at the upgrade."""

from __future__ import annotations

import sys
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...timers import wheel
from .frames import response

__all__ = ["HttpProtocol"]

HEAD_TIMEOUT = 9.5
"""Seconds for the head of a request, from its first byte, or from the start of the connection.

The wheel is coarse, so a slow peer is gone within 10.
"""
_MAX_HEAD = 64 * 1024
"""Bytes of a request's head."""
_MAX_HEADERS = 256


class HttpProtocol(HttpToolsProtocol):
    """What Uvicorn's own class lacks.

    A peer that is slow with the head of its request is ended, a head that is too large is refused
    with 431, and what came glued to an upgrade request is handed over.
    """

    _head_size: int | None = 0
    """Bytes of the head that is being read; None: it is complete."""
    _is_too_large = False

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        wheel().forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._latest = data
        super().data_received(data)
        if self._head_size is not None and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > _MAX_HEAD:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """Another request begins."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there: judge its size.

        Raises:
            ValueError: too large; the parser then stops, and the answer says why.
        """
        wheel().forget(self)
        self._head_size = None
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > _MAX_HEAD or len(self.headers) > _MAX_HEADERS:
            self._is_too_large = True
            raise ValueError("the head of the request is too large")
        super().on_headers_complete()

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
        error: Any = sys.exc_info()[1]
        rest = self._latest[error.args[0] :] if error is not None and error.args else b""
        super().handle_websocket_upgrade()
        self._latest = b""
        self.parser = None  # type: ignore[assignment]  # it would keep this object alive
        if rest and not self.transport.is_closing():
            protocol: Any = self.transport.get_protocol()
            protocol.data_received(rest)

    def tick(self, now: float) -> None:
        """The head did not come in time; the wheel calls it."""
        self.transport.close()

    def _await_head(self) -> None:
        self._head_size = 0
        clock = wheel()
        clock.watch(self, clock.now() + HEAD_TIMEOUT)

    def _refuse_head(self) -> None:
        self.transport.write(response(431, (), b"Request Header Fields Too Large"))
        self.transport.close()
