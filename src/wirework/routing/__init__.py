"""Paths and what they lead to."""

from __future__ import annotations

from .events import Events
from .paths import NoSuchRoute, ParameterError, PathTemplate, RouteTable
from .router import Router
from .routes import HttpRoute, WebSocketRoute

__all__ = [
    "Events",
    "HttpRoute",
    "NoSuchRoute",
    "ParameterError",
    "PathTemplate",
    "RouteTable",
    "Router",
    "WebSocketRoute",
]
