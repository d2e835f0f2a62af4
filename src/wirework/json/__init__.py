"""JSON for frames and HTTP replies: one protocol, three adapters.

`msgspec` is the default and the fastest, `orjson` and `stdlib` parse with their own parsers.
Whatever the adapter, the same value is the same JSON, and the same message fits, or fails with
the same errors.
"""

from __future__ import annotations

from .adapters import MsgspecAdapter, OrjsonAdapter, StdlibAdapter, adapter_of
from .base import JsonAdapter
from .foreign import readable

__all__ = [
    "JsonAdapter",
    "MsgspecAdapter",
    "OrjsonAdapter",
    "StdlibAdapter",
    "adapter_of",
    "readable",
]
