"""Cafeto's sockets, in the order of its document: the loop, callbacks three ways, the short one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from htpy import Element

from examples.page import STATIC, page
from wirework import App, Controller, Reply, Router, WebSocket
from wirework.dialects import Status
from wirework.replies import Created, Ok

router = Router(dialect=Status())
online: set[WebSocket] = set()


class ChatRequest(msgspec.Struct):
    message: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    user: Annotated[str, msgspec.Meta(max_length=12)] = "stranger"


class ChatResponse(msgspec.Struct):
    message: str
    user: str = "System"


@router.get("/")
async def index() -> Element:
    hint = "A message is answered with a status and a body, like a request: try one that is empty."
    return page("cafeto", "Cafeto", hint)


@router.controller()
class Traditional(Controller):
    @router.websocket("/traditional")
    async def chat(self) -> None:
        await self.ws.accept()
        online.add(self.ws)
        try:
            async for _data in self.ws.iter_json():  # any JSON, not validated
                await self.ws.send_json({"message": "Hi", "user": "System"})
        finally:
            online.discard(self.ws)


@router.controller()
class Callbacks(Controller):
    @router.websocket("/callbacks")
    async def chat(self) -> None:
        async def on_connect() -> None:
            await self.ws.accept()  # from here on on_disconnect will run
            online.add(self.ws)

        async def on_disconnect() -> None:
            online.discard(self.ws)

        async def on_receive(data: ChatRequest) -> Reply:
            response = ChatResponse(f"Hi {data.user}")
            return Ok(response)

        await self.ws.serve(
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            on_receive=on_receive,
        )


@router.controller()
class WithReply(Controller):
    @router.websocket("/reply")
    async def chat(self) -> None:
        async def on_receive(data: ChatRequest) -> Reply:
            response = ChatResponse(f"Hi {data.user}")
            return Reply(response, status=201, exclude={"user"})

        await self.ws.serve(on_receive=on_receive)


@router.controller()
class Methods(Controller):
    @router.websocket("/methods")
    async def chat(self) -> None:
        await self.ws.serve(
            on_receive=self.on_receive,
            on_connect=self.on_connect,
            on_disconnect=self.on_disconnect,
        )

    async def on_connect(self) -> None:
        await self.ws.accept()
        online.add(self.ws)

    async def on_disconnect(self) -> None:
        online.discard(self.ws)

    async def on_receive(self, data: ChatRequest) -> Reply:
        return Created(ChatResponse(f"Hi {data.user}"))


@router.controller("/ws")
class Chat(Controller):
    """The short way: nothing is registered by hand, and what is returned is the answer."""

    async def on_connect(self) -> ChatResponse:
        await self.ws.accept()
        online.add(self.ws)
        return ChatResponse("Welcome")

    async def on_disconnect(self) -> None:
        online.discard(self.ws)

    async def on_receive(self, data: ChatRequest) -> ChatResponse:
        return ChatResponse(f"Hi {data.user}")


app = App()
app.include(router)
app.mount("/static", STATIC)
