"""The upgrade request, as a handler sees it: read-only, parsed when asked."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from starlette.datastructures import URL, Headers, QueryParams

from .errors import Refuse, SessionError
from .types import HeaderList, Scope

if TYPE_CHECKING:
    from .security.sessions import Session

__all__ = ["Handshake", "Request"]

_MISSING: Any = object()


class Request(Protocol):
    """What a transport keeps of a request instead of a scope, which is large and seldom needed."""

    @property
    def path(self) -> str:
        """The path below the mount point, percent-decoded."""

    @property
    def scheme(self) -> str:
        """`ws` or `wss`."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All headers in order, names in lower case."""

    def values(self, name: str) -> list[str]:
        """Return the values of all headers called `name`, which is in lower case."""

    @property
    def query_string(self) -> bytes:
        """The query as it was sent."""

    @property
    def client(self) -> Any:
        """Address and port of the peer, or None."""

    @property
    def state(self) -> dict[str, Any]:
        """A copy of what the lifespan yielded."""

    def scope(self) -> Scope:
        """Return a new ASGI scope."""


class Handshake:
    """The HTTP request that asks for a WebSocket, or any HTTP request where a route takes one.

    Built on an ASGI scope, whatever the transport, or on what a transport keeps in its place.
    """

    __slots__ = (
        "__weakref__",
        "_cookies",
        "_headers",
        "_lent",
        "_path_params",
        "_query",
        "_request",
        "_scope",
        "_session",
        "app",
        "path",
        "stored",
    )

    def __init__(self, scope: Scope | Request, app: Any = None) -> None:
        self.app = app
        """The Wirework application that was asked."""
        self._scope: Scope | None = None
        self._request: Request | None = None
        if isinstance(scope, MutableMapping):
            self._scope = scope
            path = route_path(scope)
        else:
            self._request = scope
            path = scope.path
        self.path: str = path
        """The path below the mount point, percent-decoded by the server."""
        self._path_params: dict[str, Any] | None = None
        self._session: Any = _MISSING
        self.stored: Any = None
        """The session, where it is saved after each call of the application's code; else None."""
        self._lent: Mapping[str, Any] | None = None
        self._headers: Headers | None = None
        self._query: QueryParams | None = None
        self._cookies: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Handshake({self.path!r}, client={self.client!r})"

    @property
    def scope(self) -> Scope:
        """The ASGI scope: always the same dictionary."""
        scope = self._scope
        if scope is None:
            assert self._request is not None
            scope = self._scope = self._request.scope()
            self._request = None
            if self._path_params is not None:
                scope["path_params"] = self._path_params
            if self._session is not _MISSING:
                scope["session"] = self._session
            self.lend_state(self._lent or {})
        return scope

    @property
    def path_params(self) -> dict[str, Any]:
        """Converted values of the route's parameters."""
        if self._path_params is None:
            self._path_params = {}
        return self._path_params

    @path_params.setter
    def path_params(self, params: dict[str, Any]) -> None:
        self._path_params = params
        if self._scope is not None:
            self._scope["path_params"] = params

    @property
    def state(self) -> Mapping[str, Any]:
        """What the lifespan yielded."""
        if self._scope is None:
            assert self._request is not None
            return {**(self._lent or {}), **self._request.state}
        return self._scope.get("state") or {}

    def lend_state(self, state: Mapping[str, Any]) -> None:
        """Add what the lifespan yielded to the scope's state, where it lacks it."""
        self._lent = state
        if state and self._scope is not None:
            own = self._scope.setdefault("state", {})
            for name, value in state.items():
                own.setdefault(name, value)

    @property
    def headers(self) -> Headers:
        """Multi-valued, case-insensitive: `headers["x"]` is the first, `getlist("x")` all."""
        if self._headers is None:
            if self._scope is None:
                assert self._request is not None
                self._headers = Headers(raw=self._request.headers)
            else:
                self._headers = Headers(scope=self._scope)
        return self._headers

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return the first header called `name`, in any case, or `default`."""
        return self.headers.get(name, default)

    def values(self, name: str) -> list[str]:
        """Return the values of all headers called `name`, which is in lower case."""
        return self.headers.getlist(name) if self._request is None else self._request.values(name)

    @property
    def query_string(self) -> str:
        """The query as it was sent, without the question mark."""
        return self._raw_query.decode("latin-1")

    @property
    def query(self) -> QueryParams:
        """Decoded query parameters, multi-valued like `headers`."""
        if self._query is None:
            self._query = QueryParams(self._raw_query)
        return self._query

    @property
    def _raw_query(self) -> bytes:
        if self._request is not None:
            return self._request.query_string
        return bytes(self.scope.get("query_string", b""))

    @property
    def cookies(self) -> Mapping[str, str]:
        """Cookies by name, read as browsers write them."""
        if self._cookies is None:
            from starlette.requests import cookie_parser

            self._cookies = {}
            for value in self.values("cookie"):
                self._cookies.update(cookie_parser(value))
        return self._cookies

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the peer as the server saw it; None where it has none."""
        client = self._request.client if self._request is not None else self.scope.get("client")
        return (client[0], client[1]) if client else None

    @property
    def scheme(self) -> str:
        """`ws` or `wss` (`http` or `https` for an HTTP route)."""
        if self._request is not None:
            return self._request.scheme
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
        if self._scope is not None:
            return "session" in self._scope
        return self._session is not _MISSING

    @property
    def session(self) -> Session:
        """The session, shared with HTTP.

        Raises:
            SessionError: the application was built without a `secret_key`.
        """
        session = self._session if self._scope is None else self._scope.get("session", _MISSING)
        if session is _MISSING:
            raise SessionError("there is no session: give the application a secret_key")
        found: Session = session
        return found

    @session.setter
    def session(self, session: Session) -> None:
        if self._scope is None:
            self._session = session
        else:
            self._scope["session"] = session

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
