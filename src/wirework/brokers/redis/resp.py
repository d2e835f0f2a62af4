"""Commands in Redis' protocol."""

from __future__ import annotations

from typing import TypeAlias

import hiredis

__all__ = ["Argument", "pack"]

Argument: TypeAlias = str | bytes | int


def pack(*words: Argument) -> bytes:
    """Return the bytes of a command."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # any length
    return packed
