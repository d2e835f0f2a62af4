"""Wirework: live two-way messaging over WebSockets, with plain typed functions."""

from __future__ import annotations

from .app import App
from .binding.depends import Depends
from .binding.sources import Cookie, Header, Path, Payload, Query
from .errors import (
    Close,
    ConnectionClosed,
    MalformedMessage,
    Refuse,
    RegistrationError,
    Reject,
    SessionError,
    SettingsError,
    StateError,
    ValidationError,
    WireworkError,
    WrongFrame,
)
from .handshake import Handshake
from .routing.router import Router
from .security.sessions import Session
from .settings import Settings
from .websocket import Send, WebSocket

__all__ = [
    "App",
    "Close",
    "ConnectionClosed",
    "Cookie",
    "Depends",
    "Handshake",
    "Header",
    "MalformedMessage",
    "Path",
    "Payload",
    "Query",
    "Refuse",
    "RegistrationError",
    "Reject",
    "Router",
    "Send",
    "Session",
    "SessionError",
    "Settings",
    "SettingsError",
    "StateError",
    "ValidationError",
    "WebSocket",
    "WireworkError",
    "WrongFrame",
]
__version__ = "0.1.0.dev0"
