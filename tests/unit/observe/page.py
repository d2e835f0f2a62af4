"""The page that Prometheus reads, for tests."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Page"]


class Page:
    """The samples of one scrape, without the bounds of histograms and the times of creation."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, /, **labels: str) -> float:
        """Return the sum of the samples of `wirework_<name>` that have these labels."""
        wanted = labels.items()
        return sum(
            value
            for (found, own), value in self.samples.items()
            if found == f"wirework_{name}" and wanted <= own
        )

    def values(self, name: str, label: str) -> set[str]:
        """Return the values that a label of a metric has."""
        return {
            dict(own).get(label, "")
            for found, own in self.samples
            if found.removesuffix("_total") == f"wirework_{name}"
        }
