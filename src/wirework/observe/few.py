"""Values of labels, few of them whatever peers and handlers do."""

from __future__ import annotations

from typing import Final

from ..closecodes import MEANINGS

__all__ = ["OTHER", "Few", "peer_code"]

OTHER: Final = "other"
_MAX_LENGTH: Final = 64


class Few:
    """Lets the first `most` values through and calls every further one "other".

    Each value of a label makes a series that is kept for ever, here and in Prometheus.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, value: str | int) -> str:
        """Return `value` as a label, at most 64 characters of it, or "other"."""
        text = str(value)[:_MAX_LENGTH]
        if text not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(text)
        return text


def peer_code(code: int) -> str:
    """Return the label of a close code that the peer chose: what is not ours is only a class."""
    if code in MEANINGS:
        return str(code)
    return f"{code // 1000}xxx" if 3000 <= code <= 4999 else OTHER
