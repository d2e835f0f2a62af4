"""What cannot work with what `wirework run` was told, found before anything is served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..app import App
from ..descriptions import Found
from ..errors import WireworkError
from ..security.session_store import MemorySessions
from ..security.sources import Ticket
from ..security.tickets import UsedTickets
from .mistakes import RunError, explained

__all__ = ["refuse"]


def refuse(found: Sequence[Found], *, workers: int, has_trusted_proxies: bool) -> None:
    """Refuse Wirework applications that cannot be served so.

    Args:
        found: all of them in what is served, mounted ones too.
        workers: how many processes there will be.
        has_trusted_proxies: whether the server was told which proxies to believe.

    Raises:
        RunError: it says of which application, and what to do.
    """
    for each in found:
        for problem in _problems(each.app, workers, has_trusted_proxies):
            where = f"the application at {each.path or '/'}: " if each.is_mounted else ""
            raise RunError(where + problem)


def _problems(app: App, workers: int, has_trusted_proxies: bool) -> Iterator[str]:
    try:
        app.check_methods()
    except WireworkError as error:
        yield explained(error)
    if has_trusted_proxies and app.settings.trusted_proxies:
        yield (
            "--forwarded-allow-ips and the setting trusted_proxies both say who is believed;"
            " leave out the option"
        )
    if workers > 1:
        yield from _alone(app)


def _alone(app: App) -> Iterator[str]:
    """Say what each of several workers would know for itself."""
    if isinstance(app.sessions, MemorySessions):
        yield (
            "MemorySessions knows the sessions of one process alone, and each worker is one;"
            " leave out --workers, or give the application a store that they share"
        )
    if _forgets_tickets(app):
        yield (
            "each worker remembers for itself which tickets were used, so one would be good once in"
            " each; leave out --workers, or give App tickets=RedisTickets(url)"
        )
    known = "channels" if len(app.channels) else "HTTP streams" if app.has_streams else ""
    if known and not app.channels.hub.broker.is_shared:
        yield (
            f"the broker memory:// knows the {known} of one process alone, and each worker is one;"
            " leave out --workers, or set broker, such as WIREWORK_BROKER=redis://..."
        )


def _forgets_tickets(app: App) -> bool:
    """Whether a route takes tickets that only this process knows to be used."""
    gates = (target.gate for _, target in app.websocket_routes() if target.gate is not None)
    sources = (source for gate in gates for source in gate.auth.sources)
    tickets = (each.tickets or app.tickets for each in sources if isinstance(each, Ticket))
    return any(isinstance(each.store, UsedTickets) for each in tickets)
