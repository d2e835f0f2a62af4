"""Routers: where decorators put routes, before an application makes endpoints of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from ..binding.signatures import LocalNames, local_names, name_of
from ..dialects.base import Dialect
from ..errors import RegistrationError
from .paths import PathTemplate

__all__ = ["HttpRoute", "Router", "WebSocketRoute"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class WebSocketRoute:
    """A WebSocket route as it was declared; an application compiles it."""

    where: str
    path: str
    function: Callable[..., Any]
    is_per_message: bool
    name: str | None = None
    conn: Callable[..., Any] | None = None
    disconn: Callable[..., Any] | None = None
    dialect: Dialect | None = None
    concurrency: int = 1
    cancel_on_disconnect: bool = False
    allowed_origins: Sequence[str] | None = None
    require_origin: bool | None = None
    locals: LocalNames = field(default_factory=LocalNames)


@dataclass(frozen=True)
class HttpRoute:
    """An HTTP route as it was declared."""

    where: str
    path: str
    function: Callable[..., Any]
    methods: tuple[str, ...]
    name: str | None = None
    locals: LocalNames = field(default_factory=LocalNames)


class Router:
    """A group of routes, added to an application with `app.include(router)`.

    Args:
        prefix: put before every path of the router; may have parameters.
        dialect: of message handlers that name none.
        allowed_origins: of WebSocket routes that name none.
        require_origin: of WebSocket routes that do not say.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        dialect: Dialect | None = None,
        allowed_origins: Sequence[str] | None = None,
        require_origin: bool | None = None,
    ) -> None:
        check_dialect(type(self).__name__, dialect)
        self.prefix = prefix
        self.dialect = dialect
        self.allowed_origins = allowed_origins
        self.require_origin = require_origin
        self._routes: list[WebSocketRoute | HttpRoute] = []
        self._is_included = False

    # --- WebSockets -----------------------------------------------------------------------------

    def websocket(
        self,
        path: str,
        *,
        name: str | None = None,
        allowed_origins: Sequence[str] | None = None,
        require_origin: bool | None = None,
    ) -> Callable[[F], F]:
        """Register a connection handler: one function that holds the loop of its connection.

        Args:
            path: template such as "/rooms/{room_id:int}".
            name: for `url_path_for`.
            allowed_origins: browsers' origins that may connect besides the application's own.
            require_origin: refuse clients that send no Origin header.

        Raises:
            RegistrationError: the path, or a parameter of the function, cannot work.
        """
        _check_path("websocket", path)

        def decorate(function: F) -> F:
            where = f"websocket({path!r})"
            _check_functions(where, function)
            route = WebSocketRoute(
                where=where,
                path=path,
                function=function,
                is_per_message=False,
                name=name,
                allowed_origins=allowed_origins,
                require_origin=require_origin,
                locals=local_names(function),
            )
            self._add(route)
            return function

        return decorate

    def ws(
        self,
        path: str,
        *,
        conn: Callable[..., Any] | None = None,
        disconn: Callable[..., Any] | None = None,
        dialect: Dialect | None = None,
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
            name: for `url_path_for`.
            concurrency: messages of one connection handled at a time; 1 keeps their order.
            cancel_on_disconnect: cancel the running handler, and drop what waits, when the peer
                goes; otherwise everything that arrived is still handled.
            allowed_origins: browsers' origins that may connect besides the application's own.
            require_origin: refuse clients that send no Origin header.

        Raises:
            RegistrationError: the path, or a parameter of a function, cannot work.
        """
        _check_path("ws", path)
        check_dialect(f"ws({path!r})", dialect)

        def decorate(function: F) -> F:
            where = f"ws({path!r})"
            _check_functions(where, function, conn, disconn)
            route = WebSocketRoute(
                where=where,
                path=path,
                function=function,
                is_per_message=True,
                name=name,
                conn=conn,
                disconn=disconn,
                dialect=dialect,
                concurrency=concurrency,
                cancel_on_disconnect=cancel_on_disconnect,
                allowed_origins=allowed_origins,
                require_origin=require_origin,
                locals=local_names(function, conn, disconn),
            )
            self._add(route)
            return function

        return decorate

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
        _check_path(verb, path)
        upper = tuple(method.upper() for method in methods)

        def decorate(function: F) -> F:
            where = f"{upper[0].lower() if len(upper) == 1 else 'route'}({path!r})"
            _check_functions(where, function)
            self._add(HttpRoute(where, path, function, upper, name, local_names(function)))
            return function

        return decorate

    # --- composition ----------------------------------------------------------------------------

    def include(self, router: Router, *, prefix: str = "") -> None:
        """Add the routes of `router`, their paths behind `prefix`.

        Raises:
            RegistrationError: a route of it cannot work here, or its path or name is taken.
        """
        if not isinstance(router, Router):
            raise RegistrationError("include", f"expected a Router, got {router!r}")
        if router is self:
            raise RegistrationError("include", "a router cannot include itself")
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


def _check_path(verb: str, path: object) -> None:
    """Refuse a decorator that got something else as its path, such as the function itself."""
    if isinstance(path, str):
        return
    if callable(path):
        raise RegistrationError(
            f"{verb}, {name_of(path)}",
            "the decorator has no path, and so got the function for one",
            f"write @app.{verb}('/path')",
        )
    raise RegistrationError(verb, f"path: expected a str such as '/path', got {path!r}")


def _check_functions(where: str, *functions: object) -> None:
    """Refuse handlers and hooks that are no functions; None is a hook that is not there."""
    for function in functions:
        if isinstance(function, type):
            raise RegistrationError(
                f"{where}, {name_of(function)}",
                "expected a function, got a class",
                "give it a function, or a method of an object",
            )
        if function is not None and not callable(function):
            raise RegistrationError(where, f"expected a function, got {function!r}")


def check_dialect(where: str, dialect: object) -> None:
    """Refuse what is given as `dialect=` and is none.

    Raises:
        RegistrationError: a class instead of an object, or no dialect at all.
    """
    if isinstance(dialect, type):
        name = dialect.__name__
        raise RegistrationError(
            where, f"dialect: expected an object, got the class {name}", f"write dialect={name}()"
        )
    if dialect is not None and not callable(getattr(dialect, "open", None)):
        raise RegistrationError(
            where, f"dialect: expected one such as Raw() or Htmx(), got {dialect!r}"
        )


def join(*parts: str) -> str:
    """Join prefixes and a path; a trailing slash of a prefix does not count."""
    *prefixes, path = parts
    return "".join(prefix.rstrip("/") for prefix in prefixes) + path
