"""`wirework run`: a server with good defaults, and a word on what it serves."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..app import App
from ..channels.directory import Channels
from ..security.session_store import MemorySessions
from ..security.sources import Ticket
from ..security.tickets import UsedTickets
from ..settings import Settings
from ..shutdown import IMMEDIATE

__all__ = ["Options", "RunError", "describe", "load", "serve", "stop_timeout"]

_NATIVE = "wirework.transports.native:NativeProtocol"
_HTTP = "wirework.transports.native:HttpProtocol"
_DEFAULTS = Settings()
_MARGIN = 6.0
"""Seconds beyond `drain_timeout`, for cleanup and disconnect hooks."""
_UVICORN_LARGEST = 16 * 1024 * 1024
"""Bytes of a message that Uvicorn takes if it is not told."""
_RELOAD = 2
"""Seconds for all of it where the server starts again because of a change."""


class RunError(Exception):
    """What the command line asks for cannot be done; the text says why, and what to do."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `wirework run` was told."""

    app: str
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    reload: bool = False
    server: Literal["uvicorn", "granian"] = "uvicorn"
    transport: Literal["native", "asgi", "rsgi"] | None = None
    access_log: bool = False
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    root_path: str = ""
    forwarded_allow_ips: str | None = None

    @property
    def carrier(self) -> str:
        """The transport that was chosen, or the server's best."""
        return self.transport or ("rsgi" if self.server == "granian" else "native")


def serve(options: Options, say: Callable[[str], None]) -> None:
    """Serve until the process is told to stop.

    Raises:
        RunError: a combination that cannot work, an application that is not there, or a server
            that is not installed.
    """
    _check(options)
    app = load(options.app)
    _check_proxies(app, options)
    _check_sessions(app, options)
    _check_tickets(app, options)
    _check_broker(app, options)
    if options.port == 0:
        options = msgspec.structs.replace(options, port=_free_port(options.host))
    for line in describe(app, options):
        say(line)
    if options.reload:
        os.environ[IMMEDIATE] = "1"
    seconds = _RELOAD if options.reload else stop_timeout(app)
    if options.server == "granian":
        _run_granian(options, app, stop_timeout=seconds)
    else:
        _run_uvicorn(options, app, stop_timeout=seconds)


def describe(app: Any, options: Options) -> list[str]:
    """Return what is served, line by line."""
    scheme = "https" if options.ssl_certfile else "http"
    lines = [f"{options.app} at {scheme}://{options.host}:{options.port}"]
    lines.append(f"  server {options.server}, transport {options.carrier}")
    if options.workers > 1:
        lines[-1] += f", {options.workers} workers"
    routes = getattr(app, "describe_routes", None)
    if routes is not None:
        lines += [f"  {line}" for line in routes()]
    return lines


def _check(options: Options) -> None:
    fits = {"uvicorn": ("native", "asgi"), "granian": ("rsgi", "asgi")}[options.server]
    if options.carrier not in fits:
        names = " or ".join(fits)
        raise RunError(f"--transport {options.carrier} needs another --server; expected {names}")
    if options.reload and options.workers > 1:
        raise RunError("--reload works with one worker; leave out --workers")
    if (options.ssl_certfile is None) != (options.ssl_keyfile is None):
        raise RunError("TLS needs both --ssl-certfile and --ssl-keyfile")
    for path in (options.ssl_certfile, options.ssl_keyfile):
        if path is not None and not path.is_file():
            raise RunError(f"there is no file {str(path)!r}")
    if options.forwarded_allow_ips is not None and options.server != "uvicorn":
        raise RunError(
            "--forwarded-allow-ips needs --server uvicorn; granian reads no such headers"
        )
    for module in ("picows", options.server) if options.carrier == "native" else (options.server,):
        if importlib.util.find_spec(module) is None:
            extra = "granian" if module == "granian" else "server"
            raise RunError(f"{module} is not installed: pip install 'wirework[{extra}]'")


