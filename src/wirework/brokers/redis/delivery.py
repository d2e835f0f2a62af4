"""What Redis tells, handed to the receiver; and whether it tells everything now."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from ...timers import wheel
from ..base import Publication, Receiver
from ..parcels import Joined, UnreadableParcel, unpacked
from .layout import Layout
from .link import Link
from .presence import Presence
from .server import Server

__all__ = ["Complaint", "Delivery"]

COMPLAIN_EVERY: Final = 60.0
_MESSAGES: Final = {b"message", b"smessage"}
_MOVED: Final = b"sunsubscribe"

logger = logging.getLogger("wirework")


class Complaint:
    """A warning that is logged once a minute, however often there is reason for it."""

    def __init__(self, text: str) -> None:
        self.count = 0
        self._text = text
        self._logged_at: float | None = None

    def __call__(self, about: object) -> None:
        """Count one more reason: `about`."""
        self.count += 1
        now = wheel().now()
        if self._logged_at is None or now - self._logged_at >= COMPLAIN_EVERY:
            self._logged_at = now
            logger.warning("broker: %s (%d so far): %s", self._text, self.count, about)


class Delivery:
    """Between the connections and the receiver of one broker.

    Args:
        receiver: whom to tell.
        channels: the channels that are subscribed to, by their names in Redis.
        unreadable: counts parcels that nobody can read.
    """

    def __init__(
        self, receiver: Receiver, channels: dict[bytes, str], unreadable: Complaint
    ) -> None:
        self._receiver = receiver
        self._channels = channels
        self._unreadable = unreadable
        self._away = Complaint("Redis is away")
        self._is_begun = False
        self._is_degraded = False
        self._layout: Layout | None = None
        self._presence: Presence | None = None

    def begin(self, layout: Layout, presence: Presence) -> None:
        """Know what must be written again after a loss."""
        self._layout, self._presence = layout, presence

    def watch(self) -> None:
        """Tell from now on when something is away."""
        self._is_begun = True
        self.on_changed()

    def end(self) -> None:
        """Tell nothing any more."""
        self._is_begun = False
        self._channels.clear()

    # --- Events ---------------------------------------------------------------------------------

    def on_push(self, push: list[Any]) -> None:
        """Hand on a message; look for a subscription that a shard has ended."""
        kind = push[0]
        if kind in _MESSAGES:
            channel = self._channels.get(push[1])
            if channel is not None:
                self._deliver(channel, push[2])
        elif kind == _MOVED and push[1] in self._channels and self._layout is not None:
            self._layout.refresh(lost=push[1])

    def _deliver(self, channel: str, parcel: bytes) -> None:
        try:
            item = unpacked(channel, parcel)
        except UnreadableParcel as error:
            self._unreadable(error)
            return
        if isinstance(item, Publication):
            self._tell(self._receiver.on_publication, item)
        elif isinstance(item, Joined):
            self._tell(self._receiver.on_joined, channel, item.member, item.version)
        else:
            self._tell(self._receiver.on_left, channel, item.member, item.version)

    async def on_connected(self, server: Server, link: Link) -> None:
        """Write this process' presence again."""
        if self._presence is not None:
            await self._presence.on_connected(server, link)

    def on_changed(self) -> None:
        """Tell the receiver when the whole is away, or back."""
        layout = self._layout
        if not self._is_begun or layout is None:
            return
        if not all(server.is_up for server in layout.servers):
            layout.refresh()
        if layout.is_up is not self._is_degraded:
            return
        self._is_degraded = not self._is_degraded
        if self._is_degraded:
            self._away(_reason(layout))
            self._tell(self._receiver.on_degraded)
        else:
            logger.info("broker: Redis is back, every subscription is in force")
            self._tell(self._receiver.on_restored)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception:
            logger.exception("broker: the receiver raised")


def _reason(layout: Layout) -> str:
    lanes = [lane for server in layout.servers for lane in (server.commands, server.listening)]
    return "; ".join(lane.reason for lane in lanes if lane.link is None) or "slots are moving"
