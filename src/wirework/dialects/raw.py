"""The raw dialect: a frame is a message, without an envelope."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, Final, Literal, TypeAlias, get_args

from ..commands import Call, Command, Event, Failure, Output, Result
from ..errors import WrongFrame
from ..json import JsonAdapter
from ..publications import Publication
from ..types import Body, Frame
from .base import Codec, Dialect

__all__ = ["Mode", "Raw"]

Mode: TypeAlias = Literal["auto", "text", "bytes", "frame", "json"]
"""What the frames of a raw connection hold; `Raw` says what each one means."""

_MODES: Final[tuple[str, ...]] = get_args(Mode)


class Raw(Dialect):
    """Text, bytes or JSON, one message per frame; what `app.ws` speaks without a `dialect=`.

    `mode` says what may arrive and how answers look:

    - "text": text frames only; a binary frame is `WrongFrame`.
    - "bytes": binary frames only; a text frame is `WrongFrame`.
    - "frame": both kinds, as they come.
    - "json": text frames of JSON; errors are answered, as
      `{"error": {"code", "message", "details"?}}`.
    - "auto", the default: the handler's signature picks one of these (`with_mode`); until
      something does, it is "frame".

    In all modes a value of bytes leaves as a binary frame and a value that is neither str nor
    bytes as JSON text. A str leaves as it is, but as a JSON string in "json", so that every text
    frame there is JSON.

    Raises:
        ValueError: `mode` is none of these.
    """

    name: ClassVar[str] = "raw"
    body: Body = "frame"

    def __init__(self, mode: Mode = "auto") -> None:
        if mode not in _MODES:
            raise ValueError(f"raw mode: expected one of {', '.join(_MODES)}, got {mode!r}")
        self.mode: Final = mode

    def __repr__(self) -> str:
        return f"Raw({self.mode!r})"

    def with_mode(self, mode: Mode) -> Raw:
        """Return the dialect in `mode` where this one is "auto"; a mode that was given stays."""
        return Raw(mode) if self.mode == "auto" else self

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection."""
        return _JsonCodec(json) if self.mode == "json" else _FrameCodec(self.mode, json)


class _FrameCodec:
    def __init__(self, mode: Mode, json: JsonAdapter) -> None:
        self.variant: Hashable = ("raw", json)
        self._takes_text = mode != "bytes"
        self._takes_binary = mode != "text"
        self._json = json

    def decode(self, frame: Frame) -> Sequence[Command]:
        if isinstance(frame, str):
            if not self._takes_text:
                raise WrongFrame("binary", "text")
        elif not self._takes_binary:
            raise WrongFrame("text", "binary")
        return (Call(frame),)

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, Publication):
            return output.message.data.decode()
        if not isinstance(output, (Result, Event)):
            return None
        value = output.value
        if isinstance(value, str | bytes):
            return value
        return _binary_or_json(value, self._json)


class _JsonCodec:
    def __init__(self, json: JsonAdapter) -> None:
        self.variant: Hashable = ("raw json", json)
        self._json = json

    def decode(self, frame: Frame) -> Sequence[Command]:
        if not isinstance(frame, str):
            raise WrongFrame("text", "binary")
        return (Call(frame),)

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, Failure):
            return _binary_or_json(_error(output), self._json)
        if isinstance(output, Publication):
            return output.message.data.decode()
        if not isinstance(output, (Result, Event)):
            return None
        return _binary_or_json(output.value, self._json)


def _binary_or_json(value: object, json: JsonAdapter) -> Frame:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return json.encode(value).decode()


def _error(failure: Failure) -> dict[str, object]:
    error: dict[str, object] = {"code": failure.code, "message": failure.message}
    if failure.details is not None:
        error["details"] = failure.details
    return {"error": error}
