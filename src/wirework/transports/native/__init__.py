"""The native transport: a WebSocket protocol class for Uvicorn, with picows as its parser."""

from __future__ import annotations

from .protocol import NativeProtocol

__all__ = ["NativeProtocol"]
