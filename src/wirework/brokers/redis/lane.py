"""A connection that is opened again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import random
from typing import Final

from ...errors import BrokerUnavailable
from .link import Link
from .refusal import Lost

__all__ = ["Backoff", "Lane"]

FIRST_PAUSE: Final = 0.1
SHORT_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
STEADY_AFTER: Final = 10.0
"""Seconds after which a connection counts as good, and the next pause is short again."""
MAX_QUEUE: Final = 10_000
"""Calls that may wait for a connection at the same time."""

logger = logging.getLogger("wirework")


class Backoff:
    """Pauses with full jitter: between nothing and twice as much as the time before."""

    def __init__(self) -> None:
        self._ceiling = FIRST_PAUSE

    def next(self) -> float:
        """Return the seconds to wait now."""
        pause = random() * self._ceiling
        self._ceiling = min(LONGEST_PAUSE, self._ceiling * 2)
        return pause

    def ease(self) -> None:
        """It has worked: begin with shorter pauses, yet not with none, for it may not last."""
        self._ceiling = min(self._ceiling, SHORT_PAUSE)

    def reset(self) -> None:
        """Begin with the shortest pauses again."""
        self._ceiling = FIRST_PAUSE


class Lane:
    """Keeps one connection open, from `open` or `begin` to `close`.

    Args:
        dial: opens a connection.
        ready: makes a new one ready for use: subscriptions, presence.
        changed: is called when it has come or gone.
        timeout: seconds that a call waits for a connection, at most.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[Link]],
        ready: Callable[[Link], Awaitable[None]],
        changed: Callable[[], None],
        timeout: float,
    ) -> None:
        self.link: Link | None = None
        self.reason = "Redis: not connected yet"
        self._dial = dial
        self._ready = ready
        self._changed = changed
        self._timeout = timeout
        self._is_up = asyncio.Event()
        self._is_down = asyncio.Event()
        self._is_closed = False
        self._queue = 0
        self._opened_at = 0.0
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and stay connected.

        Raises:
            BrokerUnavailable: it does not work the first time; nothing is left behind.
        """
        await self._connect()
        self._task = asyncio.create_task(self._keep())

    def begin(self) -> None:
        """Connect in the background."""
        self._is_down.set()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the connection, and what keeps it."""
        self._is_closed = True
        self._is_up.set()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        link, self.link = self.link, None
        if link is not None:
            link.on_lost = None
            link.drop("the broker was stopped")

    def drop(self, reason: str) -> None:
        """Give up the connection, for a new one."""
        if self.link is not None:
            self.link.drop(reason)

    async def up(self, deadline: float) -> Link | None:
        """Return the connection, or wait for it until `deadline` of the loop's clock.

        None: the lane was closed meanwhile, and nothing will come.

        Raises:
            BrokerUnavailable: there is none until then, or too many wait already.
        """
        if self._queue >= MAX_QUEUE:
            raise BrokerUnavailable(f"{self.reason}; {MAX_QUEUE} calls wait for it already")
        self._queue += 1
        try:
            async with asyncio.timeout_at(deadline):
                while self.link is None and not self._is_closed:
                    await self._is_up.wait()
        except TimeoutError:
            raise BrokerUnavailable(self.reason) from None
        finally:
            self._queue -= 1
        return self.link

    async def _connect(self) -> None:
        link = await self._dial()
        try:
            await self._ready(link)
        except BaseException:
            link.drop("given up")
            raise
        if self._is_closed:
            link.drop("the broker was stopped")
        if link.reason is not None:
            raise Lost(link.reason)
        link.on_lost = self._lost
        self.link = link
        self._backoff.ease()
        self._opened_at = asyncio.get_running_loop().time()
        self._is_up.set()
        self._changed()

    def _lost(self, link: Link) -> None:
        self.link = None
        self.reason = link.reason or self.reason
        if asyncio.get_running_loop().time() - self._opened_at > STEADY_AFTER:
            self._backoff.reset()
        self._is_up.clear()
        self._is_down.set()
        self._changed()

    async def _keep(self) -> None:
        while True:
            await self._is_down.wait()
            await asyncio.sleep(self._backoff.next())
            try:
                self._is_down.clear()
                await self._connect()
            except BrokerUnavailable as error:
                self._is_down.set()
                self.reason = error.reason
                self._changed()
            except Exception:
                self._is_down.set()
                logger.exception("broker: a connection to Redis could not be made ready")
