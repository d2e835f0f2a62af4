"""One message to many connections of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from typing import Any

from .commands import Event
from .errors import ConnectionClosed, StateError
from .json import JsonAdapter
from .outbox import TEXT, Outgoing
from .websocket import WebSocket, outgoing

__all__ = ["broadcast"]


async def broadcast(
    sockets: Iterable[WebSocket], value: Any, *, name: str = "", skip: WebSocket | None = None
) -> int:
    """Send `value` to every one of `sockets`, each in its route's dialect; return to how many.

    It is encoded once per dialect, and never waits for a peer: a slow one meets the overflow
    policy of its outbox, one that is gone or not yet accepted is passed over. For connections of
    this process only.

    Args:
        sockets: the connections; the collection may change meanwhile.
        value: what `ws.send` takes, or with a name the data of `ws.send_event`.
        name: of the event, in dialects that have names.
        skip: a connection that is left out, such as the sender's.

    Raises:
        TypeError: a dialect cannot say the value; nobody got it.
        StateError: there is a name, and a connection whose messages have none; nobody got it.
    """
    receivers = [ws for ws in list(sockets) if ws is not skip and ws.connection.is_open]
    frames: dict[Hashable, Outgoing | None] = {}
    for ws in receivers:
        key = _variant(ws)
        if key not in frames:
            frames[key] = _frame(ws, value, name)
    reached = 0
    for ws in receivers:
        frame = frames[_variant(ws)]
        if frame is not None:
            reached += _push(ws, frame)
    if any(ws.connection.outbox.is_congested for ws in receivers):
        await asyncio.sleep(0)  # the transports write, or a fast sender would fill every outbox
    return reached


def _variant(ws: WebSocket) -> Hashable:
    if ws.codec is not None:
        return ws.codec.variant
    json: JsonAdapter = ws.app.json
    return ("no dialect", json)


def _frame(ws: WebSocket, value: Any, name: str) -> Outgoing | None:
    if name and not (ws.conversation is not None and ws.conversation.has_names):
        raise StateError(f"broadcast: messages of {ws!r} have no names")
    if ws.codec is not None:
        frame = ws.codec.encode(Event(value, name))
        return None if frame is None else outgoing(frame)
    if isinstance(value, str):
        return outgoing(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return outgoing(bytes(value))
    return Outgoing(TEXT, ws.app.json.encode(value))


def _push(ws: WebSocket, frame: Outgoing) -> bool:
    try:
        ws.connection.push(frame)
    except ConnectionClosed:
        return False
    return True
