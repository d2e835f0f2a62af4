"""Measures what single things cost: the parameters of the model of scale."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .model import Broker, Worker
from .stage import Stage, typical

__all__ = ["BROKERS", "USUAL", "calibrate"]

BROKERS = {
    "memory": ("memory", "plain"),
    "memory, with history": ("memory", "kept"),
    "Redis": ("redis", "plain"),
    "Redis, with history": ("redis", "kept"),
    "NATS": ("nats", "plain"),
    "NATS, with history": ("nats", "kept"),
}
"""What is measured: a broker, and channels that keep a history or not."""

USUAL = "Redis, with history"
"""What the model is checked with, and what plans are for."""

_MANY = 1000
_RATE = 300
_DELIVERIES = ((700, 30), (1500, 12))
"""Subscribers, and publications a second."""
_TEXT = "x" * 64
_PAYLOAD = len(_TEXT) + 2

Cores = tuple[int, int]
Say = Callable[[str], None]


def calibrate(cores: Cores, say: Say) -> tuple[Worker, dict[str, Broker]]:
    """Return what a worker's things and each broker's publications cost.

    Raises:
        OSError: a server does not start.
        TimeoutError: it does not keep up.
    """
    base, connection, channel, socket, arrival, idle = _holding(cores)
    say(f"connection {connection:,.0f} B, channel {channel:,.0f} B, arrival {1e6 * arrival:.0f} µs")
    supervisor = _supervisor(cores, base)
    beat = _beat(cores, idle)
    say(f"beat {1e6 * beat:.1f} µs, idle {100 * idle:.2f} % of a core")
    found = {name: _publishing(cores, name, idle) for name in BROKERS}
    delivery, envelope = _delivering(cores, idle, found[USUAL])
    say(f"delivery {1e6 * delivery:.2f} µs")
    brokers = {name: _less(broker, delivery) for name, broker in found.items()}
    for broker in brokers.values():
        parts = (broker.publish_cpu, broker.receive_cpu, broker.take_cpu, broker.tell_cpu)
        say(f"{broker.name}: " + ", ".join(f"{1e6 * part:.0f} µs" for part in parts))
    worker = Worker(
        base_bytes=base,
        supervisor_bytes=supervisor,
        connection_bytes=connection,
        channel_bytes=channel,
        socket_bytes=socket,
        idle_cpu=idle,
        arrival_cpu=arrival,
        beat_cpu=beat,
        delivery_cpu=delivery,
        envelope_bytes=envelope,
    )
    return worker, brokers


def _holding(cores: Cores) -> tuple[float, float, float, float, float, float]:
    """Measure what connections and channels need that do nothing."""
    with Stage(cores, "redis") as stage:
        stage.gather(["kept:warm"] * 50)
        base, kernel = stage.server.settled(), _slab()
        idle = _idle_cpu(stage)
        begun = stage.cpu_seconds()
        count = len(stage.gather(["kept:all"] * _MANY).clients)
        arrival = (stage.cpu_seconds() - begun) / count
        shared, after = stage.server.settled(), _slab()
        stage.gather([f"kept:own-{number}" for number in range(_MANY)])
        own = stage.server.settled()
    connection = (shared - base) / count
    channel = max(0.0, (own - shared) / count - connection)
    socket = max(0.0, (after - kernel) / count / 2)  # both ends are on this machine
    return base - 51 * connection, connection, channel, socket, arrival, idle


def _idle_cpu(stage: Stage) -> float:
    begun, cpu = time.perf_counter(), stage.cpu_seconds()
    time.sleep(1)
    return (stage.cpu_seconds() - cpu) / (time.perf_counter() - begun)


def _slab() -> int:
    """Return the kernel's memory for its objects, of which sockets are most here."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1]) * 1024
    return 0


def _supervisor(cores: Cores, base: float) -> float:
    with Stage(cores, "redis", workers=2) as stage:
        stage.gather(["kept:warm"] * 10)
        return max(0.0, stage.server.settled() - 2 * base)


def _beat(cores: Cores, idle: float) -> float:
    with Stage(cores, "memory", environ={"BENCH_BEAT": "1"}) as stage:
        crowd = stage.gather(["plain:all"] * _MANY)
        found = stage.measure(crowd, "plain:none", 0, _TEXT, 6)
    return (found.cpu - idle) / max(1.0, found.beats)


def _publishing(cores: Cores, name: str, idle: float) -> Broker:
    """Measure publishing to nobody, and to one; `receive_cpu` has the one delivery in it."""
    address, family = BROKERS[name]
    rounds = []
    with Stage(cores, address) as stage:
        crowd = stage.gather([f"{family}:one"])
        still = stage.measure(crowd, f"{family}:none", 0, _TEXT, 2).broker_cpu
        for _ in range(4):
            nobody = stage.measure(crowd, f"{family}:none", _RATE, _TEXT, 1)
            rounds.append((nobody, stage.measure(crowd, f"{family}:one", _RATE, _TEXT, 1)))
    publish = typical([nobody.cpu for nobody, _ in rounds]) - idle
    take = typical([nobody.broker_cpu for nobody, _ in rounds]) - still
    both = typical([one.cpu for _, one in rounds]) - idle
    told = typical([one.broker_cpu for _, one in rounds]) - still
    latency = typical([one.latency for _, one in rounds])
    return Broker(
        name,
        publish_cpu=publish / _RATE,
        receive_cpu=(both - publish) / _RATE,
        take_cpu=max(0.0, take / _RATE),
        tell_cpu=max(0.0, (told - take) / _RATE),
        idle_cpu=still,
        latency=latency,
    )


def _delivering(cores: Cores, idle: float, broker: Broker) -> tuple[float, float]:
    """Return the processor time of a delivery, and the bytes around its data."""
    address, family = BROKERS[broker.name]
    cpus = []
    for count, rate in _DELIVERIES:
        with Stage(cores, address) as stage:
            crowd = stage.gather([f"{family}:all"] * count)
            found = stage.measure(crowd, f"{family}:all", rate, _TEXT, 6)
        rest = idle + rate * (broker.publish_cpu + broker.receive_cpu)
        cpus.append((found.cpu - rest) / (rate * (count - 1)))
    return sum(cpus) / len(cpus), found.frames / found.deliveries - _PAYLOAD


def _less(broker: Broker, delivery: float) -> Broker:
    return replace(broker, receive_cpu=max(0.0, broker.receive_cpu - delivery))
