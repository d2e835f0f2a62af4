"""Paths and what they lead to."""

from __future__ import annotations

from .paths import NoSuchRoute, ParameterError, PathTemplate, RouteTable
from .router import HttpRoute, Router, WebSocketRoute

__all__ = [
    "HttpRoute",
    "NoSuchRoute",
    "ParameterError",
    "PathTemplate",
    "RouteTable",
    "Router",
    "WebSocketRoute",
]
