"""Pages for machines: the metrics, and whether the application is well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse, Response

from ..handshake import Handshake
from .metrics import Metrics

__all__ = ["health_page", "metrics_page", "readiness_page"]


def metrics_page(metrics: Metrics) -> Callable[[Handshake], Awaitable[Response]]:
    """Return the handler of the path of `metrics`."""

    async def show_metrics(handshake: Handshake) -> Response:
        if not metrics.may_read(handshake.headers.get("authorization", "")):
            return Response("Unauthorized", 401, {"www-authenticate": "Bearer"})
        return await metrics.response(handshake.headers.get("accept", ""))

    return show_metrics


def health_page() -> Callable[[], Awaitable[Response]]:
    """Return a handler that answers, which is all that it says."""

    async def show_health() -> Response:
        return _said("ok", 200)

    return show_health


def readiness_page(why_not: Callable[[], str]) -> Callable[[], Awaitable[Response]]:
    """Return a handler that says whether new connections are wanted, or the word why not."""

    async def show_readiness() -> Response:
        reason = why_not()
        return _said(reason, 503) if reason else _said("ready", 200)

    return show_readiness


def _said(status: str, code: int) -> Response:
    return JSONResponse({"status": status}, code, {"cache-control": "no-store"})
