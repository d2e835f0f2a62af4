"""What keys and channels are called in Redis.

All of one channel have its name between braces, so that a Cluster keeps them on one server.
"""

from __future__ import annotations

from hashlib import blake2b

from ...errors import SettingsError

__all__ = ["Names", "history_keys", "presence_keys"]


class Names:
    """The names of one application.

    Args:
        prefix: what all of them begin with.

    Raises:
        SettingsError: a prefix with braces.
    """

    def __init__(self, prefix: str) -> None:
        if "{" in prefix or "}" in prefix:
            raise SettingsError(f"broker: expected a prefix without braces, got {prefix!r}")
        self._prefix = prefix

    def channel(self, name: str) -> bytes:
        """Return what a channel is called; its keys are this and a suffix."""
        # Redis takes no notice of empty braces: "" and "}..." begin with a mark of their own.
        mark = "%" if name[:1] in "}%" else ""
        return f"{self._prefix}:{{{mark}{name}}}".encode("utf-8", "surrogatepass")

    def lease(self, worker: str) -> bytes:
        """Return the key of the lease of a worker."""
        return f"{self._prefix}:w:{worker}".encode()


def history_keys(channel: bytes, idempotency: str = "") -> tuple[bytes, ...]:
    """Return the keys that the scripts of history expect."""
    keys = (channel + b":p", channel + b":h", channel + b":k")
    if not idempotency:
        return keys
    digest = blake2b(idempotency.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return (*keys, channel + b":i:" + digest.encode())


def presence_keys(channel: bytes) -> tuple[bytes, ...]:
    """Return the keys that the scripts of presence expect."""
    return (channel + b":c", channel + b":u", channel + b":w", channel + b":v")
