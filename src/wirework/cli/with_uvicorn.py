"""Runs Uvicorn so that it ends as `wirework run` promises."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from uvicorn import Config, Server
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import ChangeReload, Multiprocess, multiprocess

from ..app import App
from ..settings import Settings
from .logs import write_in_a_thread
from .starting import Starting

__all__ = ["log_config", "run"]

_STARTUP_FAILURE = 3
"""Exit status of Uvicorn's workers where the application does not start."""

_HOOKS = 2.0
"""Seconds for disconnect hooks where all is to end at once; then what is left is cancelled."""

_DEFAULTS = Settings()

_NATIVE = "wirework.transports.native"
"""Where the protocol is that leaves the end of connections to the application."""


def run(**options: Any) -> None:
    """Serve with these options of `uvicorn.Config`, until told to stop.

    A second signal ends everything at once, and the exit status is 0 after either. It is 1 where
    the application does not start.
    """
    config = Config(**options)
    try:
        if config.should_reload:
            ChangeReload(config, target=_Worker(config).run, sockets=[config.bind_socket()]).run()
        elif config.workers > 1:
            _serve_by_workers(config)
        else:
            _serve(config)
    finally:
        if config.uds is not None:
            Path(config.uds).unlink(missing_ok=True)


def log_config(level: str | None, *, has_access: bool) -> dict[str, Any]:
    """Return what configures logging here and in workers.

    Args:
        level: from which on Uvicorn's and Wirework's lines are logged; None: as each does it, or
            "info" with `has_access`.
        has_access: whether requests are logged, whatever the level.
    """
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    loggers = config["loggers"]
    own = (level or ("info" if has_access else "warning")).upper()
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        loggers.setdefault(name, {})["level"] = own
    loggers["uvicorn.access"]["level"] = "INFO" if has_access else own
    if level is not None or has_access:
        loggers["wirework"] = {"level": own}
        if not logging.getLogger().handlers:
            loggers["wirework"]["handlers"] = ["default"]
    return config


def _serve_by_workers(config: Config) -> None:
    multiprocess.Process = _Process  # type: ignore[misc]  # Uvicorn asks nobody for its class
    workers = _Workers(config, sockets=[config.bind_socket()])
    workers.run()
    if any(each.exitcode == _STARTUP_FAILURE for each in workers.processes):
        sys.exit(1)


def _serve(config: Config) -> None:
    config.load_app()
    server = _Server(config)
    with suppress(KeyboardInterrupt, SystemExit):
        server.run()
    if not server.started:
        sys.exit(1)


class _Server(Server):
    """Ends at once at a second signal, and does not die of the first."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._signals: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal; Uvicorn's own method would have it raised again at the end."""
        if self._loop is not None and self._is_second(sig):
            self._loop.call_soon_threadsafe(self._hurry)
        self._signals.add(sig)
        self.should_exit = True

    async def startup(self, sockets: Any = None) -> None:
        """Start; a log that nobody reads must not stop the event loop from here on."""
        self._loop = asyncio.get_running_loop()
        if self.config.is_ssl:
            self._bound_tls(self._loop)
        with Starting(self.lifespan, self.config):
            await super().startup(sockets)
        write_in_a_thread()

    async def shutdown(self, sockets: Any = None) -> None:
        """Stop; Uvicorn's own WebSocket classes would end every connection at once."""
        app = self._app
        carrier = getattr(self.config.ws_protocol_class, "__module__", "")
        if app is not None and not carrier.startswith(_NATIVE):
            clock = asyncio.get_running_loop().time
            begun = clock()
            for server in self.servers:
                server.close()
            await app.shut_down()
            left = (self.config.timeout_graceful_shutdown or 0) - (clock() - begun)
            self.config.timeout_graceful_shutdown = max(1, round(left))
        await super().shutdown(sockets)

    @property
    def _app(self) -> App | None:
        """The application, if it is Wirework's."""
        app: Any = self.config.loaded_app
        while type(app).__module__.startswith("uvicorn."):
            app = getattr(app, "app", None)
        return app if isinstance(app, App) else None

    def _bound_tls(self, loop: Any) -> None:
        """Have the TLS handshake end in time: Uvicorn passes on no deadline, asyncio has 60 s."""
        settings = _DEFAULTS if self._app is None else self._app.settings
        seconds = settings.handshake_timeout
        loop.create_server = partial(loop.create_server, ssl_handshake_timeout=seconds)

    def _is_second(self, sig: int) -> bool:
        return bool(self._signals)

    def _hurry(self) -> None:
        """Wait for nothing: neither for connections nor, soon, for what handles requests."""
        if self._app is not None:
            self._app.shut_down(at_once=True)
        for connection in list(self.server_state.connections):
            hurry = getattr(connection, "hurry", None)  # of the native transport
            if hurry is not None:
                hurry()
        asyncio.get_running_loop().call_later(_HOOKS, self._cancel)

    def _cancel(self) -> None:
        for task in list(self.server_state.tasks):
            task.cancel()


class _Worker(_Server):
    """A child of another process: on Ctrl+C it gets SIGINT, and SIGTERM from its parent."""

    def _is_second(self, sig: int) -> bool:
        return sig in self._signals


class _Process(multiprocess.Process):
    """Runs a worker."""

    @property
    def server(self) -> Server:
        """The server of this process."""
        if self._server is None:
            self._server = _Worker(self.config)
        return self._server


class _Workers(Multiprocess):
    """Passes a second signal on to the workers."""

    def join_all(self) -> None:
        """Wait for the workers to end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._hurry())
        super().join_all()

    def _hurry(self) -> None:
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, signal.SIGTERM)
