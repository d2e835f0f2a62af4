"""One message to many connections of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from typing import Any

from .commands import Event
from .connection import Connection
from .errors import ConnectionClosed, StateError
from .outbox import TEXT, Outgoing
from .types import State
from .websocket import WebSocket, outgoing

__all__ = ["broadcast"]

_OPEN = State.OPEN


async def broadcast(
    sockets: Iterable[WebSocket], value: Any, *, name: str = "", skip: WebSocket | None = None
) -> int:
    """Send `value` to every one of `sockets`, each in its route's dialect; return to how many.

    It is encoded once per dialect, and never waits for a peer: a slow one meets the overflow
    policy of its outbox. Passed over are those that are gone, not yet accepted, or still have to
    say who they are. For connections of this process only.

    Args:
        sockets: the connections; the collection may change meanwhile.
        value: what `ws.send` takes, or with a name the data of `ws.send_event`.
        name: of the event, in dialects that have names.
        skip: a connection that is left out, such as the sender's.

    Raises:
        TypeError: a dialect cannot say the value; nobody got it.
        StateError: there is a name, and a connection whose messages have none; nobody got it.
    """
    frames: dict[Hashable, Outgoing | None] = {}
    receivers: list[tuple[Connection, Outgoing]] = []
    for ws in list(sockets):
        connection, talk, codec = ws.connection, ws.conversation, ws.codec
        if connection.state is not _OPEN or ws is skip or not (talk is None or talk.is_begun):
            continue
        variant = ws.app if codec is None else codec.variant
        if variant not in frames:
            frames[variant] = _frame(ws, value, name)
        frame = frames[variant]
        if frame is not None:
            receivers.append((connection, frame))
    return await _push_all(receivers)


async def _push_all(receivers: list[tuple[Connection, Outgoing]]) -> int:
    reached, is_congested = 0, False
    for connection, frame in receivers:
        try:
            connection.push(frame)
        except ConnectionClosed:
            continue
        reached += 1
        if connection.outbox.is_congested:
            is_congested = True
    if is_congested:
        await asyncio.sleep(0)  # the transports write, or a fast sender would fill every outbox
    return reached


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
