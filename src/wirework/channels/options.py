"""What a channel keeps and shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Allow", "History", "Mode", "Overflow", "Post", "Presence"]

Mode: TypeAlias = Literal["stream", "ephemeral", "latest"]
"""What a publication is: one of a series, good for the moment, or the newest of its key."""
Overflow: TypeAlias = Literal["catch_up", "close", "drop", "latest"]
"""What a subscriber that reads too slowly gets; "drop" is not for channels with history."""


@dataclass(frozen=True, slots=True)
class History:
    """What a channel keeps of its publications.

    Args:
        size: publications at most; in mode "latest", keys. Default 100.
        ttl: seconds for which one is kept. Default 300.

    Raises:
        ValueError: a number that cannot be used.
    """

    size: int = 100
    ttl: float = 300.0

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"History size: expected an int >= 1, got {self.size!r}")
        is_number = isinstance(self.ttl, int | float) and not isinstance(self.ttl, bool)
        if not is_number or not 0 < self.ttl <= 30 * 24 * 3600:
            raise ValueError(f"History ttl: expected seconds up to 30 days, got {self.ttl!r}")


@dataclass(frozen=True, slots=True)
class Presence:
    """What a channel tells of who is in it.

    Args:
        announce: subscribers are told of everybody who comes and goes. Default True.
        members: subscribers may ask who is there, not only how many. Default True.
        grace: seconds after which a user whose last connection has ended counts as gone; None: the
            setting `presence_grace`. Nobody in particular is gone at once. Default None.

    Raises:
        ValueError: a number that cannot be used.
    """

    announce: bool = True
    members: bool = True
    grace: float | None = None

    def __post_init__(self) -> None:
        if self.grace is not None and not 0 <= self.grace <= 3600:
            raise ValueError(f"Presence grace: expected 0 to 3600 seconds, got {self.grace!r}")


@dataclass(frozen=True, slots=True)
class Allow:
    """What `on_subscribe` may return to say more than True.

    Args:
        data: for the client that subscribes. Default None.
        info: what others see of it in presence, and in what it publishes; any JSON. Default None.
    """

    data: Any = None
    info: Any = None


@dataclass(frozen=True, slots=True)
class Post:
    """What `on_publish` may return to say more than the data.

    Args:
        data: what is published.
        key: in mode "latest", which value this is the newest of. Default "".
        to_sender: whether the client that published it gets it, too. Default True.
    """

    data: Any
    key: str = ""
    to_sender: bool = True
