"""What an application tells others, by the broker, of the channels that it has declared.

Who publishes from outside must keep publications as the application does, and asks here how.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

import msgspec

from ..brokers.base import META_TTL, Broker, Keep
from ..publications import Message
from .names import ChannelTemplate

__all__ = ["Declared", "announce", "declared"]

logger = logging.getLogger("wirework")

_CHANNEL: Final = "$wirework:declared"
_KEEP: Final = Keep(size=10_000, ttl=META_TTL, latest=True)


class Declared(msgspec.Struct, frozen=True):
    """A family of channels, as far as who publishes must know it."""

    template: str
    keep: Keep | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Declared).decode


async def announce(broker: Broker, families: Iterable[Declared]) -> None:
    """Tell who asks which channels there are.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    for family in families:
        await broker.publish(_CHANNEL, Message(_encode(family), key=family.template), _KEEP)


async def declared(broker: Broker) -> list[tuple[ChannelTemplate, Declared]]:
    """Return the families of channels that applications of this broker have declared.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    page = await broker.read(_CHANNEL, _KEEP, limit=_KEEP.size)
    found: list[tuple[ChannelTemplate, Declared]] = []
    for publication in page.publications:
        try:
            family = _decode(publication.message.data)
        except msgspec.MsgspecError as error:
            logger.warning("a channel was declared that this version cannot read: %s", error)
            continue
        found.append((ChannelTemplate(family.template, "declared"), family))
    return found
