from __future__ import annotations

from pathlib import Path

import pytest

from bench.results import Cell, Results, Sample, percentile


def cell(*rates: float) -> Cell:
    return Cell([Sample({"rate": rate}) for rate in rates])


def test_a_cell_gives_the_median_of_its_repetitions() -> None:
    assert cell(10, 500, 20).value("rate") == 20
    assert cell(10, 20).value("rate") == 15


def test_a_cell_without_a_value_gives_none() -> None:
    assert Cell().value("rate") is None
    assert cell(10).value("idle") is None
    assert Results().value("echo", "nobody", "rate") is None


def test_a_value_that_most_repetitions_missed_is_none() -> None:
    assert Cell([Sample({"p99": 1.0}), Sample({}), Sample({})]).value("p99") is None
    assert Cell([Sample({"p99": 1.0}), Sample({})]).value("p99") == 1


def test_the_best_is_the_largest_or_the_least_of_those_that_were_measured() -> None:
    results = Results(cells={"echo": {"a": cell(1), "b": cell(3), "c": Cell()}})
    assert results.best("echo", ("a", "b", "c", "d"), "rate") == "b"
    assert results.best("echo", ("a", "b", "c", "d"), "rate", least=True) == "a"
    assert results.best("echo", ("c", "d"), "rate") is None


def test_results_survive_being_saved(tmp_path: Path) -> None:
    results = Results(machine={"python": "3"})
    results.cell("echo", "a").samples.append(Sample({"rate": 1.5}))
    results.cell("echo", "a").problems.append("late")
    results.save(tmp_path / "new" / "results.json")
    assert Results.load(tmp_path / "new" / "results.json") == results


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (0, 1)])
def test_a_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 0.5)
