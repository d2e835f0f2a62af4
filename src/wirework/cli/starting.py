"""The start of an application in a server: what it raises is told in one message."""

from __future__ import annotations

import copy
import logging
import sys
from typing import TYPE_CHECKING, Any

from ..errors import WireworkError
from ..types import Message, Receive, Scope, SendMessage
from .mistakes import explained

if TYPE_CHECKING:
    from uvicorn import Config

__all__ = ["Starting", "shorten_for_granian"]


class Starting:
    """Within it, an error of Wirework's ends the start in Uvicorn without a traceback.

    Args:
        lifespan: Uvicorn's side of the protocol.
        config: has the application.
    """

    def __init__(self, lifespan: Any, config: Config) -> None:
        self._app: Any = config.loaded_app
        # the connections that come meanwhile need the application itself
        lifespan.config = copy.copy(config)
        lifespan.config.loaded_app = self._serve

    def __enter__(self) -> None:
        logging.getLogger("wirework").addFilter(_is_news)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("wirework").removeFilter(_is_news)

    async def _serve(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        async def explaining(message: Message) -> None:
            error = sys.exc_info()[1]  # what the application is handling as it says so
            if message["type"] == "lifespan.startup.failed" and isinstance(error, WireworkError):
                message = {**message, "message": explained(error)}
            await send(message)

        await self._app(scope, receive, explaining)


def shorten_for_granian() -> None:
    """Let an error of Wirework's end the start in a worker of Granian's without a traceback."""
    logging.getLogger("wirework").addFilter(_is_news)
    logging.getLogger("_granian").addFilter(_shortened)


def _shortened(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, WireworkError) and record.msg == "ASGI lifespan startup failed":
        record.msg, record.args = "%s: %s", (record.msg, explained(error))
        record.exc_info = None
    return True


def _is_news(record: logging.LogRecord) -> bool:
    """Whether nobody else will tell of it: the server does of an error that ends the start."""
    error = record.exc_info[1] if record.exc_info else None
    is_start = record.msg == "%s failed" and record.args == ("startup",)
    return not (is_start and isinstance(error, WireworkError))
