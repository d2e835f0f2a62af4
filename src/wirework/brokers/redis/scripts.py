"""What runs inside Redis in one step, from the `.lua` files beside this module."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Final

from .link import Link
from .resp import Argument, pack

__all__ = [
    "ALL",
    "FORGET",
    "JOIN",
    "LEAVE",
    "MEMBERS",
    "PUBLISH",
    "READ",
    "RESTATE",
    "STRIKE",
    "Script",
]


class Script:
    """A Lua script; its first arguments are always the server's life and whether it is durable."""

    def __init__(self, *names: str) -> None:
        folder = files(__package__)
        self.source = "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in names)
        self._sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def packed(
        self,
        link: Link,
        keys: Sequence[bytes],
        arguments: Sequence[Argument],
        *,
        is_known: bool = True,
    ) -> bytes:
        """Return the command that runs it; with its source where the server does not know it."""
        head = ("EVALSHA", self._sha) if is_known else ("EVAL", self.source)
        durable = "1" if link.is_durable else "0"
        return pack(*head, len(keys), *keys, link.run, durable, *arguments)


PUBLISH: Final = Script("history", "publish")
READ: Final = Script("history", "read")
FORGET: Final = Script("history", "forget")
JOIN: Final = Script("presence", "join")
LEAVE: Final = Script("presence", "leave")
RESTATE: Final = Script("presence", "restate")
STRIKE: Final = Script("presence", "strike")
MEMBERS: Final = Script("presence", "members")
ALL: Final = (PUBLISH, READ, FORGET, JOIN, LEAVE, RESTATE, STRIKE, MEMBERS)
