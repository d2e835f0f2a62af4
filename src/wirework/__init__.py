"""Wirework: live two-way messaging over WebSockets, with plain typed functions."""

from __future__ import annotations

from .after_commit import publish_after_commit
from .app import App
from .binding.depends import Depends
from .binding.sources import Cookie, Header, Path, Payload, Query
from .binding.validators import Validate
from .broadcast import broadcast
from .brokers.base import Broker
from .channels.channel import Channel, NamedChannel, Received
from .channels.options import Allow, History, Post, Presence
from .commands import Call
from .controller import Controller
from .errors import (
    BrokerUnavailable,
    Close,
    ConnectionClosed,
    MalformedMessage,
    NoSuchChannel,
    Refuse,
    RegistrationError,
    Reject,
    RequestFailed,
    SessionEnded,
    SessionError,
    SettingsError,
    StateError,
    ValidationError,
    WireworkError,
    WrongFrame,
)
from .handshake import Handshake
from .observe import Metrics
from .publications import Member, MissedPublications, Position
from .publisher import Publisher
from .replies import Reply
from .routing.events import Events
from .routing.router import Router
from .security.auth import AnyOf, Anyone, Auth, FirstMessage, Source
from .security.credentials import BadCredentials
from .security.identity import Identity
from .security.jwks import RemoteKeys
from .security.jwt import Jwt
from .security.keys import JwkSet
from .security.redis_sessions import RedisSessions
from .security.redis_tickets import RedisTickets
from .security.session_store import MemorySessions, SessionStore
from .security.sessions import Session
from .security.sources import Bearer, QueryToken, SessionUser, SubprotocolToken, Ticket
from .security.tickets import Tickets
from .settings import Settings
from .websocket import Send, WebSocket

__all__ = [
    "Allow",
    "AnyOf",
    "Anyone",
    "App",
    "Auth",
    "BadCredentials",
    "Bearer",
    "Broker",
    "BrokerUnavailable",
    "Call",
    "Channel",
    "Close",
    "ConnectionClosed",
    "Controller",
    "Cookie",
    "Depends",
    "Events",
    "FirstMessage",
    "Handshake",
    "Header",
    "History",
    "Identity",
    "JwkSet",
    "Jwt",
    "MalformedMessage",
    "Member",
    "MemorySessions",
    "Metrics",
    "MissedPublications",
    "NamedChannel",
    "NoSuchChannel",
    "Path",
    "Payload",
    "Position",
    "Post",
    "Presence",
    "Publisher",
    "Query",
    "QueryToken",
    "Received",
    "RedisSessions",
    "RedisTickets",
    "Refuse",
    "RegistrationError",
    "Reject",
    "RemoteKeys",
    "Reply",
    "RequestFailed",
    "Router",
    "Send",
    "Session",
    "SessionEnded",
    "SessionError",
    "SessionStore",
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
    "publish_after_commit",
]
__version__ = "0.1.0.dev0"
