"""The state dialect, Whythawk's: a token first, then states with data both ways."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Final

from ..closecodes import MEANINGS, NORMAL, NOT_AUTHENTICATED
from ..commands import (
    Authenticate,
    Call,
    ChannelOutput,
    Command,
    Disconnect,
    Event,
    Failure,
    Output,
    Ready,
    Result,
)
from ..errors import MalformedMessage, WrongFrame
from ..json import JsonAdapter
from ..types import Body, Frame
from .base import Codec, Dialect
from .channels import CHANNEL_WORDS, ChannelWords
from .problems import kind_of, text_of

__all__ = ["State"]


class State(Dialect):
    """`{"token"}` first, then `{"state", "data"?}` both ways and `{"state": "error", "error"}`.

    The state names the event. It has nothing to do with `ws.state` or `app.state`.

    Args:
        sanitise: what is empty is dropped from the data, however deep: null, "", and arrays and
            objects that are or become empty. 0 and false stay. So a field that was not filled in
            takes its default.
    """

    name: ClassVar[str] = "state"
    body: Body = "value"
    has_names: ClassVar[bool] = True
    can_authenticate: ClassVar[bool] = True
    reserved: ClassVar[frozenset[str]] = frozenset({"initialised", "error"}) | CHANNEL_WORDS

    def __init__(self, *, sanitise: bool = True) -> None:
        self.sanitise: Final = sanitise

    def __repr__(self) -> str:
        return f"State(sanitise={self.sanitise})"

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection."""
        return _StateCodec(self, json)


class _StateCodec:
    def __init__(self, dialect: State, json: JsonAdapter) -> None:
        self.variant: Hashable = ("state", json)
        self._sanitise = dialect.sanitise
        self._json = json
        self._channels = ChannelWords(json)

    def decode(self, frame: Frame) -> Sequence[Command]:
        if not isinstance(frame, str):
            raise WrongFrame("text", "binary")
        message = self._json.decode(frame)
        if not isinstance(message, dict):
            raise MalformedMessage(f"expected a JSON object, got {kind_of(message)}")
        if "state" not in message:
            return (Authenticate(_token_of(message)),)
        state = _state_of(message)
        if state in CHANNEL_WORDS:
            body = self._json.encode(message.get("data", {}))
            return (self._channels.named_command(state, body, None),)
        return (Call(self._data_of(message), name=state),)

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, Result):
            remedy = "give the answer a name: Reply(value, name=...)"
            said = _named(output.name, output.value, remedy)
        elif isinstance(output, Event):
            said = _named(output.name, output.value, "use ws.send_event(name, data)")
        elif isinstance(output, Ready):
            said = {"state": "initialised", "data": {} if output.value is None else output.value}
        elif isinstance(output, Failure):
            said = _error(output)
        elif isinstance(output, Disconnect) and output.code != NORMAL:
            said = _end(output)
        elif isinstance(output, ChannelOutput):
            name, body = self._channels.named(output)
            return f'{{"state":"{name}","data":{body}}}'
        else:
            return None
        return self._json.encode(said).decode()

    def _data_of(self, message: dict[str, Any]) -> Any:
        data = message.get("data")
        if self._sanitise:
            try:
                data = _without_empty(data)
            except RecursionError:
                raise MalformedMessage("data: nested too deeply") from None
        return {} if data is None else data


def _token_of(message: dict[str, Any]) -> str:
    if message and "token" not in message:
        raise MalformedMessage('expected an object with "state" or "token", got neither')
    token = message.get("token")
    if token is not None and not isinstance(token, str):
        raise MalformedMessage(f"token: expected a string, got {kind_of(token)}")
    return token or ""


def _state_of(message: dict[str, Any]) -> str:
    state = message["state"]
    if not isinstance(state, str):
        raise MalformedMessage(f"state: expected a string, got {kind_of(state)}")
    if not state:
        raise MalformedMessage("state: expected a name, got an empty string")
    if state in State.reserved - CHANNEL_WORDS:
        raise MalformedMessage(f"state: expected no word of the server, got {state!r}")
    return state


def _without_empty(value: Any) -> Any:
    """Return `value` without what is empty in it; None where nothing is left."""
    if isinstance(value, dict):
        items = [(key, _without_empty(item)) for key, item in value.items()]
        return {key: item for key, item in items if item is not None} or None
    if isinstance(value, list):
        return [item for item in map(_without_empty, value) if item is not None] or None
    return None if value == "" else value


def _named(name: str, value: object, remedy: str) -> dict[str, Any]:
    if not name:
        raise TypeError(f"state: expected a message with a name, got one without; {remedy}")
    return {"state": name} if value is None else {"state": name, "data": value}


_NO_CREDENTIALS: Final = "Could not validate credentials."
_NO_WAY_IN: Final = {"state": "error", "error": _NO_CREDENTIALS}


def _error(failure: Failure) -> dict[str, Any]:
    is_refusal = failure.code == "not_authenticated"
    data: dict[str, Any] = {"state": failure.name} if failure.name else {}
    data["code"] = failure.code
    if failure.details is not None:
        data["details"] = failure.details
    if is_refusal and len(data) == 1:  # as the template's own server says it
        return _NO_WAY_IN
    return {
        "state": "error",
        "error": _NO_CREDENTIALS if is_refusal else text_of(failure),
        "data": data,
    }


def _end(output: Disconnect) -> dict[str, Any]:
    if output.code == NOT_AUTHENTICATED and not output.reason:
        return _NO_WAY_IN
    text = output.reason or MEANINGS.get(output.code, "closed")
    return {"state": "error", "error": text, "data": {"code": output.code}}
