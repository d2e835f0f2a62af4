"""The error tree. Classes carry fields; their text is built from the fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from .closecodes import MEANINGS, NORMAL, check_close

__all__ = [
    "BrokerUnavailable",
    "Close",
    "ConnectionClosed",
    "MalformedMessage",
    "NoSuchChannel",
    "Problem",
    "Refuse",
    "RegistrationError",
    "Reject",
    "RequestFailed",
    "SessionEnded",
    "SessionError",
    "SettingsError",
    "StateError",
    "ValidationError",
    "WireworkError",
    "WrongFrame",
    "header_pairs",
]


class WireworkError(Exception):
    """Root of everything that Wirework raises on purpose."""


class RegistrationError(WireworkError):
    """A route, handler or dependency that cannot work, found when it is registered."""

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        super().__init__(where, problem, remedy)
        self.where = where
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")


class SettingsError(WireworkError):
    """A setting that is unknown or has a value that cannot be used."""


class StateError(WireworkError):
    """A call that does not fit the state of the connection: a mistake in the program."""


class SessionError(StateError):
    """The session cannot be used like this: absent, or written after the handshake's answer."""


class ConnectionClosed(WireworkError):
    """The connection has ended. `code` and `reason` are those of the end, whoever began it."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        meaning = MEANINGS.get(self.code, "closed")
        return f"{self.code} {self.reason or meaning}"


class Close(WireworkError):
    """Return or raise it to end the connection with a code and reason of your choice.

    Before the handshake is answered it becomes a refusal with the HTTP status nearest to the code.
    """

    def __init__(self, code: int = NORMAL, reason: str = "") -> None:
        check_close(code, reason)
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"close with {self.code} {self.reason or MEANINGS.get(self.code, '')}".rstrip()


class Refuse(WireworkError):
    """Raise it before the handshake is answered to refuse it with an HTTP response.

    `status` is 300-599, `headers` are (name, value) pairs, `body` is text or bytes.

    Raises:
        ValueError: another status, or a header that HTTP cannot carry.
    """

    def __init__(
        self,
        status: int = 403,
        body: str | bytes = b"",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    ) -> None:
        if not isinstance(status, int) or not 300 <= status <= 599:
            raise ValueError(f"refusal status: expected 300-599, got {status!r}")
        super().__init__(status)
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = header_pairs(headers)

    def __str__(self) -> str:
        return f"handshake refused with {self.status}"


_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def header_pairs(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return response headers as pairs (RFC 9110 section 5).

    Raises:
        ValueError: a name or a value that would break out of its line, or cannot be sent.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found = [(name, value) for name, value in pairs]
    for name, value in found:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"header: expected one line of Latin-1, got {name!r}: {value!r}")
    return found


class BrokerUnavailable(WireworkError):
    """The broker did not answer in time, or cannot do what a channel asks of it.

    `reason` says which, without passwords. What was to be published may have been published.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoSuchChannel(WireworkError, LookupError):
    """No channel of this name is declared; the nearest one is named where there is one."""

    def __init__(self, name: str, nearest: str | None = None) -> None:
        super().__init__(name, nearest)
        self.name = name
        self.nearest = nearest

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"no channel is declared for {self.name[:100]!r}{hint}"


class Reject(WireworkError):
    """Raise it from a handler to answer one message with an error; the connection stays open.

    `code` is a short machine-readable word, `message` is for people, `details` is any JSON value.
    """

    def __init__(self, code: str | int, message: str = "", details: Any = None) -> None:
        super().__init__(code, message, details)
        self.code = code
        self.message = message or str(code)
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class SessionEnded(Reject):
    """The session was deleted on the server, or has expired, while a connection was using it."""

    def __init__(self) -> None:
        super().__init__("session_ended", "The session has ended.")


class RequestFailed(WireworkError):
    """The client answered a request with an error, or with what does not fit the type asked for."""

    def __init__(self, code: str | int, message: str, details: Any = None) -> None:
        super().__init__(code, message, details)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Problem(TypedDict):
    """One thing that is wrong with a payload: where, which kind, in words."""

    loc: list[str | int]
    type: str
    msg: str


class MalformedMessage(WireworkError):
    """A frame that cannot be read at all: not JSON, or not the shape that the dialect asks for."""

    code = "malformed"
    id: int | str | None = None
    """The id that the message has nevertheless, which goes with the answer."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class WrongFrame(MalformedMessage):
    """A text frame where a binary one is expected, or the other way round."""

    code = "wrong_frame"

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected a {expected} frame, got a {got} frame")
        self.expected = expected
        self.got = got


class ValidationError(WireworkError):
    """A payload that was read but does not fit the declared type; it lists every problem."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(
            f"{'.'.join(str(step) for step in problem['loc']) or 'payload'}: {problem['msg']}"
            for problem in self.problems
        )
