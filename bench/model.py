"""The model of scale: from what single things cost to what many of them need. Pure arithmetic.

Everything is explicit: a `Worker`, a `Broker`, a `Network` and a `Workload` on a `Layout` give a
`Forecast`. Times are in seconds, sizes in bytes, loads in cores: 0.5 is half a core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = [
    "Broker",
    "Forecast",
    "Layout",
    "Network",
    "Stream",
    "Worker",
    "Workload",
    "forecast",
    "workers_for",
    "workers_reached",
]


@dataclass(frozen=True)
class Worker:
    """What things cost in one process of the server; `_cpu` is processor time of one of them."""

    base_bytes: float
    """Of a process without clients."""
    supervisor_bytes: float
    """Of the process that watches over several workers."""
    connection_bytes: float
    """Of a connection that is subscribed to a channel which is there already."""
    channel_bytes: float
    """Of a channel that nobody else of this process is subscribed to."""
    socket_bytes: float
    """Of the kernel, for an idle connection."""
    idle_cpu: float
    """Of a second in which nothing happens."""
    arrival_cpu: float
    """Of a connection that is made, greeted and subscribed."""
    beat_cpu: float
    """Of a ping and its answer."""
    delivery_cpu: float
    """Of a publication, for each of its subscribers."""
    envelope_bytes: float
    """What is around the data of a publication in its frame, header included."""


@dataclass(frozen=True)
class Broker:
    """What a publication costs with one broker, beside its deliveries."""

    name: str
    publish_cpu: float
    """In the worker where a client publishes: its message, and handing it to the broker."""
    receive_cpu: float
    """In each worker that has subscribers: taking it, and encoding it once."""
    take_cpu: float
    """In the broker: to take it."""
    tell_cpu: float
    """In the broker, for each worker that is told."""
    idle_cpu: float
    """Of a second of the broker in which nothing happens."""
    latency: float
    """From a client's message until one subscriber has it, where nothing else happens."""


@dataclass(frozen=True)
class Network:
    """What is around a frame on the wire, and how often an idle client is asked for a sign."""

    header_bytes: float = 90
    """Ethernet with its gap (38), IP and TCP with time stamps (52)."""
    tls_bytes: float = 22
    """Of a TLS record."""
    heartbeat: float = 25.0
    beat_bytes: float = 4
    """Of a ping's frame."""


@dataclass(frozen=True)
class Stream:
    """Publications of one kind."""

    rate: float
    """A second, in all channels together."""
    subscribers: float
    """Of each publication."""
    payload: float
    """Bytes of the data."""


@dataclass(frozen=True)
class Workload:
    """What clients do."""

    connections: int
    streams: tuple[Stream, ...] = ()
    channels: int = 1
    """That somebody is subscribed to."""
    per_connection: float = 1.0
    """Subscriptions of a connection."""
    burstiness: float = 1.0
    """How publications come: 0 evenly, 1 at random (a Poisson process)."""


@dataclass(frozen=True)
class Layout:
    """What the workload runs on."""

    workers: int = 1
    cores: int = 1
    """Of the machines together, as far as workers run on them."""
    brokers: int = 1
    """Nodes over which channels are spread evenly."""


@dataclass(frozen=True)
class Forecast:
    """What is needed, and what comes of it."""

    cpu: float
    """Cores that all workers keep busy."""
    broker_cpu: float
    """Cores that the busiest node of the broker keeps busy."""
    memory: float
    """Bytes of all processes of the server."""
    kernel_memory: float
    deliveries: float
    """A second."""
    frames: float
    """Bytes of frames a second, to all clients, without what the network adds."""
    wire: float
    """Bytes a second on the wire, to all clients."""
    packets: float
    """A second, to all clients."""
    broker_messages: float
    """A second, out of all nodes of the broker."""
    latency: float
    """Median, from publishing until a subscriber of the largest stream has it."""
    latency_last: float
    """Until the last of its subscribers has it."""
    utilisation: float
    """Of the cores of the workers: 1 is all."""
    arrival: float
    """Seconds that all cores need to take all clients in, when they come at once."""


