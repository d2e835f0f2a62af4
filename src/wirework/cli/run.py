"""`wirework run`: a server with good defaults, and a word on what it serves."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from ..shutdown import IMMEDIATE
from .addresses import free_port, make_room
from .loading import Loaded, load
from .mistakes import RunError
from .refusals import refuse
from .served import Served, stop_timeout

__all__ = ["Options", "RunError", "describe", "serve", "stop_timeout"]

_NATIVE = "wirework.transports.native:NativeProtocol"
_HTTP = "wirework.transports.native:HttpProtocol"
_NATIVE_LARGEST = 16 * 1024 * 1024
"""Bytes of a message to an application that is not Wirework's."""
_RELOAD = 2
"""Seconds for all of it where the server starts again because of a change."""

LogLevel: TypeAlias = Literal["critical", "error", "warning", "info", "debug"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `wirework run` was told."""

    app: str
    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None
    workers: int = 1
    reload: bool = False
    factory: bool = False
    server: Literal["uvicorn", "granian"] = "uvicorn"
    transport: Literal["native", "asgi", "rsgi"] | None = None
    access_log: bool = False
    log_level: LogLevel | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    root_path: str = ""
    forwarded_allow_ips: str | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        if self.uds is not None:
            return f"unix:{self.uds}"
        return f"{'https' if self.ssl_certfile else 'http'}://{self.host}:{self.port}"

    def carrier(self, served: Served) -> str:
        """Return the transport that was chosen, or the best that server and application have."""
        if self.transport is not None:
            return self.transport
        if self.server == "uvicorn":
            return "native"
        return "rsgi" if served.is_rsgi else "asgi"


def serve(options: Options, say: Callable[[str], None]) -> None:
    """Serve until the process is told to stop.

    Raises:
        RunError: a combination that cannot work, an application that is not there or fails, or a
            server that is not installed.
    """
    _check(options)
    loaded = load(options.app, factory=options.factory)
    served = Served(loaded.app)
    _check_transport(options, served)
    refuse(
        served.applications,
        workers=options.workers,
        has_trusted_proxies=options.forwarded_allow_ips is not None,
    )
    options = _with_address(options)
    for line in describe(served, options):
        say(line)
    if options.reload:
        os.environ[IMMEDIATE] = "1"
    run = _run_granian if options.server == "granian" else _run_uvicorn
    run(options, loaded, served)


def describe(served: Served, options: Options) -> list[str]:
    """Return what is served, line by line."""
    lines = [f"{options.app} at {options.address}"]
    lines.append(f"  server {options.server}, transport {options.carrier(served)}")
    if options.workers > 1:
        lines[-1] += f", {options.workers} workers"
    proxies = _believed_proxies(options, served)
    if proxies is not None:
        lines.append(f"  Uvicorn believes X-Forwarded-For and X-Forwarded-Proto of {proxies}")
    return lines + [f"  {line}" for line in served.lines()]


def _check(options: Options) -> None:
    fits = {"uvicorn": ("native", "asgi"), "granian": ("rsgi", "asgi")}[options.server]
    if options.transport not in (None, *fits):
        names = " or ".join(fits)
        raise RunError(f"--transport {options.transport} needs another --server; expected {names}")
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
    if options.uds is not None and (options.host, options.port) != ("127.0.0.1", 8000):
        raise RunError("--uds listens at no port; leave out --host and --port")
    _check_installed(options)


def _check_installed(options: Options) -> None:
    is_native = options.server == "uvicorn" and options.transport != "asgi"
    for module in ("picows", options.server) if is_native else (options.server,):
        if not _has(module):
            extra = "granian" if module == "granian" else "server"
            raise RunError(f"{module} is not installed: pip install 'wirework[{extra}]'")
    if options.reload and options.server == "granian" and not _has("watchfiles"):
        raise RunError("--reload with granian needs watchfiles: pip install watchfiles")


def _check_transport(options: Options, served: Served) -> None:
    if options.transport == "rsgi" and not served.is_rsgi:
        raise RunError(
            "--transport rsgi: expected an application with __rsgi__, such as a wirework.App,"
            f" got {options.app}, a {type(served.app).__name__}; leave out --transport"
        )


def _with_address(options: Options) -> Options:
    if options.uds is not None:
        make_room(options.uds)
    elif options.port == 0:
        return msgspec.structs.replace(options, port=free_port(options.host))
    return options


def _believed_proxies(options: Options, served: Served) -> str | None:
    """Return whose headers Uvicorn is to read, as the application does not; None: nobody's."""
    if options.server != "uvicorn" or served.trusts_proxies:
        return None
    return options.forwarded_allow_ips or os.environ.get("FORWARDED_ALLOW_IPS") or None


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run_uvicorn(options: Options, loaded: Loaded, served: Served) -> None:
    from . import with_uvicorn

    is_native = options.carrier(served) == "native"
    is_alone = options.workers == 1 and not options.reload
    is_made = loaded.is_factory and is_alone  # in this process, and once is enough
    with_uvicorn.run(
        app=loaded.app if is_made else options.app,
        factory=loaded.is_factory and not is_made,
        host=options.host,
        port=options.port,
        uds=None if options.uds is None else str(options.uds),
        workers=options.workers,
        reload=options.reload,
        loop="uvloop" if _has("uvloop") else "asyncio",
        http=_HTTP if _has("httptools") else "auto",
        ws=_NATIVE if is_native else "auto",
        ws_max_size=_NATIVE_LARGEST if is_native else served.largest_frame,
        ws_per_message_deflate=False,
        access_log=options.access_log,
        log_level=None,
        log_config=with_uvicorn.log_config(options.log_level, has_access=options.access_log),
        timeout_graceful_shutdown=_RELOAD if options.reload else served.stop_timeout,
        ssl_certfile=None if options.ssl_certfile is None else str(options.ssl_certfile),
        ssl_keyfile=None if options.ssl_keyfile is None else str(options.ssl_keyfile),
        root_path=options.root_path,
        proxy_headers=_believed_proxies(options, served) is not None,
        forwarded_allow_ips=options.forwarded_allow_ips,
    )


def _run_granian(options: Options, loaded: Loaded, served: Served) -> None:
    from granian.constants import Interfaces
    from granian.http import HTTP1Settings

    from . import with_granian

    logging: dict[str, Any] = {}
    if options.log_level is not None or options.access_log:
        logging = with_granian.log_options(options.log_level or "info")
    if loaded.is_factory:
        with_granian.import_anew()
    with_granian.run(
        options.app,
        factory=loaded.is_factory,
        address=options.host,
        port=options.port,
        uds=options.uds,
        uds_permissions=0o666,  # as Uvicorn has it
        interface=Interfaces.RSGI if options.carrier(served) == "rsgi" else Interfaces.ASGI,
        workers=options.workers,
        **(with_granian.reload_options() if options.reload else {}),
        log_access=options.access_log,
        ssl_cert=options.ssl_certfile,
        ssl_key=options.ssl_keyfile,
        url_path_prefix=options.root_path or None,
        workers_kill_timeout=_RELOAD if options.reload else served.stop_timeout,
        http1_settings=HTTP1Settings(header_read_timeout=served.head_timeout),
        **logging,
    )
