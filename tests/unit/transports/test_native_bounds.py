"""What the native transport allows peers of plain HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from wirework import App, WebSocket
from wirework.transports.native.bounds import bounds_of


@dataclass
class Page:
    """An application that is not Wirework's, and that cannot be hashed."""

    text: str = "hi"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def test_other_applications_have_the_defaults_whatever_they_are() -> None:
    assert bounds_of(Page()) == bounds_of(App())


def test_an_application_says_them_also_behind_what_the_server_puts_around_it() -> None:
    app = App(max_header_bytes=9000, max_header_count=40, handshake_timeout=3)

    @app.ws("/slow", limits={"write_stall_timeout": 20.0})
    async def slow(text: str, ws: WebSocket) -> None: ...

    assert bounds_of(app) == (9000, 40, 3, 41.0)
    served: Any = app
    assert bounds_of(ProxyHeadersMiddleware(served)) == bounds_of(app)
