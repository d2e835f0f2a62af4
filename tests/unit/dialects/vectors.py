"""The wire formats of the dialects as data: `tests/vectors/*.json`, one file per dialect.

A vector says what a frame means ("frame" with "commands" or "error") or how an output looks
("output" and "frame", null for no frame). "dialect" holds the constructor's arguments and
"after" the frames that the codec has read before.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wirework.commands import Call, Event, Failure, Output, Result
from wirework.dialects import Codec, Fragment, HtmxHeaders

FOLDER = Path(__file__).parents[2] / "vectors"


class Html(str):
    """Markup as a template engine hands it over."""

    def __html__(self) -> str:
        return self


def load(name: str) -> list[Any]:
    return [_with_id(vector) for vector in json.loads((FOLDER / f"{name}.json").read_text("utf-8"))]


def _with_id(vector: dict[str, Any]) -> Any:
    return pytest.param(vector, id=vector["title"])


def check(vector: dict[str, Any], codec: Codec) -> None:
    for frame in vector.get("after", []):
        codec.decode(frame)
    if "output" in vector:
        assert codec.encode(output_of(vector["output"])) == value_of(vector, "frame")
    elif "error" in vector:
        assert error_of(lambda: codec.decode(value_of(vector, "frame"))) == vector["error"]
    else:
        assert list(codec.decode(value_of(vector, "frame"))) == [
            call_of(command) for command in vector["commands"]
        ]


def error_of(call: Callable[[], object]) -> dict[str, str]:
    try:
        call()
    except Exception as error:
        return {"type": type(error).__name__, "message": str(error)}
    raise AssertionError("nothing was raised")


def value_of(vector: dict[str, Any], key: str) -> Any:
    encoded = vector.get(f"{key}_base64")
    return vector[key] if encoded is None else base64.b64decode(encoded)


def call_of(command: dict[str, Any]) -> Call:
    headers = command.get("htmx")
    return Call(
        value_of(command, "body"),
        meta=None if headers is None else HtmxHeaders(**headers),
    )


def output_of(said: dict[str, Any]) -> Output:
    if "failure" in said:
        return Failure(**said["failure"])
    if "event" in said:
        return Event(answer_of(said["event"]))
    return Result(answer_of(said["result"]))


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
