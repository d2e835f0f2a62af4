"""The parameters that handlers may take by type or by name, beside the payload's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import State

from .binding.binder import Binder, Extra
from .binding.plan import Context, Getter
from .dialects.base import Dialect
from .handshake import Handshake
from .json import JsonAdapter
from .security.sessions import Session
from .websocket import Send, WebSocket

__all__ = ["hook_parameters", "http_binder", "message_parameters", "websocket_binder"]

_Overrides = Mapping[Callable[..., Any], Callable[..., Any]]


def websocket_binder(json: JsonAdapter, app: type, overrides: _Overrides) -> Binder:
    """Return the binder of handlers, hooks and dependencies of WebSocket routes."""
    types: dict[type, Getter] = {
        WebSocket: _connection,
        Handshake: _handshake,
        Session: _session,
        State: _state,
        Send: _send,
        app: _app,
    }
    names: dict[str, Getter] = {
        "ws": _connection,
        "send": _send,
        "session": _session,
        "app": _app,
        "state": _state,
        "user": lambda context: context.connection.user,
        "scope": _scope,
    }
    return Binder(json, types=types, names=names, overrides=overrides)


def http_binder(json: JsonAdapter, app: type, overrides: _Overrides) -> Binder:
    """Return the binder of handlers and dependencies of HTTP routes."""
    from starlette.requests import Request

    types: dict[type, Getter] = {
        Request: _connection,
        Handshake: _handshake,
        Session: _session,
        State: _state,
        app: _app,
    }
    names: dict[str, Getter] = {
        "request": _connection,
        "session": _session,
        "app": _app,
        "state": _state,
        "scope": _scope,
    }
    return Binder(json, types=types, names=names, overrides=overrides)


def message_parameters(dialect: Dialect) -> dict[str, Extra]:
    """Return the parameters that a dialect adds for message handlers."""
    return {
        name: Extra(kind, _meta, is_per_message=True) for name, kind in dialect.parameters.items()
    }


def hook_parameters() -> dict[str, Extra]:
    """Return the parameters that only disconnect hooks may take."""
    return {
        "code": Extra(int, lambda context: context.connection.close_code),
        "reason": Extra(str, lambda context: context.connection.close_reason),
    }


def _connection(context: Context) -> Any:
    return context.connection


def _handshake(context: Context) -> Any:
    return context.handshake


def _session(context: Context) -> Any:
    session = context.handshake.session
    session.mark_accessed()
    return session


def _state(context: Context) -> Any:
    return context.connection.state


def _send(context: Context) -> Any:
    return context.connection.send


def _app(context: Context) -> Any:
    return context.handshake.app


def _scope(context: Context) -> Any:
    return context.handshake.scope


def _meta(context: Context) -> Any:
    return context.call.meta if context.call is not None else None
