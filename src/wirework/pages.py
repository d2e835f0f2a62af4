"""The HTTP side of an application: pages of its own, or another ASGI application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .binding.binder import Binder
from .binding.plan import Plan
from .binding.signatures import name_of
from .errors import RegistrationError
from .routing.paths import ParameterError, PathTemplate
from .routing.routes import HttpRoute
from .types import ASGIApp, Body, Receive, Scope, SendMessage

if TYPE_CHECKING:
    from .handlers import Application
    from .security.keepers import SessionKeeper

__all__ = ["Pages"]


class Pages:
    """What an application answers to HTTP requests.

    Args:
        app: the application, which pages find in their requests.
        binder: fills the parameters of pages.
        keeper: of the sessions; None: there are none.
        other: an application that gets every request; there are no pages then.
    """

    def __init__(
        self,
        app: Application,
        binder: Binder,
        keeper: SessionKeeper | None,
        other: ASGIApp | None,
    ) -> None:
        self._app = app
        self._binder = binder
        self._keeper = keeper
        self._other = other
        self._routes: list[Any] = []
        self._serving: ASGIApp | None = None

    def add(self, route: HttpRoute, template: PathTemplate) -> None:
        """Add a page.

        Raises:
            RegistrationError: it has a handler already, cannot be called, or is never reached.
        """
        from .http import HttpEndpoint, http_route

        self._refuse_beside_other(route.where)

        def compiled(body: Body | None) -> Plan:
            return self._binder.compile(
                route.function,
                where=route.where,
                path=template.parameters,
                body=body,
                names=route.locals,
            )

        has_body = any(method in ("POST", "PUT", "PATCH") for method in route.methods)
        plan = compiled("json" if has_body else None)
        self._refuse_duplicate(route)
        endpoint = HttpEndpoint(self._app, plan, compiled("form") if has_body else plan)
        self._keep(http_route(route.path, endpoint, route.methods, route.name))

    def mount(self, where: str, path: str, app: ASGIApp, name: str | None) -> None:
        """Hand requests below `path` to another application.

        Raises:
            RegistrationError: it would never be reached.
        """
        from .http import mount

        self._refuse_beside_other(where)
        self._keep(mount(path, app, name))

    def names(self) -> dict[str, str]:
        """Return the path of each named page."""
        return {route.name: route.path for route in self._routes}

    def path_of(self, name: str, parameters: Mapping[str, Any]) -> str | None:
        """Return the path of the page called `name`; None: there is none.

        Raises:
            ParameterError: the parameters do not fit it.
        """
        for route in self._routes:
            if route.name == name:
                return _reversed(route, name, parameters)
        return None

    def refuse_at(self, where: str, taken: Iterable[tuple[str, str]]) -> None:
        """Refuse what would answer these methods at these paths, where pages do.

        Raises:
            RegistrationError: there is such a page.
        """
        for method, path in taken:
            for route in self._routes:
                if route.path == path and method in (getattr(route, "methods", None) or ()):
                    raise RegistrationError(where, f"{path} is a page's", "move that page")

    def lines(self) -> Iterator[str]:
        """Say what there is, a line each."""
        for route in self._routes:
            methods = set(getattr(route, "methods", None) or {"mount"}) - {"HEAD"}
            yield f"{' '.join(sorted(methods))} {route.path}"
        if self._other is not None:
            yield f"http  {self._other.__module__}.{name_of(self._other)}"

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        """Answer a request."""
        if self._serving is None:
            self._serving = self._build()
        await self._serving(scope, receive, send)

    def _build(self) -> ASGIApp:
        from .http import build_http, with_sessions

        app, own = self._other, self._app
        if app is None:
            debug = own.settings.debug
            app = build_http(self._routes, own.exception_handlers, own.json, debug=debug)
        return app if self._keeper is None else with_sessions(app, self._keeper)

    def _keep(self, route: Any) -> None:
        self._serving = None
        self._routes.append(route)

    def _refuse_beside_other(self, where: str) -> None:
        if self._other is not None:
            raise RegistrationError(
                where,
                "this application was given http=..., which gets every HTTP request",
                "register it there",
            )

    def _refuse_duplicate(self, route: HttpRoute) -> None:
        for other in self._routes:
            methods = set(route.methods) & (getattr(other, "methods", None) or set())
            if other.path == route.path and methods:
                raise RegistrationError(
                    route.where, f"{' and '.join(sorted(methods))} {route.path} has a handler"
                )


def _reversed(route: Any, name: str, parameters: Mapping[str, Any]) -> str:
    if hasattr(route, "methods"):
        return PathTemplate(route.path).reverse(**parameters)
    from starlette.routing import NoMatchFound

    try:
        return str(route.url_path_for(name, **parameters))
    except NoMatchFound:
        given = ", ".join(parameters) or "none"
        raise ParameterError(route.path, f"these parameters do not fit: {given}") from None
