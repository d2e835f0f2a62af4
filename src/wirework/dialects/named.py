"""Named sockets: the wire of PulsePoint's `pp.socket(name, args)`, as Caspian serves it.

Format: PulsePoint's runtime `pp-reactive-v2` and Caspian's `sockets.py`, both of
`create-caspian-app` 0.0.22.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from ..closecodes import (
    GOING_AWAY,
    INTERNAL_ERROR,
    MEANINGS,
    OVERLOADED,
    RESTARTING,
    TIMED_OUT,
)
from ..commands import Call, Command, Disconnect, Event, Failure, Output, Ping, Pong, Result
from ..errors import MalformedMessage, WrongFrame
from ..json import JsonAdapter
from ..json.depth import plain
from ..types import Body, Frame
from .base import Codec, Dialect
from .problems import kind_of, text_of

__all__ = ["NamedSockets"]


class NamedSockets(Dialect):
    """One function for each connection: its name in the query, its arguments in the first frame.

    After the arguments, one JSON value per text frame both ways. `{"error": text}` tells an
    error, after which `pp.socket` does not come back, and `{"__pp": "ping"}` is the heartbeat,
    which may come at any time, also before the arguments.
    """

    name: ClassVar[str] = "named"
    body: Body = "value"
    has_names: ClassVar[bool] = True
    name_in_query: ClassVar[str | None] = "name"
    one_call: ClassVar[bool] = True

    def __repr__(self) -> str:
        return "NamedSockets()"

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection."""
        return _NamedCodec(json)


class _NamedCodec:
    def __init__(self, json: JsonAdapter) -> None:
        self.variant: Hashable = ("named", json)
        self._json = json
        self._has_arguments = False

    def decode(self, frame: Frame) -> Sequence[Command]:
        if not isinstance(frame, str):
            raise WrongFrame("text", "binary")
        value = self._json.decode(frame)
        if _is_alone("__pp", value):
            # Words that are not known yet are passed over, as Caspian does.
            return (Ping(),) if value["__pp"] == "ping" else ()
        if not self._has_arguments and not isinstance(value, dict):
            raise MalformedMessage(f"expected a JSON object of arguments, got {kind_of(value)}")
        self._has_arguments = True
        return (Call(value),)

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, (Result, Event)):
            return self._value(output.value)
        if isinstance(output, Failure):
            return self._error(text_of(output))
        if isinstance(output, Pong):
            return '{"__pp":"pong"}'
        if isinstance(output, Disconnect) and output.code not in _COME_BACK:
            return self._error(output.reason or MEANINGS.get(output.code, "closed"))
        return None

    def _value(self, value: object) -> str:
        frame = self._json.encode(value).decode()
        if frame.startswith(_SUSPECT) or isinstance(value, msgspec.Raw):
            said = plain(self._json).decode(frame)
            if _is_alone("error", said) or _is_alone("__pp", said):
                raise TypeError(_RESERVED.format(*said))
        return frame

    def _error(self, text: str) -> str:
        return self._json.encode({"error": text}).decode()


_SUSPECT: Final = ('{"error":', '{"__pp":')

_RESERVED: Final = (
    'named sockets: an object with the sole key "{}" is a message of the protocol; '
    "rename the key or wrap the value"
)

_COME_BACK: Final = {
    GOING_AWAY,
    INTERNAL_ERROR,
    RESTARTING,
    OVERLOADED,
    1014,
    4000,
    TIMED_OUT,
}
"""Ends after which the page is to come back, which it never does once it was told an error."""


def _is_alone(key: str, value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and key in value
