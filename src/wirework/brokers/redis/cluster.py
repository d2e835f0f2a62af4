"""Which server of a Redis Cluster has a channel: it follows moves and failovers."""

from __future__ import annotations

import asyncio
import logging
from binascii import crc_hqx
from collections.abc import Sequence
from random import sample
from typing import Any, Final

from ...errors import BrokerUnavailable
from .dial import dial
from .lane import Backoff
from .layout import PASSING, pause
from .link import Link
from .refusal import Refusal
from .resp import pack
from .server import Events, Server
from .url import Address, Target

__all__ = ["Cluster", "slot_of"]

SLOTS: Final = 16_384
_ASK_SLOTS: Final = pack("CLUSTER", "SLOTS")

logger = logging.getLogger("wirework")


def slot_of(name: bytes) -> int:
    """Return the slot of a key: of what is between its first braces, if anything is."""
    _, opened, rest = name.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else name, 0) % SLOTS


class Cluster:
    """All masters that have slots."""

    def __init__(self, target: Target, events: Events, timeout: float) -> None:
        self._target = target
        self._events = events
        self._timeout = timeout
        self._servers: dict[Address, Server] = {}
        self._owners: list[Address | None] = [None] * SLOTS
        self._homeless: dict[bytes, None] = {}
        """Subscriptions whose slot nobody has now."""
        self._left: list[Server] = []
        """Servers without slots, about to be closed."""
        self._is_moving = False
        self._is_closed = False
        self._is_asked_again = False
        self._task: asyncio.Task[None] | None = None

    @property
    def servers(self) -> Sequence[Server]:
        """All masters."""
        return tuple(self._servers.values())

    @property
    def is_up(self) -> bool:
        """Whether every master can be reached, and every subscription is where its slot is."""
        if self._is_moving or self._homeless:
            return False
        return all(server.is_up for server in self.servers)

    def server_of(self, name: bytes) -> Server:
        """Return the master of the slot of `name`."""
        slot = slot_of(name)
        owner = self._owners[slot]
        if owner is None or self._is_closed:
            why = "the broker was stopped" if self._is_closed else f"no node has slot {slot}"
            raise BrokerUnavailable(f"Redis Cluster: {why}")
        return self._servers[owner]

    def unsubscribe(self, name: bytes) -> None:
        """End a subscription, wherever it is."""
        self._homeless.pop(name, None)
        owner = self._owners[slot_of(name)]
        if owner is not None:
            self._servers[owner].unsubscribe(name)

    async def open(self) -> None:
        """Learn the slots, and connect to every master."""
        try:
            self._adopt(await self._learn())
            opened = (server.open() for server in self.servers)
            for result in await asyncio.gather(*opened, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End all connections."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in (*self.servers, *self._left)))

    async def mend(self, refusal: Refusal, server: Server) -> bool:
        """Follow a slot that has moved, or wait until it is somewhere."""
        if refusal.code not in PASSING and refusal.code not in ("MOVED", "READONLY"):
            return False
        self.refresh()
        await pause()
        return True

    # --- moves ----------------------------------------------------------------------------------

    def refresh(self, lost: bytes = b"") -> None:
        """Learn the slots again, soon; `lost`: a subscription that its server has ended."""
        if self._is_closed:
            return
        if lost:
            for server in self.servers:
                server.channels.pop(lost, None)
            self._homeless[lost] = None
            self._events.on_changed()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._refresh())
        else:
            self._is_asked_again = True

    async def _refresh(self) -> None:
        backoff = Backoff()
        while True:
            self._is_asked_again = False
            try:
                await self._follow(await self._learn())
                if not self._is_asked_again and not self._homeless:
                    return
            except BrokerUnavailable:
                logger.debug("broker: the slots of the Cluster cannot be learnt", exc_info=True)
            except Exception:
                logger.exception("broker: the slots of the Cluster cannot be followed")
            await asyncio.sleep(0.1 + backoff.next())

    async def _follow(self, owners: list[Address | None]) -> None:
        for server in self._adopt(owners):
            server.begin()
        moves = self._moves()
        self._is_moving = bool(moves)
        self._events.on_changed()
        await self._close_left()
        refused = await asyncio.gather(*(server.add(names) for server, names in moves.items()))
        self._homeless.update(dict.fromkeys(name for names in refused for name in names))
        self._is_moving = False
        self._events.on_changed()

    async def _close_left(self) -> None:
        while self._left:
            await self._left[-1].close()
            self._left.pop()

    def _adopt(self, owners: list[Address | None]) -> list[Server]:
        """Return the servers that are new; keep aside those that have no slots any more."""
        masters = {owner for owner in owners if owner is not None}
        new = [self._make(address) for address in masters if address not in self._servers]
        left = [address for address in self._servers if address not in masters]
        self._owners = owners
        self._left += [self._servers.pop(address) for address in left]
        return new

    def _make(self, address: Address) -> Server:
        async def locate() -> Address:
            return address

        server = Server(self._target, locate, self._events, self._timeout)
        self._servers[address] = server
        return server

    def _moves(self) -> dict[Server, list[bytes]]:
        """Take subscriptions from servers that no longer have their slot."""
        moves: dict[Server, list[bytes]] = {}
        moved, self._homeless = list(self._homeless), {}
        for server in (*self.servers, *self._left):
            left = [name for name in server.channels if self._home(name) is not server]
            moved += left
            server.unsubscribe(*left)
        for name in moved:
            home = self._home(name)
            if home is None:
                self._homeless[name] = None
            else:
                moves.setdefault(home, []).append(name)
        return moves

    def _home(self, name: bytes) -> Server | None:
        owner = self._owners[slot_of(name)]
        return None if owner is None else self._servers[owner]

    # --- who has what ---------------------------------------------------------------------------

    async def _learn(self) -> list[Address | None]:
        links = [server.commands.link for server in self.servers]
        for link in sample(links, len(links)):
            if link is not None:
                try:
                    return _owners(await link.ask(_ASK_SLOTS), link)
                except BrokerUnavailable:
                    continue
        return await self._learn_from_seeds()

    async def _learn_from_seeds(self) -> list[Address | None]:
        reasons = []
        for address in dict.fromkeys((*self._target.addresses, *self._servers)):
            try:
                link = await dial(self._target, address, self._timeout, only_to_ask=True)
                try:
                    return _owners(await link.ask(_ASK_SLOTS), link)
                finally:
                    link.drop("no longer needed")
            except BrokerUnavailable as error:
                reasons.append(error.reason)
        raise BrokerUnavailable(f"no node of the Redis Cluster answers: {'; '.join(reasons)}")


def _owners(ranges: Any, link: Link) -> list[Address | None]:
    owners: list[Address | None] = [None] * SLOTS
    asked = link.where.rpartition(":")[0].strip("[]")
    for first, last, master, *_ in ranges:
        host = master[0].decode() if master[0] not in (None, b"", b"?") else asked
        owners[first : last + 1] = [Address(host, master[1])] * (last + 1 - first)
    return owners
