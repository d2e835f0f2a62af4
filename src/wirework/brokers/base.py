"""What every broker is: it carries publications, history and presence between processes.

A broker knows nothing of sockets. The hub of a process is its receiver; everything that it keeps
is named by the full name of a channel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar, Final, NamedTuple, Protocol

from ..publications import Member, Message, Position, Publication

__all__ = [
    "IDEMPOTENCY_WINDOW",
    "META_TTL",
    "UNUSED_TTL",
    "Broker",
    "Keep",
    "Member",
    "Message",
    "Page",
    "Position",
    "Publication",
    "Published",
    "Receiver",
    "Roll",
]

IDEMPOTENCY_WINDOW: Final = 300.0
"""Seconds in which a publication with the same idempotency key is the same publication."""
META_TTL: Final = 30 * 24 * 3600.0
"""Seconds after the last publication for which a channel's position is remembered.

Much longer than its history, so that a quiet channel keeps its epoch.
"""
UNUSED_TTL: Final = 600.0
"""The same for a channel in which nothing was published yet, since it was last asked for.

At least as long as it would keep a publication. So inventing names of channels costs little.
"""


class Keep(NamedTuple):
    """What a channel keeps.

    Args:
        size: publications; with `latest`, keys.
        ttl: seconds since the channel's last publication after which all of them are forgotten,
            and since its own after which one is no longer told.
        latest: only the newest publication of each key is kept.
    """

    size: int
    ttl: float
    latest: bool = False


class Published(NamedTuple):
    """What became of a message.

    `position` is ("", 0) where the channel keeps nothing. `is_duplicate`: its idempotency key was
    used before, and `position` is of the publication then; nothing was published now.
    """

    position: Position
    is_duplicate: bool = False


class Page(NamedTuple):
    """A part of a channel's history.

    `top` is the channel's position when it was read, in the same instant. `is_whole`: with `since`,
    nothing that was published between `since` and `top` is missing from `publications` (with
    `latest`: no key that has changed).
    """

    publications: Sequence[Publication]
    top: Position
    is_whole: bool


class Roll(NamedTuple):
    """Who is present.

    `version` grows with every join and leave in the channel: a `joined` or `left` of a version that
    is not higher is in `members` already.
    """

    members: Sequence[Member]
    version: int


class Receiver(Protocol):
    """What a broker tells; no call waits, none raises."""

    def on_publication(self, publication: Publication) -> None:
        """Something was published in a channel that this process is subscribed to.

        In the order of the channel. At most once; after a loss some may be missing, which the
        offsets show.
        """

    def on_joined(self, channel: str, member: Member, version: int) -> None:
        """A member has come: the first connection of its key."""

    def on_left(self, channel: str, member: Member, version: int) -> None:
        """A member has gone: the last connection of its key."""

    def on_degraded(self) -> None:
        """The broker is away: what is published now may not come. Once, until `on_restored`."""

    def on_restored(self) -> None:
        """The broker is back and every subscription is in force again.

        What was published meanwhile is not told: the receiver reads it (`read` with `since`).
        Every member of this process that was lost with the broker is present again.
        """


class Broker(ABC):
    """Carries publications, history and presence between processes.

    Every method that waits raises `BrokerUnavailable` when the broker does not answer within the
    timeout that it was made with. A cancelled call leaves nothing half done on the connection that
    it used. Calls may come at the same time from many tasks of one event loop.
    """

    name: ClassVar[str]
    """Of the kind: "memory", "redis", "nats"."""
    is_shared: ClassVar[bool] = True
    """Whether other processes can take part."""
    keeps: bool = True
    """Whether it has history and presence; where not, `read`, `join` and their like raise
    `BrokerUnavailable` that says what to switch on. Known once it has started."""
    lease: float = 60.0
    """Seconds after which the members of a process that died are gone. Set it before `start`."""

    # --- its life -------------------------------------------------------------------------------

    @abstractmethod
    async def start(self, receiver: Receiver) -> None:
        """Connect, and tell `receiver` from now on.

        Raises:
            BrokerUnavailable: it cannot be reached, or refuses us; the text says why, without
                passwords.
        """

    @abstractmethod
    async def stop(self) -> None:
        """End everything that was begun: tasks, sockets, the presence of this process."""

    @property
    @abstractmethod
    def is_available(self) -> bool:
        """Whether it can be reached, as far as is known; within 10 s true to life."""

    @property
    def unreadable(self) -> int:
        """How many parcels were dropped since no process of this version has sent them."""
        return 0

    # --- publications ---------------------------------------------------------------------------

    @abstractmethod
    async def subscribe(self, channel: str) -> None:
        """Tell the receiver of everything that is published after this has returned.

        Once for each channel, until `unsubscribe`; the hub does not ask twice. The subscription
        outlives the loss of the broker.
        """

    @abstractmethod
    async def unsubscribe(self, channel: str) -> None:
        """Tell no more of `channel`. Does nothing, and raises nothing, while the broker is away."""

    @abstractmethod
    async def publish(
        self, channel: str, message: Message, keep: Keep | None = None, *, idempotency: str = ""
    ) -> Published:
        """Publish `message`: keep it where `keep` says so, then tell every subscribed process.

        Keeping, numbering and telling are one step: all processes are told in the order of the
        offsets. With an `idempotency` key, what was published in this channel under the same key
        within `IDEMPOTENCY_WINDOW` is not published again, also without `keep`. After
        `BrokerUnavailable` it is unknown whether it was published: repeat it with the same key.
        """

    @abstractmethod
    async def read(
        self,
        channel: str,
        keep: Keep,
        *,
        since: Position | None = None,
        limit: int,
        reverse: bool = False,
    ) -> Page:
        """Return publications: those after `since`, or from the oldest on, in order.

        At most `limit` (0: none, to learn the position); `reverse`: the newest first, those before
        `since`. A channel in which nothing was ever published gets an epoch by this,
        which may be forgotten when nobody reads for `UNUSED_TTL` or `keep.ttl`.
        `is_whole` is False for a `since` of another epoch or beyond `top`, where history no longer
        reaches back to it, and where `limit` cuts.
        """

    @abstractmethod
    async def forget(self, channel: str) -> None:
        """Remove the history of `channel`; its epoch and offset stay."""

    # --- presence -------------------------------------------------------------------------------

    @abstractmethod
    async def join(self, channel: str, member: Member) -> None:
        """Note a connection of this process as present.

        Processes that are subscribed are told of the first connection of its key. To join again
        changes nothing but its info.
        """

    @abstractmethod
    async def leave(self, channel: str, member: Member) -> None:
        """Strike it off; subscribed processes are told of the last connection of its key."""

    @abstractmethod
    async def members(self, channel: str) -> Roll:
        """Return the connections that are present, of all living processes.

        The members of a process that died are gone within its lease; whoever reads or sweeps
        strikes them off, and subscribed processes are told that they left.
        """

    @abstractmethod
    async def count(self, channel: str) -> tuple[int, int]:
        """Return how many connections and how many different keys are present, without the list."""

    async def sweep(self, channels: Collection[str]) -> None:
        """Strike off members of processes that have died, in channels this one is subscribed to.

        The hub calls it now and then. The default does nothing.
        """
        return
