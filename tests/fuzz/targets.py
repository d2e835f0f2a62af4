"""What is fuzzed: every dialect with every option, and what must hold whatever arrives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args

import msgspec

from tests.unit.dialects.vectors import frames_of
from wirework.commands import (
    Answer,
    Authenticate,
    Call,
    Cancel,
    Command,
    Disconnect,
    Ended,
    Event,
    Failure,
    Output,
    Ping,
    Pong,
    Ready,
    Request,
    Result,
)
from wirework.dialects import (
    Centrifugo,
    Codec,
    Dialect,
    Htmx,
    NamedSockets,
    Raw,
    State,
    Status,
    Typed,
)
from wirework.dialects.base import Quick
from wirework.dialects.raw import Mode
from wirework.errors import MalformedMessage, ValidationError
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter
from wirework.types import Frame

__all__ = ["ADAPTERS", "TARGETS", "Target", "probe", "seeds_of"]

ADAPTERS: list[JsonAdapter] = [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()]
_MAX_ID = 2**53


class Target(NamedTuple):
    """A dialect; `label` tells how it was made."""

    label: str
    dialect: Dialect
    says_json: bool
    """Whether every frame that it says is JSON."""
    subprotocol: str | None = None
    """What a client offers for a format of its own."""

    def open(self, json: JsonAdapter) -> Codec:
        """Return a codec for one connection."""
        if self.subprotocol is None:
            return self.dialect.open(json)
        return self.dialect.open_as(self.subprotocol, json)


def _every(make: Callable[..., Dialect], *, says_json: bool, **options: Any) -> Iterator[Target]:
    for values in itertools.product(*options.values()):
        given = dict(zip(options, values, strict=True))
        words = ", ".join(f"{name}={value!r}" for name, value in given.items())
        yield Target(f"{make.__name__}({words})", make(**given), says_json)


_BOTH = (False, True)

TARGETS: list[Target] = [
    *_every(Raw, says_json=False, mode=[mode for mode in get_args(Mode) if mode != "json"]),
    *_every(Raw, says_json=True, mode=["json"]),
    *_every(Htmx, says_json=False, version=(None, 2, 4)),
    *_every(Typed, says_json=True, flat=_BOTH, ready=_BOTH),
    *_every(State, says_json=True, sanitise=_BOTH),
    *_every(Status, says_json=True, binary=_BOTH, error_object=_BOTH),
    *_every(NamedSockets, says_json=True),
    *_every(Centrifugo, says_json=True, version=("",)),
    Target("Centrifugo() in Protobuf", Centrifugo(), False, "centrifuge-protobuf"),
]


_QUICK: dict[tuple[str, str], Quick | None] = {
    (target.label, json.name): target.dialect.quick(json) for target in TARGETS for json in ADAPTERS
}
"""What is quicker than a codec, and must do the same, by label and adapter."""


def seeds_of(target: Target) -> list[Frame]:
    """Return the frames in the vectors of the target's dialect."""
    name = target.dialect.name
    return frames_of(name if target.subprotocol is None else f"{name}_protobuf")


def probe(target: Target, json: JsonAdapter, frames: list[Frame]) -> None:
    """Read `frames` one after another, and say answers to each.

    Raises:
        Exception: the dialect did what it may not do.
    """
    codec = target.open(json)
    for frame in frames:
        outputs: list[Output] = []
        try:
            commands = codec.decode(frame)
        except MalformedMessage as error:
            outputs.append(Failure(error.code, error.message))
        else:
            for command in commands:
                outputs.extend(_answers(command, _body_of(command, target, json)))
        for output in outputs:
            _check_said(codec.encode, output, target, json)
        quick = _QUICK.get((target.label, json.name))
        if quick is not None and isinstance(frame, str):
            _check_quick(quick, codec, frame, target, json)


def _check_quick(quick: Quick, codec: Codec, frame: str, target: Target, json: JsonAdapter) -> None:
    """Check that the quick way of a call reads and says what the codec does."""
    names = {each.name for each in _calls(codec, frame)} | {"a"}
    types = {quick.call(name, msgspec.Raw): name for name in sorted(names)}
    try:
        message = quick.reader(tuple(types))(frame)
    except Exception:
        return  # then the long way is taken
    if type(message) not in types:
        return
    call = Call(bytes(message.body), types[type(message)], message.id)
    assert list(codec.decode(frame)) == [call], f"{message!r} was read"
    answer, event = quick.answers(call.name)
    for value in (_decoded(call.body, target, json), {"type": 1, "id": [call.name]}, 0):
        if value is not None:
            made = event(value) if call.id is None else answer(call.id, value)
            assert quick.encode(made).decode() == codec.encode(Result(value, call.name, call.id))


def _calls(codec: Codec, frame: str) -> list[Call]:
    """Return the calls in a frame."""
    try:
        return [each for each in codec.decode(frame) if isinstance(each, Call)]
    except MalformedMessage:
        return []


def _body_of(command: Command, target: Target, json: JsonAdapter) -> Any:
    """Check a command and return its body, decoded."""
    if isinstance(command, Authenticate):
        assert isinstance(command.token, str)
    if isinstance(command, Cancel | Answer):
        assert command.id is not None
    assert command.id is None or _is_id(command.id), f"an id of {command.id!r}"
    if isinstance(command, Call):
        assert isinstance(command.name, str)
        assert bool(command.name) is target.dialect.has_names or target.dialect.name_in_query
        return _decoded(command.body, target, json)
    return _decoded(command.body, target, json) if isinstance(command, Answer) else None


def _is_id(id: object) -> bool:
    return isinstance(id, str) or (type(id) is int and -_MAX_ID <= id <= _MAX_ID)


def _decoded(body: Any, target: Target, json: JsonAdapter) -> Any:
    if body is None or target.dialect.body in ("frame", "value"):
        return body
    if target.dialect.body == "form":
        assert isinstance(body, dict)
        return body
    try:
        return json.decode(body)
    except (MalformedMessage, ValidationError) as error:
        return str(error)


def _answers(command: Command, body: Any) -> Iterator[Output]:
    name, id = getattr(command, "name", "") or "a", command.id
    yield Result(body, name, id)
    yield Result({"type": body, "id": body}, name, id, index=3, status=201)
    yield Event(body, "event")
    yield Event(body)
    yield Failure("validation", name, [{"loc": [name, 0], "type": "x", "msg": name}], name, id)
    yield Failure(409, "taken", body, name, id)
    yield Request(body, "request", 1)
    yield Ready(body, id)
    yield Ended(name, id, 2)
    yield Pong(id)
    yield Disconnect(4401, name)
    if isinstance(command, Ping):
        assert body is None


def _check_said(
    encode: Callable[[Output], Frame | None], output: Output, target: Target, json: JsonAdapter
) -> None:
    try:
        frame = encode(output)
    except TypeError:
        assert not isinstance(output, Pong | Ended | Disconnect)
        return
    if frame is None or not target.says_json:
        return
    if isinstance(frame, bytes) and target.dialect.body == "frame":
        return
    said = json.decode(frame)
    if isinstance(output, Failure):
        assert isinstance(said, dict), f"an error of {said!r}"
