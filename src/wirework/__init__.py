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
from .security.auth import AnyOf, Anyone, Auth, FirstMessage, Source
from .security.credentials import BadCredentials
from .security.identity import Identity
from .security.jwks import RemoteKeys
from .security.jwt import Jwt
from .security.keys import JwkSet
from .security.sessions import Session
from .security.sources import Bearer, QueryToken, SessionUser, SubprotocolToken, Ticket
from .security.tickets import Tickets
from .settings import Settings
from .websocket import Send, WebSocket

__all__ = [
    "AnyOf",
    "Anyone",
    "App",
    "Auth",
    "BadCredentials",
    "Bearer",
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
    "Identity",
    "JwkSet",
    "Jwt",
    "MalformedMessage",
    "Path",
    "Payload",
    "Query",
    "QueryToken",
    "Refuse",
    "RegistrationError",
    "Reject",
    "RemoteKeys",
    "Reply",
    "RequestFailed",
    "Router",
    "Send",
    "Session",
    "SessionError",
    "SessionUser",
    "Settings",
    "SettingsError",
    "Source",
    "StateError",
    "SubprotocolToken",
    "Ticket",
    "Tickets",
    "Validate",
    "ValidationError",
    "WebSocket",
    "WireworkError",
    "WrongFrame",
    "broadcast",
]
__version__ = "0.1.0.dev0"
