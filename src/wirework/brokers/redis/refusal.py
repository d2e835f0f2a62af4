"""What goes wrong with Redis, in words that hold no password."""

from __future__ import annotations

from typing import Final

from ...errors import BrokerUnavailable

__all__ = ["Lost", "Refusal"]

_MEANINGS: Final = {
    "NOAUTH": "it asks for a password, and the URL has none",
    "WRONGPASS": "it does not accept the user or the password of the URL",
    "NOPERM": "the user of the URL may not do this",
    "OOM": "its memory is full (maxmemory)",
    "READONLY": "it is a replica, and takes no writes",
    "MOVED": "it is a node of a Cluster: use redis+cluster://",
    "CLUSTERDOWN": "its Cluster is down",
    "LOADING": "it is still loading its data",
    "MASTERDOWN": "it is a replica that has lost its master",
    "MISCONF": "it cannot save its data, and takes no writes",
    "NOREPLICAS": "it has too few replicas, and takes no writes",
}
_NOT_IN_SCRIPT: Final = "user executing the script can't"
_MAX_TEXT: Final = 200


class Lost(BrokerUnavailable):
    """The connection has ended before the answer came."""


class Refusal(BrokerUnavailable):
    """Redis has answered with an error; `code` is its first word."""

    def __init__(self, where: str, text: str) -> None:
        self.code = _code_of(text)
        self.text = text
        meaning = _MEANINGS.get(self.code)
        said = text[:_MAX_TEXT]
        super().__init__(
            f"Redis at {where}: {meaning} ({said})" if meaning else f"Redis at {where}: {said}"
        )


def _code_of(text: str) -> str:
    """Return the error's word; what a script ran into is told among other words."""
    if _NOT_IN_SCRIPT in text:
        return "NOPERM"
    first = text.partition(" ")[0]
    return next((code for code in _MEANINGS if code == first or f" {code} " in text), first)
