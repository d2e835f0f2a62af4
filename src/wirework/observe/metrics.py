"""What an application tells Prometheus about itself."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from ..binding.plan import Plan
from ..channels.hub import Hub
from ..connection import Link
from ..security.census import Census
from ..settings import Settings
from ..timers import wheel
from .channels import ChannelTally
from .few import Few
from .instruments import HANDLER_BUCKETS, Instruments
from .metered import MeteredConnection
from .shared import forget_dead_workers, is_shared, shared_registry
from .tally import Tally
from .timing import timed

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["Metrics"]

_REPORT_EVERY: Final = 5.0
"""Seconds between two reports where another worker may be the one that is asked."""
_MAX_CODES: Final = 32
_MAX_REJECTS: Final = 64
_AT_A_TIME: Final = 1000
"""Connections that are asked before others have their turn."""
_LEAST_TOKEN: Final = 16


class Metrics:
    """Counts what happens to the connections of an application: `App(metrics=Metrics(...))`.

    The labels are paths of routes as they were declared, names of events, close codes, statuses and
    names of settings: their number does not grow with users, addresses or what peers send.
    Connections count in numbers of their own and report when somebody asks, and at their end.

    Args:
        path: where GET shows the metrics, such as "/metrics". None: nowhere; return `response()`
            from a route of your own. Default None.
        token: what the scraper must send as `Authorization: Bearer`, at least 16 characters.
        is_public: whether everybody may read `path`: say so where a network or a proxy keeps
            strangers away. Default False.
        registry: of prometheus_client; `prometheus_client.REGISTRY` has its metrics of the process
            too. None: one of its own. Default None.
        times_handlers: whether the duration of each call of a handler for messages is measured,
            which costs about a microsecond each. Default True.
        buckets: upper bounds in seconds of these durations.

    Raises:
        ModuleNotFoundError: the extra `metrics` is not installed.
        TypeError, ValueError: arguments that cannot work together, with what was expected; or the
            registry belongs to another `Metrics`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        token: str | None = None,
        is_public: bool = False,
        registry: CollectorRegistry | None = None,
        times_handlers: bool = True,
        buckets: Sequence[float] = HANDLER_BUCKETS,
    ) -> None:
        _check_reader(path, token, is_public)
        _check_buckets(buckets)
        _check_installed()
        from prometheus_client import CollectorRegistry

        self.path = path
        self.is_public = is_public
        self.times_handlers = times_handlers
        self._token = token
        self._registry = CollectorRegistry() if registry is None else registry
        self._instruments = Instruments(self._registry, buckets)
        if is_shared():
            forget_dead_workers()
        self._tallies: dict[str, Tally] = {}
        self._codes = Few(_MAX_CODES)
        self._rejects = Few(_MAX_REJECTS)
        self._open: set[MeteredConnection] = set()
        self._censuses: list[Census] = []
        self._channels = ChannelTally(self._registry)

    # --- who is counted -------------------------------------------------------------------------

    def add_census(self, census: Census) -> None:
        """Show how many connections of `census` still have to say who they are."""
        self._censuses.append(census)

    def add_hub(self, hub: Hub) -> None:
        """Show what goes through the channels of `hub`, and whether its broker is there."""
        self._channels.add(hub)

    def connection(self, link: Link, settings: Settings) -> MeteredConnection:
        """Return a connection that counts, for the transport that `link` belongs to."""
        return MeteredConnection(link, settings, self)

    def tally_of(self, route: str) -> Tally:
        """Return the account of a route; "" is for handshakes that lead to none."""
        found = self._tallies.get(route)
        if found is None:
            found = Tally(route, self._instruments, self._codes, self._rejects)
            self._tallies[route] = found
        return found

    def opened(self, connection: MeteredConnection) -> None:
        """Ask this connection for reports until it is closed."""
        self._open.add(connection)
        clock = wheel()
        clock.on_turn.add(self._instruments.lag.observe)
        if is_shared() and len(self._open) == 1:
            clock.watch(self, clock.now() + _REPORT_EVERY)

    def closed(self, connection: MeteredConnection) -> None:
        """Take a last report from this connection."""
        connection.report()
        self._open.discard(connection)

    def tick(self, now: float) -> float | None:
        """Have all connections report, for a scrape of another worker; the wheel calls it."""
        for connection in self._open:
            connection.report()
        self._count_others()
        return now + _REPORT_EVERY if self._open else None

    def measure(self, plan: Plan, route: str, event: str) -> None:
        """Time the function of a plan from now on; a stream is timed until its last item."""
        if self.times_handlers:
            histogram = self._instruments.handling.labels(route, event)
            plan.function = timed(plan, histogram.observe)

    # --- what is shown --------------------------------------------------------------------------

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page that Prometheus reads, and its content type.

        Args:
            accept: the request's `Accept`: the text format, or OpenMetrics where that asks for it.
        """
        from prometheus_client.exposition import choose_encoder

        for index, connection in enumerate(tuple(self._open)):
            connection.report()
            if index % _AT_A_TIME == _AT_A_TIME - 1:
                await asyncio.sleep(0)
        self._count_others()
        encode, content_type = choose_encoder(accept)
        readable = shared_registry() if is_shared() else self._registry
        return encode(readable), content_type

    async def response(self, accept: str = "") -> Response:
        """Return the page as a response of Starlette, or FastAPI, for a route of your own."""
        body, content_type = await self.render(accept)
        return Response(body, headers={"content-type": content_type})

    def may_read(self, authorization: str) -> bool:
        """Whether a request with this `Authorization` may read `path`."""
        if self._token is None:
            return True
        scheme, _, token = authorization.partition(" ")
        is_right = hmac.compare_digest(token.strip().encode(), self._token.encode())
        return is_right and scheme.lower() == "bearer"

    def _count_others(self) -> None:
        self._instruments.unauthenticated.set(sum(each.unauthenticated for each in self._censuses))
        self._channels.report()


def _check_reader(path: str | None, token: str | None, is_public: bool) -> None:
    if path is None:
        if token is not None or is_public:
            raise TypeError("Metrics: token and is_public say who may read path; give a path")
        return
    if token is not None and is_public:
        raise TypeError("Metrics: expected a token or is_public=True, got both")
    if token is None and not is_public:
        raise TypeError(
            f"Metrics: {path} would tell everybody which routes there are and how busy they are;"
            " give a token that the scraper sends, or is_public=True where a network or a proxy"
            " keeps strangers away"
        )
    if token is not None and len(token) < _LEAST_TOKEN:
        raise ValueError(
            f"Metrics: expected a token of at least {_LEAST_TOKEN} characters, got {len(token)}"
        )


def _check_buckets(buckets: Sequence[float]) -> None:
    if not buckets or list(buckets) != sorted(set(buckets)):
        raise ValueError(f"Metrics, buckets: expected ascending numbers, got {buckets!r}")


def _check_installed() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Metrics need prometheus_client, got no module {error.name!r}: "
            "pip install 'wirework[metrics]'",
            name=error.name,
        ) from None
