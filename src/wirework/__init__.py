"""Wirework: live two-way messaging over WebSockets, with plain typed functions."""

from __future__ import annotations

from .app import App
from .binding.depends import Depends
from .binding.sources import Cookie, Header, Path, Payload, Query
from .binding.validators import Validate
from .broadcast import broadcast
from .commands import Call
from .controller import Controller
from .errors import (
    Close,
    ConnectionClosed,
    MalformedMessage,
    Refuse,
    RegistrationError,
    Reject,
    RequestFailed,
    SessionError,
    SettingsError,
    StateError,
    ValidationError,
    WireworkError,
    WrongFrame,
)
from .handshake import Handshake
from .replies import Reply
from .routing.events import Events
from .routing.router import Router
from .security.auth import FirstMessage
from .security.sessions import Session
from .settings import Settings
from .websocket import Send, WebSocket

__all__ = [
    "App",
    "Call",
    "Close",
    "ConnectionClosed",
    "Controller",
    "Cookie",
    "Depends",
    "Events",
    "FirstMessage",
    "Handshake",
    "Header",
    "MalformedMessage",
    "Path",
    "Payload",
    "Query",
    "Refuse",
    "RegistrationError",
    "Reject",
    "Reply",
    "RequestFailed",
    "Router",
    "Send",
    "Session",
    "SessionError",
    "Settings",
    "SettingsError",
    "StateError",
    "Validate",
    "ValidationError",
    "WebSocket",
    "WireworkError",
    "WrongFrame",
    "broadcast",
]
__version__ = "0.1.0.dev0"
