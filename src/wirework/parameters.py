"""The parameters that handlers may take by type or by name, beside the payload's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from starlette.datastructures import State

from .binding.binder import Binder, Extra
from .binding.plan import Context, Getter
from .binding.signatures import name_of, returned_by
from .commands import Call
from .dialects.base import Dialect
from .handshake import Handshake
from .json import JsonAdapter
from .security.auth import Source
from .security.identity import Identity
from .security.sessions import Session
from .security.users import user, user_as
from .websocket import Send, WebSocket

__all__ = [
    "after_parameters",
    "controller_parameter",
    "disconnect_parameters",
    "http_binder",
    "message_parameters",
    "token_parameter",
    "user_parameter",
    "websocket_binder",
]

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
        "user": user,
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
    """Return the parameters that message handlers may take: the message, and the dialect's."""
    own = {
        name: Extra(kind, _meta, is_per_message=True) for name, kind in dialect.parameters.items()
    }
    return {"message": Extra(Call, _call, is_of_message=True, takes_any=False), **own}


def user_parameter(sources: Sequence[Source], where: str, *, optional: bool) -> dict[str, Extra]:
    """Return the parameter that takes the user, by the type that the verifiers return too.

    On a route with authentication no message can fill a parameter called `user`, nor one of a
    type that a verifier returns. Where it is `optional`, a function whose annotation has no None is
    for users alone.

    Raises:
        RegistrationError: an annotation of a verifier cannot be read.
    """
    kinds = [_returned(source, where) for source in sources]
    kind = kinds[0] if all(each == kinds[0] for each in kinds) else object
    may_be = None if object in kinds else tuple(kinds)
    get_as = user_as if optional else None
    return {"user": Extra(kind, user, is_sure=True, get_as=get_as, may_be=may_be)}


def token_parameter(kind: type = str) -> dict[str, Extra]:
    """Return what `verify` of an authentication takes."""
    return {"token": Extra(kind, lambda context: context.call and context.call.body)}


def controller_parameter() -> dict[str, Extra]:
    """Return the parameter `self` of methods of controllers."""
    return {"self": Extra(object, lambda context: context.connection.controller)}


def disconnect_parameters() -> dict[str, Extra]:
    """Return the parameters that only disconnect hooks may take."""
    return {
        "code": Extra(int, lambda context: context.connection.close_code),
        "reason": Extra(str, lambda context: context.connection.close_reason),
    }


def after_parameters() -> dict[str, Extra]:
    """Return the parameters that only hooks after a message may take."""
    return {
        "result": Extra(object, lambda context: context.result),
        "error": Extra(Exception, lambda context: context.error),
    }


def _returned(source: Source, where: str) -> Any:
    """Return what `verify` says it returns, None aside; `object` where it says nothing."""
    function = source.verify
    told = getattr(function, "user_type", None)
    if isinstance(told, type):
        return told
    hint = returned_by(function, f"{where}, {name_of(function)}", source.locals)
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        kinds = [each for each in get_args(hint) if each is not NoneType]
        hint = kinds[0] if len(kinds) == 1 else hint
    return _user_of(hint)


def _user_of(hint: Any) -> Any:
    if get_origin(hint) is Identity:
        hint = get_args(hint)[0]
    return object if hint in (Any, NoneType, Identity) else hint


def _call(context: Context) -> Any:
    return context.call


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
