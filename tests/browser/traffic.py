"""The WebSockets of a page as its browser sees them."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Page
from playwright.async_api import WebSocket as BrowserSocket

from tests.wire.native import until

__all__ = ["Socket", "Traffic"]


class Socket:
    """One of them: what the page has sent, and what it has received."""

    def __init__(self, socket: BrowserSocket) -> None:
        self.url = socket.url
        self.sent: list[str] = []
        self.received: list[str] = []
        socket.on("framesent", lambda frame: self.sent.append(str(frame)))
        socket.on("framereceived", lambda frame: self.received.append(str(frame)))

    @property
    def said(self) -> list[Any]:
        """What was received, decoded."""
        return [json.loads(each) for each in self.received]

    async def expect(self, *messages: Any) -> None:
        """These messages were received, in this order, and no others."""
        await until(lambda: len(self.received) >= len(messages))
        assert self.said == list(messages)

    async def expect_last(self, message: Any) -> None:
        """This message was received, and none after it."""
        await until(lambda: self.received and self.said[-1] == message)


class Traffic:
    """All sockets that a page opens from now on, in order."""

    def __init__(self, page: Page) -> None:
        self.sockets: list[Socket] = []
        page.on("websocket", lambda socket: self.sockets.append(Socket(socket)))
