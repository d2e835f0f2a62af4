"""The upgrade request, as a handler sees it: read-only, parsed when asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.datastructures import URL, Headers, QueryParams

from .errors import Refuse, SessionError
from .types import HeaderList, Scope

if TYPE_CHECKING:
    from .security.sessions import Session

__all__ = ["Handshake"]

_MISSING: Any = object()


class Handshake:
    """The HTTP request that asks for a WebSocket, or any HTTP request where a route takes one.

    Built on an ASGI scope, whatever the transport; `scope` is that dictionary.
    """

    def __init__(self, scope: Scope, app: Any = None) -> None:
        self.scope = scope
        self.app = app
        """The Wirework application that was asked."""
        self.path: str = route_path(scope)
        """The path below the mount point, percent-decoded by the server."""
        self.path_params: dict[str, Any] = {}
        """Converted values of the route's parameters."""
        self._headers: Headers | None = None
        self._query: QueryParams | None = None
        self._cookies: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Handshake({self.path!r}, client={self.client!r})"

    @property
    def headers(self) -> Headers:
        """Multi-valued, case-insensitive: `headers["x"]` is the first, `getlist("x")` all."""
        if self._headers is None:
            self._headers = Headers(scope=self.scope)
        return self._headers

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return the first header called `name`, in any case, or `default`."""
        return self.headers.get(name, default)

    @property
    def query_string(self) -> str:
        """The query as it was sent, without the question mark."""
        return bytes(self.scope.get("query_string", b"")).decode("latin-1")

    @property
    def query(self) -> QueryParams:
        """Decoded query parameters, multi-valued like `headers`."""
        if self._query is None:
            self._query = QueryParams(self.scope.get("query_string", b""))
        return self._query

    @property
    def cookies(self) -> Mapping[str, str]:
        """Cookies by name, read as browsers write them."""
        if self._cookies is None:
            from starlette.requests import cookie_parser

            self._cookies = {}
            for value in self.headers.getlist("cookie"):
                self._cookies.update(cookie_parser(value))
        return self._cookies

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the peer as the server saw it; None where it has none."""
        client = self.scope.get("client")
        return (client[0], client[1]) if client else None

    @property
    def scheme(self) -> str:
        """`ws` or `wss` (`http` or `https` for an HTTP route)."""
        scheme: str = self.scope.get("scheme", "ws")  # Daphne tells none
        return scheme

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, in its order of preference."""
        return tuple(self.scope.get("subprotocols") or ())

    @property
    def url(self) -> URL:
        """The absolute URL that the client asked for."""
        return URL(scope={**self.scope, "scheme": self.scheme})

    @property
    def has_session(self) -> bool:
        """Whether `session` can be used."""
        return "session" in self.scope

    @property
    def session(self) -> Session:
        """The signed-cookie session, shared with HTTP.

        Raises:
            SessionError: the application was built without a `secret_key`.
        """
        session: Session = self.scope.get("session", _MISSING)
        if session is _MISSING:
            raise SessionError("there is no session: give the application a secret_key")
        return session

    def url_for(self, name: str, /, **params: Any) -> str:
        """Return the absolute URL of the route called `name`, as this client reaches it.

        It begins with `ws` for a WebSocket and with `http` for a page, and is secure if this
        request is.

        Raises:
            NoSuchRoute: no route has that name.
            ParameterError: the parameters do not fit the path.
        """
        root: str = self.scope.get("root_path", "").rstrip("/")
        path = root + self.app.url_path_for(name, **params)
        scheme = "ws" if self.app.is_websocket_route(name) else "http"
        if self.scheme in ("wss", "https"):
            scheme += "s"
        return str(self.url.replace(scheme=scheme, path=path, query="", fragment=""))

    def refuse(
        self,
        status: int = 403,
        body: str | bytes = b"",
        headers: Mapping[str, str] | HeaderList = (),
    ) -> NoReturn:
        """End the handshake with an HTTP response instead of a WebSocket.

        Raises:
            Refuse: always; Wirework turns it into the response.
        """
        raise Refuse(status, body, headers)


def route_path(scope: Scope) -> str:
    """Return the path below the mount point (ASGI: `path` includes `root_path`)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :] or "/"
    return path
