from __future__ import annotations

import pytest

from bench.bars import BARS, Bar
from bench.registry import PEERS
from bench.results import Cell, Results, Sample
from bench.works import WORKS


def measured(work: str, **values: dict[str, float]) -> Results:
    cells = {name.replace("_", "-"): Cell([Sample(found)]) for name, found in values.items()}
    return Results(cells={work: cells})


def test_a_ratio_refers_to_the_fastest_starlette_of_the_run() -> None:
    results = measured(
        "echo",
        wirework={"rate": 900.0, "per_cpu": 1000.0},
        starlette={"rate": 100.0, "per_cpu": 100.0},
        starlette_wsproto={"rate": 90.0, "per_cpu": 125.0},
    )
    assert Bar("echo", "echo", "wirework", 9).judge(results) == ("starlette", 9.0, 8.0, True)
    verdict = Bar("echo", "echo", "wirework", 9.1).judge(results)
    assert verdict is not None
    assert not verdict.is_met


@pytest.mark.parametrize(("idle", "is_met"), [(45.0, True), (46.0, False)])
def test_a_limit_is_met_from_below(idle: float, is_met: bool) -> None:
    results = measured("memory", wirework={"idle": idle}, starlette={"idle": 100.0})
    bar = Bar("memory", "memory", "wirework", 0.45, value="idle", is_limit=True)
    assert bar.judge(results) == ("starlette", idle / 100, None, is_met)


def test_there_is_no_verdict_where_one_side_was_not_measured() -> None:
    bar = Bar("echo", "echo", "wirework", 9)
    assert bar.judge(Results()) is None
    assert bar.judge(measured("echo", wirework={"rate": 1.0})) is None
    assert bar.judge(measured("echo", starlette={"rate": 1.0})) is None


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.text)
def test_a_bar_names_peers_and_a_work_that_exist(bar: Bar) -> None:
    assert bar.work in WORKS
    assert {bar.peer, *bar.against} <= set(PEERS)
