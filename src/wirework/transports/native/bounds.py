"""What an application allows peers of plain HTTP, and what it is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ...app import App
from ...security.redaction import redact_query
from ...settings import Settings

__all__ = ["AccessLog", "Bounds", "application", "bounds_of", "met"]

_STALL_GRACE: Final = 1.0
"""Seconds more than a stream may take to notice a peer that does not read: it can say why."""


class Bounds(NamedTuple):
    """What an application allows the peers of its pages."""

    head_bytes: int
    head_count: int
    body_timeout: float
    """Seconds in which something of a body has to come."""
    stall_timeout: float
    """Seconds without progress in writing."""


def bounds_of(app: Any) -> Bounds:
    """Return what the application says, or the defaults where it is not Wirework's."""
    own = application(app)
    return _OTHERS if own is None else _own_bounds(own)


@lru_cache(maxsize=16)
def _own_bounds(app: App) -> Bounds:
    stalls = [route.settings.write_stall_timeout for _, route in app.websocket_routes()]
    return _bounds(app.settings, stalls)


def _bounds(settings: Settings, stalls: Sequence[float] = ()) -> Bounds:
    return Bounds(
        settings.max_header_bytes,
        settings.max_header_count,
        settings.handshake_timeout,
        2 * max([settings.write_stall_timeout, *stalls]) + _STALL_GRACE,
    )


_OTHERS: Final = _bounds(Settings())


def application(app: Any) -> App | None:
    """Return the Wirework application that the server was given, without its own wrappers."""
    while type(app).__module__.startswith("uvicorn."):
        app = app.app
    return app if isinstance(app, App) else None


def met(config: Any, limit: str) -> None:
    """Have the application count that a peer has met a limit."""
    app = application(config.loaded_app)
    if app is not None:
        app.met(limit)


class AccessLog:
    """Writes Uvicorn's lines without the credentials in their addresses."""

    def __init__(self, logger: Any, app: App) -> None:
        self._logger = logger
        self._app = app

    def info(self, text: str, client: str, method: str, target: str, *more: object) -> None:
        """Write the line of one request."""
        path, mark, query = target.partition("?")
        target = path + mark + redact_query(query, self._app.secret_parameters)
        self._logger.info(text, client, method, target, *more)
