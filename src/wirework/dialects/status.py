"""The status dialect, Cafeto's: each answer has an HTTP status and a body."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Final

from ..closecodes import MEANINGS, NORMAL, http_status
from ..commands import Call, ChannelOutput, Command, Disconnect, Event, Failure, Output, Result
from ..errors import MalformedMessage, Problem
from ..json import JsonAdapter
from ..types import Body, Frame
from .base import Codec, Dialect
from .channels import CALLED, SAID, ChannelWords
from .problems import problems_of

__all__ = ["Status"]


class Status(Dialect):
    """JSON in, `{"statusCode", "body"}` out, as from an HTTP API.

    A message is a frame of JSON without an envelope; text and binary frames are both read. An
    answer without a status of its own, and everything that `send` says, has 200. Errors have a
    body of `{"errorList": [{"loc", "type", "msg"}], "details"?}`.

    Args:
        binary: answers leave in binary frames (as Cafeto sends them) instead of text frames.
        error_object: errors also have `errorObject`: the steps of `loc` joined with "." -> the
            messages of this place.
    """

    name: ClassVar[str] = "status"
    body: Body = "json"
    has_statuses: ClassVar[bool] = True

    def __init__(self, *, binary: bool = False, error_object: bool = False) -> None:
        self.binary: Final = binary
        self.error_object: Final = error_object

    def __repr__(self) -> str:
        return f"Status(binary={self.binary}, error_object={self.error_object})"

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection."""
        return _StatusCodec(self, json)


class _StatusCodec:
    def __init__(self, dialect: Status, json: JsonAdapter) -> None:
        self.variant: Hashable = ("status", dialect.binary, dialect.error_object, json)
        self._binary = dialect.binary
        self._error_object = dialect.error_object
        self._json = json

        self._channels = ChannelWords(json)

    def decode(self, frame: Frame) -> Sequence[Command]:
        if (_MARK in frame) if isinstance(frame, str) else (_MARK.encode() in frame):
            said = self._json.decode(frame)
            if isinstance(said, dict) and _WORD in said:
                return (self._command(said),)
        return (Call(frame),)

    def _command(self, said: dict[str, Any]) -> Command:
        word = said.pop(_WORD)
        if not isinstance(word, str) or word not in CALLED:
            known = ", ".join(CALLED)
            raise MalformedMessage(f"{_WORD}: expected one of {known}, got {str(word)[:100]!r}")
        return self._channels.command(word, self._json.encode(said), None)

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, Result):
            return self._say(output.status or 200, output.value)
        if isinstance(output, Event):
            return self._say(200, output.value)
        if isinstance(output, Failure):
            return self._say(_status_of(output.code), self._errors(output))
        if isinstance(output, Disconnect) and output.code != NORMAL:
            reason = output.reason or MEANINGS.get(output.code, "closed")
            return self._say(http_status(output.code), self._errors(Failure(output.code, reason)))
        if isinstance(output, ChannelOutput):
            body = self._channels.body(output)
            said = f'{{"statusCode":200,"body":{{{_MARK}:"{SAID[type(output)]}",{body[1:]}}}'
            return said.encode() if self._binary else said
        return None

    def _say(self, status: int, body: object) -> Frame:
        said = {"statusCode": status, "body": None if status == _NO_CONTENT else body}
        frame = self._json.encode(said)
        return frame if self._binary else frame.decode()

    def _errors(self, failure: Failure) -> dict[str, Any]:
        problems = [_placed(problem) for problem in problems_of(failure)]
        details = None if problems else failure.details
        if not problems:
            problems = [Problem(loc=_WHOLE, type=str(failure.code), msg=failure.message)]
        body: dict[str, Any] = {"errorList": problems}
        if self._error_object:
            body["errorObject"] = _by_place(problems)
        if details is not None:
            body["details"] = details
        return body


_WORD: Final = "$channel"
_MARK: Final = f'"{_WORD}"'
"""The key of messages that concern channels, both ways: what they ask or tell."""
_NO_CONTENT: Final = 204
_WHOLE: Final[list[str | int]] = ["__model__"]

_STATUSES: Final = {
    "not_authenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_channel": 404,
    "bad_channel": 400,
    "subscribed": 409,
    "not_subscribed": 409,
    "unavailable": 503,
    "not_ready": 409,
    "authenticated": 409,
    "rate_limited": 429,
    "internal": 500,
    "timed_out": 504,
}


def _status_of(code: str | int) -> int:
    if isinstance(code, int):
        return code if 100 <= code <= 599 else 400
    return _STATUSES.get(code, 400)


def _placed(problem: Problem) -> Problem:
    if problem["loc"]:
        return problem
    return Problem(loc=_WHOLE, type=problem["type"], msg=problem["msg"])


def _by_place(problems: list[Problem]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in problems:
        place = ".".join([str(step) for step in problem["loc"]])
        found.setdefault(place, []).append(problem["msg"])
    return found
