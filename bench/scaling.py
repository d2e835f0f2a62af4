"""The page about scale: `scaling.md`, with figures where it has `{{name}}`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from .calibrate import USUAL
from .herd import Herd
from .model import (
    Broker,
    Forecast,
    Layout,
    Network,
    Stream,
    Workload,
    forecast,
    workers_for,
)
from .report import number, table
from .simulate import Case, Study

__all__ = ["PLANS", "Plan", "render"]

TEMPLATE = Path(__file__).with_name("scaling.md")
NETWORK = Network()
_MILLION = 1_000_000
_WORKERS_PER_MACHINE = 14
_MOST_BUSY = 0.6
_CHANNEL_IN_REDIS = 4600
"""Bytes of a channel with one publication, from docs/brokers.md."""


class Plan(NamedTuple):
    """A kind of application with a million connections."""

    name: str
    text: str
    workload: Workload


PLANS = (
    Plan(
        "notifications",
        "each client has a channel of its own, 2,000 publications a second to one client each",
        Workload(_MILLION, (Stream(2000, 1, 200),), channels=_MILLION),
    ),
    Plan(
        "rooms",
        "10,000 rooms of 100, a message in each every 5 s",
        Workload(_MILLION, (Stream(2000, 100, 200),), channels=10_000),
    ),
    Plan(
        "live event",
        "one channel that everybody hears, a publication a second",
        Workload(_MILLION, (Stream(1, _MILLION, 200),), channels=1),
    ),
)


class _Found(NamedTuple):
    plan: Plan
    workers: int
    machines: int
    nodes: int
    forecast: Forecast


def render(study: Study, bound: float) -> str:
    """Return the whole page; `bound` is the most that the model may be off.

    Raises:
        KeyError: the template has a name that nothing is known for.
    """
    found = [_planned(study, plan) for plan in PLANS]
    parts = {
        "machine": _machine(study),
        "costs": _costs(study),
        "brokers": _brokers(study),
        "usual": USUAL,
        "cases": _cases(study.cases),
        "bound": f"{100 * bound:.0f} %",
        "worst": f"{100 * study.worst:.0f} %",
        "plans": _plans(found),
        "broker_words": _broker_words(found),
        "redis_memory": _redis_memory(),
        "bandwidth_words": _bandwidth(found),
        "arrivals": number(1 / study.worker.arrival_cpu),
        "herd_clients": f"{study.herds[0].clients:,}",
        "herd": _herds(study.herds),
        "storm": _storm(found),
        "drain": _drain(study, found),
    }
    text = TEMPLATE.read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], text)


def _planned(study: Study, plan: Plan) -> _Found:
    broker = study.brokers[USUAL]
    workers = workers_for(study.worker, broker, plan.workload, NETWORK, most_busy=_MOST_BUSY)
    machines = math.ceil(workers / _WORKERS_PER_MACHINE)
    workers = machines * _WORKERS_PER_MACHINE
    layout = Layout(workers, workers)
    alone = forecast(study.worker, broker, plan.workload, layout, NETWORK)
    nodes = max(1, math.ceil(alone.broker_cpu / _MOST_BUSY))
    layout = Layout(workers, workers, nodes)
    whole = forecast(study.worker, broker, plan.workload, layout, NETWORK)
    return _Found(plan, workers, machines, nodes, whole)


def _machine(study: Study) -> str:
    lines = [f"- {name}: {value}" for name, value in study.machine.items()]
    return "\n".join([*lines, f"- the run took {study.seconds:.0f} s"])


def _costs(study: Study) -> str:
    worker = study.worker
    rows = [
        ["a process without clients", _bytes(worker.base_bytes)],
        ["the process that watches over several workers", _bytes(worker.supervisor_bytes)],
        ["a connection with a subscription", _bytes(worker.connection_bytes)],
        ["a channel that nobody else is in", _bytes(worker.channel_bytes)],
        ["the kernel, for a connection (about)", _bytes(worker.socket_bytes)],
        ["a second in which nothing happens", _time(worker.idle_cpu)],
        ["a client that comes: handshake, `connect`, `subscribe`", _time(worker.arrival_cpu)],
        ["a ping and its answer, every 25 s", _time(worker.beat_cpu)],
        ["10,000 idle connections, pings included", _share(_idle(study))],
        ["a delivery: one subscriber of a publication", _time(worker.delivery_cpu)],
        ["what is around the data of a publication, in its frame", _bytes(worker.envelope_bytes)],
    ]
    return table(("what", "memory, processor time"), rows)


def _idle(study: Study) -> float:
    return study.worker.idle_cpu + 10_000 / NETWORK.heartbeat * study.worker.beat_cpu


def _brokers(study: Study) -> str:
    rows = [
        [
            broker.name,
            _time(broker.publish_cpu),
            _time(broker.receive_cpu),
            *_own(broker),
            number(1000 * broker.latency, " ms"),
        ]
        for broker in study.brokers.values()
    ]
    head = (
        *("", "the worker that publishes", "each worker that takes it"),
        *("the broker takes it", "and tells a worker", "latency, one subscriber"),
    )
    return table(head, rows)


def _own(broker: Broker) -> list[str]:
    if broker.name.startswith("memory"):
        return ["–", "–"]
    return [_time(broker.take_cpu), _time(broker.tell_cpu)]


def _cases(cases: list[Case]) -> str:
    rows = [
        [
            f"{case.workers} × {case.connections:,} clients, {case.rate:.0f}/s of {case.payload} B",
            _compared(case, "cpu", _share),
            _compared(case, "memory", _bytes),
            _compared(case, "frames", lambda value: f"{_bytes(value)}/s"),
            _compared(case, "broker_cpu", _share),
            _compared(case, "latency", _time),
        ]
        for case in cases
    ]
    head = (
        *("workers × clients, publications", "cores of the workers", "memory", "frames"),
        *("core of the broker", "latency, median"),
    )
    return table(head, rows)


def _compared(case: Case, name: str, show: object) -> str:
    assert callable(show)
    error = f"{100 * case.error(name):+.0f} %"
    return f"{show(case.measured[name])}, model {show(case.foretold[name])} ({error})"


def _plans(found: list[_Found]) -> str:
    rows = [
        ["what they do", *(each.plan.text for each in found)],
        ["deliveries a second", *(number(each.forecast.deliveries) for each in found)],
        ["workers", *(str(each.workers) for each in found)],
        ["machines of 16 cores", *(str(each.machines) for each in found)],
        ["how busy a worker is", *(_share(each.forecast.utilisation) for each in found)],
        ["clients of a worker", *(number(_MILLION / each.workers) for each in found)],
        ["memory of a machine", *(_bytes(_memory(each)) for each in found)],
        ["messages a second out of the broker", *(_messages(each) for each in found)],
        ["nodes of Redis, and how busy", *(_nodes(each) for each in found)],
        ["bits a second to clients, all", *(_bits(each.forecast.wire) for each in found)],
        [
            "bits a second to clients, a machine",
            *(_bits(each.forecast.wire / each.machines) for each in found),
        ],
        ["latency, median", *(_time(each.forecast.latency) for each in found)],
        ["latency, the last subscriber", *(_time(each.forecast.latency_last) for each in found)],
    ]
    return table(("", *(each.plan.name for each in found)), rows)


def _memory(found: _Found) -> float:
    return (found.forecast.memory + found.forecast.kernel_memory) / found.machines


def _messages(found: _Found) -> str:
    return number(found.forecast.broker_messages)


def _nodes(found: _Found) -> str:
    return f"{found.nodes}, {_share(found.forecast.broker_cpu)}"


def _broker_words(found: list[_Found]) -> str:
    most = max(found, key=lambda each: each.forecast.broker_messages)
    return (
        f"The most that one of these plans asks of it are {_messages(most)} messages a second"
        f" ({most.plan.name})."
    )


def _redis_memory() -> str:
    whole = _bytes(_MILLION * _CHANNEL_IN_REDIS)
    return f"a million channels with a publication each take {whole} ([how much](brokers.md#redis))"


def _bandwidth(found: list[_Found]) -> str:
    most = max(found, key=lambda each: each.forecast.wire)
    return (
        f"up to {_bits(most.forecast.wire)} towards clients ({most.plan.name}), of which frames are"
        f" {_share(most.forecast.frames / most.forecast.wire)}; the rest are headers, and the"
        " acknowledgements of clients come on top."
    )


def _herds(herds: list[Herd]) -> str:
    rows = [
        [
            f"{'memory' if herd.broker == 'memory' else herd.broker.title()},"
            f" {'backoff' if herd.has_jitter else 'at once'}",
            *(number(value, " s") for value in (herd.first, herd.median, herd.last)),
            f"{herd.recovered:,}",
            f"{herd.publications:,} of {herd.expected:,}",
            f"{herd.attempts:,}",
            ", ".join(f"{name}: {count:,}" for name, count in herd.problems.items()) or "none",
            _time(herd.cpu),
        ]
        for herd in herds
    ]
    head = (
        *("", "first", "median", "last", "recovered", "missed and got", "attempts", "refused"),
        "server CPU each",
    )
    return table(head, rows)


def _storm(found: list[_Found]) -> str:
    rows = [[each.plan.name, str(each.workers), _time(each.forecast.arrival)] for each in found]
    return table(("", "workers", "all are back after"), rows)


def _drain(study: Study, found: list[_Found]) -> str:
    """Return the seconds in which others can take a machine's clients in, with half of the rest."""
    seconds = []
    for each in found:
        clients = _MILLION / each.machines
        others = (each.machines - 1) * _WORKERS_PER_MACHINE
        free = others * (1 - each.forecast.utilisation) / 2
        seconds.append(clients * study.worker.arrival_cpu / free)
    return f"{_time(min(seconds))} to {_time(max(seconds))}"


def _bytes(value: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= size:
            return number(value / size, f" {unit}")
    return f"{value:.0f} B"


def _bits(value: float) -> str:
    bits = 8 * value
    return number(bits / 1e9, " Gbit/s") if bits >= 1e9 else number(bits / 1e6, " Mbit/s")


def _time(value: float) -> str:
    if value < 1e-6:
        return "< 1 µs"
    if value >= 1:
        return number(value, " s")
    return number(1e3 * value, " ms") if value >= 1e-3 else number(1e6 * value, " µs")


def _share(value: float) -> str:
    return number(100 * value, " %")
