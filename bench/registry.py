"""Who is measured, and how each is started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from .speech import (
    CENTRIFUGO,
    CHANNEL,
    FASTHTML,
    MANY,
    PLAIN,
    ROOM,
    SOCKET_IO,
    TYPED,
    Speech,
)

__all__ = ["BASELINES", "BIN", "CHANNEL_RIVALS", "CHANNEL_RIVALS_2", "MAIN", "PEERS", "Peer"]

BIN = Path(sys.executable).parent
"""Where the programs of the peers are."""
_NATIVE = "wirework.transports.native:NativeProtocol"
_NATIVE_HTTP = "wirework.transports.native:HttpProtocol"


class Peer(NamedTuple):
    """One server; `command` has `{port}` where the port belongs.

    One with a `group` is measured at the works of this group, and at no others. One with a
    `broker`, redis or nats, has a server of its own for it, whose address is in `BROKER_URL`.
    """

    name: str
    label: str
    command: tuple[str, ...]
    speech: Speech = PLAIN
    group: str = ""
    broker: str = ""
    environ: tuple[tuple[str, str], ...] = ()
    workers: int = 1

    def argv(self, port: int) -> list[str]:
        """Return the command that serves on `port`."""
        return [part.replace("{port}", str(port)) for part in self.command]

    @property
    def is_ours(self) -> bool:
        """Whether it runs Wirework."""
        return self.name.startswith("wirework") or self.name.endswith("-native")


def _uvicorn(app: str, ws: str = "websockets-sansio", http: str = "httptools") -> tuple[str, ...]:
    return (
        *(str(BIN / "python"), "-m", "uvicorn", f"bench.peers.{app}"),
        *("--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop", "--http", http),
        *("--ws", ws, "--ws-per-message-deflate", "false"),
        *("--log-level", "warning", "--no-access-log"),
    )


def _native(app: str) -> tuple[str, ...]:
    return _wirework(app, "--transport", "native")


def _wirework(app: str, *options: str) -> tuple[str, ...]:
    return (str(BIN / "wirework"), "run", f"bench.peers.{app}", "--port", "{port}", *options)


def _granian(app: str, interface: str) -> tuple[str, ...]:
    return (
        *(str(BIN / "granian"), "--interface", interface, "--loop", "uvloop", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--log-level", "warning"),
        f"bench.peers.{app}",
    )


def _python(module: str) -> tuple[str, ...]:
    return (str(BIN / "python"), "-m", f"bench.peers.{module}", "{port}")


_DAPHNE = (
    *(str(BIN / "daphne"), "-v", "0", "-b", "127.0.0.1", "-p", "{port}"),
    "bench.peers.channels_app:application",
)

_WORKERS = ("--workers", "{workers}")
_CHANNELS = (*_native("wirework_channels:app"), *_WORKERS)
_LITESTAR = (*_uvicorn("litestar_channels:app"), *_WORKERS)
_ROOMS = (*_uvicorn("socketio_rooms:app"), *_WORKERS)
_DAPHNES = (*_python("daphnes"), "{workers}", "bench.peers.channels_layers:application")
_KEPT = CHANNEL._replace(paths={"fanout": "/history"})
_MANY_KEPT = MANY._replace(paths={"many": "/many-kept"})


def _layer(place: str) -> tuple[tuple[str, str], ...]:
    return (("CHANNEL_LAYER", place),)


_SUBSCRIBED = (
    Peer("wirework-channels-memory", "Wirework, memory", _CHANNELS, CHANNEL),
    Peer("wirework-channels-redis", "Wirework, Redis", _CHANNELS, CHANNEL, broker="redis"),
    Peer(
        "wirework-channels-redis-history",
        "Wirework, Redis, with history",
        _CHANNELS,
        _KEPT,
        broker="redis",
    ),
    Peer("wirework-channels-nats", "Wirework, NATS", _CHANNELS, CHANNEL, broker="nats"),
    Peer("litestar-channels-memory", "Litestar, memory", _LITESTAR, CHANNEL),
    Peer("litestar-channels-redis", "Litestar, Redis", _LITESTAR, CHANNEL, broker="redis"),
    Peer("socketio-channels-memory", "python-socketio, memory", _ROOMS, ROOM),
    Peer("socketio-channels-redis", "python-socketio, Redis", _ROOMS, ROOM, broker="redis"),
    Peer("django-channels-memory", "Django Channels, memory", _DAPHNES, CHANNEL),
    Peer(
        "django-channels-redis-pubsub",
        "Django Channels, Redis pub/sub",
        _DAPHNES,
        CHANNEL,
        broker="redis",
        environ=_layer("channels_redis.pubsub.RedisPubSubChannelLayer"),
    ),
    Peer(
        "django-channels-redis-core",
        "Django Channels, Redis core",
        _DAPHNES,
        CHANNEL,
        broker="redis",
        environ=_layer("channels_redis.core.RedisChannelLayer"),
    ),
)


def _served_by(workers: int) -> list[Peer]:
    """Return those of a fan-out through a channel who can have so many workers."""
    suffix = "" if workers == 1 else f"-{workers}"
    return [
        peer._replace(
            name=f"{peer.name}{suffix}",
            command=tuple(part.replace("{workers}", str(workers)) for part in peer.command),
            group=f"channels{suffix}",
            workers=workers,
        )
        for peer in _SUBSCRIBED
        if peer.broker or workers == 1
    ]


def _holding(peer: Peer) -> Peer:
    """Return the peer with very many channels."""
    speech = MANY if peer.speech is CHANNEL else _MANY_KEPT
    name = peer.name.replace("channels", "many")
    return peer._replace(name=name, speech=speech, group="channels-cost")


_SERVED = (*_served_by(1), *_served_by(2))
_HOLDING = tuple(_holding(peer) for peer in _served_by(1) if peer.is_ours)

_ALL = (
    Peer("wirework", "Wirework native, connection handler", _native("wirework_connection:app")),
    Peer("wirework-message", "Wirework native, message handler", _native("wirework_message:app")),
    Peer("wirework-events", "Wirework native, typed events", _native("wirework_events:app"), TYPED),
    Peer(
        "wirework-uvicorn",
        "Wirework on Uvicorn's ASGI, connection handler",
        _uvicorn("wirework_connection:app"),
    ),
    Peer(
        "wirework-message-uvicorn",
        "Wirework on Uvicorn's ASGI, message handler",
        _uvicorn("wirework_message:app"),
    ),
    Peer(
        "wirework-rsgi",
        "Wirework on Granian RSGI, connection handler",
        _granian("wirework_connection:app", "rsgi"),
    ),
    Peer(
        "wirework-message-rsgi",
        "Wirework on Granian RSGI, message handler",
        _granian("wirework_message:app", "rsgi"),
    ),
    Peer(
        "starlette-native", "Starlette on Wirework's NativeProtocol", _native("starlette_app:app")
    ),
    Peer("fastapi-native", "FastAPI on Wirework's NativeProtocol", _native("fastapi_app:app")),
    Peer("starlette", "Starlette on Uvicorn (websockets-sansio)", _uvicorn("starlette_app:app")),
    Peer(
        "starlette-wsproto",
        "Starlette on Uvicorn (wsproto)",
        _uvicorn("starlette_app:app", "wsproto"),
    ),
    Peer(
        "starlette-websockets",
        "Starlette on Uvicorn (websockets, legacy)",
        _uvicorn("starlette_app:app", "websockets"),
    ),
    Peer("fastapi", "FastAPI on Uvicorn (websockets-sansio)", _uvicorn("fastapi_app:app")),
    Peer(
        "fastapi-wsproto",
        "FastAPI on Uvicorn (wsproto)",
        _uvicorn("fastapi_app:app", "wsproto"),
    ),
    Peer("litestar", "Litestar on Uvicorn", _uvicorn("litestar_app:app")),
    Peer("fasthtml", "FastHTML on Uvicorn", _uvicorn("fasthtml_app:app"), FASTHTML),
    Peer("velocipy", "VelociPy on Uvicorn", _uvicorn("velocipy_app:app")),
    Peer("velocipy-rsgi", "VelociPy on Granian RSGI", _granian("velocipy_app:app", "rsgi")),
    Peer("python-socketio", "python-socketio on Uvicorn", _uvicorn("socketio_app:app"), SOCKET_IO),
    Peer("channels", "Django Channels on Daphne", _DAPHNE),
    Peer("granian-asgi", "Granian ASGI, bare loop", _granian("raw_asgi:app", "asginl")),
    Peer("granian-rsgi", "Granian RSGI, bare loop", _granian("raw_rsgi:app", "rsgi")),
    Peer("aiohttp", "aiohttp", _python("aiohttp_server")),
    Peer("tornado", "Tornado", _python("tornado_server")),
    Peer("websockets", "websockets", _python("websockets_server")),
    Peer("picows", "picows alone", _python("picows_server")),
    Peer("ws", "Node.js ws", ("node", "bench/peers/ws.js", "{port}")),
    Peer(
        "socket.io", "Node.js socket.io", ("node", "bench/peers/socketio.js", "{port}"), SOCKET_IO
    ),
    Peer("tcp", "raw TCP echo on uvloop (no WebSocket: a ceiling)", _python("tcp_echo")),
    Peer(
        "wirework-channel",
        "Wirework native, message handler and channel",
        _native("wirework_channel:app"),
        group="centrifugo",
    ),
    Peer(
        "wirework-centrifugo",
        "Wirework native, Centrifugo's protocol",
        _native("wirework_centrifugo:app"),
        CENTRIFUGO,
        group="centrifugo",
    ),
    Peer(
        "wirework-broadcast",
        "Wirework, a set of connections without a channel",
        _native("wirework_connection:app"),
        CHANNEL._replace(paths={"fanout": "/fanout"}),
        group="channels",
    ),
    *_SERVED,
    *_HOLDING,
)

PEERS: dict[str, Peer] = {peer.name: peer for peer in _ALL}
"""Every peer by its name, in the order of the tables."""

BASELINES = ("starlette", "starlette-wsproto", "starlette-websockets")
"""Starlette on Uvicorn: the fastest of these is what ratios refer to."""

CHANNEL_RIVALS = tuple(p.name for p in _served_by(1) if p.broker and not p.is_ours)
"""The channels of other frameworks, through Redis."""

CHANNEL_RIVALS_2 = tuple(p.name for p in _served_by(2) if p.broker and not p.is_ours)
"""The same with two workers."""

MAIN = ("starlette", "wirework", "wirework-message", "wirework-message-uvicorn", "starlette-native")
"""Who is measured by `--quick`."""
