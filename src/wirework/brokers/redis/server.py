"""One Redis server: a connection for commands, and one for what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, Final, Protocol

from ...errors import BrokerUnavailable
from . import scripts
from .dial import dial
from .lane import Lane
from .link import Link, answer_by
from .refusal import Lost, Refusal
from .url import Address, Target

__all__ = ["Events", "Server", "batches"]

_BATCH: Final = 500
_SCRIPTS: Final = tuple(script.source for script in scripts.ALL)


class Events(Protocol):
    """What a server tells."""

    def on_push(self, push: list[Any]) -> None:
        """It said something unasked."""

    async def on_connected(self, server: Server, link: Link) -> None:
        """Commands can be sent to it (again): what was lost must be written first."""

    def on_changed(self) -> None:
        """A connection has come, has gone, or could not be made."""


def batches(names: Iterable[bytes], size: int = _BATCH) -> Iterable[tuple[bytes, ...]]:
    """Split `names`, so that a server is not asked for everything at once."""
    rest = iter(names)
    while batch := tuple(islice(rest, size)):
        yield batch


class Server:
    """Both connections to one server, and the subscriptions that are in force there.

    Args:
        target: as whom to connect.
        locate: finds its address, each time that it is connected to.
        events: whom it tells.
        timeout: seconds.
    """

    def __init__(
        self,
        target: Target,
        locate: Callable[[], Awaitable[Address]],
        events: Events,
        timeout: float,
    ) -> None:
        self.channels: dict[bytes, None] = {}
        self._target = target
        self._locate = locate
        self._events = events
        self._timeout = timeout
        self._prefix = "S" if target.kind == "cluster" else ""
        changed = events.on_changed
        self.commands = Lane(self._dial_commands, self._connected, changed, timeout)
        self.listening = Lane(self._dial_listening, self._resubscribe, changed, timeout)

    @property
    def is_up(self) -> bool:
        """Whether it takes commands and every subscription is in force."""
        return self.commands.link is not None and self.listening.link is not None

    async def open(self) -> None:
        """Connect, and stay connected.

        Raises:
            BrokerUnavailable: it does not work the first time; nothing is left behind.
        """
        try:
            await self.commands.open()
            await self.listening.open()
        except BaseException:
            await self.close()
            raise

    def begin(self) -> None:
        """Connect in the background."""
        self.commands.begin()
        self.listening.begin()

    async def close(self) -> None:
        """End both connections."""
        await self.commands.close()
        await self.listening.close()

    def drop(self, reason: str) -> None:
        """Give up both connections, for new ones."""
        self.commands.drop(reason)
        self.listening.drop(reason)

    # --- subscriptions --------------------------------------------------------------------------

    async def subscribe(self, name: bytes, deadline: float) -> bool:
        """Subscribe; False: this server is no longer in use.

        Raises:
            BrokerUnavailable: not until `deadline`, or not allowed; nothing is subscribed then.
        """
        self.channels[name] = None
        try:
            return await self._subscribe_by(name, deadline)
        except BaseException:
            self.unsubscribe(name)
            raise

    async def _subscribe_by(self, name: bytes, deadline: float) -> bool:
        is_first = True
        while True:
            link = self.listening.link or await self.listening.up(deadline)
            if link is None:
                return False
            try:
                answer = link.subscribe(f"{self._prefix}SUBSCRIBE", name)
                await (answer if is_first else answer_by(deadline, link, answer))
                return True
            except Lost:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            is_first = False

    def unsubscribe(self, *names: bytes) -> None:
        """Unsubscribe, now or, while it is away, when it is back."""
        for name in names:
            self.channels.pop(name, None)
        link = self.listening.link
        if link is not None and names:
            self._send(link, "UNSUBSCRIBE", names)

    async def add(self, names: Iterable[bytes]) -> list[bytes]:
        """Take over subscriptions; while it is away, they are in force when it is back.

        Return those that it did not take, since they are not its own: all or none.
        """
        wanted = list(names)
        self.channels.update(dict.fromkeys(wanted))
        try:
            if self.listening.link is not None:
                await self._subscribe(self.listening.link, wanted)
        except Refusal:
            refused = [name for name in wanted if name in self.channels]
            self.unsubscribe(*wanted)
            return refused
        except Lost:
            pass  # the next connection subscribes to everything
        return []

    async def _subscribe(self, link: Link, names: Iterable[bytes]) -> None:
        for batch in batches(names):
            await asyncio.gather(*self._send(link, "SUBSCRIBE", batch))

    def _send(self, link: Link, verb: str, names: tuple[bytes, ...]) -> list[asyncio.Future[Any]]:
        """Shards want a command for each channel."""
        verb = f"{self._prefix}{verb}"
        try:
            if self._prefix:
                sent = [link.subscribe(verb, name) for name in names]
            else:
                sent = [link.subscribe(verb, *names)]
        except Lost:
            if verb.endswith("UNSUBSCRIBE"):
                return []
            raise
        for each in sent:
            each.add_done_callback(_look)
        return sent

    async def _resubscribe(self, link: Link) -> None:
        wanted = list(self.channels)
        await self._subscribe(link, wanted)
        left = tuple(name for name in wanted if name not in self.channels)
        if left:
            self._send(link, "UNSUBSCRIBE", left)

    # --- connections ----------------------------------------------------------------------------

    async def _dial_commands(self) -> Link:
        link = await self._dialled(_SCRIPTS)
        self._agree(link, self.listening)
        return link

    async def _dial_listening(self) -> Link:
        link = await self._dialled(())
        self._agree(link, self.commands)
        return link

    async def _dialled(self, sources: tuple[str, ...]) -> Link:
        address = await self._locate()
        on_push = self._events.on_push
        return await dial(self._target, address, self._timeout, on_push=on_push, scripts=sources)

    def _agree(self, link: Link, other: Lane) -> None:
        if other.link is not None and other.link.where != link.where:
            other.drop(f"the master is at {link.where} now")

    async def _connected(self, link: Link) -> None:
        await self._events.on_connected(self, link)


def _look(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled() and isinstance(answer.exception(), BrokerUnavailable):
        return
