"""How functions get their arguments: signatures become plans, once, at registration."""

from __future__ import annotations

from .binder import Binder, Extra
from .depends import Depends, Store
from .plan import Context, Getter, Plan
from .sources import Cookie, Header, Path, Payload, Query

__all__ = [
    "Binder",
    "Context",
    "Cookie",
    "Depends",
    "Extra",
    "Getter",
    "Header",
    "Path",
    "Payload",
    "Plan",
    "Query",
    "Store",
]
