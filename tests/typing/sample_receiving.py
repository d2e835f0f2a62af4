"""What receiving gives back is typed by what was asked for."""

from __future__ import annotations

from typing import Any, TypedDict, assert_type

import msgspec

from wirework import WebSocket


class Move(msgspec.Struct):
    x: int


class Keys(TypedDict):
    x: int


async def receiving(ws: WebSocket) -> None:
    assert_type(await ws.receive(), str | bytes)
    assert_type(await ws.receive_text(), str)
    assert_type(await ws.receive_bytes(), bytes)
    assert_type(await ws.receive_json(), Any)
    assert_type(await ws.receive_json(Move), Move)
    assert_type(await ws.receive_json(Keys), Keys)
    assert_type(await ws.receive_json(list[int]), list[int])
    either: Move | int = await ws.receive_json(Move | int)
    assert either


async def iterating(ws: WebSocket) -> None:
    async for frame in ws:
        assert_type(frame, str | bytes)
    async for text in ws.iter_text():
        assert_type(text, str)
    async for data in ws.iter_bytes():
        assert_type(data, bytes)
    async for anything in ws.iter_json():
        assert_type(anything, Any)
    async for move in ws.iter_json(Move):
        assert_type(move, Move)
    async for both in ws.iter_json(Move | int):
        assert_type(both, Any)


async def sending(ws: WebSocket) -> None:
    await ws.send_text(b"bytes")  # type: ignore[arg-type]
    await ws.send_bytes("text")  # type: ignore[arg-type]
    await ws.send_bytes(memoryview(b"view"))
    await ws.accept(headers={"x": "y"})
    await ws.accept(headers=[("x", "y")])
    await ws.accept(headers={"x": 1})  # type: ignore[dict-item]
    await ws.close("1000")  # type: ignore[arg-type]
