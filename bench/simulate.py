"""What a million connections need: measure, check the model, then calculate.

    bench/.venv/bin/python -m bench.simulate              # all of it: under six minutes
    bench/.venv/bin/python -m bench.simulate --render     # the page anew, from the last run

Measures what single things cost (`calibrate`), runs small cases for real and compares them with
what the model says of them, lets a herd of clients come back after a restart, and writes
docs/scaling.md. A model that is further off than `--bound` writes nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .calibrate import BROKERS, USUAL, Cores, Say, calibrate
from .herd import Herd, drive, end_well
from .model import Broker, Layout, Network, Stream, Worker, Workload, forecast
from .run import machine, take_cores
from .stage import Measured, Stage

__all__ = ["Case", "Study", "main"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / ".cache" / "bench" / "scaling.json"
PAGE = ROOT / "docs" / "scaling.md"

NETWORK = Network()
_WORKERS = (1, 2)
_LOADS = {500: ((20, 64), (40, 400)), 2000: ((5, 400), (8, 400), (16, 64))}
"""Connections -> publications a second, and bytes of their text."""
BOUNDED = ("cpu", "memory", "frames")
"""What the model must be right about."""


class Case(msgspec.Struct, frozen=True):
    """One small case: what was measured, and what the model says, by the same names."""

    workers: int
    connections: int
    rate: float
    payload: int
    measured: dict[str, float]
    foretold: dict[str, float]

    def error(self, name: str) -> float:
        """Return how far off the model is: 0.1 is a tenth too much, -0.1 a tenth too little."""
        measured = self.measured[name]
        return self.foretold[name] / measured - 1 if measured else 0.0


class Study(msgspec.Struct):
    """Everything that a run has found."""

    machine: dict[str, str]
    worker: Worker
    brokers: dict[str, Broker]
    cases: list[Case]
    herds: list[Herd]
    seconds: float

    @property
    def worst(self) -> float:
        """How far off the model is at most, in what it must be right about."""
        return max(abs(case.error(name)) for case in self.cases for name in BOUNDED)


def measure(cores: Cores, clients: int, say: Say) -> Study:
    """Run everything."""
    begun, others = time.monotonic(), Path("/proc/loadavg").read_text().split()[0]
    worker, brokers = calibrate(cores, say)
    cases = []
    for workers in _WORKERS:
        for connections in _LOADS:
            for case in _run_cases(cores, worker, brokers[USUAL], workers, connections):
                say(_line(case))
                cases.append(case)
    herds = []
    for broker in ("redis", "memory"):
        for has_jitter in (False, True):
            herd = drive(clients, broker, has_jitter=has_jitter, cores=cores)
            say(f"herd, {broker}, jitter {has_jitter}: last after {herd.last:.2f} s")
            herds.append(herd)
    about = {**machine(), "load average before": others}
    if Stage.goes_first:
        about["other work"] = "what was measured at a rate went before it (`--first`)"
    return Study(about, worker, brokers, cases, herds, time.monotonic() - begun)


def _run_cases(
    cores: Cores, worker: Worker, broker: Broker, workers: int, connections: int
) -> list[Case]:
    address, family = BROKERS[broker.name]
    channel, found = f"{family}:case", []
    with Stage(cores, address, workers=workers) as stage:
        crowd = stage.gather([channel] * connections)
        memory = stage.server.settled()
        for rate, size in _LOADS[connections]:
            real = stage.measure(crowd, channel, rate, "y" * size, 8)
            found.append(_compare(worker, broker, workers, connections, size + 2, real, memory))
    return found


def _compare(
    worker: Worker,
    broker: Broker,
    workers: int,
    connections: int,
    payload: int,
    real: Measured,
    memory: float,
) -> Case:
    """Return the case; the model gets the rate that was reached."""
    streams = (Stream(real.published, connections, payload),)
    workload = Workload(connections + 1, streams, burstiness=0)
    model = forecast(worker, broker, workload, Layout(workers, 1), NETWORK)
    measured = {
        "cpu": real.cpu,
        "broker_cpu": real.broker_cpu,
        "memory": memory,
        "frames": real.frames,
        "latency": real.latency,
        "latency_last": real.latency_last,
    }
    foretold = {name: getattr(model, name) for name in measured}
    return Case(workers, connections, real.published, payload, measured, foretold)


def _line(case: Case) -> str:
    errors = ", ".join(f"{name} {100 * case.error(name):+.0f} %" for name in case.measured)
    return f"{case.workers} x, {case.connections} clients, {case.rate:.0f}/s: {errors}"


def main(arguments: Sequence[str]) -> int:
    """Measure or load, then write the page; 1 where the model is too far off."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--render", action="store_true", help="write the page of the last run anew")
    parser.add_argument("--bound", type=float, default=0.25, help="most error of the model (0.25)")
    parser.add_argument("--clients", type=int, default=5000, help="in the herd (5000)")
    parser.add_argument("--first", action="store_true", help="go before all others; needs root")
    parser.add_argument("--no-page", action="store_true", help="print, leave docs/ alone")
    options = parser.parse_args(arguments)
    if options.render:
        study = msgspec.json.decode(RESULTS.read_bytes(), type=Study)
    else:
        end_well()
        Stage.goes_first = options.first
        study = measure(take_cores(), options.clients, _say)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(study)))
    _say(f"the model is off by {100 * study.worst:.0f} % at most; {study.seconds:.0f} s")
    if study.worst > options.bound:
        _say(f"more than {100 * options.bound:.0f} %: nothing is calculated from it")
        return 1
    from .scaling import render

    text = render(study, options.bound)
    if options.no_page:
        _say(text)
    else:
        PAGE.write_text(text, "utf-8")
        _say(f"wrote docs/{PAGE.name}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
