"""The parts of a decoded envelope, checked; an error names the key that is wrong."""

from __future__ import annotations

from typing import Any, Final

from ..commands import Failure, Id
from ..errors import MalformedMessage
from .problems import kind_of

__all__ = [
    "MAX_ID",
    "MAX_ID_LENGTH",
    "failure_of",
    "given_id_of",
    "id_of",
    "kind_at",
    "name_of",
    "text_of",
]

MAX_ID: Final = 2**53
"""Integers beyond it are not exact in JavaScript."""

MAX_ID_LENGTH: Final = 256


def name_of(message: dict[str, Any]) -> str:
    """Return the type of a message.

    Raises:
        MalformedMessage: it has none.
    """
    name = text_of(message, "type")
    if not name:
        raise MalformedMessage("type: expected a name, got an empty string")
    return name


def text_of(message: dict[str, Any], key: str, where: str = "") -> str:
    """Return the text under `key`; `where` is the path to `message`, for the error.

    Raises:
        MalformedMessage: there is none.
    """
    value = message.get(key)
    if not isinstance(value, str):
        raise MalformedMessage(f"{where}{key}: expected a string, got {kind_at(message, key)}")
    return value


def id_of(message: dict[str, Any], key: str) -> Id | None:
    """Return the id under `key`, None where there is none.

    Raises:
        MalformedMessage: it is no text, too long, no integer or beyond the exact ones.
    """
    value = message.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        if len(value) <= MAX_ID_LENGTH:
            return value
        raise MalformedMessage(
            f"{key}: expected at most {MAX_ID_LENGTH} characters, got {len(value)}"
        )
    if type(value) is not int:
        kind = "a fraction" if isinstance(value, float) else kind_of(value)
        raise MalformedMessage(f"{key}: expected a string or an integer, got {kind}")
    if not -MAX_ID <= value <= MAX_ID:
        raise MalformedMessage(f"{key}: expected an integer from -2**53 to 2**53, got another")
    return value


def given_id_of(message: dict[str, Any], key: str) -> Id:
    """Return the id under `key`.

    Raises:
        MalformedMessage: as `id_of`, and where there is none.
    """
    value = id_of(message, key)
    if value is None:
        kind = kind_at(message, key)
        raise MalformedMessage(f"{key}: expected a string or an integer, got {kind}")
    return value


def failure_of(message: dict[str, Any]) -> Failure | None:
    """Return the error in an answer, None where there is none.

    Raises:
        MalformedMessage: it is no `{"code", "message", "details"?}`.
    """
    error = message.get("error")
    if error is None:
        return None
    if not isinstance(error, dict):
        raise MalformedMessage(f"error: expected an object, got {kind_of(error)}")
    code = error.get("code")
    if not isinstance(code, str) and type(code) is not int:
        kind = kind_at(error, "code")
        raise MalformedMessage(f"error.code: expected a string or an integer, got {kind}")
    return Failure(code, text_of(error, "message", "error."), error.get("details"))


def kind_at(message: dict[str, Any], key: str) -> str:
    """Return what stands under `key`, with its article: "an object", "null", "nothing"."""
    return kind_of(message[key]) if key in message else "nothing"
