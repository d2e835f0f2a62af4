"""How a dialect with names says what reaches everybody in a shared session."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ..commands import Command, Event, Output, Subscribed
from ..json import JsonAdapter
from ..json.depth import plain
from ..publications import Publication
from ..types import Frame
from .base import Codec, Dialect

__all__ = ["SharedCodec"]


class SharedCodec:
    """A codec that says publications of one channel as events, called as their key.

    Those without a key, or with one that is a word of the dialect, are said as publications.

    Args:
        codec: of the connection's dialect.
        dialect: the dialect.
        json: reads what was published.
        channel: the name of the channel.
    """

    def __init__(self, codec: Codec, dialect: Dialect, json: JsonAdapter, channel: str) -> None:
        self.variant: Hashable = ("shared", channel, codec.variant)
        self._codec = codec
        self._reserved = dialect.reserved
        self._json = plain(json)
        self.channel = channel

    def decode(self, frame: Frame) -> Sequence[Command]:
        """Return the commands in `frame`; see `Codec`."""
        return self._codec.decode(frame)

    def encode(self, output: Output) -> Frame | None:
        """Return the frame that says `output`; see `Codec`."""
        if isinstance(output, Publication) and output.channel == self.channel:
            name = output.message.key
            if name and name not in self._reserved:
                return self._codec.encode(Event(self._json.decode(output.message.data), name))
        elif isinstance(output, Subscribed) and output.channel == self.channel:
            return None
        return self._codec.encode(output)
