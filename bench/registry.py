"""Who is measured, and how each is started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from .speech import FASTHTML, PLAIN, SOCKET_IO, TYPED, Speech

__all__ = ["BASELINES", "MAIN", "PEERS", "Peer"]

_BIN = Path(sys.executable).parent
_NATIVE = "wirework.transports.native:NativeProtocol"
_NATIVE_HTTP = "wirework.transports.native:HttpProtocol"


class Peer(NamedTuple):
    """One server; `command` has `{port}` where the port belongs."""

    name: str
    label: str
    command: tuple[str, ...]
    speech: Speech = PLAIN

    def argv(self, port: int) -> list[str]:
        """Return the command that serves on `port`."""
        return [part.replace("{port}", str(port)) for part in self.command]

    @property
    def is_ours(self) -> bool:
        """Whether it runs Wirework."""
        return self.name.startswith("wirework") or self.name.endswith("-native")


def _uvicorn(app: str, ws: str = "websockets-sansio", http: str = "httptools") -> tuple[str, ...]:
    return (
        *(str(_BIN / "python"), "-m", "uvicorn", f"bench.peers.{app}"),
        *("--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop", "--http", http),
        *("--ws", ws, "--ws-per-message-deflate", "false"),
        *("--log-level", "warning", "--no-access-log"),
    )


def _native(app: str) -> tuple[str, ...]:
    return _wirework(app, "--transport", "native")


def _wirework(app: str, *options: str) -> tuple[str, ...]:
    return (str(_BIN / "wirework"), "run", f"bench.peers.{app}", "--port", "{port}", *options)


def _granian(app: str, interface: str) -> tuple[str, ...]:
    return (
        *(str(_BIN / "granian"), "--interface", interface, "--loop", "uvloop", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--log-level", "warning"),
        f"bench.peers.{app}",
    )


def _python(module: str) -> tuple[str, ...]:
    return (str(_BIN / "python"), "-m", f"bench.peers.{module}", "{port}")


_DAPHNE = (
    *(str(_BIN / "daphne"), "-v", "0", "-b", "127.0.0.1", "-p", "{port}"),
    "bench.peers.channels_app:application",
)

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
)

PEERS: dict[str, Peer] = {peer.name: peer for peer in _ALL}
"""Every peer by its name, in the order of the tables."""

BASELINES = ("starlette", "starlette-wsproto", "starlette-websockets")
"""Starlette on Uvicorn: the fastest of these is what ratios refer to."""

MAIN = ("starlette", "wirework", "wirework-message", "wirework-message-uvicorn", "starlette-native")
"""Who is measured by `--quick`."""
