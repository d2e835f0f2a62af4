"""The application: WebSocket routes, HTTP beside them, one session, one lifespan."""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.datastructures import State

from . import closecodes
from .binding.depends import kind_of
from .binding.signatures import can_take, local_names, name_of
from .brokers.base import Broker
from .channel_host import ChannelHost
from .channels.hub import Hub
from .connection import Connection, Link
from .descriptions import described, unreached_sockets
from .dialects.base import Dialect
from .errors import RegistrationError
from .fallbacks import Fallbacks, endpoints_of
from .handlers import ExceptionHandlers
from .handshake import Request, route_path
from .json import JsonAdapter, adapter_of
from .lifespan import (
    Lifespan,
    has_lifespan,
    inner_lifespan,
    serve_lifespan,
)
from .pages import Pages
from .parameters import http_binder, websocket_binder
from .reception import Reception, Target
from .registration import Registration
from .routing.paths import NoSuchRoute, PathTemplate
from .routing.router import Router
from .routing.routes import HttpRoute, WebSocketRoute, check_dialect, check_functions
from .security.auth import Auth
from .session import MessageSession, Middleware
from .session_host import SessionHost
from .settings import Settings
from .shutdown import Shutdown
from .types import ASGIApp, Receive, Scope, SendMessage
from .watchdog import Watchdog
from .websocket import WebSocket

if TYPE_CHECKING:
    from .observe import Metrics
    from .security.session_store import SessionStore
    from .security.tickets import TicketStore

__all__ = ["App"]

