"""What names two parts of templates have in common: `v{n:int}` and `v{n}`, `a{x}` and `{y}b`.

A part is what stands between colons, which no parameter takes. It is made into a small machine that
reads a name character by character; both machines read all names at the same time.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

__all__ = ["Meeting", "Part", "Piece", "meeting"]

_DIGITS: Final = frozenset("0123456789")
_HEXADECIMAL: Final = frozenset("0123456789abcdef")
_ZERO: Final = frozenset("0")
_MINUS: Final = frozenset("-")
_UUID: Final = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"


class Piece(NamedTuple):
    """A text, or a parameter: the name of its kind."""

    text: str
    is_parameter: bool = False


Part: TypeAlias = tuple[Piece, ...]
_States: TypeAlias = frozenset[int]


class Meeting(NamedTuple):
    """Which names match.

    Args:
        shared: one that matches both; None: there is none.
        has_first, has_second: whether any matches this one only.
    """

    shared: str | None
    has_first: bool
    has_second: bool


@lru_cache(maxsize=4096)
def meeting(first: Part, second: Part) -> Meeting:
    """Compare two parts of templates."""
    machines = _Machine(first), _Machine(second)
    begin: tuple[_States, _States] = (frozenset((0,)), frozenset((0,)))
    waiting, seen = deque([(begin, "")]), {begin}
    alphabet = _alphabet(*machines)
    shared: str | None = None
    only = [False, False]
    while waiting and not (shared is not None and all(only)):
        states, text = waiting.popleft()
        ends = [machine.end in here for machine, here in zip(machines, states, strict=True)]
        if all(ends):
            shared = text if shared is None else shared
        for which in (0, 1):
            # Every state leads to the end: where one machine has stopped, the other will get there.
            only[which] |= not states[1 - which] or (ends[which] and not ends[1 - which])
        if not all(states):
            continue
        for char in alphabet:
            after = machines[0].after(states[0], char), machines[1].after(states[1], char)
            if any(after) and after not in seen:
                seen.add(after)
                waiting.append((after, text + char))
    return Meeting(shared, *only)


class _Machine:
    """Reads what a part matches; in several states at a time.

    A move with None takes any character but a colon.
    """

    def __init__(self, part: Part) -> None:
        self.moves: list[list[tuple[frozenset[str] | None, int]]] = [[]]
        self.end = 0
        kinds = {"str": self._add_str, "int": self._add_int, "uuid": self._add_uuid}
        for piece in part:
            if piece.is_parameter:
                kinds[piece.text]()
            else:
                self._add_text(piece.text)

    def after(self, states: _States, char: str) -> _States:
        return frozenset(
            to
            for state in states
            for chars, to in self.moves[state]
            if chars is None or char in chars
        )

    def _state(self) -> int:
        self.moves.append([])
        return len(self.moves) - 1

    def _add_text(self, text: str) -> None:
        for char in text:
            self._step(frozenset(char))

    def _step(self, chars: frozenset[str] | None) -> None:
        begin, self.end = self.end, self._state()
        self.moves[begin].append((chars, self.end))

    def _add_str(self) -> None:
        self.moves[self.end].append((None, self.end))
        self._step(None)

    def _add_uuid(self) -> None:
        for char in _UUID:
            self._step(_HEXADECIMAL if char == "x" else frozenset(char))

    def _add_int(self) -> None:
        # Of any length, though a parameter takes 18 digits: counting them would make many states.
        begin, minus, digits, end = self.end, *(self._state() for _ in range(3))
        self.moves[begin] += [(_ZERO, end), (_MINUS, minus)]
        for state, chars in ((begin, _DIGITS - _ZERO), (minus, _DIGITS - _ZERO), (digits, _DIGITS)):
            self.moves[state] += [(chars, digits), (chars, end)]
        self.end = end


def _alphabet(*machines: _Machine) -> list[str]:
    """Return one of each group of characters that no move tells apart, first one of all others."""
    sets = {
        chars
        for machine in machines
        for moves in machine.moves
        for chars, _ in moves
        if chars is not None
    }
    named = sorted(frozenset[str]().union(*sets))
    other = next(chr(code) for code in range(ord("x"), 0x110000) if chr(code) not in named)
    alike = {frozenset(chars for chars in sets if char in chars): char for char in reversed(named)}
    return [other, *sorted(alike.values())]
