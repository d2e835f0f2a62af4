"""What a new subscriber is told of the past at once, and what follows when there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ..brokers.base import Page
from ..publications import Position, Publication
from .recovery import is_for
from .subscription import Subscription

__all__ = ["MOST_TOLD", "Past"]

MOST_TOLD: Final = 256 * 1024
"""Bytes of publications that come with `subscribed`; the others follow, each by itself.

Clients limit what one message may have, many of them at a megabyte.
"""
_WORDS: Final = 128
"""Bytes that a publication takes beside its data, about."""


class Past(NamedTuple):
    """The past of a channel for one subscriber.

    Args:
        told: publications that come with `subscribed`.
        rest: those of the page that come later.
        before: where the subscriber stands before `told`.
        position: where it stands after them.
        is_cut: whether more follows.
    """

    told: Sequence[Publication]
    rest: Sequence[Publication]
    before: Position
    position: Position
    is_cut: bool

    @classmethod
    def of(cls, subscription: Subscription, page: Page | None, room: int) -> Past:
        """Return the past of `subscription`: at most `room` bytes at once, but for a lone one."""
        if page is None:
            here = subscription.position
            return cls((), (), here, here, is_cut=False)
        found = [each for each in page.publications if is_for(subscription, each)]
        count = _fitting(found, room)
        told, rest = found[:count], found[count:]
        position = page.top
        topic = subscription.topic
        is_stream = topic is not None and topic.rules.mode != "latest"
        is_cut = bool(rest) or (is_stream and bool(page.publications) and not page.is_whole)
        if rest:
            position = _before(rest[0])
        elif is_cut:
            position = page.publications[-1].position
        return cls(told, rest, _before(told[0]) if told else position, position, is_cut)


def _fitting(publications: Sequence[Publication], room: int) -> int:
    """Return how many of them have at most `room` bytes; one does, if there is any room."""
    size = 0
    for count, publication in enumerate(publications):
        size += len(publication.message.data) + _WORDS
        if size > room and (count or not room):
            return count
    return len(publications)


def _before(publication: Publication) -> Position:
    return Position(publication.epoch, publication.offset - 1)
