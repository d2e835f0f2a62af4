"""Runs works over peers, interleaved, on two cores, in bounded time."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .bars import compared_at
from .brokers import versions
from .load import EchoLoad, Overloaded, PacedLoad, mirrors
from .opening import HandshakeFailed, abandon
from .registry import PEERS, Peer
from .results import Results, Sample, percentile
from .server import NotStarted, Server
from .speech import PLAIN
from .wire import client_frame
from .works import WORKS, Pace, Work

__all__ = ["Plan", "execute", "machine", "take_cores"]

MORE = 3
"""Those that bars compare are measured so many times as often as others."""
KERNEL = "kernel"
"""The name of the row that has no server at all."""

_PROBLEMS = (OSError, ValueError, HandshakeFailed, NotStarted, Overloaded)


class Plan:
    """What to run.

    Args:
        works: names, in order.
        peers: names, in order.
        repetitions: of each pair; half as many, at least one, where a server is started anew.
        pace: lengths and sizes.
        seconds: of the whole run; what is left when they are over is reported as not run.
    """

    def __init__(
        self,
        works: Sequence[str],
        peers: Sequence[str],
        *,
        repetitions: int,
        pace: Pace,
        seconds: float,
    ) -> None:
        self.works = [WORKS[name] for name in works]
        self.peers = [PEERS[name] for name in peers]
        self.repetitions = repetitions
        self.pace = pace
        self.seconds = seconds


class _Run:
    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.say = say
        self.results = Results()
        self.servers: dict[str, Server] = {}
        self.absent: dict[str, str] = {}
        self.end = time.monotonic() + plan.seconds
        self.core, self.own_core = take_cores()
        self.others = Path("/proc/loadavg").read_text().split()[0]

    def everything(self) -> Results:
        try:
            for work in self.plan.works:
                self.say(f"{work.name}: {work.title}")
                self._ceiling(work)
                for turn in range(self._turns(work)):
                    for peer in self.plan.peers:
                        self._once(work, peer, turn)
                self._measure_more(work)
        finally:
            for server in self.servers.values():
                server.stop()
        self.results.machine = {**_machine(self.plan), "load average before": self.others}
        return self.results

    def _measure_more(self, work: Work) -> None:
        """Go round those that bars compare again: so few that a slow minute hurts all of them."""
        compared = [peer for peer in self.plan.peers if peer.name in compared_at(work.name)]
        turns = 0 if work.needs_fresh_server else self.plan.repetitions
        for turn in range(turns, MORE * turns):
            for peer in compared:
                self._once(work, peer, turn)

    def _turns(self, work: Work) -> int:
        return max(
            1, self.plan.repetitions // 2 if work.needs_fresh_server else self.plan.repetitions
        )

    def _once(self, work: Work, peer: Peer, turn: int) -> None:
        if peer.group != work.group or (peer.name == "tcp" and work.skips_tcp):
            return
        cell = self.results.cell(work.name, peer.name)
        if len(cell.problems) > 1 or peer.name in self.absent:
            cell.problems = cell.problems or [self.absent[peer.name]]
            return
        if time.monotonic() > self.end:
            cell.problems.append("not run: the time of the whole run was over")
            return
        try:
            sample = self._measure(work, peer)
        except _PROBLEMS as error:
            cell.problems.append(_told(error))
            self.say(f"  {peer.name}: {_told(error)}")
        else:
            cell.samples.append(sample)
            shown = ", ".join(f"{name} {value:,.4g}" for name, value in sample.values.items())
            self.say(f"  {turn + 1} {peer.name}: {shown}")

    def _measure(self, work: Work, peer: Peer) -> Sample:
        server = self._server(peer, is_fresh=work.needs_fresh_server)
        server.wake()
        try:
            gc.collect()
            return work.measure(server, self.plan.pace)
        except OSError as error:
            if not server.is_alive:
                raise NotStarted(f"died under load: {error}") from None
            raise
        finally:
            if server.is_alive:
                server.sleep()

    def _server(self, peer: Peer, *, is_fresh: bool) -> Server:
        server = self.servers.pop(peer.name, None)
        if server is not None and (is_fresh or not server.is_alive):
            server.stop()
            server = None
        if server is None:
            try:
                server = Server(peer, self.core, broker_core=self.own_core)
            except NotStarted as error:
                self.absent[peer.name] = f"does not start: {error}"
                raise
        self.servers[peer.name] = server
        return server

    def _ceiling(self, work: Work) -> None:
        """Measure the load generator against the kernel itself."""
        message = client_frame(PLAIN.messages["echo"])
        shapes = {"echo": (16, 32), "echo64": (64, 1)}
        if work.name in shapes:
            sockets = mirrors(shapes[work.name][0])
            load = EchoLoad(sockets, message, len(message), shapes[work.name][1])
            values = {"rate": load.run(self.plan.pace.seconds) / self.plan.pace.seconds}
        elif work.name == "latency":
            sockets = mirrors(64)
            values = {}
            with contextlib.suppress(Overloaded):
                for rate in self.plan.pace.rates:
                    paced = PacedLoad(sockets, message, len(message), rate)
                    ordered = sorted(paced.run(self.plan.pace.seconds))
                    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
                        values[f"{name}@{rate}"] = 1e6 * percentile(ordered, share)
        else:
            return
        abandon(sockets)
        self.results.cell(work.name, KERNEL).samples.append(Sample(values))


def execute(plan: Plan, say: Callable[[str], None]) -> Results:
    """Run the plan; what fails is noted in the results and stops nothing."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        return _Run(plan, say).everything()
    finally:
        gc.enable()


def take_cores() -> tuple[int, int]:
    """Pin this process to the second core; return the first, for servers, and the second."""
    cores = sorted(os.sched_getaffinity(0))
    own = cores[1] if len(cores) > 1 else cores[0]
    os.sched_setaffinity(0, {own})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return cores[0], own


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:400]


def machine() -> dict[str, str]:
    """Return what is measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{model}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def _machine(plan: Plan) -> dict[str, str]:
    return {
        **machine(),
        "peers": f"{len(plan.peers)} of {len(PEERS)}",
        "repetitions": f"{plan.repetitions} of {plan.pace.seconds:g} s, interleaved",
        "versions": ", ".join(_versions()),
        "brokers": ", ".join(versions()),
    }


def _versions() -> list[str]:
    names = (
        "wirework starlette fastapi litestar python-fasthtml velocipy python-socketio channels"
        " channels-redis redis hiredis nats-py daphne granian uvicorn uvloop websockets wsproto"
        " picows aiohttp tornado msgspec pydantic"
    )
    found = []
    for name in names.split():
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found
