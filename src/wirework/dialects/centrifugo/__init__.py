"""Centrifugo's client protocol, version 2, in JSON and in Protobuf, so that its SDKs work with us.

What every message looks like and which codes its clients act on is written down in
`docs/dialects/centrifugo.md`. `asking` and `telling` say what its messages mean, `json` and
`protobuf` how they look.
"""

from __future__ import annotations

from .dialect import Centrifugo

__all__ = ["Centrifugo"]
