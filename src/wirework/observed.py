"""What is told of a connection to whoever counts."""

from __future__ import annotations

__all__ = ["Observed"]


class Observed:
    """Takes note of what happens to a connection, and forgets it: nobody counts.

    `observe/metered.py` has the connections that count, where an application has metrics. Nothing
    here is called for each message.
    """

    __slots__ = ()

    @property
    def route(self) -> str:
        """The path of its route as it was declared; "" where nobody counts."""
        return ""

    def enter(self, route: str) -> None:
        """It is served by the route with this path."""

    def turned_away(self, reason: str) -> None:
        """Its handshake is about to be refused, for this reason: one of a few words."""

    def met(self, limit: str) -> None:
        """A limit has bitten, the one of this name: a setting's, where there is one."""

    def rejected(self, code: str | int) -> None:
        """One of its messages was answered with an error."""

    def failed(self) -> None:
        """Code of the application raised what nobody foresaw."""
