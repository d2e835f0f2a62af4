"""The HTTP side: routes beside the sockets, served by Starlette."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from .binding.depends import Store
from .binding.plan import Context, Plan
from .commands import Call
from .dialects.markup import is_markup, render
from .errors import Refuse, RegistrationError, Reject, ValidationError
from .handlers import Application, ExceptionHandlers, call_plan, http_answer, is_foreseen
from .handshake import Handshake
from .json import JsonAdapter
from .security.keepers import SessionKeeper
from .security.stored_session import StoredSession
from .types import ASGIApp, Message, Receive, Scope, SendMessage

__all__ = ["HttpEndpoint", "Responder", "build_http", "http_route", "mount", "with_sessions"]


_SEEN = "_wirework_seen"
"""Marks an error that the application's functions have had: Starlette would ask them again."""


class Responder:
    """Makes responses of what handlers return and raise."""

    def __init__(self, json: JsonAdapter, handlers: ExceptionHandlers) -> None:
        self._json = json
        self._handlers = handlers

    def response(self, value: Any, status: int = 200) -> Response:
        """Return `value` as a response; see `Router.route`."""
        if isinstance(value, Response):
            return value
        if value is None:
            return Response(status_code=204 if status == 200 else status)
        if _holds_markup(value):
            return HTMLResponse(render(value), status)
        if isinstance(value, str):
            return HTMLResponse(value, status)
        if isinstance(value, bytes):
            return Response(value, status, media_type="application/octet-stream")
        return Response(self._json.encode(value), status, media_type="application/json")

    async def failure(self, request: Request, error: Exception) -> Response:
        """Return the response to `error`: what the application's handler for it says, if any.

        An error that nobody foresaw is raised.
        """
        if getattr(error, _SEEN, False):
            raise error
        handler = self._handlers.find(error)
        if handler is not None:
            try:
                return self.response(await self._handlers.call(handler, request, error))
            except Exception as other:
                error = other
        return self._refusal(error)

    def _refusal(self, error: Exception) -> Response:
        if isinstance(error, Refuse):
            return Response(error.body, error.status, dict(error.headers))
        if not is_foreseen(error):
            setattr(error, _SEEN, True)
            raise error
        status, body = http_answer(error)
        return self.response(body, 422 if isinstance(error, ValidationError) else status)


class HttpEndpoint:
    """One HTTP handler, its parameters filled like those of any other handler.

    Args:
        app: the application.
        plan: of the function, for requests without a body or with JSON.
        form_plan: of the function, for requests with a form.

    Raises:
        RegistrationError: the function cannot answer a request: it is a generator function.
    """

    def __init__(self, app: Application, plan: Plan, form_plan: Plan) -> None:
        if plan.kind not in ("async", "sync"):
            raise RegistrationError(
                plan.where,
                f"an HTTP handler gives one answer, got a function of the kind {plan.kind!r}",
                "return the answer; to stream, return starlette.responses.StreamingResponse(...)",
            )
        self._app = app
        self._plan = plan
        self._form_plan = form_plan
        self._responder = Responder(app.json, app.exception_handlers)

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        payload = self._plan.payload
        if payload is not None and payload.is_used:
            limit = self._app.settings.max_body_size
            request = Request(request.scope, _bounded(request.receive, limit))
        handshake = Handshake(request.scope, self._app)
        handshake.path_params = dict(request.path_params)
        store = Store()
        context = Context(request, handshake, store, passing=store)
        try:
            async with context:
                return await self._respond(request, context)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:
            if isinstance(error, _TooLarge):
                self._app.met("max_body_size")
            return await self._responder.failure(request, error)

    async def _respond(self, request: Request, context: Context) -> Response:
        plan = self._plan
        plan.check(context.handshake)
        if plan.payload is not None and plan.payload.is_used:
            _check_length(request, self._app.settings.max_body_size)
            form = await _form(request)
            if form is not None:
                plan = self._form_plan
            context.call = Call(await request.body() if form is None else form)
        return self._responder.response(await call_plan(plan, context))


async def _form(request: Request) -> dict[str, Any] | None:
    """Return the fields of the request's form; None where the body is JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = await request.form()
        return _single({name: form.getlist(name) for name in form})
    body = await request.body()
    if kind == "application/x-www-form-urlencoded" or not body:
        return _single(parse_qs(body.decode(errors="replace"), keep_blank_values=True))
    if kind in ("", "application/json") or kind.endswith("+json"):
        return None
    raise Reject(415, f"expected application/json or a form, got {kind}")


def _check_length(request: Request, limit: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        raise _TooLarge(limit)


def _bounded(receive: Receive, limit: int) -> Receive:
    """Return `receive` for a body of at most `limit` bytes, however its length was announced."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body") or b"")
        if taken > limit:
            raise _TooLarge(limit)
        return message

    return bounded


class _TooLarge(Reject):
    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the body has more than {limit} bytes")


def _holds_markup(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_markup(item) for item in value)
    return is_markup(value)


def _single(fields: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


def build_http(
    routes: Iterable[BaseRoute], handlers: ExceptionHandlers, json: JsonAdapter, *, debug: bool
) -> ASGIApp:
    """Return the Starlette application of these routes.

    It is told of the application's functions for errors too, for its own (404) and for those of
    mounted applications.
    """
    table: Any = {kind: Responder(json, handlers).failure for kind, _ in handlers.items()}
    return Starlette(debug=debug, routes=list(routes), exception_handlers=table)


def mount(path: str, app: ASGIApp, name: str | None) -> Mount:
    """Return a route that hands everything below `path` to another application."""
    return Mount(path, app=app, name=name)


def http_route(
    path: str, endpoint: HttpEndpoint, methods: Iterable[str], name: str | None
) -> Route:
    """Return a Starlette route."""
    return Route(path, endpoint.answer, methods=list(methods), name=name or path)


def with_sessions(app: ASGIApp, keeper: SessionKeeper) -> ASGIApp:
    """Wrap an HTTP application so that it reads and writes the same session as the sockets.

    What it writes is saved before the response begins; with a store also what it writes after that,
    when it is done. An application that brings its own session middleware keeps it.
    """

    async def wrapped(scope: Scope, receive: Receive, send: SendMessage) -> None:
        if scope["type"] != "http" or "session" in scope:
            await app(scope, receive, send)
            return
        session = scope["session"] = await keeper.load(Handshake(scope).cookies)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and scope.get("session") is session:
                headers = MutableHeaders(scope=message)
                if session.accessed:
                    headers.add_vary_header("Cookie")
                value = await keeper.settle(session, is_https=scope.get("scheme") == "https")
                if value is not None:
                    headers.append("set-cookie", value)
                if isinstance(session, StoredSession):
                    session.lock()
            await send(message)

        try:
            await app(scope, receive, send_with_cookie)
        finally:
            if isinstance(session, StoredSession):
                await session.keep_last()

    return wrapped
