"""The session: a dict that HTTP routes and sockets share, and that knows whether it was written."""

from __future__ import annotations

from typing import Any, Self

from ..errors import SessionError

__all__ = ["Session"]


class Session(dict[str, Any]):
    """Small JSON values of one visitor, shared by HTTP routes and WebSocket handlers.

    Write it in HTTP routes and, for a WebSocket, until the handshake is answered: the cookie
    travels with the answer. After it every method that may write raises SessionError, whether or
    not it would change anything; reading goes on. A value changed in place
    (`session["cart"].append(...)`) is kept like any other write, but after the answer such a change
    cannot be noticed: treat nested values as read-only then.

    The visitor can read the session (it is signed, not encrypted) and can send an older one again
    until that expires.

    With `App(sessions=...)` a store holds it instead, and the cookie only its id. It is a
    `StoredSession` then, which can be written after the answer too.
    """

    accessed: bool = False
    """Whether a route asked for it: its response then varies by cookie."""

    modified: bool = False
    """Whether it was written, even with equal values: the cookie is then sent anew."""

    stored: str = ""
    """The JSON text that the client holds, empty if it holds no valid session."""

    _is_locked: bool = False

    def lock(self) -> None:
        """Take note that the answer, and with it the cookie, has gone: no write passes any more."""
        self._is_locked = True

    @property
    def is_locked(self) -> bool:
        """Whether the time for writing has passed."""
        return self._is_locked

    @property
    def id(self) -> str:
        """The id in the store; empty where there is no store, or nothing was saved yet."""
        return ""

    def renew(self) -> None:
        """Take another id, against fixation; call it where somebody logs in.

        A session that lives in its cookie has none: it is sent anew.

        Raises:
            SessionError: the answer has gone, so that the cookie cannot carry another id.
        """
        self.mark_modified()

    async def save(self) -> None:
        """Write to the store what has changed; nothing is to be done without a store.

        Raises:
            SessionEnded: there is something to write, but the session was deleted or has expired.
            SessionError: a value is not JSON, or the session is too large; the changes are dropped.
        """

    async def reload(self) -> None:
        """Read from the store what others have changed; own changes that are not saved are kept.

        Raises:
            SessionEnded: the session was deleted, or has expired.
            SessionError: there is no store.
        """
        raise SessionError(
            "the session lives in its cookie and cannot be read again: "
            "give the application sessions=MemorySessions() or another store"
        )

    def mark_accessed(self) -> None:
        """Note that the session was asked for; Starlette's `request.session` calls it."""
        self.accessed = True

    def mark_modified(self) -> None:
        """Have the cookie sent anew, which also prolongs the session.

        Raises:
            SessionError: the handshake was answered.
        """
        self._refuse_if_locked()
        self.accessed = True
        self.modified = True

    def __setitem__(self, key: str, value: Any) -> None:
        self._note(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._note(key)
        super().__delitem__(key)

    def __ior__(self, other: Any, /) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove everything, and end the session; its cookie is then deleted."""
        self.mark_modified()
        super().clear()

    def pop(self, key: str, /, *default: Any) -> Any:
        """Remove a key and return its value; as `dict.pop`."""
        self._refuse_if_locked()
        if key in self:
            self._note(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest item and return it; as `dict.popitem`."""
        self.mark_modified()
        key, value = super().popitem()
        self._note(key)
        return key, value

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        """Return the value of a key, set to `default` before if absent; as `dict.setdefault`."""
        self._refuse_if_locked()
        if key not in self:
            self._note(key)
        return super().setdefault(key, default)

    def update(self, *other: Any, **items: Any) -> None:
        """Set several items; as `dict.update`."""
        values = dict(*other, **items)
        self._note(*values)
        super().update(values)

    def _note(self, *keys: str) -> None:
        """Take note that the values of these keys are written."""
        self.mark_modified()

    def _refuse_if_locked(self) -> None:
        if self._is_locked:
            raise SessionError(
                "the session cannot be written any more: its cookie travelled with the handshake's "
                "answer; write it in conn, before accept, or in an HTTP route"
            )
