"""What serves the routes of an application, in words; and what other applications hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .binding.plan import Plan
from .binding.signatures import name_of
from .handlers import ConnectionHandler, Endpoint
from .session import MessageEndpoint

__all__ = ["Found", "described", "unreached_sockets", "walk"]


def described(endpoint: Endpoint) -> str:
    """Return what serves a WebSocket, in a few words."""
    if isinstance(endpoint, ConnectionHandler):
        return f"{_place_of(endpoint.plan)} (connection handler)"
    assert isinstance(endpoint, MessageEndpoint)
    dialect = endpoint.dialect.name
    if endpoint.function is None:
        names = ", ".join(endpoint.functions) or "none yet"
        return f"events: {names} ({dialect})"
    kind = "message handler" if endpoint.hooks.controller is None else "controller"
    return f"{_place_of(endpoint.function.plan)} ({kind}, {dialect})"


def _place_of(plan: Plan) -> str:
    return f"{plan.function.__module__}.{name_of(plan.function)}"


class Found(NamedTuple):
    """A route of any application, or a Wirework application inside of it."""

    kind: str
    """"websocket", "mount", methods such as "GET POST"; "application": a Wirework `App`."""
    path: str
    """With the prefix of what it is mounted in; of an application the prefix alone."""
    app: Any = None
    """Of "application", which."""
    is_mounted: bool = False
    """Whether it is inside another application, not only behind middleware."""
    is_deaf: bool = False
    """Whether it is behind `http=`, and gets no WebSockets."""


def walk(app: Any) -> Iterator[Found]:
    """Find the routes of an ASGI application, and the Wirework applications in it, in order.

    It follows `routes`, what they mount, routers that FastAPI includes, and middleware as far as an
    attribute `app` leads. The routes of Wirework applications are theirs to tell.
    """
    return _walk(app, Found("", ""), set())


def unreached_sockets(app: Any) -> list[str]:
    """Return the paths of the WebSockets of an application that gets HTTP requests alone."""
    paths: list[str] = []
    for each in walk(app):
        if each.kind == "websocket":
            paths.append(each.path)
        elif each.kind == "application":
            paths += [f"{each.path}{path}" for path, _ in each.app.websocket_routes()]
    return paths


def _walk(app: Any, at: Found, seen: set[int]) -> Iterator[Found]:
    if app is None or id(app) in seen:
        return
    seen.add(id(app))
    routes = getattr(app, "routes", None)
    if hasattr(type(app), "http_app") and hasattr(type(app), "websocket_routes"):
        yield at._replace(kind="application", app=app)
        yield from _walk(app.http_app, at._replace(is_mounted=True, is_deaf=True), seen)
    elif isinstance(routes, Iterable):
        for route in routes:
            yield from _route(route, at, seen)
    else:
        yield from _walk(getattr(app, "app", None), at, seen)


def _route(route: Any, at: Found, seen: set[int]) -> Iterator[Found]:
    router = getattr(route, "original_router", None)
    if router is not None:  # FastAPI's include_router
        prefix = getattr(getattr(route, "include_context", None), "prefix", "")
        for each in router.routes:
            yield from _route(each, at._replace(path=at.path + prefix), seen)
        return
    here = at._replace(path=at.path + getattr(route, "path", ""), is_mounted=True)
    inner = list(_walk(getattr(route, "app", None), here, seen))
    kind = _kind_of(route)
    if not inner and not (kind == "websocket" and at.is_deaf):
        yield here._replace(kind=kind)
    yield from inner


def _kind_of(route: Any) -> str:
    if "websocket" in type(route).__name__.lower():
        return "websocket"
    methods = set(getattr(route, "methods", None) or ())
    return " ".join(sorted(methods - {"HEAD"} or methods)) or "mount"