logger = logging.getLogger("wirework")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class App(ChannelHost, SessionHost, Router):
    """An ASGI application: WebSockets of its own, HTTP through Starlette or another application.

    Args:
        settings: a `Settings`, or the name of a TOML or JSON file; the environment (`WIREWORK_*`)
            is read in any case.
        json: "msgspec", "orjson", "stdlib" or an adapter; for frames and HTTP alike.
        dialect: of message handlers that name none; default `Raw()`.
        auth: who the peer is, on every WebSocket route that names none.
        message_middleware: around every message; see `Router`.
        http: an ASGI application (FastAPI, Starlette, Django, ...) that gets every HTTP request.
        lifespan: `lifespan(app)`, an async context manager around the application's life; a
            mapping that it yields becomes the state of every scope.
        allowed_origins: browsers' origins that may connect besides the application's own.
        sessions: where sessions are kept, such as `MemorySessions()`; None: in their signed
            cookies. Needs a `secret_key`.
        tickets: what remembers which tickets were used, such as `RedisTickets(url)`; None: the
            memory of this process, so that with several workers one is good once in each.
        metrics: what counts connections, messages and limits for Prometheus; True is `Metrics()`.
            None: nobody counts, and it costs nothing. Default None.
        broker: a broker of your own, or what the setting `broker` says: "redis://...".
        **options: single settings, such as `secret_key="..."`, `debug=True`,
            `max_message_size=...`; they win over environment and file.

    Raises:
        SettingsError: an unknown setting or a value that cannot be used.
        ModuleNotFoundError: metrics are asked for, and the extra `metrics` is not installed.
    """

    def __init__(
        self,
        settings: Settings | str | Path | None = None,
        *,
        json: str | JsonAdapter | None = None,
        dialect: Dialect | None = None,
        auth: Auth | None = None,
        message_middleware: Sequence[Middleware] = (),
        http: ASGIApp | None = None,
        lifespan: Lifespan | None = None,
        allowed_origins: Sequence[str] | None = None,
        sessions: SessionStore | None = None,
        tickets: TicketStore | None = None,
        metrics: Metrics | bool | None = None,
        broker: Broker | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dialect=dialect, auth=auth, message_middleware=message_middleware)
        if allowed_origins is not None:
            is_text = isinstance(allowed_origins, str)
            options["allowed_origins"] = allowed_origins if is_text else tuple(allowed_origins)
        if isinstance(json, str):
            options["json"] = json
        if isinstance(broker, str):
            options["broker"] = broker
        self.settings = _settings(settings, options)
        named = self.settings.json if json is None or isinstance(json, str) else json
        self.json: JsonAdapter = adapter_of(named, self.settings.max_json_depth)
        self.state = State()
        """A place for the application's own values."""
        self.overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        """Dependency -> what stands in for it, for tests."""
        self.exception_handlers = ExceptionHandlers()
        self._lifespan = lifespan
        self._other = http
        self._open_sessions(self.settings, sessions, tickets)
        self._reception = Reception(self, self.settings, self._keeper)
        self._table = self._reception.table
        self._fallbacks = Fallbacks(self.json)
        self._reception.fallbacks = self._fallbacks.table
        self._secret_parameters: frozenset[str] | None = None
        self._sockets = websocket_binder(self.json, App, self.overrides)
        self._open_channels(
            self.settings,
            self.json,
            self._sockets,
            broker if isinstance(broker, Broker) else None,
        )
        self.metrics = _metrics(metrics, self._reception, self.channels.hub)
        """What counts for Prometheus; None: nobody does."""
        self._registration = Registration(
            self.settings, self.json, self._sockets, self._reception, metrics=self.metrics
        )
        pages = http_binder(self.json, App, self.overrides)
        self._pages = Pages(self, pages, self._keeper, http)
        self._is_started = False
        self._lacks_lifespan = (
            lifespan is not None or not self.settings.websocket or has_lifespan(http)
        )
        """Whether nothing has run the lifespan although there is one; said once."""
        self._shutdown: Shutdown | None = None
        self._loop: AbstractEventLoop | None = None
        if self.metrics is not None and self.metrics.path is not None:
            from .observe.pages import metrics_page

            self.get(self.metrics.path)(metrics_page(self.metrics))

    # --- registration ---------------------------------------------------------------------------

    def exception_handler(self, kind: type[BaseException]) -> Callable[[F], F]:
        """Register `async def handler(connection, error)` for errors of class `kind`.

        It serves sockets and HTTP routes alike. What it returns is the answer to the message (or
        the response); what it raises, such as `Reject` or `Close`, counts instead of the error.

        Raises:
            RegistrationError: not an exception class, or it has a handler; or the function
                cannot take what it is called with.
        """

        def decorate(function: F) -> F:
            _check_exception_handler(kind, function)
            self.exception_handlers.add(kind, function)
            return function

        return decorate

    def mount(self, path: str, app: ASGIApp, *, name: str | None = None) -> None:
        """Hand every HTTP request below `path` to another ASGI application (static files).

        Raises:
            RegistrationError: the application was given `http=`, or the name is taken.
        """
        where = f"mount({path!r})"
        self._refuse_taken_name(where, name)
        self._pages.mount(where, path, app, name)

    def health(self, path: str = "/health", *, ready: str | None = None) -> None:
        """Answer GET at `path` with 200 as long as the event loop turns, and say at `ready` more.

        There it is 200 while new connections are wanted. It is 503 from the beginning of the
        shutdown on, and while the broker is away, where there are channels and other processes
        share it: what a load balancer asks. Both are open to everybody, and tell nothing else.

        Args:
            path: for who restarts what does not answer. Default "/health".
            ready: for who sends connections here. Default: "/ready" behind `path`.

        Raises:
            RegistrationError: the application was given `http=`, or a path is taken.
        """
        from .observe.pages import health_page, readiness_page

        self.get(path)(health_page())
        self.get(f"{path}/ready" if ready is None else ready)(readiness_page(self._why_unready))

    def _why_unready(self) -> str:
        """Return why no new connections are wanted; "": they are."""
        if self._reception.is_leaving:
            return "draining"
        hub = self.channels.hub
        is_needed = hub.broker.is_shared and len(self.channels) > 0
        return "degraded" if is_needed and hub.is_away else ""

    def url_path_for(self, name: str, /, **params: Any) -> str:
        """Return the path of the route called `name`, WebSocket or HTTP.

        Raises:
            NoSuchRoute: no route has that name; the nearest one is named.
            ParameterError: the parameters do not fit the path.
        """
        try:
            return self._table.reverse(name, **params)
        except NoSuchRoute as error:
            path = self._pages.path_of(name, params)
            if path is None:
                raise error
            return path

    def is_websocket_route(self, name: str) -> bool:
        """Whether the route called `name` is a WebSocket: `url_for` needs to know."""
        return self._table.has_name(name)

    def websocket_routes(self) -> list[tuple[str, Target]]:
        """Return the path of each WebSocket route and what it leads to, for tools."""
        return [(each.template.text, each.target) for each in self._table]

    @property
    def http_app(self) -> ASGIApp | None:
        """What was given as `http=`."""
        return self._other

    @property
    def has_streams(self) -> bool:
        """Whether a route has the ways in for clients without WebSockets."""
        return any(True for _ in self._fallbacks.table)

    @property
    def secret_parameters(self) -> frozenset[str]:
        """Names of query parameters that carry credentials: logs must not show their values."""
        if self._secret_parameters is None:
            gates = [each.target.gate for each in self._table if each.target.gate is not None]
            names = [gate.auth.secret_parameters for gate in gates]
            self._secret_parameters = frozenset().union(*names)
        return self._secret_parameters

    def describe_routes(self) -> list[str]:
        """Return a line for each route: what it is, its path, and what serves a WebSocket."""
        lines = [
            f"websocket {each.template.text}  {described(each.target.endpoint)}"
            for each in self._table
        ]
        for stream in self._fallbacks.table:
            place = stream.target
            lines.append(f"{place.method} {stream.template.text}  {place.words}")
        lines.extend(self._pages.lines())
        return lines

    def _add(self, declared: WebSocketRoute | HttpRoute) -> None:
        route = self._with_defaults(declared, "")
        template = PathTemplate(route.path)
        self._refuse_taken_name(route.where, route.name)
        if isinstance(route, HttpRoute):
            self._fallbacks.refuse_page(route.where, route.path, set(route.methods))
            self._pages.add(route, template)
        else:
            self._add_socket(route, template)

    def _refuse_taken_name(self, where: str, name: str | None) -> None:
        taken = {route.name: route.template.text for route in self._table} | self._pages.names()
        if name is not None and name in taken:
            raise RegistrationError(
                where, f"the name {name!r} belongs to {taken[name]!r}", "choose another name"
            )

    def _add_socket(self, route: WebSocketRoute, template: PathTemplate) -> None:
        self._secret_parameters = None
        endpoints = endpoints_of(route)
        if endpoints is None:
            self._table.add(template, self._registration.target(route, template), route.name)
            return
        base = route.path.rstrip("/")
        route = replace(route, path=base + endpoints.socket)
        template = PathTemplate(route.path)
        streams = ("POST", base + endpoints.lines), ("GET", base + endpoints.events)
        self._pages.refuse_at(route.where, [*streams, ("POST", endpoints.messages)])
        target = self._registration.target(route, template)
        self._table.add(template, target, route.name)
        assert route.dialect is not None
        self._fallbacks.add(base, target, route.dialect, endpoints)

    # --- serving --------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        """Serve one ASGI scope: a WebSocket, an HTTP request or the lifespan."""
        kind = scope["type"]
        if kind == "websocket" and "wirework.native" in (scope.get("extensions") or ()):
            await scope["extensions"]["wirework.native"].serve(self, scope)
        elif kind == "websocket":
            from .transports.asgi import serve

            await serve(self, scope, receive, send)
        elif kind == "http":
            await self._serve_http(scope, receive, send)
        elif kind == "lifespan":
            await serve_lifespan(self.lifespan_context(), scope, receive, send)
        else:
            raise RuntimeError(f"expected a websocket, http or lifespan scope, got {kind!r}")

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Serve one RSGI scope (Granian): a WebSocket or an HTTP request."""
        from .transports.rsgi import serve

        await serve(self, scope, protocol)

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        """Start in one of Granian's workers, which ends if that fails."""
        from .transports.rsgi import start

        start(self, loop)

    def __rsgi_del__(self, loop: AbstractEventLoop) -> None:
        """Stop in one of Granian's workers."""
        from .transports.rsgi import stop

        stop(self, loop)

    def opens_at_once(self, path: str) -> bool:
        """Whether `connect` for `path` waits for nothing and runs no code of the application."""
        return self._reception.opens_at_once(path)

    def new_connection(self, link: Link) -> Connection:
        """Return the connection of a transport's link."""
        if self.metrics is not None:
            return self.metrics.connection(link, self.settings)
        return Connection(link, self.settings)

    def met(self, limit: str) -> None:
        """Count that a limit of HTTP requests has bitten: a setting's name."""
        if self.metrics is not None:
            self.metrics.tally_of("").met(limit)

    async def connect(self, connection: Connection, scope: Scope | Request) -> None:
        """Serve a connection that a transport brings; the transport's one way in.

        May return while the connection lives on: it is over when `connection.is_finished`.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self._lacks_lifespan:
            self._lacks_lifespan = False
            logger.warning(
                "the application's lifespan never ran; is it mounted?"
                " enter app.lifespan_context() in the outer lifespan"
            )
        await self._reception.serve(connection, scope)

    @property
    def connections(self) -> list[WebSocket]:
        """The connections that are being served in this process, accepted or not yet."""
        return list(self._reception)

    def disconnect(
        self,
        *,
        user: Any = None,
        session: Mapping[str, Any] | None = None,
        connection: str | None = None,
        code: int = closecodes.NOT_AUTHENTICATED,
        reason: str = "signed out",
    ) -> int:
        """Close connections of this process: of a user, of a session, or one; return how many.

        Those that fit everything that is given are closed; what waits in their outboxes goes
        first. Users are the same when they have the same `id`, or are equal.

        Args:
            user: what authentication returned, or its `id`.
            session: values that the session has on the connection, at least one; or the session
                itself, whose connections are, with a store (`sessions=`), those with the same id.
            connection: the id of one (`ws.id`).
            code: the close code; 4401 tells clients to sign in again. Default 4401.
            reason: at most 123 bytes.

        Raises:
            TypeError: nothing is given, which would be everybody.
            ValueError: a code that may not be sent, or a reason that is too long.
        """
        if user is None and session is None and connection is None:
            raise TypeError("disconnect: expected user, session or connection, got none of them")
        closecodes.check_close(code, reason)
        return self._reception.disconnect(user, session, connection, code, reason)

    async def serve_messages(
        self, ws: WebSocket, on_receive: Callable[..., Any], **options: Any
    ) -> None:
        """Run a session with callbacks; see `WebSocket.serve`."""
        functions = (on_receive, options["conn"], options["disconn"])
        where = f"ws.serve on {ws.handshake.path!r}"
        check_functions(where, *functions)
        check_dialect(where, options["dialect"])
        options["dialect"] = options["dialect"] or ws.handler.dialect
        route = WebSocketRoute(
            where=where,
            path=ws.handshake.path,
            function=on_receive,
            is_per_message=True,
            middleware=ws.handler.middleware,
            locals=local_names(*functions, depth=3),
            **options,
        )
        path = {name: type(value) for name, value in ws.path_params.items()}
        endpoint = self._registration.callbacks(
            route, path, ws.handler.settings, label=ws.connection.route
        )
        await MessageSession(endpoint, ws).serve()

    def from_thread(
        self, function: Callable[..., Awaitable[T]], *args: Any, timeout: float | None = None
    ) -> T:
        """Run `await function(*args)` in the application's event loop, and return its result.

        For threads of the application's own, such as a `def` handler's or a library's callbacks:
        `app.from_thread(ws.send_event, "tick", data)`.

        Raises:
            RuntimeError: called in the event loop's own thread (await it there), or the
                application is not running.
            TimeoutError: no result within `timeout` seconds; the call was cancelled.
        """
        loop = self._loop
        if loop is None or not loop.is_running():
            raise RuntimeError("from_thread: the application is not running")
        if asyncio._get_running_loop() is loop:
            raise RuntimeError("from_thread: this is the event loop's thread; await the call")

        async def call() -> T:
            return await function(*args)

        future = asyncio.run_coroutine_threadsafe(call(), loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    async def _serve_http(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        place = self._fallbacks.table.find(route_path(scope))
        if place is not None:
            from .transports.http_stream import serve

            proxies = self._reception.proxies
            seen = scope if proxies is None else proxies.correct(scope)
            await serve(self, place.target, scope, receive, send, seen=seen)
            return
        lent = self._reception.lent_state
        if lent:  # which the server does not where this is mounted
            state = scope.setdefault("state", {})
            for name, value in lent.items():
                state.setdefault(name, value)
        if self._reception.proxies is not None:
            scope = self._reception.proxies.correct(scope)
        await self._pages(scope, receive, send)

    @asynccontextmanager
    async def lifespan_context(self) -> AsyncIterator[dict[str, Any]]:
        """Start and stop the application, and the one behind `http=`, once.

        Servers do it through ASGI; a framework that mounts this application and runs no lifespan of
        mounted ones enters it in its own.
        """
        if self._is_started:
            raise RuntimeError("the application's lifespan is running already")
        self.check_methods()
        self._is_started = True
        self._loop = asyncio.get_running_loop()
        self._lacks_lifespan = False
        if not self.settings.websocket:
            logger.warning("websocket = false: every WebSocket handshake is refused with 403")
        state: dict[str, Any] = {}
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._close_stores)
                if self._other is not None:
                    self._warn_of_unreached(self._other)
                    state.update(await stack.enter_async_context(inner_lifespan(self._other)))
                if self._lifespan is not None:
                    own = await stack.enter_async_context(self._lifespan(self))
                    state.update({} if own is None else own)
                if self.settings.stall_warning is not None:
                    watchdog = Watchdog(self.settings.stall_warning)
                    watchdog.start()
                    stack.callback(watchdog.stop)
                self.channels.hub.reopen()
                stack.push_async_callback(self.channels.hub.stop)
                if len(self.channels) or self.channels.hub.broker.is_shared:
                    await self.channels.start()
                stack.push_async_callback(self._end_connections)
                self._reception.lent_state = dict(state)
                yield state
        finally:
            self._reception.lent_state = {}
            self._is_started = self._reception.is_leaving = False
            self._loop = self._shutdown = None

    def _warn_of_unreached(self, other: ASGIApp) -> None:
        """Say which WebSockets of the application behind `http=` nobody can open."""
        own = {path for path, _ in self.websocket_routes()}
        paths = [path for path in unreached_sockets(other) if path not in own]
        if paths:
            logger.warning(
                "http=%s gets HTTP requests alone: nobody can open its WebSockets %s; declare them"
                " with this application, or mount this one in that one",
                type(other).__name__,
                ", ".join(paths),
            )

    def shut_down(self, *, spreads: bool = True, at_once: bool = False) -> asyncio.Task[None]:
        """Begin to end all connections of this process, because the server stops.

        New handshakes are refused from now on. It is for transports that can still carry answers
        and close frames then; without them all connections end with the lifespan.

        Args:
            spreads: close them within `drain_spread`; False: each as soon as its handlers have
                answered. Default True.
            at_once: wait for nothing, also where it has begun already. Default False.

        Returns:
            The task that does it, which ends when handlers and disconnect hooks have run.
        """
        shutdown = self._shutdown
        if shutdown is None:
            shutdown = self._shutdown = Shutdown(self._reception, self.settings)
        if at_once:
            shutdown.hurry()
        return shutdown.begin(spreads=spreads, listens=True)

    async def _end_connections(self) -> None:
        """End what is open when the lifespan ends: no transport can say a word to peers now."""
        shutdown = self._shutdown or Shutdown(self._reception, self.settings)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            shutdown.hurry()
        await shutdown.begin(spreads=False, listens=False)


def _check_exception_handler(kind: object, function: Any) -> None:
    where = f"app.exception_handler({getattr(kind, '__name__', kind)}), {name_of(function)}"
    remedy = "write async def handler(connection, error)"
    if not callable(function) or kind_of(function) not in ("async", "sync"):
        raise RegistrationError(where, "expected a function that returns an answer", remedy)
    if not can_take(function, 2):
        raise RegistrationError(where, "it cannot take a connection and an error", remedy)


def _settings(given: Settings | str | Path | None, options: Mapping[str, Any]) -> Settings:
    if isinstance(given, Settings):
        return given.replace(**options) if options else given
    return Settings.load(given, **options)


def _metrics(given: Metrics | bool | None, reception: Reception, hub: Hub) -> Metrics | None:
    if given is None or given is False:
        return None
    from .observe import Metrics

    if given is not True and not isinstance(given, Metrics):
        raise TypeError(f"App, metrics: expected True or a Metrics, got {given!r}")
    metrics = Metrics() if given is True else given
    metrics.add_census(reception.census)
    metrics.add_hub(hub)
    return metrics
