"""The wire formats of the dialects as data: `tests/vectors/*.json`, one file per dialect.

A vector says what a frame means ("frame" with "commands" or "error") or how an output looks
("output" with "frame", null for no frame, or with "error"). "dialect" holds the constructor's
arguments, "shared" the channel of a session that is shared, and "after" the frames that the codec
has read before. A frame of bytes is "frame_base64".

A command is one of
- `{"body", "name"?, "id"?, "htmx"?}`, a call; for a body of bytes "body_text" or "body_base64",
- `{"authenticate": {"token", "id"?, "positions"?, "body_text"?}}`, `{"ping": {"id"?}}`,
- `{"cancel": {"id"}}`, `{"pong": {}}`,
- `{"answer": {"id", "body"?, "failure"?: {"code", "message", "details"?}}}`,
- `{"subscribe" | "renew" | "unsubscribe" | "publish" | "history" | "presence": {...}}`: the fields
  of the command, "body_text" for its body.

An output is one of
- `{"result": value, "name"?, "id"?, "index"?, "status"?}`, `{"event": value, "name"?}`,
- `{"request": value, "name", "id"}`, `{"ping": {}}`,
- `{"ready": value, "id"?, "connection"?, "ttl"?, "ping"?, "subscriptions"?}`,
- `{"failure": {"code", "message", "details"?, "name"?, "id"?}}`,
- `{"ended": {"name", "id", "count"}}`, `{"pong": {"id"?}}`, `{"disconnect": {"code", "reason"?}}`,
- `{"publication": {...}}`, and likewise "subscribed", "renewed", "unsubscribed", "published",
  "page", "members", "joined", "left", "gap": the fields of the output, "data_text" and "info_text"
  for what is JSON already.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    Gap,
    HistoryPage,
    Joined,
    Left,
    Output,
    Ping,
    Pong,
    PresenceList,
    Publish,
    ReadHistory,
    ReadPresence,
    Ready,
    Receipt,
    Renew,
    Renewed,
    Request,
    Result,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from wirework.dialects import Codec, Dialect, Fragment, HtmxHeaders
from wirework.dialects.shared import SharedCodec
from wirework.json import JsonAdapter
from wirework.publications import Member, Message, Position, Publication
from wirework.types import Frame

FOLDER = Path(__file__).parents[2] / "vectors"


class Html(str):
    """Markup as a template engine hands it over."""

    def __html__(self) -> str:
        return self


def load(name: str) -> list[Any]:
    return [_with_id(vector) for vector in json.loads((FOLDER / f"{name}.json").read_text("utf-8"))]


def _with_id(vector: dict[str, Any]) -> Any:
    return pytest.param(vector, id=vector["title"])


def frames_of(name: str) -> list[Frame]:
    """Return the frames that the vectors of a dialect read, each once."""
    vectors = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return list(dict.fromkeys(value_of(each, "frame") for each in vectors if "output" not in each))


def shared_by(vector: dict[str, Any], dialect: Dialect, json: JsonAdapter) -> Codec:
    """Return the codec of a dialect; where the vector says so, in a shared session."""
    codec = dialect.open(json)
    channel = vector.get("shared")
    return codec if channel is None else SharedCodec(codec, dialect, json, channel)


def check(vector: dict[str, Any], codec: Codec) -> None:
    for frame in vector.get("after", []):
        codec.decode(frame)
    if "error" in vector:
        assert error_of(lambda: said_by(vector, codec)) == vector["error"]
    elif "output" in vector:
        assert said_by(vector, codec) == value_of(vector, "frame")
    else:
        expected = [command_of(command) for command in vector["commands"]]
        assert list(said_by(vector, codec)) == expected


def said_by(vector: dict[str, Any], codec: Codec) -> Any:
    """Return what the codec makes of the vector's output or frame."""
    if "output" in vector:
        return codec.encode(output_of(vector["output"]))
    return codec.decode(value_of(vector, "frame"))


def error_of(call: Callable[[], object]) -> dict[str, str]:
    try:
        call()
    except Exception as error:
        return {"type": type(error).__name__, "message": str(error)}
    raise AssertionError("nothing was raised")


