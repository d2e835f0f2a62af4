"""The broker: what hubs ask of it, over a line to NATS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Final

from ...errors import BrokerUnavailable
from ..base import (
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
from ..parcels import Joined, Left, UnreadableParcel, packed, unpacked
from .history import History
from .lease import Lease
from .line import Line
from .link import Arrival, Link, Taker
from .names import token
from .page import sequence_of
from .presence import Presence, attendance_of
from .streams import Streams
from .url import Address

__all__ = ["NatsBroker"]

_UNKEPT: Final = Published(Position())


class NatsBroker(Broker):
    """Publications, history and presence through NATS; the latter two need JetStream.

    It probes the connection every two seconds. When the server has gone it connects anew, to any
    of its servers, after pauses of random length up to 5 seconds, and subscribes to everything
    again.

    Args:
        url: `nats://` or `tls://`, with servers separated by commas. Options: `replicas` (1 to 5,
            default 1) and `storage` ("file" or "memory", default "file") of streams that are made
            new; `credentials`, a file of the server's operator.
        timeout: seconds within which the server must answer. Default 5.
        prefix: what subjects and streams begin with. Default "wirework".

    Raises:
        SettingsError: the address cannot be read.
    """

    name: ClassVar[str] = "nats"

    def __init__(self, url: str, *, timeout: float = 5.0, prefix: str = "wirework") -> None:
        address = Address.of(url, prefix)
        self._layout = address.layout
        self._timeout = timeout
        self._receiver: Receiver | None = None
        self._line = Line(address, timeout, self)
        self._subscriptions: dict[str, int] = {}
        self._settle(self.lease)
        self._unreadable = 0

    def _settle(self, lease: float) -> None:
        self._lease = Lease(self._layout, self._stored, lease)
        self._presence = Presence(self._layout, self._stored, self._lease)
        # Twice as long as a reader may take, so that it sees a publication or the newer one.
        self._history = History(
            self._layout, self._stored, lambda: self._lease.now, delay=2 * self._timeout
        )

    # --- its life -------------------------------------------------------------------------------

    async def start(self, receiver: Receiver) -> None:
        """Connect, look for JetStream and make its streams."""
        self._receiver = receiver
        self._settle(self.lease)
        await self._line.open(every=self.lease / 4)

    async def stop(self) -> None:
        """Strike off the members of this process and end the connection."""
        await self._line.stand_still()
        if self._line.link is not None and self.keeps:
            with suppress(BrokerUnavailable):
                async with self._within():
                    await self._presence.end()
                    await self._line.link.echo()
        await self._line.close()
        self._subscriptions.clear()
        self._receiver = None

    @property
    def is_available(self) -> bool:
        """Whether the server has answered the last probe."""
        return self._line.link is not None

    @property
    def unreadable(self) -> int:
        """How many messages were dropped since no process of this version has sent them."""
        return self._unreadable

    async def on_connected(self, link: Link, streams: Streams | None) -> None:
        """Subscribe to everything again, and say who is here; for the line."""
        for channel in self._subscriptions:
            self._subscriptions[channel] = self._listen(link, channel)
        await link.echo()
        self.keeps = streams is not None
        if streams is not None:
            self._history.distrust()
            created = await streams.prepare()
            await streams.reach()
            await self._presence.begin(created)

    async def on_probed(self) -> None:
        """Do what is due; for the line."""
        if self.keeps:
            async with self._within():
                await self._presence.tidy()
                await self._history.expire()

    def on_degraded(self) -> None:
        """Tell the receiver; for the line."""
        if self._receiver is not None:
            self._receiver.on_degraded()

    def on_restored(self) -> None:
        """Tell the receiver; for the line."""
        if self._receiver is not None:
            self._receiver.on_restored()

    # --- what comes in --------------------------------------------------------------------------

    def _listen(self, link: Link, channel: str) -> int:
        return link.subscribe(self._layout.subject("p", token(channel), "*"), self._taker(channel))

    def _taker(self, channel: str) -> Taker:
        of_presence = f"{self._layout.subject('p', token(channel))}."

        def take(arrival: Arrival) -> None:
            if channel not in self._subscriptions:
                return
            kind = arrival.subject.removeprefix(of_presence)
            if len(kind) > 1:
                self._take_attendance(channel, arrival)
            else:
                self._take_publication(channel, arrival)

        return take

    def _take_publication(self, channel: str, arrival: Arrival) -> None:
        try:
            item = unpacked(channel, arrival.data)
        except UnreadableParcel as error:
            return self._drop(channel, str(error))
        if isinstance(item, Joined | Left):
            return self._drop(channel, "expected a publication, got a member")
        if arrival.headers:
            self._history.observe(item, sequence_of(arrival.headers))
        if item.message.data and self._receiver is not None:
            self._receiver.on_publication(item)

    def _take_attendance(self, channel: str, arrival: Arrival) -> None:
        attendance, sequence = attendance_of(arrival.data), sequence_of(arrival.headers)
        if attendance is None or not sequence:
            return self._drop(channel, "expected who has come or gone")
        if self._receiver is None:
            return
        member, version = Member(*attendance.who), self._presence.version(sequence)
        if attendance.what == "joined":
            self._receiver.on_joined(channel, member, version)
        elif attendance.what == "left":
            self._receiver.on_left(channel, member, version)

    def _drop(self, channel: str, reason: str) -> None:
        self._unreadable += 1
        self._line.log.warn("dropped unreadable messages, one in %r: %s", channel, reason)

    # --- publications ---------------------------------------------------------------------------

    async def subscribe(self, channel: str) -> None:
        """Listen to `channel`; in force when it returns.

        In a cluster that holds for what is kept, and for members. What another server is given to
        pass on without keeping it may still be missed for a moment.
        """
        link = self._connected()
        async with self._within():
            self._subscriptions[channel] = self._listen(link, channel)
            try:
                await link.echo()
                if link.is_clustered and self.keeps:
                    await self._stored().reach()
            except BaseException:
                await self.unsubscribe(channel)
                raise

    async def unsubscribe(self, channel: str) -> None:
        """Listen no more."""
        number = self._subscriptions.pop(channel, None)
        if number is not None and self._line.link is not None:
            self._line.link.unsubscribe(number)

    async def publish(
        self, channel: str, message: Message, keep: Keep | None = None, *, idempotency: str = ""
    ) -> Published:
        """Publish `message`.

        What is not kept and has no key is sent without waiting for the server. Keys of what is
        kept and of what is not are told apart.
        """
        if keep is None and not idempotency:
            subject = self._layout.subject("p", token(channel), "c")
            self._connected().publish(subject, packed(Publication(channel, message)))
            return _UNKEPT
        async with self._kept():
            if keep is None:
                return await self._history.publish_once(channel, message, idempotency)
            return await self._history.publish(channel, message, keep, idempotency)

    async def read(
        self,
        channel: str,
        keep: Keep,
        *,
        since: Position | None = None,
        limit: int,
        reverse: bool = False,
    ) -> Page:
        """Return publications of `channel`, and its position."""
        async with self._kept():
            return await self._history.read(
                channel, keep, since=since, limit=limit, reverse=reverse
            )

    async def forget(self, channel: str) -> None:
        """Remove the history of `channel`; its epoch and offset stay."""
        async with self._kept():
            await self._history.forget(channel)

    # --- presence -------------------------------------------------------------------------------

    async def join(self, channel: str, member: Member) -> None:
        """Note a connection of this process as present."""
        async with self._kept():
            await self._presence.join(channel, member)

    async def leave(self, channel: str, member: Member) -> None:
        """Strike it off; while the broker is away this is done when it is back."""
        async with self._kept():
            await self._presence.leave(channel, member)

    async def members(self, channel: str) -> Roll:
        """Return the connections that are present."""
        async with self._kept():
            return await self._presence.members(channel)

    async def count(self, channel: str) -> tuple[int, int]:
        """Return how many connections and how many different keys are present."""
        members = (await self.members(channel)).members
        return len(members), len({member.key for member in members})

    async def sweep(self, channels: Collection[str]) -> None:
        """Strike off members of dead processes."""
        async with self._kept():
            await self._presence.sweep(channels)

    # --- the connection of now ------------------------------------------------------------------

    def _connected(self) -> Link:
        if self._line.link is None:
            raise BrokerUnavailable("nats: there is no connection to the server")
        return self._line.link

    def _stored(self) -> Streams:
        if self._line.streams is None:
            raise BrokerUnavailable("nats: there is no connection to the server")
        return self._line.streams

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[None]:
        """What needs JetStream, within the timeout."""
        if not self.keeps:
            raise BrokerUnavailable(
                "nats: history, presence and idempotency keys need JetStream, which is off: start "
                "nats-server with -js, or put a jetstream block into its configuration"
            )
        async with self._within():
            yield

    @asynccontextmanager
    async def _within(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise BrokerUnavailable(f"nats: no answer within {self._timeout:g} s") from None
