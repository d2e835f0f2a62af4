"""Everybody comes back at once: a server is killed, started again, and its clients return.

`python -m bench.herd` prints it; `python -m bench.simulate` writes it into docs/scaling.md.

Each client is subscribed to a channel with a history, loses its connection when the server is
killed, and comes back with its position. What was published meanwhile it must get, where the
broker has outlived the server. Times count from when the server listens again.
"""

from __future__ import annotations

import argparse
import heapq
import random
import signal
import socket
import sys
import time
from collections.abc import Sequence

import msgspec

from .brokers import BrokerServer
from .crowd import Client, Crowd
from .process import Process, free_port
from .registry import BIN
from .results import percentile
from .run import take_cores
from .wire import client_frame

__all__ = ["Herd", "command", "drive", "end_well", "say", "wait_for"]

_CHANNEL = "kept:herd"
_BEFORE, _AWAY = 5, 10
_MIN_DELAY, _MAX_DELAY = 0.5, 20.0
"""The defaults of centrifuge-js: minReconnectDelay and maxReconnectDelay."""


class Herd(msgspec.Struct, frozen=True):
    """What came of it; times are in seconds since the server listened again."""

    clients: int
    broker: str
    has_jitter: bool
    away: float
    """Seconds from the end of the old server until the new one listened."""
    first: float
    median: float
    last: float
    recovered: int
    """Clients that were told that they have missed nothing more than they got."""
    publications: int
    """What all got of what was published while the server was away."""
    expected: int
    attempts: int
    """Of all clients, those included that found nobody."""
    problems: dict[str, int]
    """What ended an attempt after the server listened, but for refused connections: statuses of
    HTTP, close codes, resets."""
    cpu: float
    """Seconds of processor time that a client's return took the server."""


def command(port: int, workers: int = 1) -> list[str]:
    """Return what starts the server."""
    several = ("--workers", str(workers)) if workers > 1 else ()
    app = "bench.peers.wirework_scale:app"
    return [str(BIN / "wirework"), "run", app, "--port", str(port), *several]


def say(channel: str, text: str) -> bytes:
    """Return the frame with which a client has the server publish."""
    said = {"send": {"data": {"channel": channel, "text": text}}}
    return client_frame(msgspec.json.encode(said))


def drive(
    clients: int, broker: str, *, has_jitter: bool, cores: tuple[int, int], seconds: float = 90.0
) -> Herd:
    """Gather the clients, kill the server, start it again and wait for all.

    Raises:
        TimeoutError: somebody did not come, or did not come back within `seconds`.
        OSError: a server does not start.
    """
    redis = None if broker == "memory" else BrokerServer(broker, cores[1])
    environ = {} if redis is None else {"WIREWORK_BROKER": redis.url}
    port = free_port()
    server = Process(command(port), cores[0], environ=environ)
    crowd = Crowd(port, [_CHANNEL] * clients)
    try:
        wait_for(port, server)
        crowd.gather(60)
        _publish(crowd, _BEFORE)
        server.kill()
        ended = time.perf_counter()
        flight = _Flight(crowd, ended, has_jitter)
        flight.run_until(lambda: crowd.here == 0, 10)
        published = 0 if redis is None else _publish_outside(redis.url)
        server = Process(command(port), cores[0], environ=environ)
        return _come_back(crowd, flight, server, broker, published, seconds)
    finally:
        crowd.leave()
        server.stop()
        if redis is not None:
            redis.stop()


def end_well() -> None:
    """Have SIGTERM end this program as an error does, so that it ends what it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def wait_for(port: int, server: Process, seconds: float = 20.0) -> None:
    """Wait until the server listens.

    Raises:
        OSError: it has ended, or takes too long.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end or server.exit_status is not None:
                raise OSError(f"no server: {server.last_words()}") from None
        time.sleep(0.01)


