"""The line to NATS: one connection at a time, probed, and made anew when it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final, Protocol
from urllib.parse import urlsplit

from nats.errors import Error

from ...errors import BrokerUnavailable
from .link import Link
from .streams import Streams
from .url import Address

__all__ = ["Line", "Log", "User"]

logger = logging.getLogger("wirework")

_PROBE_EVERY: Final = 2.0
_PROBE_TIMEOUT: Final = 3.0
"""With the one before: a server that has gone without a word is missed after 5 seconds."""
_MAX_PAUSE: Final = 5.0
"""Seconds between two attempts to connect, at most."""
_STEADY: Final = 10.0
"""Seconds after which a connection counts as a success: the next pause begins small again."""
_WARN_EVERY: Final = 60.0


class User(Protocol):
    """Whoever the line is for."""

    async def on_connected(self, link: Link, streams: Streams | None) -> None:
        """Put everything in force on a new connection; `streams` is None without JetStream.

        Until its first wait nobody else can use the connection.
        """

    async def on_probed(self) -> None:
        """Do what is due; the server has just answered."""

    def on_degraded(self) -> None:
        """The server is away. Once, until `on_restored`."""

    def on_restored(self) -> None:
        """The server is back, and everything is in force."""


class Log:
    """Warnings, each text at most once a minute."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def warn(self, text: str, *values: object) -> None:
        """Log it, unless it was logged a short while ago."""
        now = time.monotonic()
        if now - self._said_at.get(text, float("-inf")) >= _WARN_EVERY:
            self._said_at[text] = now
            logger.warning(text, *values)


class Line:
    """Keeps a connection for its user.

    Args:
        address: servers and how to get in.
        timeout: seconds within which a server must answer.
        user: is told of what becomes of it.
    """

    def __init__(self, address: Address, timeout: float, user: User) -> None:
        self._address = address
        self._timeout = timeout
        self._user = user
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._attempts = 0
        self._connected_at = 0.0
        self.log = Log()
        self.link: Link | None = None
        """The connection of now."""
        self.streams: Streams | None = None
        """What it stores, where the server has JetStream."""

    async def open(self, every: float) -> None:
        """Connect, and look after the connection: at least `every` so many seconds.

        Raises:
            BrokerUnavailable: no server can be reached, or none that takes us.
        """
        await self._connect()
        work = self._look_after(min(_PROBE_EVERY, every))
        self._task = asyncio.get_running_loop().create_task(work)

    async def stand_still(self) -> None:
        """Look after the connection no more, but keep it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def close(self) -> None:
        """End the connection."""
        await self.stand_still()
        await self._hang_up(self.link)

    async def _connect(self) -> None:
        reasons = []
        for server in random.sample(self._address.servers, len(self._address.servers)):
            self._lost = lost = asyncio.Event()
            link = Link(self._timeout, lost.set)
            try:
                await link.open(server, **self._address.options)
                await self._settle(link)
            except (OSError, TimeoutError, Error, BrokerUnavailable) as error:
                await self._hang_up(link)
                reasons.append(f"{_host(server)}: {_reason(error)}")
            except BaseException:
                await self._hang_up(link)
                raise
            else:
                self._connected_at = time.monotonic()
                return
        raise BrokerUnavailable("nats: " + "; ".join(reasons))

    async def _settle(self, link: Link) -> None:
        streams = Streams(link, self._address.layout, self._lost.set)
        has_streams = await streams.is_enabled()
        self.link, self.streams = link, streams if has_streams else None
        await self._user.on_connected(link, self.streams)

    async def _hang_up(self, link: Link | None) -> None:
        self.link = self.streams = None
        if link is not None:
            await link.close()

    async def _look_after(self, every: float) -> None:
        while True:
            try:
                await self._watch(every)
            except BrokerUnavailable as error:
                self.log.warn("the broker is away: %s", error.reason)
            await self._hang_up(self.link)
            self._user.on_degraded()
            await self._reconnect()
            self.log.warn("the broker is back")
            self._user.on_restored()

    async def _watch(self, every: float) -> None:
        """Raise when the connection is of no use any more."""
        while True:
            try:
                async with asyncio.timeout(every):
                    await self._lost.wait()
            except TimeoutError:
                await self._probe()
            else:
                raise BrokerUnavailable("nats: the connection has ended")

    async def _probe(self) -> None:
        assert self.link is not None
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await self.link.echo()
        except TimeoutError:
            raise BrokerUnavailable(
                f"nats: no answer to a probe within {_PROBE_TIMEOUT:g} s"
            ) from None
        await self._user.on_probed()

    async def _reconnect(self) -> None:
        if time.monotonic() - self._connected_at > _STEADY:
            self._attempts = 0
        while True:
            await asyncio.sleep(random.uniform(0, min(_MAX_PAUSE, 0.1 * 2**self._attempts)))
            self._attempts = min(self._attempts + 1, 10)
            try:
                return await self._connect()
            except BrokerUnavailable as error:
                self.log.warn("the broker is still away: %s", error.reason)


def _host(server: str) -> str:
    return urlsplit(server).netloc.rpartition("@")[2]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error).removeprefix("nats: ").strip("'") or type(error).__name__
