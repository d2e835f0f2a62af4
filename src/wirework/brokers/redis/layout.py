"""Which server has a channel, where there is one at a time: alone, or found by Sentinel."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import random
from typing import Final, Protocol

from ...errors import BrokerUnavailable
from .dial import master_of
from .refusal import Refusal
from .server import Events, Server
from .url import Address, Target

__all__ = ["Layout", "One", "PASSING", "pause"]

PASSING: Final = {"LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "ASK"}
"""Refusals that pass by themselves; what was refused was not done."""


class Layout(Protocol):
    """The servers, and which of them has what."""

    @property
    def servers(self) -> Sequence[Server]:
        """All that are in use."""

    @property
    def is_up(self) -> bool:
        """Whether all that is kept and all that is subscribed to can be reached."""

    def server_of(self, name: bytes) -> Server:
        """Return the server of a channel or key.

        Raises:
            BrokerUnavailable: there is none now.
        """

    def unsubscribe(self, name: bytes) -> None:
        """End a subscription, now or when its server is back."""

    async def open(self) -> None:
        """Connect to all.

        Raises:
            BrokerUnavailable: it does not work; nothing is left behind.
        """

    async def close(self) -> None:
        """End all connections."""

    async def mend(self, refusal: Refusal, server: Server) -> bool:
        """Do what a refusal asks for; return whether to try again."""

    def refresh(self, lost: bytes = b"") -> None:
        """Look again which server has what; of which one subscription was `lost`."""


async def pause() -> None:
    """Wait a moment before what did not work is repeated."""
    await asyncio.sleep(0.05 + 0.1 * random())


class One:
    """One server at a time."""

    def __init__(self, target: Target, events: Events, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._server = Server(target, self._locate, events, timeout)
        self.servers = (self._server,)
        self._is_closed = False

    async def _locate(self) -> Address:
        if self._target.kind == "sentinel":
            return await master_of(self._target, self._timeout)
        return self._target.addresses[0]

    @property
    def is_up(self) -> bool:
        """Whether it can be reached."""
        return self._server.is_up

    def server_of(self, name: bytes) -> Server:
        """Return the one server."""
        if self._is_closed:
            raise BrokerUnavailable("Redis: the broker was stopped")
        return self._server

    def unsubscribe(self, name: bytes) -> None:
        """End a subscription."""
        self._server.unsubscribe(name)

    async def open(self) -> None:
        """Connect."""
        await self._server.open()

    async def close(self) -> None:
        """End the connections."""
        self._is_closed = True
        await self._server.close()

    async def mend(self, refusal: Refusal, server: Server) -> bool:
        """Wait a moment, or look for the master again."""
        if refusal.code == "READONLY":
            server.drop("it has become a replica")
            return True
        if refusal.code in PASSING:
            await pause()
            return True
        return False

    def refresh(self, lost: bytes = b"") -> None:
        """Nothing to look for: the address is found anew with every connection."""