class _Flight:
    """When each client tries again: at once, or after pauses like those of centrifuge-js."""

    def __init__(self, crowd: Crowd, begun: float, has_jitter: bool) -> None:
        self.crowd = crowd
        self.has_jitter = has_jitter
        self.is_open = has_jitter
        """Whether clients try: those without jitter wait until the server listens."""
        self.times: list[float] = []
        self._queue: list[tuple[float, int, Client]] = []
        self._steps: dict[Client, int] = {}
        self._random = random.Random(1)
        crowd.on_lost = self._plan
        crowd.on_here = lambda client: self.times.append(time.perf_counter())

    def _plan(self, client: Client) -> None:
        step = self._steps.get(client, 0)
        self._steps[client] = step + 1
        pause = 0.0
        if self.has_jitter:  # full jitter, then the least on top
            spread = min(_MAX_DELAY, _MIN_DELAY * 2 ** min(step, 31))
            pause = min(_MAX_DELAY, _MIN_DELAY + self._random.uniform(0, spread))
        elif step:
            pause = 0.2
        heapq.heappush(self._queue, (time.perf_counter() + pause, id(client), client))

    def run_until(self, is_done: object, seconds: float) -> None:
        """Have clients come as they plan to, until `is_done`.

        Raises:
            TimeoutError: it took longer than `seconds`.
        """
        assert callable(is_done)
        end = time.perf_counter() + seconds
        while not is_done():
            now = time.perf_counter()
            while self.is_open and self._queue and self._queue[0][0] <= now:
                self.crowd.dial(heapq.heappop(self._queue)[2])
            self.crowd.turn(0.01)
            if now > end:
                found = f"{self.crowd.here} of {len(self.crowd.clients)} clients"
                raise TimeoutError(f"{found} after {seconds:g} s; {self.crowd.problems}")


def _come_back(
    crowd: Crowd, flight: _Flight, server: Process, broker: str, published: int, seconds: float
) -> Herd:
    ended = time.perf_counter()
    flight.run_until(lambda: _listens(crowd.port), 20)
    listens = time.perf_counter()
    flight.is_open = True
    flight.times.clear()
    crowd.problems.clear()
    cpu = server.cpu_seconds()
    attempts = -sum(client.attempts for client in crowd.clients)
    flight.run_until(lambda: crowd.here == len(crowd.clients), seconds)
    cpu = server.cpu_seconds() - cpu
    times = sorted(each - listens for each in flight.times)
    everybody = crowd.clients
    return Herd(
        clients=len(everybody),
        broker=broker,
        has_jitter=flight.has_jitter,
        away=listens - ended,
        first=times[0],
        median=percentile(times, 0.5),
        last=times[-1],
        recovered=sum(client.is_recovered is True for client in everybody),
        publications=sum(client.missed for client in everybody),
        expected=published * len(everybody),
        attempts=attempts + sum(client.attempts for client in everybody),
        problems=dict(crowd.problems),
        cpu=cpu / len(everybody),
    )


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _publish(crowd: Crowd, count: int) -> None:
    """Publish, and wait until everybody has heard it."""
    sock = crowd.clients[0].sock
    assert sock is not None
    for number in range(count):
        sock.send(say(_CHANNEL, f"before {number}"))
    end = time.perf_counter() + 20
    while crowd.heard < count * len(crowd.clients):
        crowd.turn(0.05)
        if time.perf_counter() > end:
            raise TimeoutError(f"{crowd.heard} deliveries, expected {count * len(crowd.clients)}")


def _publish_outside(url: str) -> int:
    """Publish while there is no server."""
    from wirework import Publisher

    publisher = Publisher(url)
    for number in range(_AWAY):
        publisher.publish_now(_CHANNEL, {"away": number})
    publisher.close_now()
    return _AWAY


def main(arguments: Sequence[str]) -> None:
    """Run the usual four, or one."""
    parser = argparse.ArgumentParser(prog="python -m bench.herd", description=__doc__)
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--brokers", default="redis,memory")
    options = parser.parse_args(arguments)
    end_well()
    cores = take_cores()
    for broker in options.brokers.split(","):
        for has_jitter in (False, True):
            herd = drive(options.clients, broker, has_jitter=has_jitter, cores=cores)
            print(msgspec.json.encode(herd).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
