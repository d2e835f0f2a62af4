"""What messages look like on the wire: pure codecs between frames and commands or outputs."""

from __future__ import annotations

from .base import Codec, Dialect
from .htmx import Htmx, HtmxHeaders
from .markup import Fragment
from .raw import Raw

__all__ = ["Codec", "Dialect", "Fragment", "Htmx", "HtmxHeaders", "Raw"]
