"""Addresses as logs may show them: without the credentials in their query."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_plus

__all__ = ["redact_query"]

_SHOWN = "***"


def redact_query(query: str, names: Collection[str]) -> str:
    """Return a query string with `***` for the values of the parameters called `names`.

    Names are compared as a server reads them, percent-decoded, and in any case. The rest stays as
    it was sent.
    """
    if not names or not query:
        return query
    hidden = {name.casefold() for name in names}
    return "&".join(_redact(part, hidden) for part in query.split("&"))


def _redact(part: str, hidden: set[str]) -> str:
    name, equals, _ = part.partition("=")
    return name + equals + _SHOWN if unquote_plus(name).casefold() in hidden and equals else part
