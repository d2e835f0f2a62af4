"""Where messages arrive that come in requests of their own, for connections of any worker."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from .channels.control import Posted, packed_notice
from .connection import Mailbox, size_of
from .errors import BrokerUnavailable
from .security.buckets import Budget
from .settings import Settings
from .timers import wheel
from .types import Frame

if TYPE_CHECKING:
    from .channels.hub import Hub

__all__ = ["Mailboxes", "Recipient"]

_MAX_SENDERS: Final = 4096
"""Sessions of other workers whose budgets are kept."""


class Recipient(Protocol):
    """A connection's side of its mailbox."""

    async def put(self, message: Frame) -> None:
        """Hand a message to the connection; wait while its inbox is full."""

    def put_at_once(self, message: Frame) -> None:
        """Hand over a message that cannot be held up; one too many ends the connection."""


class Mailboxes:
    """The mailboxes of one process: a session is the address of one, known to its peer alone.

    A session names its worker, the node. A message that arrives at another worker goes there
    through the broker: with a `secret_key` only one whose session was issued by a worker with the
    same key, and each session only within `message_rate` and `byte_rate`.

    Args:
        settings: of the application.
        hub: tells other workers.
    """

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self._settings = settings
        self._key = settings.secret_key.encode() if settings.secret_key else b""
        self._hub = hub
        self._open: dict[str, Recipient] = {}
        self._senders: OrderedDict[str, Budget] = OrderedDict()

    @cached_property
    def node(self) -> str:
        """This worker, for as long as it lives: not named before it serves, or forks shared it."""
        return secrets.token_hex(8)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, recipient: Recipient) -> Mailbox:
        """Return the mailbox of a new connection."""
        secret = secrets.token_urlsafe(18)
        session = f"{secret}.{self._signature(self.node, secret)}"
        self._open[session] = recipient
        return Mailbox(session, self.node)

    def close(self, mailbox: Mailbox) -> None:
        """Take nothing more for a connection."""
        self._open.pop(mailbox.session, None)

    async def post(self, mailbox: Mailbox, message: Frame) -> int:
        """Deliver a message, to another worker if need be; return the HTTP status that says so.

        204: it was taken, or its connection has just ended. 404: there is no such worker, or it
        never opened this session. 429: too many. 503: the broker is away.
        """
        if mailbox.node == self.node:
            recipient = self._open.get(mailbox.session)
            if recipient is not None:
                await recipient.put(message)
            return 204
        if not self._hub.broker.is_shared or not self._is_genuine(mailbox):
            return 404
        if not self._is_affordable(mailbox.session, message):
            return 429
        try:
            await self._hub.tell_workers(packed_notice(_posted(mailbox.session, message)))
        except BrokerUnavailable:
            return 503
        return 204

    def take(self, posted: Posted) -> None:
        """Take what arrived at another worker; what is not for this one is ignored."""
        recipient = self._open.get(posted.session)
        if recipient is not None:
            recipient.put_at_once(posted.data if posted.message is None else posted.message)

    def _signature(self, node: str, secret: str) -> str:
        said = f"wirework mailbox\n{node}\n{secret}".encode()
        return hmac.new(self._key, said, sha256).hexdigest()[:32]

    def _is_genuine(self, mailbox: Mailbox) -> bool:
        secret, _, signature = mailbox.session.partition(".")
        expected = self._signature(mailbox.node, secret)
        return not self._key or hmac.compare_digest(expected.encode(), signature.encode())

    def _is_affordable(self, session: str, message: Frame) -> bool:
        budget = self._senders.pop(session, None) or Budget.of(self._settings)
        if budget is None:
            return True
        self._senders[session] = budget
        if len(self._senders) > _MAX_SENDERS:
            self._senders.popitem(last=False)
        return not budget.charge(size_of(message), wheel().now())


def _posted(session: str, message: Frame) -> Posted:
    if isinstance(message, bytes):
        return Posted(session, data=message)
    return Posted(session, message)
