"""One channel in one process: who gets its publications, and up to where they have come."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from .. import closecodes
from ..commands import Gap, Output
from ..errors import ConnectionClosed, StateError
from ..outbox import Origin, Outgoing
from ..publications import Position, Publication
from .backlog import Backlog
from .roster import EVERYBODY, Roster
from .rules import Rules
from .subscription import Subscription, frame_of, variant_of

if TYPE_CHECKING:
    from .consumer import Consumer

__all__ = ["Topic"]

logger = logging.getLogger("wirework")

_AT_ONCE: Final = 64
"""Subscriptions that are told in one go; of more, everybody else gets a turn in between."""
_MAX_HELD: Final = 1000
"""Publications that wait until those before them were read; of more, history is read again."""


class Keeper(Protocol):
    """What a topic asks of its hub."""

    def catch_up(self, topic: Topic, subscription: Subscription) -> None:
        """The outbox of a subscription has no room: tell it later what it misses."""

    def tell_in_turns(self, backlog: Backlog) -> None:
        """There is a backlog: run its `steps`, with other channels' in between."""

    def leave(self, subscription: Subscription) -> None:
        """The connection of a subscription has ended."""


class Topic:
    """A channel that somebody of this process is subscribed to.

    Args:
        name: of the channel.
        rules: of its family.
        keeper: does what takes time.
    """

    def __init__(self, name: str, rules: Rules, keeper: Keeper) -> None:
        self.name = name
        self.rules = rules
        self._keeper = keeper
        self.groups: dict[Hashable, dict[Subscription, None]] = {}
        """Live subscriptions, by how their frames look."""
        self.waiting: dict[Subscription, None] = {}
        """Subscriptions that hold, or have read further than this topic has come."""
        self.behind: dict[Subscription, None] = {}
        """Subscriptions whose outbox has no room."""
        self.consumers: dict[Consumer, None] = {}
        self.sequence = 0
        """Publications that were told here."""
        self.position = Position()
        """Up to where publications were told, where the broker keeps them."""
        self.held: deque[Publication] | None = deque(maxlen=_MAX_HELD)
        """Publications that wait until those before them were read; None: none is missing."""
        self.backlog: Backlog | None = None
        """What is told step by step, since there are many subscriptions; None: nothing ever was."""
        self.roster: Roster | None = None
        """Who is there, as was told here; None: nobody is told, or none of that can be lost."""
        self.claims = 0
        """Tasks that are about to subscribe."""
        self.opening: asyncio.Future[None] | None = None
        self.closing: asyncio.Future[None] | None = None
        self.backfill: asyncio.Task[None] | None = None
        self.dropped = 0
        """Frames that slow subscribers did not get."""
        self.is_congested = False
        """Whether a subscriber's outbox was more than half full."""
        self._is_unspeakable = False

    def __repr__(self) -> str:
        return f"<Topic {self.name} {len(self)}>"

    def __len__(self) -> int:
        live = sum(map(len, self.groups.values()))
        return live + len(self.waiting) + len(self.behind) + len(self.consumers)

    def __iter__(self) -> Iterator[Subscription]:
        """All subscriptions, as they are now."""
        live = [each for group in self.groups.values() for each in group]
        return iter([*live, *self.waiting, *self.behind])

    @property
    def announces(self) -> bool:
        """Whether subscribers are told who comes and goes."""
        presence = self.rules.presence
        return presence is not None and presence.announce

    @property
    def is_empty(self) -> bool:
        """Whether nobody is subscribed, or about to be."""
        return not (self.claims or self.waiting or self.behind or self.consumers or self.groups)

    # --- subscriptions --------------------------------------------------------------------------

    def add(self, subscription: Subscription) -> None:
        """Have a subscription hold what comes from now on."""
        self.waiting[subscription] = None
        subscription.position = self.position
        subscription.since = self.sequence

    def go_live(self, subscription: Subscription) -> None:
        """Tell a subscription everything that comes after its position, from now on."""
        self.behind.pop(subscription, None)
        mine, here = subscription.position, self.position
        if mine.epoch != here.epoch or mine.offset > here.offset:
            self.waiting[subscription] = None
            return
        self.waiting.pop(subscription, None)
        if not self.waiting:
            self.waiting.clear()  # lets go of the memory of those that were there
        self._make_live(subscription)

    def _make_live(self, subscription: Subscription, since: int | None = None) -> None:
        subscription.since = self.sequence if since is None else since
        self.groups.setdefault(subscription.variant, {})[subscription] = None

    def fall_behind(self, subscription: Subscription, position: Position) -> None:
        """Tell a subscription nothing for now; it has got everything up to `position`."""
        self._leave_group(subscription)
        self.waiting.pop(subscription, None)
        self.behind[subscription] = None
        subscription.position = position
        subscription.pending = {} if self.rules.mode == "latest" else None

    def fall_back(self, subscription: Subscription, position: Position) -> None:
        """Tell a subscription later, from history, what its outbox has given up."""
        self.fall_behind(subscription, position)
        subscription.pending = None
        subscription.falls += 1

    def has_room_for(self, subscription: Subscription) -> bool:
        """Whether a subscription can be told more of the past; without history there is none."""
        return self.rules.keep is None or not subscription.connection.outbox.is_congested

    def fall_behind_with(
        self,
        subscription: Subscription,
        untold: Sequence[Publication | Gap],
        position: Position | None = None,
    ) -> None:
        """Tell a new subscription later what it has not been told yet.

        It is at `position`; None: right before the first of `untold`.
        """
        if position is None:
            first = untold[0].position
            position = Position(first.epoch, first.offset - 1)
        self.fall_behind(subscription, position)
        if subscription.pending is None:
            return
        for each in untold:
            if isinstance(each, Publication):
                subscription.pending.pop(each.message.key, None)
                subscription.pending[each.message.key] = each
            else:
                subscription.say(each)

    def remove(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._leave_group(subscription)
        self.waiting.pop(subscription, None)
        self.behind.pop(subscription, None)
        subscription.topic = None

    def is_live(self, subscription: Subscription) -> bool:
        """Whether it is told what is published."""
        return subscription in self.groups.get(subscription.variant, ())

    def _leave_group(self, subscription: Subscription) -> None:
        group = self.groups.get(subscription.variant)
        if group is not None and subscription in group:
            del group[subscription]
            if not group:
                del self.groups[subscription.variant]

    def regroup(self, subscription: Subscription) -> None:
        """Tell a subscription what comes in the words that its connection has by now."""
        is_live = self.is_live(subscription)
        self._leave_group(subscription)
        subscription.variant = variant_of(subscription.ws)
        if is_live:
            self.groups.setdefault(subscription.variant, {})[subscription] = None

    def _regroup(self) -> None:
        """See to it that the first of each group, who encodes for it, still speaks as it does.

        Of HTMX a client tells its version in its first message, which may come after it was
        subscribed; the frames for those whose version is not known suit the others, too.
        """
        for variant, group in list(self.groups.items()):
            while (first := next(iter(group), None)) is not None:
                own = variant_of(first.ws)
                if own == variant:
                    break
                self.regroup(first)

    # --- publications ---------------------------------------------------------------------------

    def accept(self, publication: Publication) -> bool:
        """Note that a publication has come; False: it is not its turn, or it was told before.

        One that is ahead of its turn is held: `held` is no longer None then.
        """
        if self.held is not None:
            self.held.append(publication)
            return False
        if not publication.offset or self.rules.keep is None:
            return True
        here = self.position
        step = publication.offset - here.offset
        if publication.epoch != here.epoch or step > 1:
            self.hold(publication)
            return False
        if step < 1:
            return False
        self.position = publication.position
        return True

    def hold(self, *publications: Publication) -> None:
        """Tell nothing until `release`; what comes is kept in order."""
        self.held = deque(publications, maxlen=_MAX_HELD)

    def release(self) -> list[Publication]:
        """Return what was held and comes next; where a hole is before the rest, that is held on."""
        held = self.held
        ready: list[Publication] = []
        assert held is not None
        while held:
            publication = held[0]
            if publication.offset and self.rules.keep is not None:
                here = self.position
                if publication.epoch != here.epoch or publication.offset > here.offset + 1:
                    return ready
                if publication.offset <= here.offset:
                    held.popleft()
                    continue
                self.position = publication.position
            ready.append(held.popleft())
        self.held = None
        return ready

    # --- telling --------------------------------------------------------------------------------

    def tell(self, publication: Publication) -> None:
        """Tell every subscription of a publication whose turn it is."""
        self.sequence += 1
        for consumer in list(self.consumers):
            consumer.put(publication)
        if self.waiting:
            self._tell_waiting(publication)
        if self.behind:
            self._tell_behind(publication)
        if self.backlog or sum(map(len, self.groups.values())) > _AT_ONCE:
            self._tell_in_turns(publication)
            return
        self._regroup()
        for group in list(self.groups.values()):
            members = list(group)
            frame = self.frame(members[0], publication)
            for subscription in members if frame is not None else ():
                assert frame is not None
                self.give(subscription, frame, publication)

    def _tell_in_turns(self, publication: Publication) -> None:
        if self.backlog is None:
            self.backlog = Backlog(self)
        self.backlog.add(self.sequence, publication)
        if self.backlog.is_full:
            self.backlog.empty()
        else:
            self._keeper.tell_in_turns(self.backlog)

    def give(self, subscription: Subscription, frame: Outgoing, publication: Publication) -> bool:
        """Push the frame of a publication; False: the subscription is not live any more."""
        connection = subscription.connection
        if connection.outbox.is_congested:
            self.is_congested = True
            if self.rules.overflow != "close":
                return self._skip(subscription, publication)
        exclude = publication.message.exclude
        if exclude and connection.id in exclude:
            return True
        try:
            connection.push(frame)
            return not (self.behind and subscription in self.behind)
        except (ConnectionClosed, StateError):  # or too much for one that is not accepted yet
            self._keeper.leave(subscription)
            return False
        except Exception:  # of a transport; the others are told all the same
            logger.exception("%s cannot be told what is published", connection.id)
            self._keeper.leave(subscription)
            connection.close(closecodes.INTERNAL_ERROR, "internal error")
            return False

    def _skip(self, subscription: Subscription, publication: Publication) -> bool:
        """The outbox of a subscription has no room for this publication; False: it is behind."""
        overflow = self.rules.overflow
        if overflow == "drop" or (overflow == "catch_up" and not publication.offset):
            self.dropped += 1
            return True
        before = Position(publication.epoch, publication.offset - 1)
        self.fall_behind(subscription, before)
        if subscription.pending is not None:
            subscription.pending[publication.message.key] = publication
        self._keeper.catch_up(self, subscription)
        return False

    def _tell_waiting(self, publication: Publication) -> None:
        for subscription in list(self.waiting):
            if subscription.held is not None:
                subscription.held.append(publication)
                continue
            mine = subscription.position
            if publication.epoch == mine.epoch and publication.offset <= mine.offset:
                continue
            del self.waiting[subscription]
            self._make_live(subscription, self.sequence - 1)

    def _tell_behind(self, publication: Publication) -> None:
        for subscription in self.behind:
            pending = subscription.pending
            if pending is not None:
                if pending.pop(publication.message.key, None) is not None:
                    self.dropped += 1
                pending[publication.message.key] = publication

    def frame(self, subscription: Subscription, publication: Publication) -> Outgoing | None:
        """Return what tells a subscription of a publication; None: there are no words for it."""
        try:
            frame = frame_of(subscription.ws, publication)
        except Exception:
            if not self._is_unspeakable:
                logger.exception("a publication in %r cannot be said", self.name)
            self._is_unspeakable = True
            return None
        if frame is not None and self.rules.keep is not None:
            frame.origin = self.origin(publication)
            if self.rules.mode == "latest":
                frame.key = f"{self.name}\n{publication.message.key}"
        return frame

    def origin(self, publication: Publication) -> Origin | None:
        """Return where who does not get it stands; None: it may be missing."""
        if self.rules.keep is None or not publication.offset:
            return None
        return self.name, Position(publication.epoch, publication.offset - 1)

    def tell_gap(self, position: Position) -> None:
        """Tell everybody that something is missing before `position`, where this goes on.

        Not those who have read further, nor those who are behind: they read history themselves.
        """
        if self.backlog is not None:
            self.backlog.empty()  # what comes before the gap is told before it
        before, self.position = self.position, position
        for subscription in self:
            mine = subscription.position
            has_it = mine.epoch == position.epoch and mine.offset >= position.offset
            reads = subscription in self.behind and subscription.pending is None
            if subscription.held is not None or reads or (subscription in self.waiting and has_it):
                continue
            subscription.position = position
            subscription.say(Gap(self.name, position), before)
        for consumer in list(self.consumers):
            consumer.lose()

    def announce(
        self, output: Output, key: str, version: int, listed_since: int = EVERYBODY
    ) -> None:
        """Tell who has come or gone: everybody but the member itself.

        With `listed_since` only those who have been told a list of a higher version.
        """
        for subscription in self:
            if subscription.held is not None or subscription.member.key == key:
                continue
            if subscription.presence_version > listed_since:
                subscription.announce(output, version)
