"""One small case run for real: a server, its broker and clients, at a rate of publications."""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from collections.abc import Iterator, Mapping
from statistics import median
from types import TracebackType
from typing import ClassVar, NamedTuple, Self

from .brokers import BrokerServer
from .crowd import Client, Crowd
from .herd import command, say, wait_for
from .process import Process, free_port
from .results import percentile
from .wire import client_frame

__all__ = ["Measured", "Stage", "typical"]

_PING = client_frame(b'{"ping":{},"id":3}')
_SLICE = 0.5
"""Seconds; loads are taken from the better ones of such slices."""


class Measured(NamedTuple):
    """A second of the case: loads in cores, sizes in bytes, latencies in seconds."""

    cpu: float
    broker_cpu: float
    published: float
    deliveries: float
    frames: float
    beats: float
    latency: float
    latency_last: float
    """The median, over publications, of the time until the last subscriber had it."""


class Stage:
    """A server and who is connected to it.

    With `goes_first` the processes that are measured run before all others of the machine
    (SCHED_FIFO, which needs rights); without, the machine should have nothing else to do.

    Args:
        cores: that of the server, and that of its broker and the clients.
        broker: "memory", "redis" or "nats".
        workers: of the server, all on its core.
        environ: what the server is told beside the broker.
    """

    goes_first: ClassVar[bool] = False

    def __init__(
        self,
        cores: tuple[int, int],
        broker: str,
        *,
        workers: int = 1,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.broker = None if broker == "memory" else BrokerServer(broker, cores[1])
        told = dict(environ or {})
        if self.broker is not None:
            told["WIREWORK_BROKER"] = self.broker.url
        self.port = free_port()
        try:
            self.server = Process(command(self.port, workers), cores[0], environ=told)
        except OSError:
            if self.broker is not None:
                self.broker.stop()
            raise
        self.crowds: list[Crowd] = []

    def __enter__(self) -> Self:
        try:
            wait_for(self.port, self.server)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for crowd in self.crowds:
            crowd.leave()
        self.server.stop()
        if self.broker is not None:
            self.broker.stop()

    def gather(self, channels: list[str]) -> Crowd:
        """Have clients come, each into its channel, one without at the end, who publishes."""
        crowd = Crowd(self.port, [*channels, ""])
        self.crowds.append(crowd)
        crowd.gather(60)
        return crowd

    def cpu_seconds(self) -> float:
        """Return the processor time of the server so far."""
        return self.server.cpu_seconds()

    def measure(self, crowd: Crowd, channel: str, rate: float, text: str, slices: int) -> Measured:
        """Publish evenly, for so many slices; return what a second of it was.

        Raises:
            TimeoutError: the server did not deliver everything.
        """
        run = _Run(self, crowd, channel, text, rate)
        with _first([0, *self._pids()] if Stage.goes_first else []):
            return run.everything(slices)

    def _pids(self) -> list[int]:
        broker = [] if self.broker is None else self.broker.pids()
        return [*self.server.pids(), *broker]


class _Run:
    def __init__(self, stage: Stage, crowd: Crowd, channel: str, text: str, rate: float) -> None:
        self.stage = stage
        self.crowd = crowd
        self.message = say(channel, text)
        self.rate = rate
        publisher: Client = crowd.clients[-1]
        assert publisher.sock is not None
        self.send = publisher.sock.send
        self.hearers = [each for each in crowd.clients if each.channel == channel]
        crowd.sent = []
        for client in crowd.clients:
            client.heard = 0

    def everything(self, slices: int) -> Measured:
        crowd, rate = self.crowd, self.rate
        self._slice()  # warms up
        crowd.latencies = array("d")
        heard, received, beats = crowd.heard, crowd.received, crowd.beats
        loads = [self._slice() for _ in range(slices)]
        latencies, crowd.latencies = crowd.latencies, None
        seconds = sum(each[2] for each in loads)
        return Measured(
            cpu=typical([each[0] for each in loads]),
            broker_cpu=typical([each[1] for each in loads]),
            published=rate,
            deliveries=(crowd.heard - heard) / seconds,
            frames=(crowd.received - received) / seconds,
            beats=(crowd.beats - beats) / seconds,
            latency=percentile(sorted(latencies), 0.5) if latencies else 0.0,
            latency_last=self._last_of(latencies),
        )

    def _slice(self) -> tuple[float, float, float]:
        """Publish for a while, until all have heard it; return loads, and of how many seconds.

        A machine that is late needs longer for the same work, which is still that of a slice.
        """
        broker, clock = self.stage.broker, time.perf_counter
        begun, cpu = clock(), self.stage.cpu_seconds()
        other = 0.0 if broker is None else broker.cpu_seconds()
        count = max(1, round(self.rate * _SLICE)) if self.rate else 0
        for number in range(count):
            self._turn_until(begun + number / self.rate)
            self.crowd.sent.append(clock())
            self.send(self.message)
        if count:
            self._turn_until(begun + count / self.rate)
            self._drain()
        else:
            self._turn_until(begun + _SLICE)
        passed = count / self.rate if count else clock() - begun
        cpu = self.stage.cpu_seconds() - cpu
        other = 0.0 if broker is None else broker.cpu_seconds() - other
        return cpu / passed, other / passed, passed

    def _turn_until(self, due: float) -> None:
        while (left := due - time.perf_counter()) > 0:
            self.crowd.turn(left)

    def _drain(self) -> None:
        """Wait until everybody has heard what was published, and the publisher that it was."""
        crowd, end = self.crowd, time.perf_counter() + 20
        count, publisher = len(crowd.sent), crowd.clients[-1]
        self.send(_PING)
        answered = publisher.heard + 1
        while publisher.heard < answered or any(each.heard < count for each in self.hearers):
            crowd.turn(0.02)
            if time.perf_counter() > end:
                least = min((each.heard for each in self.hearers), default=0)
                raise TimeoutError(f"somebody has heard {least} of {count} publications")

    def _last_of(self, latencies: array[float]) -> float:
        """Return the median of the longest latency of each publication."""
        count = len(self.hearers)
        if not latencies or not count:
            return 0.0
        # publications come to all before the next one is sent, unless the server is overloaded
        parts = [latencies[at : at + count] for at in range(0, len(latencies), count)]
        return median(max(part) for part in parts)


@contextlib.contextmanager
def _first(pids: list[int]) -> Iterator[None]:
    """Run these before all others, for now."""
    for pid in pids:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def typical(loads: list[float]) -> float:
    """Return the lower quartile: what else a machine has to do only adds."""
    return percentile(sorted(loads), 0.25)
