"""Discards what a peer still sends while it reads our close."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .wire import Wire

__all__ = ["Drain"]

_WASTE: Final = bytearray(64 * 1024)
"""Where it goes; nobody reads it."""
_MAX_DISCARDED: Final = 16 * 1024 * 1024
"""Bytes after which the socket is ended anyway."""


class Drain(asyncio.BufferedProtocol):
    """The socket's last protocol: reads until the peer hangs up too."""

    __slots__ = ("_left", "_wire")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._left = _MAX_DISCARDED

    def get_buffer(self, sizehint: int) -> Any:
        """Return where to read to."""
        return _WASTE

    def buffer_updated(self, nbytes: int) -> None:
        """Count what was discarded."""
        self._left -= nbytes
        if self._left < 0:
            self._wire.abort()

    def eof_received(self) -> None:
        """The peer has hung up: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._wire.connection_lost(exc)
