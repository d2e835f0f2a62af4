"""What is served: the applications in the one that was named, and their routes, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..app import App
from ..descriptions import Found, walk
from ..settings import Settings

__all__ = ["Served", "stop_timeout"]

_DEFAULTS = Settings()
_MARGIN = 4.0
"""Seconds beyond `drain_timeout`, for cleanup and disconnect hooks."""
_UVICORN_LARGEST = 16 * 1024 * 1024
"""Bytes of a message that Uvicorn takes if it is not told."""
_SHOWN = 20
"""Routes of applications that are not Wirework's."""


class Served:
    """An ASGI application, with the Wirework applications that it is or holds."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._found = list(walk(app))
        self.applications = [each for each in self._found if each.kind == "application"]
        """Wirework's."""
        self.settings: list[Settings] = [each.app.settings for each in self.applications] or [
            _DEFAULTS
        ]

    @property
    def is_rsgi(self) -> bool:
        """Whether Granian can serve it by its own interface."""
        return hasattr(self.app, "__rsgi__")

    @property
    def trusts_proxies(self) -> bool:
        """Whether all requests reach an application that reads the headers of proxies itself."""
        whole = [each.app for each in self.applications if not each.is_mounted]
        return any(app.settings.trusted_proxies for app in whole)

    @property
    def stop_timeout(self) -> int:
        """After how many seconds the server ends what has not ended, at shutdown."""
        return math.ceil(max(each.drain_timeout for each in self.settings) + _MARGIN)

    @property
    def head_timeout(self) -> int:
        """The milliseconds within which the head of a request must have come."""
        seconds = max(each.handshake_timeout for each in self.settings)
        return math.ceil(seconds * 950)  # Granian ends them a little late

    @property
    def largest_frame(self) -> int:
        """Above which size Uvicorn itself refuses a message: twice what any route takes.

        Messages below that are refused, counted and answered by the application.
        """
        apps: list[App] = [each.app for each in self.applications]
        routes = [target for app in apps for _, target in app.websocket_routes()]
        sizes = [2 * target.settings.max_message_size for target in routes]
        if type(self.app) is not App or not sizes:
            sizes.append(_UVICORN_LARGEST)  # other routes may take as much
        return max(sizes)

    def lines(self) -> Iterator[str]:
        """Say what there is, a line each."""
        others = 0
        for each in self._found:
            if each.kind == "application":
                yield from _application(each)
            else:
                others += 1
                if others <= _SHOWN:
                    yield f"{each.kind} {each.path}"
        if others > _SHOWN:
            yield f"and {others - _SHOWN} more routes"


def stop_timeout(app: Any) -> int:
    """Return after how many seconds the server ends what `app` has not, at shutdown."""
    return Served(app).stop_timeout


def _application(found: Found) -> Iterator[str]:
    app: App = found.app
    where = f"  (at {found.path})" if found.path else ""
    yield f"broker {app.channels.hub.broker.name}{where}"
    for line in app.describe_routes():
        yield line.replace(" /", f" {found.path}/", 1)
    for channel in app.channels:
        yield f"channel {channel.template.text}{where}"
