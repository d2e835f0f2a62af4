"""Message styles: a session takes the commands of one connection and runs handlers."""

from __future__ import annotations

from .endpoint import Function, Hooks, MessageEndpoint, Middleware
from .session import MessageSession

__all__ = ["Function", "Hooks", "MessageEndpoint", "MessageSession", "Middleware"]
