"""What is found in other applications, and what an application says of the one behind `http=`."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Host, Mount, Route, WebSocketRoute

from wirework import App
from wirework.descriptions import walk
from wirework.testing import TestClient


async def inner(scope: Any, receive: Any, send: Any) -> None: ...


def holder(**attributes: Any) -> Any:
    """Return what some framework or middleware might be."""
    return SimpleNamespace(**attributes)


def applications(app: Any) -> list[tuple[str, App, bool]]:
    found = [each for each in walk(app) if each.kind == "application"]
    return [(each.path, each.app, each.is_mounted) for each in found]


def test_an_application_is_found_in_whatever_holds_it() -> None:
    app = App()
    holders: list[tuple[Any, str]] = [
        (Mount("/a", app), "/a"),
        (Mount("/a", routes=[Mount("/b", holder(app=app))]), "/a/b"),
        (Route("/a", app), "/a"),
        (WebSocketRoute("/a", app), "/a"),
        (Host("live.example.com", app), ""),
    ]
    for route, path in holders:
        assert applications(holder(routes=[route])) == [(path, app, True)]
    assert applications(holder(app=holder(app=app))) == [("", app, False)]


def test_applications_that_hold_each_other_are_found_once() -> None:
    app = App()
    one = holder(routes=[Mount("/app", app)])
    one.routes.append(Mount("/one", holder(app=one)))
    assert applications(one) == [("/app", app, True)]


async def warnings_of(app: App, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING, "wirework"):
        async with TestClient(app):
            pass
    return caplog.messages


def site() -> FastAPI:
    api, router, mounted = FastAPI(), APIRouter(prefix="/v1"), App()
    api.websocket("/old/{room}")(inner)
    router.websocket("/older")(inner)
    api.include_router(router, prefix="/api")

    @mounted.ws("/shout")
    async def shout(text: str) -> str:
        return text

    api.mount("/live", mounted)
    return api


async def test_sockets_that_nobody_can_open_are_named_in_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await warnings_of(App(http=site()), caplog) == [
        "http=FastAPI gets HTTP requests alone: nobody can open its WebSockets"
        " /old/{room}, /api/v1/older, /live/shout; declare them with this application, or mount"
        " this one in that one"
    ]


async def test_a_socket_that_is_declared_here_too_is_not_missed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = FastAPI()
    api.websocket("/old/{room}")(inner)
    app = App(http=api)

    @app.ws("/old/{room}")
    async def old(text: str, room: str) -> str:
        return text

    assert await warnings_of(app, caplog) == []
