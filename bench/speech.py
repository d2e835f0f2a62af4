"""What the load generator says to a peer: plain frames, Socket.IO's, FastHTML's or typed ones."""

from __future__ import annotations

import json
from typing import NamedTuple

__all__ = [
    "CENTRIFUGO",
    "CHANNEL",
    "FASTHTML",
    "MANY",
    "PLAIN",
    "ROOM",
    "SOCKET_IO",
    "TEXT",
    "TYPED",
    "Speech",
]

TEXT = "All work and no play makes a socket dull; all play, no work: 64."
_MOVE = {"x": 17, "y": 25, "text": TEXT[:32]}


class Speech(NamedTuple):
    """How one kind of peer wants to be talked to.

    `paths` and `messages` are by endpoint: echo, json, fanout. A peer that greets sends
    `greetings` frames, each answered by the next of `answers`, before it takes messages; one that
    wants to be greeted is told `opening` first. Where replies may share a frame, each has `marker`
    in it, once.
    """

    paths: dict[str, str]
    messages: dict[str, bytes]
    greetings: int = 0
    answers: tuple[bytes, ...] = ()
    opening: bytes = b""
    marker: bytes = b""

    def is_reply(self, endpoint: str, payload: bytes) -> bool:
        """Whether `payload` is what the endpoint must say to its message."""
        text = payload.decode()
        if endpoint != "json":
            return TEXT in text
        return "42" in text and str(_MOVE["text"]) in text


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


_PATHS = {"echo": "/echo", "json": "/json", "fanout": "/fanout"}
_ENGINE = "/socket.io/?EIO=4&transport=websocket"

PLAIN = Speech(_PATHS, {"echo": TEXT.encode(), "json": _compact(_MOVE), "fanout": TEXT.encode()})
"""Text and JSON as they are."""

FASTHTML = PLAIN._replace(
    messages={
        "echo": _compact({"msg": TEXT}),
        "json": _compact(_MOVE),
        "fanout": _compact({"msg": TEXT}),
    }
)
"""FastHTML takes JSON only, as htmx sends it; it answers in HTML."""

TYPED = Speech(
    dict.fromkeys(_PATHS, "/desk"),
    {
        "echo": _compact({"type": "echo", "id": 7, "data": {"text": TEXT}}),
        "json": _compact({"type": "json", "id": 7, "data": _MOVE}),
        "fanout": _compact({"type": "fanout", "data": {"text": TEXT}}),
    },
)
"""Wirework's typed dialect: calls with a name, and an id where an answer is due."""

SOCKET_IO = Speech(
    dict.fromkeys(_PATHS, _ENGINE),
    {
        "echo": b"42" + _compact(["echo", TEXT]),
        "json": b"42" + _compact(["move", _MOVE]),
        "fanout": b"42" + _compact(["publish", TEXT]),
    },
    greetings=2,
    answers=(b"40",),
)
"""Engine.IO 4 over WebSocket alone: its `open` is answered by joining the root namespace."""

CHANNEL = Speech({"fanout": "/channel"}, {"fanout": TEXT.encode()})
"""Who connects is subscribed to a channel, and publishes there what it says."""

ROOM = SOCKET_IO._replace(
    paths={"fanout": _ENGINE}, messages={"fanout": SOCKET_IO.messages["fanout"]}
)
"""The same with Socket.IO."""

MANY = Speech({"many": "/many"}, {})
"""Who connects is subscribed to the channels with the numbers that it says."""

CENTRIFUGO = Speech(
    {"echo": "/live/websocket", "json": "/live/websocket", "fanout": "/crowd/websocket"},
    {
        "echo": _compact({"rpc": {"method": "echo", "data": {"text": TEXT}}, "id": 7}),
        "json": _compact({"rpc": {"method": "json", "data": _MOVE}, "id": 7}),
        "fanout": _compact({"send": {"data": {"text": TEXT}}}),
    },
    greetings=1,
    opening=_compact({"connect": {}, "id": 1}),
    marker=b'"id":7',
)
"""Centrifugo's protocol, as its SDKs write it: keys in this order, nothing that can be left out."""
