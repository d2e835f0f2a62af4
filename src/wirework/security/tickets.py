"""Tickets: signed values that are good once, for seconds, to connect with."""

from __future__ import annotations

import hashlib
import heapq
import logging
import math
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from itsdangerous import BadData, URLSafeSerializer

if TYPE_CHECKING:
    from starlette.datastructures import Secret

__all__ = ["TicketStore", "Tickets", "UsedTickets"]

logger = logging.getLogger("wirework")

_MAX_TICKET: Final = 4096
_TICKET: Final = re.compile(r"[A-Za-z0-9_.-]+")


class TicketStore(Protocol):
    """Remembers which tickets were used. One store serves all processes that take the tickets.

    It may have a `close()`, async or not: the application calls it at its end, be it that of
    `App(tickets=...)` or of a route's `Ticket(tickets=...)`.
    """

    async def spend(self, id: str, until: float) -> bool:
        """Note that a ticket was used; True for exactly one caller per `id`, whoever is first.

        It must be remembered until the Unix time `until`. Return False where it cannot be, and
        raise where it cannot be known: the handshake is refused with 503.
        """


class UsedTickets:
    """The tickets that were used, in the memory of this process, until they expire.

    It never forgets one that is still good: when it is full, it lets nobody in. With several
    worker processes a ticket can be used once in each of them; take a store that they share.

    Args:
        max_tickets: how many it remembers. Default 100,000, which at 30 seconds each is 3,300
            connections a second.
        clock: Unix time in seconds.
    """

    def __init__(
        self, max_tickets: int = 100_000, *, clock: Callable[[], float] = time.time
    ) -> None:
        if not isinstance(max_tickets, int) or max_tickets < 1:
            raise ValueError(f"max_tickets: expected an int >= 1, got {max_tickets!r}")
        self._max = max_tickets
        self._clock = clock
        self._used: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._used)

    async def spend(self, id: str, until: float) -> bool:
        """Note that a ticket was used; False where it was before, or where there is no room."""
        self._forget(self._clock())
        if id in self._used:
            return False
        if len(self._used) >= self._max:
            logger.warning("no room to remember a used ticket: %d are still good", self._max)
            return False
        self._used.add(id)
        heapq.heappush(self._ends, (until, id))
        return True

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            self._used.discard(heapq.heappop(self._ends)[1])


class Tickets:
    """Issues tickets and takes them back, each once.

    A ticket is text for a URL: the value as JSON, its end, and a random id, signed with HMAC-SHA256
    by a key that is derived from `secret` for tickets alone, so that the key of the session cookie
    can serve. Who holds a ticket can read the value, and be let in with it once.

    Args:
        secret: the key, a str; not empty. Have at least 32 random characters.
        lifetime: seconds that a ticket is good for. Default 30.0.
        store: remembers the used ones; None: a new `UsedTickets`. Default None.
        clock: Unix time in seconds.

    Raises:
        TypeError: the secret is no str.
        ValueError: the secret is empty, or the lifetime is not above 0.
    """

    def __init__(
        self,
        secret: str | Secret,
        lifetime: float = 30.0,
        *,
        store: TicketStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if secret is None or isinstance(secret, bytes):
            raise TypeError(f"tickets secret: expected a str, got {type(secret).__name__}")
        if not str(secret).strip():
            raise ValueError("tickets secret: expected a str that is not empty, got an empty one")
        if not 0 < lifetime < math.inf:
            raise ValueError(f"tickets lifetime: expected seconds above 0, got {lifetime!r}")
        self.lifetime = lifetime
        self.store: TicketStore = UsedTickets(clock=clock) if store is None else store
        self._clock = clock
        self._signer = URLSafeSerializer(
            str(secret),
            salt="wirework.ticket",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )

    def issue(self, value: Any) -> str:
        """Return a ticket for `value`, such as the id of a user.

        `value` is any JSON value but None; it comes back as JSON has it, tuples as lists.

        Raises:
            TypeError: it is None, or holds what is no JSON.
            ValueError: it takes more than 4,096 characters as a ticket.
        """
        if value is None:
            raise TypeError("ticket: expected a value that says who it is for, got None")
        content = [secrets.token_urlsafe(16), self._clock() + self.lifetime, value]
        ticket = str(self._signer.dumps(content))
        if len(ticket) > _MAX_TICKET:
            raise ValueError(
                f"ticket: expected at most {_MAX_TICKET} characters, got {len(ticket)}"
            )
        return ticket

    async def redeem(self, ticket: str) -> Any | None:
        """Return the value that `ticket` was issued for, once; else None.

        None: it is no ticket, forged, expired, used before, or the store had no room.
        """
        content = self._read(ticket)
        if content is None:
            return None
        id, until, value = content
        if self._clock() >= until:
            return None
        return value if await self.store.spend(id, until) else None

    def _read(self, ticket: object) -> tuple[str, float, Any] | None:
        if not isinstance(ticket, str) or len(ticket) > _MAX_TICKET:
            return None
        if not _TICKET.fullmatch(ticket):
            return None
        try:
            id, until, value = self._signer.loads(ticket)
        except BadData:
            return None
        return id, until, value
