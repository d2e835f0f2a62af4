"""The typed dialect: named JSON messages with calls, streams, events and requests.

The protocol is specified in `docs/dialects/typed.md`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec

from ..commands import (
    Answer,
    Authenticate,
    Call,
    Cancel,
    Command,
    Disconnect,
    Ended,
    Event,
    Failure,
    Id,
    Output,
    Ping,
    Pong,
    Ready,
    Receipt,
    Renewed,
    Request,
    Result,
)
from ..errors import MalformedMessage, ValidationError, WrongFrame
from ..json import JsonAdapter, MsgspecAdapter
from ..types import Body, Frame
from .base import Codec, Dialect, Quick
from .channels import CHANNEL_WORDS, ChannelWords
from .envelope import (
    failure_of,
    given_id_of,
    id_of,
    kind_at,
    name_of,
    text_of,
)
from .problems import kind_of
from .quick import GivenId, quick_way

__all__ = ["Typed"]

_MAX_KEPT_HEADS: Final = 1024
_MAX_KEPT_NAME: Final = 100

_CLIENT_WORDS: Final = frozenset({"answer", "auth", "cancel", "ping"})
_SERVER_WORDS: Final = frozenset({"disconnect", "end", "error", "pong", "ready"})
_NAMELESS: Final = "message"


class Typed(Dialect):
    """`{"type", "data"?, "id"?}` both ways, in text frames of JSON.

    An answer has the type and the id of its call, the values of a stream are numbered by "seq" and
    followed by an "end", a failure is an "error". "ping", "auth", "cancel" and "answer" from the
    client are the protocol's own.

    Args:
        flat: the fields of the payload stand beside "type" and "id" instead of under "data". A
            field with the name of a key that the envelope uses does not leave.
        ready: the server begins with "ready" even where nobody authenticates.
    """

    name: ClassVar[str] = "typed"
    has_names: ClassVar[bool] = True
    can_authenticate: ClassVar[bool] = True
    reserved: ClassVar[frozenset[str]] = _CLIENT_WORDS | _SERVER_WORDS | CHANNEL_WORDS

    def __init__(self, *, flat: bool = False, ready: bool = False) -> None:
        self.flat: Final = flat
        self.ready = ready
        self.body: Body = "value" if flat else "json"
        self._codec: _Codec | None = None

    def __repr__(self) -> str:
        return f"Typed(flat={self.flat}, ready={self.ready})"

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec; it remembers nothing of a connection, so that one serves them all."""
        if self._codec is None or self._codec.json is not json:
            self._codec = _FlatCodec(json) if self.flat else _Codec(json)
        return self._codec

    def quick(self, json: JsonAdapter) -> Quick | None:
        """Return the quick way: for messages that are not flat, with the default adapter."""
        if self.flat or type(json) is not MsgspecAdapter:
            return None
        return quick_way(json)


class _Envelope(msgspec.Struct, frozen=True, gc=False, rename={"name": "type", "body": "data"}):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    body: msgspec.Raw = msgspec.Raw(b"{}")
    id: GivenId = None


