"""What every transport asks of the application."""

from __future__ import annotations

from typing import Protocol

from ..connection import Connection
from ..settings import Settings
from ..types import Scope

__all__ = ["Application"]


class Application(Protocol):
    """The application, as a transport sees it: it knows no handlers and no dialects."""

    @property
    def settings(self) -> Settings:
        """Limits and timeouts of its connections."""

    async def connect(self, connection: Connection, scope: Scope) -> None:
        """Serve `connection`, whose handshake is `scope`, shaped like ASGI's.

        May return while the connection lives on; `connection.on_finished` is called at its end.
        """
