"""What keeps strangers out: who may connect, and the session that says as whom."""

from __future__ import annotations

__all__: list[str] = []