class _Codec:
    def __init__(self, json: JsonAdapter) -> None:
        self.json = json
        self.variant: Hashable = ("typed", json)
        self._read = json.decoder(_Envelope)
        self._decode = json.decoder(Any)
        self._encode = json.encode
        # Without a function of ours around it; `encode` tells better what cannot be encoded.
        self._try_encode = json.bare_encode if type(json) is MsgspecAdapter else json.encode
        self._heads: dict[str, str] = {}
        self._channels = ChannelWords(json)

    # --- in -------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> Sequence[Command]:
        if not isinstance(frame, str):
            raise WrongFrame("text", "binary")
        try:
            said: _Envelope = self._read(frame)
        except ValidationError:
            raise self._fault(frame) from None
        if said.name in _CLIENT_WORDS:
            return (self._own_command(said.name, self._object(frame), frame),)
        if said.name in CHANNEL_WORDS:
            return (self._channels.named_command(said.name, bytes(said.body), said.id),)
        _check_called(said.name)
        return (Call(bytes(said.body), said.name, said.id),)

    def _fault(self, frame: str) -> MalformedMessage:
        """Return what is wrong with an envelope that is JSON, or raise it."""
        message = self._object(frame)
        name_of(message)
        id_of(message, "id")
        return MalformedMessage("expected every key of the message once")

    def _object(self, frame: str) -> dict[str, Any]:
        message = self._decode(frame)
        if not isinstance(message, dict):
            raise MalformedMessage(f"expected a JSON object with a type, got {kind_of(message)}")
        return message

    def _own_command(self, name: str, message: dict[str, Any], frame: str) -> Command:
        if name == "ping":
            return Ping(id_of(message, "id"))
        if name == "cancel":
            return Cancel(given_id_of(message, "id"))
        if name == "auth":
            return Authenticate(self._token_of(message), id_of(message, "id"))
        ask = given_id_of(message, "ask")
        failure = failure_of(message)
        return Answer(ask, None if failure else self._answer_of(message, frame), failure)

    def _token_of(self, message: dict[str, Any]) -> str:
        data = message.get("data")
        if not isinstance(data, dict):
            raise MalformedMessage(f"data: expected an object, got {kind_at(message, 'data')}")
        return text_of(data, "token", "data.")

    def _answer_of(self, message: dict[str, Any], frame: str) -> Any:
        parts = self.json.decode(frame, dict[str, msgspec.Raw])
        return bytes(parts.get("data", b"null"))

    # --- out ------------------------------------------------------------------------------------

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, Result):
            return self._result(output)
        if isinstance(output, Event):
            return self._event(output)
        if isinstance(output, Request):
            head = f'{self._head(output.name)},"ask":{self._text(output.id)}'
            return self._message(head, output.value, _ASK_KEYS)
        if isinstance(output, Ready):
            keys = _TYPE_KEY if output.id is None else _ID_KEYS
            return self._message(self._with_id(_READY, output.id), output.value, keys)
        if isinstance(output, Ended):
            if output.id is None:
                return None
            return self._message(self._with_id(_END, output.id), {"count": output.count}, _ID_KEYS)
        if isinstance(output, Ping | Renewed) or (isinstance(output, Receipt) and not output.id):
            return None
        if isinstance(output, Failure | Pong | Disconnect):
            return self._text(_plain(output))
        name, body = self._channels.named(output)
        return self._with_body(
            self._with_id(f'{{"type":"{name}"', getattr(output, "id", None)), body
        )

    def _result(self, output: Result) -> str:
        id, name = output.id, output.name
        head = self._heads.get(name) or self._head(name)
        if id is None:
            return self._message(head, output.value, _TYPE_KEY)
        head = f'{head},"id":{id}' if type(id) is int else self._with_id(head, id)
        if output.index is None:
            return self._message(head, output.value, _ID_KEYS)
        return self._message(f'{head},"seq":{output.index}', output.value, _SEQ_KEYS)

    def _event(self, output: Event) -> str:
        return self._message(self._head(output.name), output.value, _TYPE_KEY)

    def _message(self, head: str, value: object, keys: Sequence[str]) -> str:
        """Return the message that `head` begins, with `value`; `keys` are those in the head."""
        if value is None:
            return f"{head}}}"
        return f'{head},"data":{self._text(value)}}}'

    def _with_body(self, head: str, body: str) -> str:
        return f'{head},"data":{body}}}'

    def _head(self, name: str) -> str:
        """Return how the messages of this name begin."""
        head = self._heads.get(name)
        if head is None:
            _check_said(name)
            head = f'{{"type":{self._text(name or _NAMELESS)}'
            # Answers have the names that clients have given.
            if len(name) <= _MAX_KEPT_NAME and len(self._heads) < _MAX_KEPT_HEADS:
                self._heads[name] = head
        return head

    def _with_id(self, head: str, id: Id | None) -> str:
        if id is None:
            return head
        return f'{head},"id":{id if type(id) is int else self._text(id)}'

    def _text(self, value: object) -> str:
        try:
            return self._try_encode(value).decode()
        except Exception:
            return self._encode(value).decode()


