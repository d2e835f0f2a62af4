"""What an application tells others, by the broker, of the channels that it has declared.

Who publishes from outside must keep publications as the application does, and asks here how. All
that one version of an application declares is one record, an edition: workers that run the same
code have the same one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from ..brokers.base import META_TTL, Broker, Keep
from ..errors import RegistrationError
from ..publications import Message, Position
from .families import Families
from .names import ChannelTemplate

__all__ = ["Announcement", "Declared", "declared"]

logger = logging.getLogger("wirework")

_CHANNEL: Final = "$wirework:editions"
_KEEP: Final = Keep(size=100, ttl=META_TTL, latest=True)
_RENEWED_AFTER: Final = 600_000
"""Milliseconds after which an edition is told again, by one of the workers that run it."""
_REPLACED_AFTER: Final = 3_600_000
"""Milliseconds for which an edition must have been told by nobody until another can replace it."""


class Declared(msgspec.Struct, frozen=True):
    """A family of channels, as far as who publishes must know it."""

    template: str
    keep: Keep | None = None


class Edition(msgspec.Struct, frozen=True):
    """What an application declares; `since`: when it was last started, in ms of Unix time."""

    since: int
    families: tuple[Declared, ...]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Edition).decode


class Announcement:
    """Tells who asks which channels an application has, and keeps the broker from forgetting it.

    Args:
        broker: where it is told.
        families: returns what is declared now.
        clock: seconds of Unix time.
    """

    def __init__(
        self,
        broker: Broker,
        families: Callable[[], Iterable[Declared]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._families = families
        self._clock = clock
        self._since = 0
        self._key = ""
        self._seen = Position()
        self._renew_at = 0

    async def begin(self) -> None:
        """Tell it: the application starts, and what it declares is the newest.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        self._key = ""
        await self.renew()

    async def renew(self) -> None:
        """Tell it again where the broker has lost it, or nobody has told it for ten minutes.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        now, families = self._now(), tuple(self._families())
        if not families:
            return
        key = _key_of(families)
        if key != self._key:
            self._since = now
        elif now < self._renew_at and await self._is_as_seen():
            return
        page = await self._broker.read(_CHANNEL, _KEEP, limit=_KEEP.size)
        told = [each.message for each in page.publications if each.message.key == key]
        self._seen = page.top
        if key == self._key and told and now - told[-1].at < _RENEWED_AFTER:
            self._renew_at = told[-1].at + _RENEWED_AFTER
            return
        edition = Edition(max([self._since, *_starts(told)]), families)
        message = Message(_encode(edition), key=key, at=now)
        self._seen = (await self._broker.publish(_CHANNEL, message, _KEEP)).position
        self._key, self._renew_at = key, now + _RENEWED_AFTER

    async def _is_as_seen(self) -> bool:
        return (await self._broker.read(_CHANNEL, _KEEP, limit=0)).top == self._seen

    def _now(self) -> int:
        return round(self._clock() * 1000)


class _Told(NamedTuple):
    edition: Edition
    shapes: frozenset[str]
    at: int


async def declared(broker: Broker) -> list[Families[Keep | None]]:
    """Return what applications of this broker declare: of each edition, the newest first.

    Not those that were replaced: nobody has told them for an hour, but meanwhile another edition
    that has a channel in common with them.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    page = await broker.read(_CHANNEL, _KEEP, limit=_KEEP.size)
    told = [_told(each.message) for each in reversed(page.publications)]
    found = [each for each in told if each is not None and not _is_replaced(each, told)]
    found.sort(key=lambda each: each.edition.since, reverse=True)
    return [_families(each.edition) for each in found]


def _told(message: Message) -> _Told | None:
    try:
        edition = _decode(message.data)
    except msgspec.MsgspecError as error:
        logger.warning("channels were declared that this version cannot read: %s", error)
        return None
    shapes = frozenset(template.shape for template, _ in _templates(edition))
    return _Told(edition, shapes, message.at)


def _is_replaced(one: _Told, others: Iterable[_Told | None]) -> bool:
    return any(
        each.at > one.at + _REPLACED_AFTER and not each.shapes.isdisjoint(one.shapes)
        for each in others
        if each is not None
    )


def _families(edition: Edition) -> Families[Keep | None]:
    families: Families[Keep | None] = Families()
    for template, keep in _templates(edition):
        families.add(template, keep)
    return families


def _templates(edition: Edition) -> list[tuple[ChannelTemplate, Keep | None]]:
    found = []
    for family in edition.families:
        try:
            found.append((ChannelTemplate(family.template, "declared"), family.keep))
        except RegistrationError as error:
            logger.warning("a channel was declared that this version cannot read: %s", error)
    return found


def _starts(told: Iterable[Message]) -> list[int]:
    return [each.edition.since for message in told if (each := _told(message)) is not None]


def _key_of(families: Iterable[Declared]) -> str:
    alike = sorted(families, key=lambda family: family.template)
    return blake2b(_encode(alike), digest_size=16).hexdigest()
