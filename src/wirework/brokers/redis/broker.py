"""The broker itself: publications through pub/sub, history in streams, both in one script."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import count
from secrets import token_hex
from typing import Any, ClassVar, Final

from ...errors import BrokerUnavailable
from ..base import (
    IDEMPOTENCY_WINDOW,
    META_TTL,
    UNUSED_TTL,
    Broker,
    Keep,
    Member,
    Message,
    Page,
    Position,
    Publication,
    Published,
    Receiver,
    Roll,
)
from ..parcels import UnreadableParcel, kept, packed, unkept
from . import scripts
from .calls import Calls
from .cluster import Cluster
from .delivery import Complaint, Delivery
from .layout import Layout, One, pause
from .names import Names, history_keys
from .presence import Presence
from .refusal import Refusal
from .resp import Argument
from .url import target_of

__all__ = ["RedisBroker"]

_MAX_TTL: Final = 10.0**9
_MAX_OFFSET: Final = 2**53
_META_MS: Final = int(META_TTL * 1000)
_WINDOW_MS: Final = int(IDEMPOTENCY_WINDOW * 1000)
_NO_EPOCH: Final = "?"
_UNKEPT: Final = Published(Position())


class RedisBroker(Broker):
    """Carries publications, history and presence through Redis 6.2 or newer, or Valkey.

    Two connections to each server: one for commands, one for what it tells. Both notice within
    10 seconds that the server does not answer, are opened again with full-jitter backoff, and
    subscribe again to everything before `on_restored`. While there is no connection, calls wait
    for one until their timeout. A call whose connection is lost is repeated within its timeout
    where repeating it is safe; a publication only with an idempotency key.

    Positions outlive a restart of the server only with its append-only file (`appendonly yes`);
    without it, and after a failover to a replica, what was acknowledged last may be lost, so a
    new epoch begins in each channel.

    With `prefix` p, a user of Redis needs the rights `~p:* &p:* +@connection +@pubsub +@read
    +@scripting +@write +info +time`, in a Cluster also `+cluster`.

    Args:
        url: `redis://[user:password@]host:port/database`, `rediss://` with TLS,
            `redis+unix:///path`, `redis+sentinel://host,host/service`, or
            `redis+cluster://host,host` (Redis 7 or newer); the latter two also with `rediss+`.
        timeout: seconds within which each call must be answered. Default 5.
        prefix: what all keys and channels in Redis begin with. Default "wirework".

    Raises:
        SettingsError: a URL or a prefix that cannot be used.
    """

    name: ClassVar[str] = "redis"

    def __init__(self, url: str, *, timeout: float = 5.0, prefix: str = "wirework") -> None:
        self._target = target_of(url)
        self._timeout = timeout
        self._names = Names(prefix)
        self._tell = "SPUBLISH" if self._target.kind == "cluster" else "PUBLISH"
        self._channels: dict[bytes, str] = {}
        self._unreadable = Complaint("dropped what no worker of this version has sent")
        self._life = ""
        self._epochs = count(1)
        self._parts: _Parts | None = None

    @property
    def unreadable(self) -> int:
        """How many parcels were dropped since no worker of this version has sent them."""
        return self._unreadable.count

    async def start(self, receiver: Receiver) -> None:
        """Connect, and tell `receiver` from now on.

        Raises:
            BrokerUnavailable: it cannot be reached, or refuses us; the text says why, without
                passwords.
        """
        self._life = token_hex(6)  # not before: forked processes must not begin the same epochs
        delivery = Delivery(receiver, self._channels, self._unreadable)
        kind = Cluster if self._target.kind == "cluster" else One
        layout: Layout = kind(self._target, delivery, self._timeout)
        calls = Calls(layout, self._timeout)
        presence = Presence(
            calls,
            layout,
            self._names,
            tell=self._tell,
            lease=self.lease,
            unreadable=self._unreadable,
        )
        delivery.begin(layout, presence)
        await layout.open()
        presence.begin()
        self._parts = _Parts(delivery, layout, calls, presence)
        delivery.watch()

    async def stop(self) -> None:
        """End everything that was begun: tasks, sockets, the presence of this process."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.delivery.end()
            try:
                await parts.presence.close()
            finally:
                await parts.layout.close()

    @property
    def is_available(self) -> bool:
        """Whether it can be reached and every subscription is in force."""
        return self._parts is not None and self._parts.layout.is_up

    @property
    def _started(self) -> _Parts:
        if self._parts is None:
            raise BrokerUnavailable("Redis: the broker is not started")
        return self._parts

    # --- publications ---------------------------------------------------------------------------

    async def subscribe(self, channel: str) -> None:
        """Tell the receiver of everything that is published after this has returned."""
        layout, name = self._started.layout, self._names.channel(channel)
        deadline = asyncio.get_running_loop().time() + self._timeout
        self._channels[name] = channel
        try:
            while not await _is_subscribed(layout, name, deadline):
                await pause()
        except BaseException:
            self._channels.pop(name, None)
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Tell no more of `channel`; does nothing while the broker is away."""
        name = self._names.channel(channel)
        if self._channels.pop(name, None) is not None and self._parts is not None:
            self._parts.layout.unsubscribe(name)

    async def publish(
        self, channel: str, message: Message, keep: Keep | None = None, *, idempotency: str = ""
    ) -> Published:
        """Publish `message`: keep it where `keep` says so, then tell every subscribed process."""
        calls, name = self._started.calls, self._names.channel(channel)
        if keep is None and not idempotency:
            parcel = packed(Publication(channel, message))
            await calls.ask(name, self._tell, name, parcel, is_repeatable=False)
            return _UNKEPT
        kept_as = ("", 0, 0) if keep is None else (keep.size, _ms(keep.ttl), int(keep.latest))
        arguments = (
            *self._position(),
            self._tell,
            name,
            kept(message),
            *kept_as,
            message.key.encode("utf-8", "surrogatepass"),
            _WINDOW_MS,
        )
        keys = history_keys(name, idempotency)
        epoch, offset, is_duplicate = await calls.run(
            scripts.PUBLISH, name, keys, arguments, is_repeatable=bool(idempotency)
        )
        return Published(Position(epoch.decode(), offset), bool(is_duplicate))

    async def read(
        self,
        channel: str,
        keep: Keep,
        *,
        since: Position | None = None,
        limit: int,
        reverse: bool = False,
    ) -> Page:
        """Return publications: those after `since`, or from the oldest on, in order."""
        epoch = "" if since is None else since.epoch or _NO_EPOCH
        part = _back(since, limit) if reverse else _forth(since, limit)
        size = "" if keep.latest else keep.size
        unused = _ms(min(max(UNUSED_TTL, keep.ttl), META_TTL))
        arguments = (*self._position(unused), _ms(keep.ttl), *part, int(reverse), epoch, size)
        name = self._names.channel(channel)
        found = await self._started.calls.run(scripts.READ, name, history_keys(name), arguments)
        top, dropped = Position(found[0].decode(), found[1]), found[2]
        publications = self._publications(channel, top.epoch, found[3])
        is_all = len(publications) == len(found[3]) and not reverse
        is_whole = is_all and _is_whole(keep, since, limit, len(publications), top, dropped)
        return Page(publications[:limit], top, is_whole)

    async def forget(self, channel: str) -> None:
        """Remove the history of `channel`; its epoch and offset stay."""
        name = self._names.channel(channel)
        await self._started.calls.run(scripts.FORGET, name, history_keys(name), self._position())

    def _position(self, remembered: int = _META_MS) -> tuple[Argument, ...]:
        return (f"{self._life}{next(self._epochs):x}", remembered)

    def _publications(self, channel: str, epoch: str, entries: list[Any]) -> list[Publication]:
        found = []
        for name, fields in entries:
            try:
                offset = int(name.partition(b"-")[0])
                found.append(Publication(channel, unkept(fields[1]), epoch, offset))
            except UnreadableParcel as error:
                self._unreadable(error)
        return found

    # --- presence -------------------------------------------------------------------------------

    async def join(self, channel: str, member: Member) -> None:
        """Note a connection of this process as present."""
        await self._started.presence.join(channel, member)

    async def leave(self, channel: str, member: Member) -> None:
        """Strike it off; subscribed processes are told of the last connection of its key."""
        await self._started.presence.leave(channel, member)

    async def members(self, channel: str) -> Roll:
        """Return the connections that are present, of all living processes."""
        return await self._started.presence.members(channel)

    async def count(self, channel: str) -> tuple[int, int]:
        """Return how many connections and how many different keys are present."""
        return await self._started.presence.count(channel)

    async def sweep(self, channels: Collection[str]) -> None:
        """Strike off members of processes that have died."""
        await self._started.presence.sweep(channels)


class _Parts:
    """What a started broker consists of."""

    def __init__(
        self, delivery: Delivery, layout: Layout, calls: Calls, presence: Presence
    ) -> None:
        self.delivery = delivery
        self.layout = layout
        self.calls = calls
        self.presence = presence


async def _is_subscribed(layout: Layout, name: bytes, deadline: float) -> bool:
    server = layout.server_of(name)
    try:
        return await server.subscribe(name, deadline)
    except Refusal as refusal:
        is_late = asyncio.get_running_loop().time() >= deadline
        if is_late or not await layout.mend(refusal, server):
            raise
        return False


def _ms(seconds: float) -> int:
    return max(1, int(min(seconds, _MAX_TTL) * 1000))


def _forth(since: Position | None, limit: int) -> tuple[Argument, ...]:
    """Return lowest and highest offset, and how many: one more than asked for shows a cut."""
    lowest = 0 if since is None else _within(since.offset) + 1
    return (lowest, "+", limit + 1 if limit > 0 else 0)


def _back(since: Position | None, limit: int) -> tuple[Argument, ...]:
    if since is None:
        return (0, "+", max(0, limit))
    highest = _within(since.offset) - 1
    return (0, max(0, highest), max(0, limit) if highest > 0 else 0)


def _within(offset: int) -> int:
    return min(max(0, offset), _MAX_OFFSET)


def _is_whole(
    keep: Keep, since: Position | None, limit: int, found: int, top: Position, dropped: int
) -> bool:
    after = 0 if since is None else since.offset
    if found > limit or (limit <= 0 and top.offset > after):
        return False
    if since is None:
        return True
    if since.epoch != top.epoch or not 0 <= after <= top.offset:
        return False
    return dropped <= after if keep.latest else found == top.offset - after