def load(target: str) -> Any:
    """Import the application `module:name`, the module being looked for here first.

    Raises:
        RunError: it is not there, or cannot be called.
    """
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise RunError(f"expected module:name, got {target!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise RunError(f"there is no module {error.name!r} here") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise RunError(f"{module_name!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise RunError(f"{target} is no application: expected a callable, got {found!r}")
    return found


def _check_proxies(app: Any, options: Options) -> None:
    if options.forwarded_allow_ips is not None and _trusts_proxies(app):
        raise RunError(
            "--forwarded-allow-ips and the setting trusted_proxies both say who is believed;"
            " leave out the option"
        )


def _check_sessions(app: Any, options: Options) -> None:
    if options.workers > 1 and isinstance(getattr(app, "sessions", None), MemorySessions):
        raise RunError(
            "MemorySessions knows the sessions of one process alone, and each worker is one;"
            " leave out --workers, or give the application a store that they share"
        )


def _check_tickets(app: Any, options: Options) -> None:
    if options.workers > 1 and isinstance(app, App) and _forgets_tickets(app):
        raise RunError(
            "each worker remembers for itself which tickets were used, so one would be good once in"
            " each; leave out --workers, or give App tickets=RedisTickets(url)"
        )


def _forgets_tickets(app: App) -> bool:
    """Whether a route takes tickets that only this process knows to be used."""
    gates = (target.gate for _, target in app.websocket_routes() if target.gate is not None)
    sources = (source for gate in gates for source in gate.auth.sources)
    tickets = (each.tickets or app.tickets for each in sources if isinstance(each, Ticket))
    return any(isinstance(each.store, UsedTickets) for each in tickets)


def _check_broker(app: Any, options: Options) -> None:
    channels = getattr(app, "channels", None)
    if options.workers == 1 or not isinstance(channels, Channels) or channels.hub.broker.is_shared:
        return
    known = "channels" if len(channels) else ""
    if not known and getattr(app, "has_streams", False):
        known = "HTTP streams"
    if known:
        raise RunError(
            f"the broker memory:// knows the {known} of one process alone, and each worker is one;"
            " leave out --workers, or set broker, such as WIREWORK_BROKER=redis://..."
        )


def _trusts_proxies(app: Any) -> bool:
    """Whether the application reads the headers of proxies itself."""
    return bool(getattr(getattr(app, "settings", None), "trusted_proxies", ()))


def stop_timeout(app: Any) -> int:
    """Return after how many seconds the server ends what `app` has not, at shutdown."""
    settings = getattr(app, "settings", None)
    return math.ceil(getattr(settings, "drain_timeout", _DEFAULTS.drain_timeout) + _MARGIN)


def _head_timeout(app: Any) -> int:
    """Return the milliseconds within which the head of a request must have come."""
    settings = getattr(app, "settings", None)
    seconds = getattr(settings, "handshake_timeout", _DEFAULTS.handshake_timeout)
    return math.ceil(seconds * 950)  # it ends them a little late


def _largest_frame(app: Any) -> int:
    """Return above which size Uvicorn itself refuses a message: twice what any route takes.

    Messages below that are refused, counted and answered by the application.
    """
    if type(app) is not App:
        return _UVICORN_LARGEST
    sizes = [target.settings.max_message_size for _, target in app.websocket_routes()]
    return 2 * max(sizes) if sizes else _UVICORN_LARGEST


def _free_port(host: str) -> int:
    """Choose the port here, so that what is said of it is true, also with several workers."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.create_server(address[:2], family=family) as found:
            return int(found.getsockname()[1])
    except OSError as error:
        raise RunError(f"cannot listen on {host!r}: {error}") from None


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run_uvicorn(options: Options, app: Any, *, stop_timeout: int) -> None:
    from . import with_uvicorn

    is_native = options.carrier == "native"
    with_uvicorn.run(
        app=options.app,
        host=options.host,
        port=options.port,
        workers=options.workers,
        reload=options.reload,
        loop="uvloop" if _has("uvloop") else "asyncio",
        http=_HTTP if _has("httptools") else "auto",
        ws=_NATIVE if is_native else "auto",
        ws_max_size=_UVICORN_LARGEST if is_native else _largest_frame(app),
        ws_per_message_deflate=False,
        access_log=options.access_log,
        log_level="warning" if not options.access_log else "info",
        timeout_graceful_shutdown=stop_timeout,
        ssl_certfile=None if options.ssl_certfile is None else str(options.ssl_certfile),
        ssl_keyfile=None if options.ssl_keyfile is None else str(options.ssl_keyfile),
        root_path=options.root_path,
        proxy_headers=not _trusts_proxies(app),
        forwarded_allow_ips=options.forwarded_allow_ips,
    )


def _run_granian(options: Options, app: Any, *, stop_timeout: int) -> None:
    from granian.constants import Interfaces
    from granian.http import HTTP1Settings

    from . import with_granian

    with_granian.run(
        options.app,
        address=options.host,
        port=options.port,
        interface=Interfaces.RSGI if options.carrier == "rsgi" else Interfaces.ASGI,
        workers=options.workers,
        reload=options.reload,
        log_access=options.access_log,
        ssl_cert=options.ssl_certfile,
        ssl_key=options.ssl_keyfile,
        url_path_prefix=options.root_path or None,
        workers_kill_timeout=stop_timeout,
        http1_settings=HTTP1Settings(header_read_timeout=_head_timeout(app)),
    )
