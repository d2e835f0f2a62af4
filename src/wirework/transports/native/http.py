"""Uvicorn's HTTP protocol, with nothing lost at the upgrade."""

from __future__ import annotations

import sys
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HttpProtocol"]


class HttpProtocol(HttpToolsProtocol):
    """Hands over what came glued to the upgrade request, which Uvicorn's own class drops."""

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._latest = data
        super().data_received(data)

    def handle_websocket_upgrade(self) -> None:
        """Give the socket to the WebSocket protocol, and the rest of the bytes with it."""
        error: Any = sys.exc_info()[1]
        rest = self._latest[error.args[0] :] if error is not None and error.args else b""
        super().handle_websocket_upgrade()
        if rest and not self.transport.is_closing():
            protocol: Any = self.transport.get_protocol()
            protocol.data_received(rest)
