"""What serves the routes of an application, in words."""

from __future__ import annotations

from .binding.plan import Plan
from .binding.signatures import name_of
from .handlers import ConnectionHandler, Endpoint
from .session import MessageEndpoint

__all__ = ["described"]


def described(endpoint: Endpoint) -> str:
    """Return what serves a WebSocket, in a few words."""
    if isinstance(endpoint, ConnectionHandler):
        return f"{_place_of(endpoint.plan)} (connection handler)"
    assert isinstance(endpoint, MessageEndpoint)
    dialect = endpoint.dialect.name
    if endpoint.function is None:
        names = ", ".join(endpoint.functions) or "none yet"
        return f"events: {names} ({dialect})"
    kind = "message handler" if endpoint.hooks.controller is None else "controller"
    return f"{_place_of(endpoint.function.plan)} ({kind}, {dialect})"


def _place_of(plan: Plan) -> str:
    return f"{plan.function.__module__}.{name_of(plan.function)}"
