"""Who the peer is: functions that tell it from what the peer shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["FirstMessage"]


class FirstMessage:
    """The peer says who it is in its first message, in dialects that have words for it.

    `verify(token)` returns the user, which handlers take by its type or as `user`; None, or a
    raised `Reject`, turns the peer away: it is answered once and the connection ends with 4401. Its
    further parameters are filled like a dependency's. Until then no message reaches a handler.

    Args:
        verify: a def or async def that takes `token`, a str, "" where the client sent none.
        timeout: seconds until a connection that has not authenticated ends with 4401; None:
            the setting `auth_timeout`.

    Raises:
        TypeError: `verify` is no function.
        ValueError: `timeout` is not above 0.
    """

    def __init__(self, verify: Callable[..., Any], *, timeout: float | None = None) -> None:
        if not callable(verify) or isinstance(verify, type):
            raise TypeError(f"FirstMessage: expected a function, got {verify!r}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"FirstMessage timeout: expected seconds above 0, got {timeout!r}")
        self.verify = verify
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"FirstMessage({getattr(self.verify, '__qualname__', self.verify)!s})"
