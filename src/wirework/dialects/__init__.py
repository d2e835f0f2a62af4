"""What messages look like on the wire: pure codecs between frames and commands or outputs."""

from __future__ import annotations

from .base import Codec, Dialect
from .centrifugo import Centrifugo
from .htmx import Htmx, HtmxHeaders
from .markup import Fragment
from .named import NamedSockets
from .raw import Raw
from .state import State
from .status import Status
from .typed import Typed

__all__ = [
    "Centrifugo",
    "Codec",
    "Dialect",
    "Fragment",
    "Htmx",
    "HtmxHeaders",
    "NamedSockets",
    "Raw",
    "State",
    "Status",
    "Typed",
]
