"""Who is present, on all workers: each worker has a lease, and its members end with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from secrets import token_hex
from typing import Any, Final

import msgspec

from ...errors import BrokerUnavailable
from ..base import Member, Roll
from . import scripts
from .calls import Calls
from .layout import Layout
from .link import Link
from .names import Names, presence_keys
from .refusal import Refusal
from .resp import Argument, pack
from .server import Server

__all__ = ["Presence"]

KEPT_FOR: Final = 24 * 3600.0
"""Seconds for which members are remembered of whom nobody hears: all workers have died at once."""
_RESTATED_AFTER: Final = KEPT_FOR / 4
_AT_ONCE: Final = 200
_STUBBORN: Final = {"OOM", "NOPERM", "MISCONF", "NOREPLICAS"}
"""Refusals of what is to be kept, on a connection that is otherwise good."""
_KEY_LENGTH: Final = slice(16, 20)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Member).decode

logger = logging.getLogger("wirework")


class Presence:
    """The members of this process, and how to learn those of all.

    What this process wants to be true is `_own`; whatever Redis lost, or may have misheard, is
    written again from it.

    Args:
        tell: the command that publishes.
        lease: seconds after which the members of a worker that has died are gone.
        unreadable: is called for each member that no worker of this version has written.
    """

    def __init__(
        self,
        calls: Calls,
        layout: Layout,
        names: Names,
        *,
        tell: str,
        lease: float,
        unreadable: Callable[[object], None],
    ) -> None:
        self._calls = calls
        self._layout = layout
        self._names = names
        self._lease = lease
        self._unreadable = unreadable
        self._worker = token_hex(8)
        self._lease_key = names.lease(self._worker)
        self._tell = tell
        self._own: dict[str, dict[str, Member]] = {}
        self._unsure: set[str] = set()
        self._is_unsure = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Keep the lease from now on."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Strike off all members of this process, if Redis can be reached."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        channels = list(self._own)
        self._own.clear()
        if not all(server.commands.link for server in self._layout.servers):
            return
        try:
            await self._restate(channels)
            await self._calls.ask(self._lease_key, "DEL", self._lease_key)
        except BrokerUnavailable as error:
            logger.warning("broker: members of this process stay until its lease ends: %s", error)

    # --- members --------------------------------------------------------------------------------

    async def join(self, channel: str, member: Member) -> None:
        """Note a connection of this process as present."""
        members = self._own.setdefault(channel, {})
        members[member.connection] = member
        arguments = (member.connection, self._worker, member.key, _encode(member))
        try:
            await self._run(scripts.JOIN, channel, *arguments)
        except BaseException:
            self._forget(channel, member)
            self._doubt(channel)
            raise

    async def leave(self, channel: str, member: Member) -> None:
        """Strike it off."""
        self._forget(channel, member)
        try:
            await self._run(scripts.LEAVE, channel, member.connection)
        except BaseException:
            self._doubt(channel)
            raise

    async def members(self, channel: str) -> Roll:
        """Return the connections that are present."""
        version, values = await self._living(channel, "0")
        members = [member for value in values if (member := self._member_of(value)) is not None]
        return Roll(members, version)

    def _member_of(self, value: bytes) -> Member | None:
        length = int.from_bytes(value[_KEY_LENGTH], "big")
        try:
            return _decode(value[_KEY_LENGTH.stop + length :])
        except msgspec.MsgspecError as error:
            self._unreadable(error)
            return None

    async def count(self, channel: str) -> tuple[int, int]:
        """Return how many connections and how many different keys are present."""
        _, (connections, keys) = await self._living(channel, "1")
        return connections, keys

    async def sweep(self, channels: Collection[str]) -> None:
        """Strike off members of workers that have died."""
        rest = iter(list(channels))
        while batch := list(islice(rest, _AT_ONCE)):
            workers = await asyncio.gather(*(self._workers(channel) for channel in batch))
            dead = await self._dead({each for found in workers for each in found})
            if dead:
                affected = zip(batch, workers, strict=True)
                strikes = [self._strike(each, dead & found) for each, found in affected]
                await asyncio.gather(*strikes)

    async def _living(self, channel: str, is_counted: str) -> tuple[int, Any]:
        while True:
            version, found, workers = await self._run(scripts.MEMBERS, channel, is_counted)
            dead = await self._dead(set(workers))
            if not dead:
                return version, found
            await self._strike(channel, dead)

    async def _workers(self, channel: str) -> set[bytes]:
        name = self._names.channel(channel)
        return set(await self._calls.ask(name, "HKEYS", presence_keys(name)[2]))

    async def _dead(self, workers: set[bytes]) -> set[bytes]:
        others = [worker for worker in workers if worker != self._worker.encode()]
        leases = [self._names.lease(worker.decode("utf-8", "replace")) for worker in others]
        found = await asyncio.gather(*(self._calls.ask(key, "EXISTS", key) for key in leases))
        return {worker for worker, is_alive in zip(others, found, strict=True) if not is_alive}

    async def _strike(self, channel: str, dead: Collection[bytes]) -> None:
        if dead:
            await self._run(scripts.STRIKE, channel, *dead)

    def _forget(self, channel: str, member: Member) -> None:
        members = self._own.get(channel, {})
        members.pop(member.connection, None)
        if not members:
            self._own.pop(channel, None)

    def _doubt(self, channel: str) -> None:
        """Whether a command was heard is unknown: what is true is written again."""
        self._unsure.add(channel)
        self._is_unsure.set()

    # --- the lease ------------------------------------------------------------------------------

    async def on_connected(self, server: Server, link: Link) -> None:
        """Write again what `server` may have lost; nothing else is sent to it before.

        A server that takes nothing to keep may still deliver: what it refuses is written later.

        Raises:
            BrokerUnavailable: it cannot be used, or refuses this the first time.
        """
        try:
            await self._rewrite(server, link)
        except Refusal as refusal:
            if self._task is None or refusal.code not in _STUBBORN:
                raise
            logger.warning("broker: the presence of this process is written later: %s", refusal)
            self._unsure.update(self._own)
            self._is_unsure.set()

    async def _rewrite(self, server: Server, link: Link) -> None:
        if self._layout.server_of(self._lease_key) is server:
            await link.ask(pack("SET", self._lease_key, 1, "PX", self._ms))
        own = (each for each in list(self._own) if self._server_of(each) is server)
        while batch := list(islice(own, _AT_ONCE)):
            sent = [link.ask(self._restatement(each, link)) for each in batch]
            await asyncio.gather(*sent)

    @property
    def _ms(self) -> int:
        return max(1, int(self._lease * 1000))

    def _server_of(self, channel: str) -> Server:
        return self._layout.server_of(self._names.channel(channel))

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        restated_at = loop.time()
        while True:
            await self._wait(self._lease / 3)
            try:
                unsure, self._unsure = self._unsure, set()
                is_old = loop.time() - restated_at > _RESTATED_AFTER
                if not await self._renew() or is_old:
                    restated_at = loop.time()
                    unsure |= set(self._own)
                await self._restate(unsure)
            except BrokerUnavailable:
                self._unsure |= unsure
                self._is_unsure.set()
                await asyncio.sleep(min(1.0, self._lease / 3))
            except Exception:
                logger.exception("broker: the presence of this process could not be renewed")

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._is_unsure.wait()
        except TimeoutError:
            return
        self._is_unsure.clear()

    async def _renew(self) -> bool:
        """Return whether the lease was still in force."""
        key, life = self._lease_key, ("PX", self._ms)
        if await self._calls.ask(key, "SET", key, 1, "XX", *life) is not None:
            return True
        await self._calls.ask(key, "SET", key, 1, *life)
        return False

    async def _restate(self, channels: Iterable[str]) -> None:
        rest = iter(channels)
        while batch := list(islice(rest, _AT_ONCE)):
            await asyncio.gather(
                *(self._run(scripts.RESTATE, each, *self._statement(each)) for each in batch)
            )

    def _restatement(self, channel: str, link: Link) -> bytes:
        name = self._names.channel(channel)
        arguments = (*self._common(name), *self._statement(channel))
        return scripts.RESTATE.packed(link, presence_keys(name), arguments)

    def _statement(self, channel: str) -> list[Argument]:
        found: list[Argument] = [self._worker]
        for member in self._own.get(channel, {}).values():
            found += (member.connection, member.key, _encode(member))
        return found

    def _common(self, name: bytes) -> tuple[Argument, ...]:
        return (self._tell, name, int(KEPT_FOR * 1000))

    async def _run(self, script: scripts.Script, channel: str, *arguments: Argument) -> Any:
        name = self._names.channel(channel)
        everything = (*self._common(name), *arguments)
        return await self._calls.run(script, name, presence_keys(name), everything)