class _FlatCodec(_Codec):
    def __init__(self, json: JsonAdapter) -> None:
        super().__init__(json)
        self.variant = ("typed flat", json)
        self._read_fields = json.decoder(dict[str, msgspec.Raw])

    def decode(self, frame: Frame) -> Sequence[Command]:
        if not isinstance(frame, str):
            raise WrongFrame("text", "binary")
        message = self._object(frame)
        name, id = name_of(message), id_of(message, "id")
        if name in _CLIENT_WORDS:
            return (self._own_command(name, message, frame),)
        _check_called(name)
        del message["type"]
        message.pop("id", None)
        if name in CHANNEL_WORDS:
            return (self._channels.named_command(name, self._encode(message), id),)
        return (Call(message, name, id),)

    def _token_of(self, message: dict[str, Any]) -> str:
        return text_of(message, "token")

    def _answer_of(self, message: dict[str, Any], frame: str) -> Any:
        fields = {key: message[key] for key in message if key not in _ANSWER_KEYS}
        return fields.get("data", fields or None)

    def _event(self, output: Event) -> str:
        if output.name or output.value is None:
            return super()._event(output)
        said = self._text(output.value)
        if said.startswith("{") and self._has_own_type(said):
            return said
        return self._merged(self._head(""), said, _TYPE_KEY)

    def _has_own_type(self, said: str) -> bool:
        """Return whether the object `said` names itself; a reserved name is refused."""
        type = self._fields_of(said).get("type")
        name = None if type is None else self._decode(bytes(type))
        if isinstance(name, str):
            _check_said(name)
        return bool(name) and isinstance(name, str)

    def _message(self, head: str, value: object, keys: Sequence[str]) -> str:
        return f"{head}}}" if value is None else self._merged(head, self._text(value), keys)

    def _with_body(self, head: str, body: str) -> str:
        return f"{head},{body[1:]}"

    def _merged(self, head: str, said: str, keys: Sequence[str]) -> str:
        if not said.startswith("{"):
            return f'{head},"data":{said}}}'
        if said[1] != '"':
            said = self._other_fields(said, keys)
        for key in keys:
            if key in said:
                said = self._other_fields(said, keys)
                break
        return f"{head}}}" if said == "{}" else f"{head},{said[1:]}"

    def _other_fields(self, said: str, keys: Sequence[str]) -> str:
        fields = [(self._text(name), value) for name, value in self._fields_of(said).items()]
        kept = [f"{name}:{bytes(value).decode()}" for name, value in fields if name not in keys]
        return f"{{{','.join(kept)}}}"

    def _fields_of(self, said: str) -> dict[str, msgspec.Raw]:
        try:
            fields: dict[str, msgspec.Raw] = self._read_fields(said)
        except MalformedMessage as error:
            raise TypeError(f"typed: the value is {error}") from error
        return fields


_READY: Final = '{"type":"ready"'
_END: Final = '{"type":"end"'

_TYPE_KEY: Final = ('"type"',)
_ID_KEYS: Final = ('"type"', '"id"')
_SEQ_KEYS: Final = ('"type"', '"id"', '"seq"')
_ASK_KEYS: Final = ('"type"', '"ask"')
_ANSWER_KEYS: Final = frozenset({"type", "id", "ask", "error"})


def _plain(output: Failure | Pong | Disconnect) -> dict[str, object]:
    """Return the messages that are the same in both forms."""
    if isinstance(output, Disconnect):
        return {"type": "disconnect", "code": output.code, "reason": output.reason}
    said: dict[str, object] = {"type": "pong" if isinstance(output, Pong) else "error"}
    if output.id is not None:
        said["id"] = output.id
    if isinstance(output, Failure):
        if output.name:
            said["of"] = output.name
        said["code"], said["message"] = output.code, output.message
        if output.details is not None:
            said["details"] = output.details
    return said


def _check_called(name: str) -> None:
    """Refuse a call whose answers would look like the server's own messages.

    Raises:
        MalformedMessage: they would.
    """
    if name in _SERVER_WORDS:
        raise MalformedMessage(f"type: expected no word of the server, got {name!r}")


def _check_said(name: str) -> None:
    """Refuse to say anything of the application's under a word of the protocol.

    Raises:
        TypeError: the name is one.
    """
    if name in Typed.reserved:
        raise TypeError(f"typed: expected a name of your own, got the reserved {name!r}")
