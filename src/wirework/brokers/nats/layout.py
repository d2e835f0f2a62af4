"""Where things are: subjects, and the streams that keep them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ..base import IDEMPOTENCY_WINDOW, META_TTL

__all__ = ["SECOND", "Layout"]

SECOND: Final = 10**9
"""Nanoseconds: the unit of JetStream."""


class Layout(NamedTuple):
    """Names of subjects and streams.

    Args:
        prefix: what all of them begin with.
        replicas: servers of a cluster that store each message.
        storage: "file" or "memory".
    """

    prefix: str
    replicas: int = 1
    storage: str = "file"

    def subject(self, kind: str, *tokens: str) -> str:
        """Return a subject of a kind: see the package."""
        return ".".join((self.prefix, kind, *tokens))

    @property
    def history(self) -> str:
        """Stream of what was published and is kept."""
        return f"{self.prefix}-history"

    @property
    def once(self) -> str:
        """Stream of what is remembered so that it is published once."""
        return f"{self.prefix}-once"

    @property
    def presence(self) -> str:
        """Stream of who is present, and of the processes that say so."""
        return f"{self.prefix}-presence"

    @property
    def streams(self) -> list[dict[str, Any]]:
        """All of them, as JetStream wants to be told."""
        window = round(IDEMPOTENCY_WINDOW * SECOND)
        return [
            self._stream(
                self.history,
                [self.subject("h", "*")],
                max_age=round(META_TTL * SECOND),
                duplicate_window=window,
                republish={"src": self.subject("h", "*"), "dest": self.subject("p", "$1", "h")},
            ),
            self._stream(
                self.once,
                [self.subject("o", "*"), self.subject("r", "*")],
                max_age=window,
                duplicate_window=window,
                republish={"src": self.subject("o", "*"), "dest": self.subject("p", "$1", "o")},
            ),
            self._stream(
                self.presence,
                [self.subject("m", "*", "*"), self.subject("w", "*")],
                max_msgs_per_subject=1,
                republish={
                    "src": self.subject("m", "*", "*"),
                    "dest": self.subject("p", "$1", "$2"),
                },
            ),
        ]

    def _stream(self, name: str, subjects: list[str], **options: Any) -> dict[str, Any]:
        return {
            "name": name,
            "subjects": subjects,
            "retention": "limits",
            "discard": "old",
            "storage": self.storage,
            "num_replicas": self.replicas,
            **options,
        }
