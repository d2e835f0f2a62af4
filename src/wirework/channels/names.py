"""Names of channels: what they may look like, and the templates that applications declare."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from ..errors import RegistrationError, Reject
from .shapes import Meeting, Part, Piece, meeting

__all__ = ["MAX_NAME", "ChannelTemplate", "UnfitName", "check_name"]

MAX_NAME: Final = 255
"""Bytes of the longest name of a channel."""

_PARAMETER: Final = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_KINDS: Final[dict[str, tuple[str, type]]] = {
    "str": (r"[^:]+", str),
    "int": (r"0|-?[1-9][0-9]{0,17}", int),
    "uuid": (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", UUID),
}


class UnfitName(ValueError):
    """Values of the right kinds that make no name of a channel; `flaw` says why."""

    def __init__(self, text: str, flaw: str) -> None:
        super().__init__(text)
        self.flaw = flaw


def check_name(name: str) -> None:
    """Refuse what cannot be a channel's name.

    A name has one spelling: Unicode's composed form (NFC), without whitespace and without
    characters that cannot be seen. So what is allowed for one name is not had by another.

    Raises:
        Reject: "bad_channel", with the reason.
    """
    reason = _flaw(name)
    if reason is not None:
        raise Reject("bad_channel", f"channel: {reason}")


def _flaw(name: str) -> str | None:
    if not name:
        return "expected a name, got none"
    if name.startswith("$"):
        return "names that begin with $ are Wirework's own"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "expected Unicode without lone surrogates"
    if size > MAX_NAME:
        return f"expected at most {MAX_NAME} bytes, got {size}"
    if name.isascii():
        return None if name.isprintable() and " " not in name else _UNSEEN
    if not unicodedata.is_normalized("NFC", name):
        return "expected Unicode in composed form (NFC)"
    if any(unicodedata.category(each)[0] in "CZ" for each in name):
        return _UNSEEN
    return None


_UNSEEN: Final = "expected no whitespace and no characters that cannot be seen"


class _Part(NamedTuple):
    name: str
    kind: type


class ChannelTemplate:
    """The name of a channel, or of a family of them: `news`, `chat:{room}`, `game:{id:int}:moves`.

    A parameter takes any text without a colon; `{n:int}` and `{id:uuid}` take what they say, in its
    one usual spelling.

    Raises:
        RegistrationError: it is no name, or a parameter is none.
    """

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.parameters: dict[str, type] = {}
        if not isinstance(text, str):
            raise RegistrationError(where, f"expected a name, got {text!r}")
        pattern, pieces, at = "", [], 0
        for match in _PARAMETER.finditer(text):
            pattern += re.escape(text[at : match.start()])
            pattern += self._parameter(match, where)
            pieces += [Piece(text[at : match.start()]), Piece(match[2] or "str", True)]
            at = match.end()
        rest = text[at:]
        if set("{}") & set(_PARAMETER.sub("", text)):
            raise RegistrationError(where, f"expected {{name}} or {{name:kind}}, got {text!r}")
        flaw = _flaw(_PARAMETER.sub("x", text))
        if flaw is not None:
            raise RegistrationError(where, flaw)
        self._pattern = re.compile(pattern + re.escape(rest))
        self._prefix = text.partition("{")[0]
        self.parts = _parts([*pieces, Piece(rest)])
        """What stands between colons."""

    def __repr__(self) -> str:
        return f"ChannelTemplate({self.text!r})"

    def _parameter(self, match: re.Match[str], where: str) -> str:
        name, kind = match[1], match[2] or "str"
        if not name.isidentifier() or name in self.parameters:
            raise RegistrationError(
                where, f"expected parameters with different names, got {name!r}"
            )
        if kind not in _KINDS:
            known = ", ".join(_KINDS)
            raise RegistrationError(
                where, f"parameter {name!r}: expected one of {known}, got {kind!r}"
            )
        pattern, self.parameters[name] = _KINDS[kind]
        return f"(?P<{name}>{pattern})"

    def match(self, name: str) -> dict[str, Any] | None:
        """Return the parameters that `name` has; None: it is no name of this family."""
        if not name.startswith(self._prefix) or name.startswith("$"):
            return None
        found = self._pattern.fullmatch(name)
        if found is None:
            return None
        return {each: self.parameters[each](text) for each, text in found.groupdict().items()}

    def fill(self, values: Mapping[str, Any]) -> str:
        """Return the name with these parameters.

        Raises:
            TypeError: one is missing, or there is none of that name.
            ValueError: with them it is no name of this family; an `UnfitName` where their kinds
                are right.
        """
        if values.keys() != self.parameters.keys():
            wanted = ", ".join(self.parameters) or "no parameters"
            given = ", ".join(values) or "none"
            raise TypeError(f"channel {self.text!r}: expected {wanted}, got {given}")
        name = _PARAMETER.sub(lambda match: str(values[match[1]]), self.text)
        flaw = _flaw(name)
        if flaw is None and self.match(name) != dict(values):
            flaw = "expected values that fit their kinds and have no colon"
        if flaw is not None:
            text = f"channel {self.text!r}: {flaw}, got {dict(values)!r}"
            is_of_kind = all(isinstance(values[each], self.parameters[each]) for each in values)
            raise UnfitName(text, flaw) if is_of_kind else ValueError(text)
        return name

    @property
    def shape(self) -> str:
        """The text without what parameters are called: alike in templates that mean the same."""
        return _PARAMETER.sub("{}", self.text)

    def meeting(self, other: ChannelTemplate) -> Meeting:
        """Compare the names of two families; `shared` is one that both have."""
        if len(self.parts) != len(other.parts):
            return Meeting(None, True, True)
        found = [meeting(*parts) for parts in zip(self.parts, other.parts, strict=True)]
        shared = [each.shared for each in found if each.shared is not None]
        if len(shared) < len(found):
            return Meeting(None, True, True)
        has_first, has_second = (any(each[at] for each in found) for at in (1, 2))
        return Meeting(":".join(shared), has_first, has_second)


def _parts(pieces: list[Piece]) -> tuple[Part, ...]:
    found: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.is_parameter:
            found[-1].append(piece)
            continue
        first, *others = piece.text.split(":")
        found[-1].append(Piece(first))
        found += [[Piece(each)] for each in others]
    return tuple(tuple(piece for piece in part if piece.text) for part in found)
