"""Channels of a router: the same as those of the application that includes it."""

from __future__ import annotations

import pytest

from tests.unit.channels.talking import Text, client_of, desk_app, plain, subscribe
from wirework import App, RegistrationError, Router, StateError
from wirework.testing import TestClient


async def test_a_channel_of_a_router_works_as_one_of_the_application() -> None:
    rooms, inner = Router(), Router()
    chat = inner.channel("chat:{room}", model=Text)

    @chat.on_subscribe
    async def enter(room: str, name: str) -> str:
        return f"{name} in {room}"

    rooms.include(inner)
    app = desk_app()
    app.include(rooms, prefix="/anywhere")
    assert app.channel_named("chat:tea") == chat(room="tea")
    async with TestClient(app) as client, client_of(client) as ws:
        told = await subscribe(ws, "chat:tea", data={"name": "Ada"})
        assert told["data"] == "Ada in tea"
        await chat(room="tea").publish(Text("hi"))
        assert plain(await ws.receive_json()) == {"text": "hi"}


async def test_a_channel_whose_router_is_not_included_says_so() -> None:
    news = Router().channel("news")
    with pytest.raises(StateError, match="<Channel news> belongs to no application: include its"):
        await news().publish("x")


def test_a_router_that_was_included_takes_no_channel_more() -> None:
    router = Router()
    App().include(router)
    with pytest.raises(RegistrationError, match=r"channel\('news'\): the router was included"):
        router.channel("news")


def test_a_router_that_is_included_twice_brings_its_channels_once() -> None:
    router, app = Router(), App()
    router.channel("news")
    app.include(router, prefix="/a")
    app.include(router, prefix="/b")
    assert [each.where for each in app.channels] == ["channel('news')"]


def test_a_channel_belongs_to_one_application() -> None:
    router = Router()
    router.channel("news")
    App().include(router)
    with pytest.raises(RegistrationError, match="it belongs to another application"):
        App().include(router)


def test_what_only_the_application_knows_is_refused_where_it_includes_the_router() -> None:
    taken, app = Router(), App()
    app.channel("chat:{room}")
    taken.channel("chat:{name}")
    with pytest.raises(RegistrationError, match="has these names"):
        app.include(taken)


def test_a_function_that_cannot_work_is_refused_with_its_channel() -> None:
    router = Router()
    chat = router.channel("chat:{room}")

    @chat.on_subscribe
    async def enter(room: int) -> bool:
        return True

    with pytest.raises(RegistrationError, match=r"channel\('chat:\{room\}'\).on_subscribe.*room"):
        App().include(router)


def test_a_second_function_is_refused_at_once() -> None:
    chat = Router().channel("chat")

    @chat.on_subscribe
    async def enter() -> bool:
        return True

    with pytest.raises(RegistrationError, match="enter is registered already"):
        chat.on_subscribe(enter)
