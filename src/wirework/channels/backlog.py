"""What a channel with many subscriptions has yet to tell: a part of them at a time, in turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ..outbox import Outgoing
from ..publications import Publication
from .subscription import Subscription, variant_of

if TYPE_CHECKING:
    from .topic import Topic

__all__ = ["Backlog"]

_PART: Final = 16
"""Subscriptions that are told in one step, at least; few, so that others come in soon."""
_PARTS: Final = 64
"""Steps of one round, at most."""
_MAX: Final = 32
"""Publications that wait; with more, whoever brings them waits until all are told."""


class Backlog:
    """Goes round the subscriptions of a channel, and tells each all that it has not been told.

    What is published while others are told reaches those whose turn is still to come together with
    what was there before, so that it leaves in one write.

    Args:
        topic: the channel.
    """

    __slots__ = ("_steps", "_topic", "_waiting")

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._waiting: deque[_Telling] = deque()
        self._steps: Iterator[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether what waits should be told before more is taken."""
        return len(self._waiting) >= _MAX

    def add(self, sequence: int, publication: Publication) -> None:
        """Have a publication told to those who are live now."""
        self._waiting.append(_Telling(sequence, publication))

    def steps(self) -> Iterator[None]:
        """Return what tells them; it yields after each step."""
        if self._steps is None:
            self._steps = self._tell()
        return self._steps

    def empty(self) -> None:
        """Tell everything at once."""
        for _ in self.steps():
            pass

    def _tell(self) -> Iterator[None]:
        waiting = self._waiting
        try:
            while waiting:
                told = waiting[-1].sequence
                members = [each for group in self._topic.groups.values() for each in group]
                part = max(_PART, len(members) // _PARTS)
                for at in range(0, len(members), part):
                    told = min(told, self._tell_part(members[at : at + part]))
                    yield
                while waiting and waiting[0].sequence <= told:
                    waiting.popleft()
        finally:
            self._steps = None

    def _tell_part(self, members: list[Subscription]) -> int:
        """Return up to which publication all of them were told."""
        last = self._waiting[-1].sequence
        told = last
        since, untold = -1, [*self._waiting]
        for subscription in members:
            if subscription.since >= last or not self._topic.is_live(subscription):
                continue
            if subscription.since != since:
                since = subscription.since
                untold = [each for each in self._waiting if each.sequence > since]
            self._tell_one(subscription, untold)
            told = min(told, subscription.since)
        return told

    def _tell_one(self, subscription: Subscription, untold: Sequence[_Telling]) -> None:
        topic, outbox = self._topic, subscription.connection.outbox
        variant = variant_of(subscription.ws)
        is_slow = outbox.is_congested
        for at, telling in enumerate(untold):
            if outbox.is_congested and not is_slow:
                return  # it may be written until the next round
            frame = telling.frame(topic, subscription, variant)
            if frame is not None and not topic.give(subscription, frame, telling.publication):
                _keep(subscription, untold[at + 1 :])
                break
            subscription.since = telling.sequence
        subscription.since = untold[-1].sequence


class _Telling:
    """A publication on its way, with its frames, by how they look."""

    __slots__ = ("_frames", "publication", "sequence")

    def __init__(self, sequence: int, publication: Publication) -> None:
        self.sequence = sequence
        self.publication = publication
        self._frames: dict[Hashable, Outgoing | None] = {}

    def frame(self, topic: Topic, subscription: Subscription, variant: Hashable) -> Outgoing | None:
        """Return the frame for those who look like this subscription, made once."""
        if variant not in self._frames:
            self._frames[variant] = topic.frame(subscription, self.publication)
        return self._frames[variant]


def _keep(subscription: Subscription, untold: Sequence[_Telling]) -> None:
    """Have a subscription that has fallen behind get the newest of each key later."""
    if subscription.pending is not None:
        for each in untold:
            subscription.pending[each.publication.message.key] = each.publication
