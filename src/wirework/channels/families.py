"""Which family a name belongs to: the most specific that has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from .names import ChannelTemplate

__all__ = ["Families"]

T = TypeVar("T")


class Families(Generic[T]):
    """Families of channels, each with something that belongs to it.

    Where two have a name, it is of the one all of whose names the other has, too: `chat:staff`
    before `chat:{n:int}` before `chat:{room}`, in whatever order they were added. So a family
    cannot take names from one that is narrower, which may let in fewer.
    """

    def __init__(self) -> None:
        self._literal: dict[str, T] = {}
        self._patterns: dict[tuple[int, str | None], list[tuple[ChannelTemplate, T]]] = {}
        """By the number of parts and the first one, if that is a text; the narrower first."""

    def clash(self, template: ChannelTemplate) -> tuple[T, str | None] | None:
        """Return what has names of `template` without being wider or narrower, if anything.

        And a name that both have; None: they have the same names.
        """
        if not template.parameters:
            text = template.text
            return (self._literal[text], None) if text in self._literal else None
        for other, value in self._near(template):
            shared, has_first, has_second = template.meeting(other)
            if shared is not None and has_first is has_second:
                return value, shared if has_first else None
        return None

    def add(self, template: ChannelTemplate, value: T) -> None:
        """Add a family; one that clashes is found after the one that was there."""
        if not template.parameters:
            self._literal.setdefault(template.text, value)
            return
        alike = self._patterns.setdefault(_key(template), [])
        wider = (at for at, (other, _) in enumerate(alike) if _is_within(template, other))
        alike.insert(next(wider, len(alike)), (template, value))

    def find(self, name: str) -> tuple[T, dict[str, Any]] | None:
        """Return what belongs to the family of `name`, and the parameters in it."""
        if name in self._literal:
            return self._literal[name], {}
        number, first = name.count(":"), name.partition(":")[0]
        # No parameter is as narrow as a text: families that begin with one come first.
        for key in ((number, first), (number, None)):
            for template, value in self._patterns.get(key, ()):
                parameters = template.match(name)
                if parameters is not None:
                    return value, parameters
        return None

    def _near(self, template: ChannelTemplate) -> Iterator[tuple[ChannelTemplate, T]]:
        number, first = _key(template)
        for (other_number, other_first), found in self._patterns.items():
            if number == other_number and (first is None or other_first in (None, first)):
                yield from found


def _key(template: ChannelTemplate) -> tuple[int, str | None]:
    first = template.parts[0]
    is_text = not any(piece.is_parameter for piece in first)
    return len(template.parts) - 1, "".join(piece.text for piece in first) if is_text else None


def _is_within(template: ChannelTemplate, other: ChannelTemplate) -> bool:
    shared, has_first, _ = template.meeting(other)
    return shared is not None and not has_first
