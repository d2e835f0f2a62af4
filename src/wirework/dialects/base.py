"""What every dialect is: a pure codec between frames and commands or outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol

from ..commands import Command, Output
from ..json import JsonAdapter
from ..types import Frame

__all__ = ["Codec", "Dialect"]


class Codec(Protocol):
    """A dialect at work on one connection. Pure: no asyncio, no sockets, no clock."""

    def decode(self, frame: Frame) -> Sequence[Command]:
        """Return the commands in `frame`, in order.

        Raises:
            MalformedMessage: the frame is not of this dialect (`WrongFrame`: of the wrong kind).
        """

    def encode(self, output: Output) -> Frame | None:
        """Return the frame that says `output`: str becomes a text frame, bytes a binary one.

        None where the dialect has no words for it; a `Failure` without words ends the connection.

        Raises:
            TypeError: the value cannot be said in this dialect; the text says what can.
        """


class Dialect(Protocol):
    """How messages look on the wire; one object serves all connections of a route."""

    name: ClassVar[str]
    """Short name for logs and docs: "raw", "htmx"."""

    body: ClassVar[Literal["json", "form", "frame"]]
    """What `Call.body` is: JSON to decode, a dict of form fields to coerce, or the frame itself."""

    parameters: ClassVar[Mapping[str, type]]
    """Extra handler parameters: name -> type, filled with `Call.meta` (by name or by type)."""

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection; `json` is the application's adapter."""
