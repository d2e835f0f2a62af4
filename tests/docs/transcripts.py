"""Plays the conversations that the pages show, against the application of the block above them.

A conversation is a fenced `text` block:

    connect /chat?room=1
    Origin: https://app.example.com
    -> hello
    -> bytes 00 ff
    <- hello to you
    <- close 1000 bye

`->` is what the client sends, `<-` what the server says; `-> close 1000` closes from the client's
side, `refused 403 Forbidden` is a handshake that was refused. JSON is compared as JSON, where "..."
stands for any value, other text but for white space; a line that begins with a space continues the
line above.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, NamedTuple

from wirework import App
from wirework.testing import HandshakeRefused, TestClient, TestWebSocket

_OFFER = "Sec-WebSocket-Protocol"

__all__ = ["Conversation", "is_conversation", "play"]


class Conversation(NamedTuple):
    """One connection: where to, with which headers, and its lines."""

    path: str
    headers: list[tuple[str, str]]
    lines: list[str]


def is_conversation(text: str) -> bool:
    """Whether a block holds conversations."""
    return text.startswith("connect /")


async def play(text: str, app: App) -> None:
    """Play every conversation of a block and assert that the server says what it shows."""
    async with TestClient(app) as client:
        for conversation in _read(text):
            await _connect(client, conversation)


def _read(text: str) -> list[Conversation]:
    found: list[Conversation] = []
    for line in re.sub(r"\n +", " ", text).splitlines():
        if line.startswith("connect "):
            found.append(Conversation(line.removeprefix("connect ").strip(), [], []))
        elif header := re.fullmatch(r"([A-Za-z-]+): (.*)", line):
            found[-1].headers.append((header[1], header[2]))
        elif line.strip():
            found[-1].lines.append(line)
    return found


async def _connect(client: TestClient, conversation: Conversation) -> None:
    path, headers, lines = conversation
    offered = [part for name, value in headers if name == _OFFER for part in value.split(", ")]
    headers = [header for header in headers if header[0] != _OFFER]
    connecting = client.connect(path, headers=headers, subprotocols=offered)
    if not lines or not lines[0].startswith("refused "):
        async with connecting as ws:
            for line in lines:
                await _step(ws, line)
            assert ws.peer.events.empty() or lines[-1].startswith("<- close")
        return
    try:
        async with connecting:
            raise AssertionError(f"expected {lines[0]!r}, but it was accepted")
    except HandshakeRefused as refusal:
        _compare(lines[0], f"refused {refusal.status} {refusal.body.decode()}")


async def _step(ws: TestWebSocket, line: str) -> None:
    arrow, _, said = line.partition(" ")
    assert arrow in ("->", "<-"), f"expected '->' or '<-', got {line!r}"
    if close := re.fullmatch(r"close (\d+) ?(.*)", said):
        code, reason = int(close[1]), close[2]
        await (ws.close(code, reason) if arrow == "->" else ws.assert_closed(code, reason))
    elif arrow == "->":
        await (ws.send_bytes(_bytes(said)) if said.startswith("bytes ") else ws.send_text(said))
    else:
        frame = await ws.receive()
        _compare(said, frame if isinstance(frame, str) else f"bytes {frame.hex(' ')}")


def _bytes(said: str) -> bytes:
    return bytes.fromhex(said.removeprefix("bytes "))


def _compare(shown: str, got: str) -> None:
    assert _fits(_normal(shown), _normal(got)), f"the page shows {shown}, the server said {got}"


def _fits(shown: Any, got: Any) -> bool:
    """Whether `got` is what is shown, where "..." stands for any value."""
    if shown == "...":
        return True
    if isinstance(shown, dict) and isinstance(got, dict):
        return shown.keys() == got.keys() and all(_fits(shown[key], got[key]) for key in shown)
    if isinstance(shown, list | tuple) and isinstance(got, list | tuple):
        return len(shown) == len(got) and all(map(_fits, shown, got))
    return bool(shown == got)


def _normal(text: str) -> Any:
    head, brace, rest = text.partition("{")
    for words, value in (("", text), (head, brace + rest)):
        with contextlib.suppress(ValueError):
            return words.split(), json.loads(value)
    return text.split()
