"""What was measured: samples of repetitions, and their medians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

__all__ = ["Cell", "Results", "Sample", "percentile"]


class Sample(msgspec.Struct, frozen=True):
    """One repetition: its values by name, such as `rate` or `p99`, in units of the work's."""

    values: dict[str, float]


class Cell(msgspec.Struct):
    """All repetitions of one peer at one work, and what went wrong."""

    samples: list[Sample] = []
    problems: list[str] = []

    def value(self, name: str) -> float | None:
        """Return the median over the repetitions; None where less than half gave this value."""
        found = [s.values[name] for s in self.samples if name in s.values]
        return median(found) if found and 2 * len(found) >= len(self.samples) else None


class Results(msgspec.Struct):
    """One run: `cells` by work, then by peer."""

    machine: dict[str, str] = {}
    cells: dict[str, dict[str, Cell]] = {}

    def cell(self, work: str, peer: str) -> Cell:
        """Return the cell, made empty where there was none."""
        return self.cells.setdefault(work, {}).setdefault(peer, Cell())

    def value(self, work: str, peer: str, name: str) -> float | None:
        """Return the median of one value; None where it was not measured."""
        cell = self.cells.get(work, {}).get(peer)
        return None if cell is None else cell.value(name)

    def best(
        self, work: str, peers: Sequence[str], name: str, *, least: bool = False
    ) -> str | None:
        """Return which of the peers has the largest (or smallest) value."""
        found = {p: v for p in peers if (v := self.value(work, p, name)) is not None}
        if not found:
            return None
        return (min if least else max)(found, key=found.__getitem__)

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)))

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` (0-1) of the sorted values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("percentile: expected at least one value")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
