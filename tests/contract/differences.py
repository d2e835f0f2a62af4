"""The one table of what servers force upon the application, each with its reason."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from .harness import Server

__all__ = ["DIFFERENCES", "Behaviour", "Difference", "close_code", "expected"]

T = TypeVar("T")

Behaviour: TypeAlias = Literal[
    "a close without a code",
    "a lost connection",
    "a message that says the close",
    "a peer that does not read",
    "answers that share a frame",
    "body of a refusal",
    "code of the peer's close",
    "code of the server's close",
    "headers of a refusal",
    "headers on accept",
    "hooks of a client that leaves before the answer",
    "denial response",
    "empty messages",
    "lifespan",
    "offset of the server's standard codes",
    "reason of the peer's close",
    "reason of the server's close",
    "repeated headers of a refusal",
    "repeated request headers",
    "state of the lifespan",
    "subprotocol",
]


class Difference(NamedTuple):
    """What the suite expects of `servers` instead of what Wirework promises elsewhere."""

    behaviour: Behaviour
    servers: tuple[str, ...]
    instead: Any
    reason: str


_UVICORN = ("uvicorn-sansio", "uvicorn-wsproto")

DIFFERENCES = (
    Difference("denial response", ("daphne",), 403, "it has no denial extension"),
    Difference(
        "repeated headers of a refusal",
        ("granian",),
        ["a, b"],
        "its worker panics on a repeated name in a denial, so their values are joined",
    ),
    Difference(
        "headers of a refusal", ("daphne", "rsgi"), [], "its refusal is a status and nothing more"
    ),
    Difference("body of a refusal", ("rsgi",), b"", "RSGI refuses with a status and nothing more"),
    Difference(
        "headers on accept", ("granian", "daphne"), [], "it ignores the headers of websocket.accept"
    ),
    Difference("headers on accept", ("rsgi",), [], "RSGI accepts without any"),
    Difference("subprotocol", ("rsgi",), None, "RSGI accepts without one"),
    Difference(
        "repeated request headers", ("daphne",), ["one,two"], "it joins their values with commas"
    ),
    Difference("lifespan", ("daphne",), [], "it does not speak the lifespan protocol"),
    Difference("state of the lifespan", ("daphne",), None, "as it has no lifespan"),
    Difference("empty messages", ("daphne",), False, "it sends no message that is empty"),
    Difference(
        "hooks of a client that leaves before the answer",
        ("granian",),
        [["disconnect", 1005, ""]],
        "it notices only after the acceptance",
    ),
    Difference(
        "offset of the server's standard codes",
        ("daphne",),
        3000,
        "it refuses standard codes, so they leave as private ones: 1011 as 4011",
    ),
    Difference(
        "reason of the server's close", ("daphne",), "", "it drops the reason of websocket.close"
    ),
    Difference("code of the server's close", ("rsgi",), 1005, "RSGI closes without a code"),
    Difference("reason of the server's close", ("rsgi",), "", "RSGI closes without a reason"),
    Difference(
        "a message that says the close",
        ("rsgi",),
        True,
        "as it carries no code, the dialect says the close where it has words",
    ),
    Difference(
        "code of the peer's close", ("hypercorn",), 1006, "it calls every disconnect abnormal"
    ),
    Difference(
        "reason of the peer's close",
        ("hypercorn", "granian", "daphne"),
        "",
        "its websocket.disconnect has no reason",
    ),
    Difference("code of the peer's close", ("rsgi",), 1005, "RSGI tells of a close without it"),
    Difference("reason of the peer's close", ("rsgi",), "", "RSGI tells of a close without it"),
    Difference(
        "a close without a code", ("hypercorn",), 1006, "it calls every disconnect abnormal"
    ),
    Difference(
        "a lost connection",
        (*_UVICORN, "granian"),
        1005,
        "it reports a connection that is lost like a close without a code",
    ),
    Difference(
        "a peer that does not read",
        ("daphne",),
        None,
        "it buffers without bound and never says that a peer does not read",
    ),
    Difference(
        "answers that share a frame",
        ("rsgi",),
        1,
        "it begins to send the first at once; those that wait for it share a frame",
    ),
    Difference(
        "answers that share a frame",
        ("memory",),
        1,
        "tests read messages one by one",
    ),
)

_TABLE = {(entry.behaviour, name): entry.instead for entry in DIFFERENCES for name in entry.servers}


def expected(server: Server, behaviour: Behaviour, normal: T) -> T:
    """Return `normal`, or what `server` forces instead."""
    found: T = _TABLE.get((behaviour, server.name), normal)
    return found


def close_code(server: Server, code: int) -> int:
    """Return what a peer sees where the application closes with `code`."""
    offset = expected(server, "offset of the server's standard codes", 0)
    sent = code + offset if 1000 < code < 3000 else code
    return expected(server, "code of the server's close", sent)