def workers_reached(workers: int, subscribers: float) -> float:
    """Return how many workers have one of `subscribers`, who are spread by chance."""
    if workers <= 1 or subscribers <= 0:
        return min(1.0, max(0.0, subscribers))
    missed: float = (1 - 1 / workers) ** subscribers
    return workers * (1 - missed)


def forecast(
    worker: Worker, broker: Broker, workload: Workload, layout: Layout, network: Network
) -> Forecast:
    """Return what the workload needs on this layout."""
    streams = workload.streams
    deliveries = sum(each.rate * each.subscribers for each in streams)
    published = sum(each.rate for each in streams)
    told = sum(each.rate * workers_reached(layout.workers, each.subscribers) for each in streams)
    beats = workload.connections / network.heartbeat
    cpu = (
        layout.workers * worker.idle_cpu
        + published * broker.publish_cpu
        + told * broker.receive_cpu
        + deliveries * worker.delivery_cpu
        + beats * worker.beat_cpu
    )
    cores = min(layout.workers, layout.cores)
    utilisation = cpu / cores
    frames = beats * network.beat_bytes + sum(
        each.rate * each.subscribers * (each.payload + worker.envelope_bytes) for each in streams
    )
    packets = deliveries + beats
    median, last = _latencies(worker, broker, workload, layout, utilisation)
    return Forecast(
        cpu=cpu,
        broker_cpu=broker.idle_cpu
        + (published * broker.take_cpu + told * broker.tell_cpu) / layout.brokers,
        memory=_memory(worker, workload, layout),
        kernel_memory=workload.connections * worker.socket_bytes,
        deliveries=deliveries,
        frames=frames,
        wire=frames + packets * (network.header_bytes + network.tls_bytes),
        packets=packets,
        broker_messages=told,
        latency=median,
        latency_last=last,
        utilisation=utilisation,
        arrival=workload.connections * worker.arrival_cpu / cores,
    )


def _memory(worker: Worker, workload: Workload, layout: Layout) -> float:
    """Return the memory of all processes; a channel is in each worker with a subscriber of it."""
    subscriptions = workload.connections * workload.per_connection
    each = subscriptions / max(1, workload.channels)
    topics = workload.channels * workers_reached(layout.workers, each)
    supervisor = worker.supervisor_bytes if layout.workers > 1 else 0.0
    return (
        supervisor
        + layout.workers * worker.base_bytes
        + workload.connections * worker.connection_bytes
        + topics * worker.channel_bytes
    )


def _latencies(
    worker: Worker, broker: Broker, workload: Workload, layout: Layout, utilisation: float
) -> tuple[float, float]:
    """Return the median and the longest; infinite where the load is more than there is.

    Workers, and then the subscribers of one core, are told one after the other, so half of them
    have waited for half of the others. What comes at random also waits for what came just before
    (M/D/1).
    """
    if not workload.streams:
        return broker.latency, broker.latency
    if utilisation >= 1:
        return math.inf, math.inf
    largest = max(workload.streams, key=lambda each: each.subscribers)
    service = largest.subscribers / min(layout.workers, layout.cores) * worker.delivery_cpu
    wait = workload.burstiness * utilisation / (2 * (1 - utilisation)) * service
    others = workers_reached(layout.workers, largest.subscribers) - 1
    turn = service + max(0.0, others) * broker.tell_cpu
    return broker.latency + wait + turn / 2, broker.latency + wait + turn


def workers_for(
    worker: Worker,
    broker: Broker,
    workload: Workload,
    network: Network,
    *,
    most_busy: float = 0.6,
    most_connections: int = 20_000,
) -> int:
    """Return the fewest workers, a core each, so that none is busier or has more connections.

    Raises:
        ValueError: no number of workers is enough, since each must take every publication.
    """
    workers = max(1, math.ceil(workload.connections / most_connections))
    while workers <= 100_000:
        found = forecast(worker, broker, workload, Layout(workers, workers), network)
        if found.utilisation <= most_busy:
            return workers
        workers = max(workers + 1, math.ceil(workers * 1.02))
    raise ValueError(f"expected a workload that workers can share, got {workload}")
