"""Sessions that connections on several workers share."""

from __future__ import annotations

import os
from typing import Annotated, Any

import msgspec

from wirework import App, FirstMessage, NamedChannel, Reply
from wirework.dialects import State

__all__ = ["app"]


class Title(msgspec.Struct):
    title: Annotated[str, msgspec.Meta(min_length=1)]


async def verify(token: str) -> str | None:
    """Believe everybody who has a token."""
    return token or None


app = App()
board = app.channel("board:{id}", mode="latest", model=Title)
socket = app.events("/boards/{id}", dialect=State(), auth=FirstMessage(verify))


@socket.shared
async def board_of(id: str) -> NamedChannel[Any]:
    return board(id=id)


@socket.on("pid")
async def pid() -> Reply:
    return Reply(os.getpid())


@socket.on("title")
async def title(title: Title) -> Title:
    return title
