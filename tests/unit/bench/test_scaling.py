"""What bench/simulate.py says of a run, and the page that bench/scaling.py makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bench import simulate
from bench.calibrate import BROKERS
from bench.herd import Herd
from bench.model import Worker
from bench.scaling import PLANS, render
from bench.simulate import Case, Study
from tests.unit.bench.test_model import BROKER, WORKER

HERD = Herd(
    clients=5000,
    broker="redis",
    has_jitter=True,
    away=1.0,
    first=0.1,
    median=0.5,
    last=1.5,
    recovered=4999,
    publications=50_000,
    expected=50_000,
    attempts=6000,
    problems={"close 1013": 3},
    cpu=0.0005,
)


def case(**foretold: float) -> Case:
    names = ("cpu", "broker_cpu", "memory", "frames", "latency", "latency_last")
    measured = dict.fromkeys(names, 100.0)
    return Case(2, 500, 20.0, 66, measured, measured | foretold)


def study(worker: Worker = WORKER, *cases: Case) -> Study:
    brokers = {name: replace(BROKER, name=name) for name in BROKERS}
    return Study({"processor": "one"}, worker, brokers, list(cases or [case()]), [HERD], 60.0)


def test_an_error_is_too_much_or_too_little() -> None:
    assert case(cpu=110.0).error("cpu") == pytest.approx(0.1)
    assert case(cpu=80.0).error("cpu") == pytest.approx(-0.2)


def test_the_model_must_be_right_about_load_memory_and_frames() -> None:
    assert study(WORKER, case(memory=90.0), case(cpu=120.0)).worst == pytest.approx(0.2)
    assert study(WORKER, case(latency=300.0, broker_cpu=300.0)).worst == 0


def test_the_page_has_a_figure_in_every_place() -> None:
    page = render(study(), 0.25)
    assert "{{" not in page
    assert all(plan.name in page for plan in PLANS)
    assert "close 1013: 3" in page
    assert "| 4,999 |" in page


def test_what_costs_more_needs_more() -> None:
    dear = replace(WORKER, delivery_cpu=10 * WORKER.delivery_cpu)
    rows = [
        next(
            line
            for line in render(study(worker), 0.25).splitlines()
            if line.startswith("| workers |")
        )
        for worker in (WORKER, dear)
    ]
    few, many = ([int(cell) for cell in row.strip("|").split("|")[1:]] for row in rows)
    assert few[2] < many[2]


def test_a_model_that_is_far_off_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, page = tmp_path / "scaling.json", tmp_path / "scaling.md"
    monkeypatch.setattr(simulate, "RESULTS", results)
    monkeypatch.setattr(simulate, "PAGE", page)
    results.write_bytes(msgspec.json.encode(study(WORKER, case(cpu=60.0))))
    assert simulate.main(["--render"]) == 1
    assert not page.exists()
    assert "off by 40 % at most" in capsys.readouterr().out
    assert simulate.main(["--render", "--bound", "0.5"]) == 0
    assert "within 50 %, and are within 40 % here" in page.read_text("utf-8")
