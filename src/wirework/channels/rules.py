"""What the hub must know of a channel; the same for all names of a family."""

from __future__ import annotations

from typing import NamedTuple

from ..brokers.base import Keep
from .options import Mode, Overflow, Presence

__all__ = ["Rules"]


class Rules(NamedTuple):
    """How publications of a channel are kept and told.

    Args:
        mode: what a publication is.
        keep: what the broker keeps; None: nothing.
        overflow: what a subscriber that reads too slowly gets.
        presence: what is told of who is there; None: nobody asks.
    """

    mode: Mode = "stream"
    keep: Keep | None = None
    overflow: Overflow = "close"
    presence: Presence | None = None
