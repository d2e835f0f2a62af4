"""What tests of sessions share: frames of the typed dialect, and users to authenticate."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from wirework.testing import TestWebSocket


class User(msgspec.Struct):
    """Who a token stands for."""

    name: str


async def user_of(token: str) -> User | None:
    """Return the user of a token; "wrong" is nobody's."""
    return None if token in ("", "wrong") else User(token)


def message(type: str, data: Any = None, **keys: Any) -> str:
    """Return a frame of the typed dialect."""
    said = {"type": type, **keys}
    return json.dumps(said if data is None else {**said, "data": data})


def login(token: str = "ada", **keys: Any) -> str:
    """Return the frame in which a client says who it is."""
    return message("auth", {"token": token}, **keys)


def send(ws: TestWebSocket, *frames: str) -> None:
    """Send frames in one turn of the event loop, as one packet of the network brings them."""
    for frame in frames:
        ws.peer.send(frame)


async def ask(ws: TestWebSocket, type: str, data: Any = None, *, id: int = 1) -> Any:
    """Send a call and return the next message."""
    send(ws, message(type, data, id=id))
    return await ws.receive_json()


async def heard(ws: TestWebSocket, count: int) -> list[Any]:
    """Return the next messages."""
    return [await ws.receive_json() for _ in range(count)]


def value(name: str, data: Any = None, *, id: int = 1, seq: int | None = None) -> dict[str, Any]:
    """Return the answer to a call, or a value of the stream that answers it."""
    said: dict[str, Any] = {"type": name, "id": id}
    if seq is not None:
        said["seq"] = seq
    return said if data is None else {**said, "data": data}


def end(count: int, *, id: int = 1) -> dict[str, Any]:
    """Return what tells that a stream is over."""
    return {"type": "end", "id": id, "data": {"count": count}}


def error(code: str | int, of: str | None = None, *, id: int | None = 1, **more: Any) -> Any:
    """Return an error; without a message it is compared by its code alone (see `plain`)."""
    keys = {} if id is None else {"id": id}
    return {"type": "error", **keys, **({} if of is None else {"of": of}), "code": code, **more}


def plain(said: dict[str, Any]) -> dict[str, Any]:
    """Return an error without its text."""
    return {key: said[key] for key in said if key not in ("message", "details")}
