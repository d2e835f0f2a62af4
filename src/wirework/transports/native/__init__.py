"""The native transport: a WebSocket protocol class for Uvicorn, with picows as its parser."""

from __future__ import annotations

from typing import Any

from .protocol import NativeProtocol

__all__ = ["HttpProtocol", "NativeProtocol"]


def __getattr__(name: str) -> Any:
    if name == "HttpProtocol":
        from .http import HttpProtocol

        return HttpProtocol
    raise AttributeError(name)
