"""What every transport asks of the application."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..connection import Connection, Link
from ..handshake import Request
from ..settings import Settings
from ..types import Scope

__all__ = ["Application"]


class Application(Protocol):
    """The application, as a transport sees it: it knows no handlers and no dialects."""

    @property
    def settings(self) -> Settings:
        """Limits and timeouts of its connections."""

    def new_connection(self, link: Link) -> Connection:
        """Return the connection of a transport's link."""

    def opens_at_once(self, path: str) -> bool:
        """Whether `connect` for `path` waits for nothing and runs no code of the application.

        Then it needs no task.
        """

    async def connect(self, connection: Connection, scope: Scope | Request) -> None:
        """Serve `connection`, whose handshake is `scope`: ASGI's, or what stands for one.

        May return while the connection lives on; `connection.on_finished` is called at its end.
        """

    def shut_down(self, *, spreads: bool = True, at_once: bool = False) -> asyncio.Task[None]:
        """The server stops: begin to end all connections; return the task that does it.

        `spreads`: one after the other. `at_once`: wait for nothing, also where it has begun.
        """
