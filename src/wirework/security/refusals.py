"""The log of refusals, which does not grow with the number of those who are refused."""

from __future__ import annotations

import logging
from typing import Final

from ..errors import Refuse
from ..timers import Wheel, wheel

__all__ = ["Refusals", "StoreAway"]

logger = logging.getLogger("wirework")

_INTERVAL: Final = 10.0


class StoreAway(Refuse):
    """Raised where a handshake cannot be judged, as a store has failed.

    Args:
        what: cannot be known, in words.
        error: of the store.
    """

    def __init__(self, what: str, error: Exception) -> None:
        super().__init__(503, "Service Unavailable", {"retry-after": "1"})
        self.what = what
        self.error = error


class Refusals:
    """Logs the first refusal for each reason at once, then how many more there were.

    One line for each reason and interval, however many are refused: who floods the door does not
    flood the log.

    Args:
        interval: seconds between two lines for one reason. Default 10.0.
    """

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._counts: dict[str, int] = {}
        """Reason -> how many were refused since its last line."""
        self._clock: Wheel | None = None

    def log(self, reason: str, text: str, *values: object) -> None:
        """Log `text % values` as a warning, unless one for this reason was logged just now."""
        clock = wheel()
        if clock is not self._clock:
            self._clock, self._counts = clock, {}
        if reason in self._counts:
            self._counts[reason] += 1
            return
        logger.warning(text, *values)
        if not self._counts:
            clock.watch(self, clock.now() + self._interval)
        self._counts[reason] = 0

    def tick(self, now: float) -> float | None:
        """Log how many more there were; the wheel calls it."""
        counts, self._counts = self._counts, {}
        for reason, count in counts.items():
            if count:
                self._counts[reason] = 0
                text = "refused %s more handshakes in %g s: %s"
                logger.warning(text, count, self._interval, reason)
        return now + self._interval if self._counts else None
