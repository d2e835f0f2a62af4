"""The channels of an application: how they are declared, and what the server does with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from . import closecodes
from .binding.binder import Binder
from .broadcast import broadcast
from .brokers import broker_of
from .brokers.base import Broker
from .channels.channel import Channel, NamedChannel
from .channels.content import encoded, is_html
from .channels.control import Disconnected, Expelled, Posted, Sent, notice_of, packed_notice
from .channels.directory import Channels
from .channels.hub import Hub
from .channels.subscription import frame_of, variant_of
from .json import JsonAdapter
from .json.depth import plain
from .mailboxes import Mailboxes
from .publications import Message, Position, Publication
from .security.identity import user_key
from .settings import Settings
from .websocket import WebSocket

if TYPE_CHECKING:
    from .reception import Reception

__all__ = ["ChannelHost"]

logger = logging.getLogger("wirework")

T = TypeVar("T")


class ChannelHost:
    """What an application has of channels."""

    channels: Channels
    """All of them."""
    mailboxes: Mailboxes
    """Where messages of connections arrive that are no WebSockets."""
    _reception: Reception

    def _open_channels(
        self, settings: Settings, json: JsonAdapter, binder: Binder, broker: Broker | None
    ) -> None:
        """Make the hub; the broker is not asked for anything yet."""
        self._notices: set[asyncio.Task[Any]] = set()
        if broker is None:
            broker = broker_of(
                settings.broker, timeout=settings.broker_timeout, prefix=settings.broker_prefix
            )
            broker.lease = settings.presence_lease
        hub = Hub(
            broker,
            history_limit=settings.history_limit,
            presence_grace=settings.presence_grace,
            on_control=self._on_notice,
        )
        self.channels = Channels(json, binder, hub)
        self.mailboxes = Mailboxes(settings, hub)

    # --- what there is --------------------------------------------------------------------------

    def _declare(self, channel: Channel[Any]) -> None:
        self.channels.add(channel)

    def channel_named(self, name: str) -> NamedChannel[Any]:
        """Return the channel that is called `name`: `app.channel_named("chat:42")`.

        Raises:
            NoSuchChannel: no declared channel has such names.
        """
        return self.channels.find(name)[0]

    # --- what the server does -------------------------------------------------------------------

    async def publish(self, name: str, data: Any, **options: Any) -> Position | None:
        """Publish `data` in the channel called `name`; see `NamedChannel.publish`.

        Raises:
            NoSuchChannel: no declared channel has such names.
        """
        return await self.channel_named(name).publish(data, **options)

    async def publish_to_user(self, user: Any, data: Any, *, name: str = "") -> None:
        """Send `data` to every connection of a user, on every worker, in its dialect.

        Who is not connected misses it: for what must arrive use a channel with history.

        Args:
            user: what authentication returned, or its `id`.
            data: any JSON; an element or `Fragment` for HTMX.
            name: of the event, in dialects that have names.

        Raises:
            TypeError: the data cannot be JSON.
            BrokerUnavailable: it is unknown whether other workers were told.
        """
        said = encoded(data, self.channels.json)
        notice = Sent(str(user_key(user)), name, said, is_html(data))
        await self.channels.hub.tell_workers(packed_notice(notice))

    async def expel(
        self, channel: str, user: Any = None, *, code: str = "expelled", reason: str = ""
    ) -> None:
        """End a user's subscriptions to a channel, on every worker; without `user`, everybody's.

        They are told "unsubscribed" with the code and the reason. `on_subscribe` decides whether
        they may come back.

        Raises:
            BrokerUnavailable: it is unknown whether other workers were told.
        """
        key = None if user is None else str(user_key(user))
        notice = Expelled(channel, key, code, reason)
        await self.channels.hub.tell_workers(packed_notice(notice))

    async def disconnect_everywhere(
        self,
        user: Any,
        *,
        code: int = closecodes.NOT_AUTHENTICATED,
        reason: str = "signed out",
    ) -> None:
        """Close the connections of a user on every worker; see `disconnect`.

        Raises:
            ValueError: a code that may not be sent, or a reason that is too long.
            BrokerUnavailable: it is unknown whether other workers were told.
        """
        closecodes.check_close(code, reason)
        notice = Disconnected(str(user_key(user)), code, reason)
        await self.channels.hub.tell_workers(packed_notice(notice))

    # --- what other workers tell ----------------------------------------------------------------

    def _on_notice(self, data: bytes) -> None:
        notice = notice_of(data)
        if isinstance(notice, Sent):
            task = asyncio.get_running_loop().create_task(self._send(notice))
            self._notices.add(task)
            task.add_done_callback(self._notices.discard)
        elif isinstance(notice, Expelled):
            keys = None if notice.user is None else {f"u:{notice.user}"}
            self.channels.hub.expel(notice.channel, keys, notice.code, notice.reason)
        elif isinstance(notice, Posted):
            self.mailboxes.take(notice)
        elif isinstance(notice, Disconnected):
            for ws in self._reception.of_user(notice.user):
                ws.end(notice.code, notice.reason)

    async def _send(self, notice: Sent) -> None:
        sockets = self._reception.of_user(notice.user)
        if notice.is_html:
            shown = [ws for ws in sockets if ws.conversation and ws.conversation.has_html]
            sockets = [ws for ws in sockets if ws not in shown]
            _show(shown, notice.data)
        value = plain(self.channels.json).decode(notice.data)
        for (_, has_names), group in _by_dialect(sockets).items():
            try:
                await broadcast(group, value, name=notice.name if has_names else "")
            except Exception:
                logger.exception("a message to a user cannot be said to %r", group[0])


def _show(sockets: Iterable[WebSocket], html: bytes) -> None:
    """Send HTML to pages."""
    publication = Publication("", Message(html, is_html=True))
    for ws in sockets:
        frame = frame_of(ws, publication)
        if frame is not None and ws.connection.is_open:
            ws.connection.push(frame)


def _by_dialect(sockets: Iterable[WebSocket]) -> dict[tuple[Hashable, bool], list[WebSocket]]:
    """Part connections by how their messages look, and whether these have names."""
    found: dict[tuple[Hashable, bool], list[WebSocket]] = {}
    for ws in sockets:
        has_names = ws.conversation is not None and ws.conversation.has_names
        found.setdefault((variant_of(ws), has_names), []).append(ws)
    return found
