"""The dialect: where its clients connect, and in which formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from ... import closecodes
from ...json import JsonAdapter, MsgspecAdapter
from ...types import Body
from ..base import Codec, Dialect, Endpoints, Format, Quick
from .codes import CLOSES
from .json import JsonCodec
from .protobuf import ProtobufCodec, read_post
from .quick import quick_rpc

__all__ = ["Centrifugo"]

_PROTOBUF: Final = "centrifuge-protobuf"


class Centrifugo(Dialect):
    """Centrifugo's client protocol, in JSON and in Protobuf: all of its SDKs.

    An `rpc` is a call of the function of its method, or of "rpc" without one, and a `send` is one
    of the function called "send".
    The token of `connect` is for `auth=`, its `data` for `on_ready`. Answers, publications and
    errors are the protocol's. A frame that cannot be read ends the connection.
    A client that offers the subprotocol "centrifuge-protobuf" speaks Protobuf; what is `data` in it
    has to be JSON all the same.

    Args:
        ping_interval: seconds between two pings of the server, which clients answer and by whose
            absence they notice that it is gone. Default 25.
        version: what clients are told as the server's version. Default "".
    """

    name: ClassVar[str] = "centrifugo"
    body: Body = "json"
    has_names: ClassVar[bool] = True
    can_authenticate: ClassVar[bool] = True
    greets: ClassVar[bool] = True
    subprotocols: ClassVar[Sequence[str]] = (_PROTOBUF,)
    separator: ClassVar[bytes | None] = b"\n"
    endpoints: ClassVar[Endpoints] = Endpoints(
        "/websocket",
        "/http_stream",
        "/sse",
        "cf_connect",
        "/emulation",
        {"application/octet-stream": Format(_PROTOBUF, read_post)},
    )

    def __init__(self, *, ping_interval: float = 25.0, version: str = "") -> None:
        if not 1 <= ping_interval <= 3600:
            raise ValueError(f"ping_interval: expected 1 to 3600 seconds, got {ping_interval!r}")
        self.ping_interval = ping_interval
        self.version = version

    def __repr__(self) -> str:
        return f"Centrifugo(ping_interval={self.ping_interval})"

    def quick(self, json: JsonAdapter) -> Quick | None:
        """Return the quick way of `rpc` in JSON, with the default adapter."""
        return quick_rpc(json) if type(json) is MsgspecAdapter else None

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection, in JSON."""
        return JsonCodec(self.version, self.wire_close, json)

    def open_as(self, subprotocol: str, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection, in Protobuf."""
        return ProtobufCodec(self.version, self.wire_close, json)

    def wire_close(self, code: int, reason: str) -> tuple[int, str]:
        """Return the disconnect code of the protocol: from 3500 on clients do not come back."""
        if code == closecodes.NOT_AUTHENTICATED and reason == closecodes.EXPIRED_REASON:
            return 3005, "connection expired"
        return CLOSES.get(code, code), reason
