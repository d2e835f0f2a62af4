"""What keeps strangers out: who may connect, and the session that says as whom."""

from __future__ import annotations

from .cookies import SessionCookie
from .origin import OriginPolicy, OriginVerdict
from .sessions import Session

__all__ = ["OriginPolicy", "OriginVerdict", "Session", "SessionCookie"]
