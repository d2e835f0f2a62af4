"""The works: each measures one server once and returns a sample."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .holding import measure_many
from .load import EchoLoad, FanOutLoad, JoinedEchoLoad, Overloaded, PacedLoad
from .opening import Target, abandon, close_all, open_many
from .registry import BASELINES, CHANNEL_RIVALS, CHANNEL_RIVALS_2
from .results import Sample, percentile
from .server import Server
from .wire import read_frame

__all__ = ["Pace", "WORKS", "Work", "reply_size"]


_MAX_SHARE = 0.75
"""Of the subscribers of two workers, on one of them."""


class Pace(NamedTuple):
    """How long and how much; seconds are of one repetition."""

    warm_up: float = 0.3
    seconds: float = 1.0
    connects: int = 3000
    idle: tuple[int, ...] = (2000, 10000)
    rates: tuple[int, ...] = (2000, 10000, 20000)
    subscriptions: int = 100_000


class Work(NamedTuple):
    """One kind of measurement; `value` is its main figure's name.

    Peers of the same `group` are measured at it; `baselines` are what ratios refer to, if it has
    others than the rest.
    """

    name: str
    title: str
    unit: str
    measure: Callable[[Server, Pace], Sample]
    value: str = "rate"
    less_is_better: bool = False
    needs_fresh_server: bool = False
    skips_tcp: bool = True
    group: str = ""
    baselines: tuple[str, ...] = BASELINES

    @property
    def is_drawn(self) -> bool:
        """Whether one figure says it all, so that there is a picture."""
        return self.name not in ("latency", "channels-cost")


def reply_size(sock: socket.socket, target: Target, receiver: socket.socket | None = None) -> int:
    """Say the endpoint's message once; return the size of the frame that answers it.

    Raises:
        ValueError: the answer is not what the endpoint must say.
    """
    listening = receiver or sock
    sock.setblocking(True)
    listening.settimeout(5)
    sock.send(target.message)
    data = b""
    while (frame := read_frame(data)) is None:
        part = listening.recv(65536)
        if not part:
            raise ConnectionError("closed at the first message")
        data += part
    if frame.opcode not in (1, 2) or not target.speech.is_reply(target.endpoint, frame.payload):
        raise ValueError(f"expected an answer to {target.endpoint}, got {frame.payload[:100]!r}")
    return frame.size


@contextlib.contextmanager
def _connected(target: Target, count: int) -> Iterator[list[socket.socket]]:
    sockets = open_many(target, count).sockets
    try:
        if len(sockets) < count:
            raise TimeoutError(f"{len(sockets)} of {count} connections after 30 s")
        yield sockets
    finally:
        close_all(sockets)


def _timed(server: Server, load: EchoLoad | FanOutLoad, pace: Pace) -> Sample:
    load.run(pace.warm_up)
    wall, own, cpu = time.perf_counter(), time.process_time(), server.cpu_seconds()
    broker = 0.0 if server.broker is None else server.broker.cpu_seconds()
    count = load.run(pace.seconds)
    cpu = server.cpu_seconds() - cpu
    if server.broker is not None:
        broker = server.broker.cpu_seconds() - broker
    own, wall = time.process_time() - own, time.perf_counter() - wall
    load.close()
    if not count:
        raise TimeoutError("nothing was answered")
    cpu = max(cpu, 0.01)
    values = {
        "rate": count / wall,
        "per_cpu": count / cpu,
        "load_busy": own / wall,
        "busy": cpu / wall,
    }
    if server.broker is not None:
        values["broker_busy"] = broker / wall
    return Sample(values)


def _echo(endpoint: str, connections: int, in_flight: int) -> Callable[[Server, Pace], Sample]:
    def measure(server: Server, pace: Pace) -> Sample:
        target = server.target(endpoint)
        with _connected(target, connections) as sockets:
            is_raw = server.peer.name == "tcp"
            size = len(target.message) if is_raw else reply_size(sockets[0], target)
            if target.speech.marker:
                marker = target.speech.marker
                joined = JoinedEchoLoad(sockets, target.message, marker, in_flight)
                return _timed(server, joined, pace)
            return _timed(server, EchoLoad(sockets, target.message, size, in_flight), pace)

    return measure


def _fan_out(server: Server, pace: Pace) -> Sample:
    target = server.target("fanout")
    before = server.sockets()
    with _connected(target, 500) as sockets:
        # some servers answer the handshake before their handler has run
        time.sleep(0.1 if server.broker is None else 0.5)
        share = max(n - before.get(pid, 0) for pid, n in server.sockets().items()) / 500
        if server.peer.workers > 1 and share > _MAX_SHARE:
            raise ValueError(f"expected subscribers on every worker, {share:.0%} are on one")
        size = reply_size(sockets[0], target, sockets[-1])
        for sock in sockets[:-1]:
            sock.settimeout(5)
            _read(sock, size)
        sample = _timed(server, FanOutLoad(sockets, target.message, size, 4), pace)
        if server.peer.workers > 1:
            sample.values["share"] = share
        return sample


def _read(sock: socket.socket, size: int) -> None:
    while size > 0:
        part = sock.recv(size)
        if not part:
            raise ConnectionError("closed during the first fan-out")
        size -= len(part)


def _connect(server: Server, pace: Pace) -> Sample:
    cpu, own = server.cpu_seconds(), time.process_time()
    opened = open_many(server.target("echo"), pace.connects, seconds=2 * pace.seconds)
    cpu, own = max(server.cpu_seconds() - cpu, 0.01), time.process_time() - own
    close_all(opened.sockets, seconds=3)
    count = len(opened.sockets)
    return Sample(
        {
            "rate": count / opened.seconds,
            "per_cpu": count / cpu,
            "load_busy": own / opened.seconds,
            "busy": cpu / opened.seconds,
        }
    )


def _memory(server: Server, pace: Pace) -> Sample:
    target = server.target("echo")
    held = open_many(target, 100).sockets
    values: dict[str, float] = {}
    try:
        base, begun = server.settled(), len(held)
        for count in pace.idle:
            held += open_many(target, begun + count - len(held), at_once=32).sockets
            if len(held) < begun + count:
                raise TimeoutError(f"{len(held) - begun} of {count} connections after 30 s")
            values[f"idle_{count}"] = (server.settled() - base) / count
            values["idle"] = values[f"idle_{count}"]
    finally:
        server.stop()
        abandon(held)
    return Sample(values)


def _many(server: Server, pace: Pace) -> Sample:
    return measure_many(server, pace.subscriptions)


def _latency(server: Server, pace: Pace) -> Sample:
    target = server.target("echo")
    values: dict[str, float] = {}
    for rate in pace.rates:
        with _connected(target, 64) as sockets:
            is_raw = server.peer.name == "tcp"
            size = len(target.message) if is_raw else reply_size(sockets[0], target)
            load = PacedLoad(sockets, target.message, size, rate)
            try:
                load.run(pace.warm_up)
                ordered = sorted(load.run(pace.seconds))
            except Overloaded:
                break
            finally:
                load.close()
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            values[f"{name}@{rate}"] = 1e6 * percentile(ordered, share)
    return Sample(values)


_ALL = (
    Work(
        "echo",
        "Pipelined echo: 16 connections x 32 messages of 64 bytes in flight",
        "replies/s",
        _echo("echo", 16, 32),
        skips_tcp=False,
    ),
    Work(
        "json",
        "Typed JSON echo: decode into a type, answer from an async handler, encode; 16 x 32",
        "replies/s",
        _echo("json", 16, 32),
    ),
    Work(
        "echo64",
        "Echo: 64 connections with one message in flight each",
        "replies/s",
        _echo("echo", 64, 1),
        skips_tcp=False,
    ),
    Work(
        "fanout", "Fan-out to 500 connections, four publishes in flight", "deliveries/s", _fan_out
    ),
    Work(
        "connect",
        "Connections accepted, handshake included",
        "connections/s",
        _connect,
        skips_tcp=False,
    ),
    Work(
        "latency",
        "Latency of echo at fixed rates, 64 connections",
        "µs",
        _latency,
        value="p99",
        less_is_better=True,
        skips_tcp=False,
    ),
    Work(
        "memory",
        "Memory of an idle connection: growth of resident memory",
        "bytes",
        _memory,
        value="idle",
        less_is_better=True,
        needs_fresh_server=True,
    ),
    Work(
        "centrifugo-rpc",
        "Centrifugo's protocol beside Raw: typed JSON, 16 x 32",
        "replies/s",
        _echo("json", 16, 32),
        group="centrifugo",
        baselines=("wirework-channel",),
    ),
    Work(
        "centrifugo-fanout",
        "Centrifugo's protocol beside Raw: fan-out of a channel to 500, four publishes in flight",
        "deliveries/s",
        _fan_out,
        group="centrifugo",
        baselines=("wirework-channel",),
    ),
    Work(
        "channels",
        "Fan-out through a channel to 500 subscribers, four publishes in flight",
        "deliveries/s",
        _fan_out,
        group="channels",
        baselines=CHANNEL_RIVALS,
    ),
    Work(
        "channels-2",
        "Fan-out through a channel to 500 subscribers on two workers, four publishes in flight",
        "deliveries/s",
        _fan_out,
        group="channels-2",
        baselines=CHANNEL_RIVALS_2,
    ),
    Work(
        "channels-cost",
        "Memory of an idle channel, and of a subscription",
        "bytes",
        _many,
        value="channel",
        less_is_better=True,
        needs_fresh_server=True,
        group="channels-cost",
    ),
)

WORKS: dict[str, Work] = {work.name: work for work in _ALL}
"""Every work by its name, in the order of the tables."""
