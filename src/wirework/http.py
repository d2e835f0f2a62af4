"""The HTTP side: routes beside the sockets, served by Starlette."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from .commands import Call
from .depends import Store
from .dialects.markup import is_markup, render
from .errors import MalformedMessage, Refuse, Reject, ValidationError
from .handlers import ExceptionHandler, ExceptionHandlers, call_plan
from .handshake import Handshake
from .json import JsonAdapter
from .plan import Context, Plan
from .security.cookies import SessionCookie
from .types import ASGIApp, Message, Receive, Scope, SendMessage

__all__ = ["HttpEndpoint", "Responder", "build_http", "http_route", "mount", "with_sessions"]


class Responder:
    """Makes responses of what handlers return and raise."""

    def __init__(self, json: JsonAdapter) -> None:
        self._json = json

    def response(self, value: Any, status: int = 200) -> Response:
        """Return `value` as a response; see `Router.route`."""
        if isinstance(value, Response):
            return value
        if value is None:
            return Response(status_code=204 if status == 200 else status)
        if is_markup(value):
            return HTMLResponse(render(value), status)
        if isinstance(value, str):
            return HTMLResponse(value, status)
        if isinstance(value, bytes):
            return Response(value, status, media_type="application/octet-stream")
        return Response(self._json.encode(value), status, media_type="application/json")

    def refusal(self, error: BaseException) -> Response:
        """Return the response that `error` asks for; an error that nobody foresaw is raised."""
        if isinstance(error, Refuse):
            return Response(error.body, error.status, dict(error.headers))
        if isinstance(error, Reject):
            is_status = isinstance(error.code, int) and 400 <= error.code <= 599
            status = int(error.code) if is_status else 403
            return self._error(status, error.code, error.message, error.details)
        if isinstance(error, ValidationError):
            return self._error(422, "validation", str(error), error.problems)
        if isinstance(error, MalformedMessage):
            return self._error(400, error.code, error.message, None)
        raise error

    def _error(self, status: int, code: Any, message: str, details: Any) -> Response:
        body = {"code": code, "message": message}
        if details is not None:
            body["details"] = details
        return self.response({"error": body}, status)


class HttpEndpoint:
    """One HTTP handler, its parameters filled like those of any other handler."""

    def __init__(self, plan: Plan, json: JsonAdapter, app: Any) -> None:
        self._plan = plan
        self._json = json
        self._app = app
        self._responder = Responder(json)

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        handshake = Handshake(request.scope, self._app)
        handshake.path_params = dict(request.path_params)
        store = Store()
        context = Context(request, handshake, store, passing=store)
        try:
            self._plan.check(handshake)
            if self._plan.payload is not None and self._plan.payload.is_used:
                context.call = Call(await self._body(request))
            response = self._responder.response(await call_plan(self._plan, context))
        except Exception as error:
            if await store.release(error):
                return Response(status_code=204)
            return self._responder.refusal(error)
        await store.release()
        return response

    async def _body(self, request: Request) -> Any:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            form = await request.form()
            return _single({name: form.getlist(name) for name in form})
        body = await request.body()
        if kind == "application/x-www-form-urlencoded":
            return _single(parse_qs(body.decode(errors="replace"), keep_blank_values=True))
        return self._json.decode(body)


def _single(fields: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


def build_http(
    routes: Iterable[BaseRoute], handlers: ExceptionHandlers, json: JsonAdapter, *, debug: bool
) -> ASGIApp:
    """Return the Starlette application of these routes."""
    responder = Responder(json)

    def adapt(handler: ExceptionHandler) -> Any:
        async def answer(request: Request, error: Exception) -> Response:
            try:
                return responder.response(await handlers.call(handler, request, error))
            except Exception as other:
                return responder.refusal(other)

        return answer

    table: Any = {kind: adapt(handler) for kind, handler in handlers.items()}
    return Starlette(debug=debug, routes=list(routes), exception_handlers=table)


def mount(path: str, app: ASGIApp, name: str | None) -> Mount:
    """Return a route that hands everything below `path` to another application."""
    return Mount(path, app=app, name=name)


def http_route(
    path: str, endpoint: HttpEndpoint, methods: Iterable[str], name: str | None
) -> Route:
    """Return a Starlette route."""
    return Route(path, endpoint.answer, methods=list(methods), name=name or path)


def with_sessions(app: ASGIApp, cookie: SessionCookie) -> ASGIApp:
    """Wrap an HTTP application so that it reads and writes the same session as the sockets.

    An application that brings its own session middleware keeps it.
    """

    async def wrapped(scope: Scope, receive: Receive, send: SendMessage) -> None:
        if scope["type"] != "http" or "session" in scope:
            await app(scope, receive, send)
            return
        session = scope["session"] = cookie.load(Handshake(scope).cookies)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and scope.get("session") is session:
                headers = MutableHeaders(scope=message)
                if session.accessed:
                    headers.add_vary_header("Cookie")
                value = cookie.header(session)
                if value is not None:
                    headers.append("set-cookie", value)
            await send(message)

        await app(scope, receive, send_with_cookie)

    return wrapped
