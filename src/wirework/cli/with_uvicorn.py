"""Runs Uvicorn so that it ends as `wirework run` promises."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

from uvicorn import Config, Server
from uvicorn.supervisors import ChangeReload, Multiprocess, multiprocess

from ..app import App
from .logs import write_in_a_thread

__all__ = ["run"]

_STARTUP_FAILURE = 3
"""Exit status of Uvicorn where the application does not start."""

_HOOKS = 2.0
"""Seconds for disconnect hooks where all is to end at once; then what is left is cancelled."""

_NATIVE = "wirework.transports.native"
"""Where the protocol is that leaves the end of connections to the application."""


def run(**options: Any) -> None:
    """Serve with these options of `uvicorn.Config`, until told to stop.

    A second signal ends everything at once, and the exit status is 0 after either.
    """
    config = Config(**options)
    if config.should_reload:
        ChangeReload(config, target=_Worker(config).run, sockets=[config.bind_socket()]).run()
    elif config.workers > 1:
        multiprocess.Process = _Process  # type: ignore[misc]  # Uvicorn asks nobody for its class
        workers = _Workers(config, sockets=[config.bind_socket()])
        workers.run()
        if any(each.exitcode == _STARTUP_FAILURE for each in workers.processes):
            sys.exit(_STARTUP_FAILURE)
    else:
        _serve(config)


def _serve(config: Config) -> None:
    config.load_app()
    server = _Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILURE)


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
