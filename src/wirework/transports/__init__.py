"""What carries connections: one file per transport, none knows of another."""

from __future__ import annotations

__all__: list[str] = []
