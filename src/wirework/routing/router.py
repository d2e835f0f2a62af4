"""Routers: where decorators put routes, before an application makes endpoints of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..binding.signatures import local_names, name_of
from ..controller import Controller
from ..dialects.base import Dialect
from ..errors import RegistrationError
from ..security.auth import Auth
from ..security.permissions import Requires
from ..session import Middleware
from .channels import ChannelRouter
from .events import Events
from .paths import PathTemplate
from .routes import (
    HttpRoute,
    WebSocketRoute,
    check_auth,
    check_dialect,
    check_functions,
    check_middleware,
    check_path,
    is_method,
    join,
)

__all__ = ["Router"]

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Controller])


class Router(ChannelRouter):
    """A group of routes and channels, added to an application with `app.include(router)`.

    Args:
        prefix: put before every path of the router; may have parameters.
        dialect: of message handlers that name none.
        auth: who the peer is, on every WebSocket route that names none.
        message_middleware: around every message of the router's routes, outermost first:
            `async def middleware(message, ws, call_next)`, which returns what
            `await call_next(message)` does, or something else, or raises.
        allowed_origins: of WebSocket routes that name none.
        require_origin: of WebSocket routes that do not say.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        dialect: Dialect | None = None,
        auth: Auth | None = None,
        message_middleware: Sequence[Middleware] = (),
        allowed_origins: Sequence[str] | None = None,
        require_origin: bool | None = None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        check_dialect(where, dialect)
        check_auth(where, auth)
        check_middleware(where, message_middleware)
        self.prefix = prefix
        self.dialect = dialect
        self.auth = auth
        self.message_middleware = tuple(message_middleware)
        self.allowed_origins = allowed_origins
        self.require_origin = require_origin
        self._routes: list[WebSocketRoute | HttpRoute] = []
        self._methods: list[WebSocketRoute] = []
        """Routes of methods, whose class is not complete yet."""

    # --- WebSockets -----------------------------------------------------------------------------

    def websocket(
        self,
        path: str,
        *,
        auth: Auth | None = None,
        requires: Requires | None = None,
        limits: Mapping[str, Any] | None = None,
        name: str | None = None,
        allowed_origins: Sequence[str] | None = None,
        require_origin: bool | None = None,
    ) -> Callable[[F], F]:
        """Register a connection handler: one function that holds the loop of its connection.

        Args:
            path: template such as "/rooms/{room_id:int}".
            auth: who the peer is, told by the handshake; default: the router's. `Anyone()` opens
                it to everybody.
            requires: what the user must be allowed: a permission, several, or a function of the
                user; else the handshake is refused with 403.
            limits: settings for this route alone, such as `{"max_message_size": 1024}`.
            name: for `url_path_for`.
            allowed_origins: browsers' origins that may connect besides the application's own.
            require_origin: refuse clients that send no Origin header.

        Raises:
            RegistrationError: the path, or a parameter of the function, cannot work.
        """
        check_path("websocket", path)
        check_auth(f"websocket({path!r})", auth)

        def decorate(function: F) -> F:
            where = f"websocket({path!r})"
            check_functions(where, function)
            route = WebSocketRoute(
                where=where,
                path=path,
                function=function,
                is_per_message=False,
                name=name,
                auth=auth,
                requires=requires,
                limits=dict(limits or {}),
                allowed_origins=allowed_origins,
                require_origin=require_origin,
                locals=local_names(function),
            )
            self._add_function(route)
            return function

        return decorate

    def ws(
        self,
        path: str,
        *,
        conn: Callable[..., Any] | None = None,
        disconn: Callable[..., Any] | None = None,
        dialect: Dialect | None = None,
        auth: Auth | None = None,
        requires: Requires | None = None,
        limits: Mapping[str, Any] | None = None,
        middleware: Sequence[Middleware] = (),
        name: str | None = None,
        concurrency: int = 1,
        cancel_on_disconnect: bool = False,
        allowed_origins: Sequence[str] | None = None,
        require_origin: bool | None = None,
    ) -> Callable[[F], F]:
        """Register a message handler: the function is called for each message.

        What it returns is the reply (None: no reply), what it yields a stream of replies.

        Args:
            path: template such as "/chat/{room}".
            conn: runs before the handshake is answered; may refuse it (`Refuse`, `Close`, `Reject`,
                or any exception: 500). What it sends or returns leaves right after the acceptance.
            disconn: runs once for every accepted connection, after its last message was handled;
                may take `code` and `reason`.
            dialect: how messages look on the wire; default: the router's, or `Raw()`.
            auth: who the peer is; default: the router's. `Anyone()` opens it to everybody.
            requires: what the user must be allowed: a permission, several, or a function of the
                user; else the handshake is refused with 403.
            limits: settings for this route alone, such as `{"max_message_size": 1024}`.
            middleware: around each message, inside the router's; see `Router`.
            name: for `url_path_for`.
            concurrency: messages of one connection handled at a time; 1 keeps their order.
            cancel_on_disconnect: cancel the running handler, and drop what waits, when the peer
                goes; otherwise everything that arrived is still handled.
            allowed_origins: browsers' origins that may connect besides the application's own.
            require_origin: refuse clients that send no Origin header.

        Raises:
            RegistrationError: the path, or a parameter of a function, cannot work.
        """
        check_path("ws", path)
        where = f"ws({path!r})"
        _check_options(where, dialect, auth, middleware)

        def decorate(function: F) -> F:
            check_functions(where, function, conn, disconn)
            route = WebSocketRoute(
                where=where,
                path=path,
                function=function,
                is_per_message=True,
                name=name,
                conn=conn,
                disconn=disconn,
                dialect=dialect,
                auth=auth,
                requires=requires,
                limits=dict(limits or {}),
                middleware=tuple(middleware),
                concurrency=concurrency,
                cancel_on_disconnect=cancel_on_disconnect,
                allowed_origins=allowed_origins,
                require_origin=require_origin,
                locals=local_names(function, conn, disconn),
            )
            self._add_function(route)
            return function

        return decorate

    def events(
        self,
        path: str,
        *,
        dialect: Dialect | None = None,
        auth: Auth | None = None,
        requires: Requires | None = None,
        limits: Mapping[str, Any] | None = None,
        middleware: Sequence[Middleware] = (),
        name: str | None = None,
        concurrency: int = 1,
        cancel_on_disconnect: bool = False,
        allowed_origins: Sequence[str] | None = None,
        require_origin: bool | None = None,
    ) -> Events:
        """Register a path whose messages have names, and return where their functions go.

            desk = app.events("/desk", dialect=Typed())

            @desk.on("order.place")
            async def place(order: Order) -> Receipt: ...

        Args:
            path: template such as "/desk/{number:int}".
            dialect: how messages look on the wire, one that has names (`Typed`, `State`);
                default: the router's.
            auth: who the peer is; default: the router's. `Anyone()` opens it to everybody.
            requires: what the user must be allowed: a permission, several, or a function of the
                user; else the handshake is refused with 403.
            limits: settings for this route alone, such as `{"max_message_size": 1024}`.
            middleware: around each message, inside the router's; see `Router`.
            name: for `url_path_for`.
            concurrency: as for `ws`.
            cancel_on_disconnect: as for `ws`.
            allowed_origins: browsers' origins that may connect besides the application's own.
            require_origin: refuse clients that send no Origin header.

        Raises:
            RegistrationError: the path cannot work, or the dialect has no names.
        """
        check_path("events", path)
        where = f"events({path!r})"
        _check_options(where, dialect, auth, middleware)
        events = Events(where)
        route = WebSocketRoute(
            where=where,
            path=path,
            function=None,
            is_per_message=True,
            name=name,
            events=events,
            dialect=dialect,
            auth=auth,
            requires=requires,
            limits=dict(limits or {}),
            middleware=tuple(middleware),
            concurrency=concurrency,
            cancel_on_disconnect=cancel_on_disconnect,
            allowed_origins=allowed_origins,
            require_origin=require_origin,
        )
        self._add(route)
        return events

    def controller(
        self,
        path: str | None = None,
        *,
        dialect: Dialect | None = None,
        auth: Auth | None = None,
        requires: Requires | None = None,
        limits: Mapping[str, Any] | None = None,
        middleware: Sequence[Middleware] = (),
        name: str | None = None,
        concurrency: int = 1,
        cancel_on_disconnect: bool = False,
        allowed_origins: Sequence[str] | None = None,
        require_origin: bool | None = None,
    ) -> Callable[[C], C]:
        """Register a controller: a class with one object per connection; see `Controller`.

        With a path its `on_receive` handles the messages there. Methods that are decorated with
        `@app.websocket(path)` or `@app.ws(path)` are routes of their own, with or without it.
        The options are those of `ws`, for `path`.

        Raises:
            RegistrationError: no subclass of `Controller`, nothing in it that can handle
                messages, or a parameter of a method cannot be filled.
        """
        if path is not None:
            check_path("controller", path)
        where = f"controller({path!r})" if path is not None else "controller()"
        _check_options(where, dialect, auth, middleware)

        def decorate(kind: C) -> C:
            _check_controller(where, kind)
            names = local_names(*(each for each in vars(kind).values() if callable(each)))
            routes = self._take_methods(kind)
            if path is not None:
                _check_receives(where, kind)
                routes.append(
                    WebSocketRoute(
                        where=where,
                        path=path,
                        function=kind.on_receive,  # type: ignore[attr-defined]
                        is_per_message=True,
                        name=name,
                        conn=getattr(kind, "on_connect", None),
                        disconn=getattr(kind, "on_disconnect", None),
                        dialect=dialect,
                        auth=auth,
                        requires=requires,
                        limits=dict(limits or {}),
                        middleware=tuple(middleware),
                        concurrency=concurrency,
                        cancel_on_disconnect=cancel_on_disconnect,
                        allowed_origins=allowed_origins,
                        require_origin=require_origin,
                    )
                )
            if not routes:
                raise RegistrationError(
                    f"{where}, {kind.__name__}",
                    "it has no path, and no method with a route",
                    "write @app.controller('/path') and on_receive, or decorate a method",
                )
            for route in routes:
                self._add(replace(route, controller=kind, locals=names))
            return kind

        return decorate

    def _take_methods(self, kind: type) -> list[WebSocketRoute]:
        """Return the routes of methods of this class, which now is complete."""
        found = [each for each in self._methods if each.function in vars(kind).values()]
        self._methods = [each for each in self._methods if each not in found]
        return found

    def _add_function(self, route: WebSocketRoute) -> None:
        """Add a route, or keep it until its class is registered where it is that of a method."""
        if is_method(route.function):
            self._methods.append(route)
        else:
            self._add(route)

    def check_methods(self) -> None:
        """Refuse routes of methods whose class was never registered.

        Raises:
            RegistrationError: there is one.
        """
        for route in self._methods:
            raise RegistrationError(
                f"{route.where}, {name_of(route.function)}",
                "it is a method, but its class is no controller of this application",
                "write @app.controller() above the class",
            )

    # --- HTTP -----------------------------------------------------------------------------------

    def route(
        self, path: str, *, methods: Sequence[str] = ("GET",), name: str | None = None
    ) -> Callable[[F], F]:
        """Register an HTTP handler.

        It returns a Starlette `Response`, a str, an element or a list with elements in it (HTML),
        None (204), or any value, which is sent as JSON by the application's adapter.

        Raises:
            RegistrationError: the path, or a parameter of the function, cannot work.
        """
        if isinstance(methods, str) or not methods:
            raise RegistrationError(
                f"route({path!r})", f"methods: expected a list of methods, got {methods!r}"
            )
        return self._http("route", path, methods, name)

    def get(self, path: str, *, name: str | None = None) -> Callable[[F], F]:
        """Register a handler for GET (and HEAD); see `route`."""
        return self._http("get", path, ("GET",), name)

    def post(self, path: str, *, name: str | None = None) -> Callable[[F], F]:
        """Register a handler for POST, its parameters filled from the form or JSON; see `route`."""
        return self._http("post", path, ("POST",), name)

    def _http(
        self, verb: str, path: str, methods: Sequence[str], name: str | None
    ) -> Callable[[F], F]:
        check_path(verb, path)
        upper = tuple(method.upper() for method in methods)

        def decorate(function: F) -> F:
            where = f"{upper[0].lower() if len(upper) == 1 else 'route'}({path!r})"
            check_functions(where, function)
            self._add(HttpRoute(where, path, function, upper, name, local_names(function)))
            return function

        return decorate

    # --- composition ----------------------------------------------------------------------------

    def include(self, router: Router, *, prefix: str = "") -> None:
        """Add the routes of `router`, their paths behind `prefix`, and its channels.

        Raises:
            RegistrationError: a route or a channel of it cannot work here, or its path or name is
                taken.
        """
        if not isinstance(router, Router):
            raise RegistrationError("include", f"expected a Router, got {router!r}")
        if router is self:
            raise RegistrationError("include", "a router cannot include itself")
        router.check_methods()
        for channel in router._channels:
            self._declare(channel)
        for route in router._routes:
            self._add(router._with_defaults(route, prefix))
        router._is_included = True

    def _with_defaults(
        self, route: WebSocketRoute | HttpRoute, prefix: str
    ) -> WebSocketRoute | HttpRoute:
        path = join(prefix, self.prefix, route.path)
        if isinstance(route, HttpRoute):
            return replace(route, path=path)
        origins, require = route.allowed_origins, route.require_origin
        return replace(
            route,
            path=path,
            dialect=route.dialect or self.dialect,
            auth=route.auth or self.auth,
            middleware=(*self.message_middleware, *route.middleware),
            allowed_origins=self.allowed_origins if origins is None else origins,
            require_origin=self.require_origin if require is None else require,
        )

    def _add(self, route: WebSocketRoute | HttpRoute) -> None:
        PathTemplate(route.path)
        if self._is_included:
            raise RegistrationError(
                route.where,
                "the router was included already, so this route would never be reached",
                "include the router after its last route",
            )
        self._routes.append(route)


def _check_options(where: str, dialect: object, auth: object, middleware: Sequence[object]) -> None:
    check_dialect(where, dialect)
    check_auth(where, auth)
    check_middleware(where, middleware)


def _check_controller(where: str, kind: type) -> None:
    if not (isinstance(kind, type) and issubclass(kind, Controller)):
        raise RegistrationError(
            where, f"expected a subclass of Controller, got {kind!r}", "write class X(Controller)"
        )


def _check_receives(where: str, kind: type) -> None:
    if not callable(getattr(kind, "on_receive", None)):
        raise RegistrationError(
            f"{where}, {kind.__name__}",
            "it has no on_receive",
            "write async def on_receive(self, data: YourType)",
        )
