"""What was published, and whether somebody has heard all of it, once and in order."""

from __future__ import annotations

from typing import Any

from wirework import Position

__all__ = ["Heard", "Ledger", "position_of"]


def position_of(said: dict[str, Any]) -> Position | None:
    """Return the position that a message tells."""
    found = said.get("position")
    return None if found is None else Position(found["epoch"], found["offset"])


class Ledger:
    """Every publication of a channel, by its position: each was acknowledged to who published."""

    def __init__(self) -> None:
        self.published: dict[Position, str] = {}

    def note(self, position: Position, data: str) -> None:
        """Note what was acknowledged; nothing else is at this position."""
        assert position not in self.published, (position, data, self.published[position])
        self.published[position] = data

    def between(self, first: Position, last: Position) -> list[str | None]:
        """Return what was published after `first`, up to `last`, in order."""
        assert first.epoch == last.epoch
        offsets = range(first.offset + 1, last.offset + 1)
        return [self.published.get(Position(first.epoch, offset)) for offset in offsets]


class Heard:
    """What one client has heard of a channel, and up to where it knows everything."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.stretches: list[tuple[Position, list[str]]] = []
        """Where each stretch without a loss begins, and what was heard in it."""
        self.gaps = 0
        """How often the client was told that something is lost."""
        self.recoveries = 0
        """How often it came back and got what it had missed."""
        self.faults: list[str] = []

    def subscribed(self, said: dict[str, Any]) -> None:
        """Take the answer to a subscription."""
        here = position_of(said)
        assert here is not None
        if said.get("recovered"):
            self.recoveries += 1
            for publication in said.get("publications", ()):
                self.publication(publication)
            if self.position != here:
                self.faults.append(f"recovered up to {self.position}, told to be at {here}")
                self._begin(here)
        elif self.position is None:
            self._begin(here)
        else:
            self.gap(said)

    def publication(self, said: dict[str, Any]) -> None:
        """Take a publication; it must be the next one."""
        before, here = self.position, position_of(said)
        assert here is not None
        if before is None or here != Position(before.epoch, before.offset + 1):
            self.faults.append(f"{here} after {before}")
        self.position = here
        self.stretches[-1][1].append(said["data"])

    def gap(self, said: dict[str, Any]) -> None:
        """Take the word that something is lost."""
        here = position_of(said)
        assert here is not None
        self.gaps += 1
        self._begin(here)

    def differences(self, ledger: Ledger) -> list[str]:
        """Return what is wrong: holes, doubles, another order, other data."""
        wrong = list(self.faults)
        for first, texts in self.stretches:
            last = Position(first.epoch, first.offset + len(texts))
            expected = ledger.between(first, last)
            pairs = zip(range(first.offset + 1, last.offset + 1), expected, texts, strict=True)
            wrong += [
                f"{at}: expected {this}, got {that}" for at, this, that in pairs if this != that
            ]
        return wrong

    def _begin(self, here: Position) -> None:
        self.position = here
        self.stretches.append((here, []))