def value_of(vector: dict[str, Any], key: str) -> Any:
    if f"{key}_base64" in vector:
        return base64.b64decode(vector[f"{key}_base64"])
    if f"{key}_text" in vector:
        return vector[f"{key}_text"].encode()
    return vector[key]


def command_of(said: dict[str, Any]) -> Command:
    for kind, build in _COMMANDS.items():
        if kind in said:
            return build(**said[kind])
    if "answer" in said:
        return _answer_of(said["answer"])
    for kind, make in _ASKED.items():
        if kind in said:
            return make(**_fields_of(said[kind]))
    headers = said.get("htmx")
    return Call(
        value_of(said, "body"),
        name=said.get("name", ""),
        id=said.get("id"),
        meta=None if headers is None else HtmxHeaders(**headers),
    )


def _answer_of(said: dict[str, Any]) -> Answer:
    if "failure" in said:
        return Answer(said["id"], failure=Failure(**said["failure"]))
    return Answer(said["id"], value_of(said, "body"))


_COMMANDS: dict[str, Callable[..., Command]] = {
    "authenticate": lambda positions=None, body_text=None, **said: Authenticate(
        positions={name: Position(**each) for name, each in (positions or {}).items()},
        body=None if body_text is None else body_text.encode(),
        **said,
    ),
    "ping": Ping,
    "pong": Pong,
    "cancel": Cancel,
}


_ASKED: dict[str, Callable[..., Command]] = {
    "subscribe": Subscribe,
    "renew": Renew,
    "unsubscribe": Unsubscribe,
    "publish": Publish,
    "history": ReadHistory,
    "presence": ReadPresence,
}


def _fields_of(said: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of what concerns channels, with their types."""
    return {key.removesuffix("_text"): _field_of(key, value) for key, value in said.items()}


def _field_of(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key.endswith("_text"):
        return value.encode()
    if key in ("since", "position"):
        return Position(**value)
    if key in ("by", "member"):
        return Member(**_fields_of(value))
    if key in ("members", "publications"):
        make = _publication if key == "publications" else _member
        return [make(each) for each in value]
    return value


def _member(said: dict[str, Any]) -> Member:
    return Member(**_fields_of(said))


def _publication(said: dict[str, Any]) -> Publication:
    fields = _fields_of(said)
    place = {key: fields.pop(key) for key in ("channel", "epoch", "offset") if key in fields}
    return Publication(message=Message(**fields), **place)


def output_of(said: dict[str, Any]) -> Output:
    for kind, make in _TOLD.items():
        if kind in said:
            return make(**_fields_of(said[kind]))
    if "publication" in said:
        return _publication(said["publication"])
    for kind, build in _WITHOUT_VALUE.items():
        if next(iter(said)) == kind:
            return build(**said[kind])
    [kind] = said.keys() & _WITH_VALUE.keys()
    others = {key: said[key] for key in said if key != kind}
    return _WITH_VALUE[kind](answer_of(said[kind]), **others)


_TOLD: dict[str, Callable[..., Output]] = {
    "subscribed": Subscribed,
    "renewed": Renewed,
    "unsubscribed": Unsubscribed,
    "published": Receipt,
    "page": HistoryPage,
    "members": PresenceList,
    "joined": Joined,
    "left": Left,
    "gap": Gap,
}
_WITHOUT_VALUE: dict[str, Callable[..., Output]] = {
    "failure": Failure,
    "ended": Ended,
    "ping": Ping,
    "pong": Pong,
    "disconnect": Disconnect,
}
_WITH_VALUE: dict[str, Callable[..., Output]] = {
    "result": Result,
    "event": Event,
    "request": Request,
    "ready": lambda value, subscriptions=(), **said: Ready(
        value, subscriptions=[Subscribed(**_fields_of(each)) for each in subscriptions], **said
    ),
}


def answer_of(said: Any) -> Any:
    """Build a handler's answer: plain JSON, or an object that says what it stands for."""
    if isinstance(said, list):
        return tuple(answer_of(item) for item in said)
    if not isinstance(said, dict) or len(said) != 1:
        return said
    [(kind, content)] = said.items()
    match kind:
        case "html":
            return Html(content)
        case "bytes":
            return base64.b64decode(content)
        case "fragment":
            return Fragment(**{**content, "content": answer_of(content["content"])})
    return said
