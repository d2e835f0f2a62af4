"""The arithmetic of bench/model.py: what many things need, from what one costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.model import (
    Broker,
    Layout,
    Network,
    Stream,
    Worker,
    Workload,
    forecast,
    workers_for,
    workers_reached,
)

WORKER = Worker(
    base_bytes=50e6,
    supervisor_bytes=20e6,
    connection_bytes=10e3,
    channel_bytes=2e3,
    socket_bytes=3e3,
    idle_cpu=0.002,
    arrival_cpu=500e-6,
    beat_cpu=25e-6,
    delivery_cpu=5e-6,
    envelope_bytes=50,
)
BROKER = Broker(
    name="one",
    publish_cpu=100e-6,
    receive_cpu=50e-6,
    take_cpu=20e-6,
    tell_cpu=5e-6,
    idle_cpu=0.003,
    latency=0.001,
)
NETWORK = Network(header_bytes=90, tls_bytes=22, heartbeat=25, beat_bytes=4)
ROOM = Workload(1000, (Stream(rate=10, subscribers=1000, payload=100),), burstiness=0)


def test_the_load_of_workers_is_the_sum_of_what_they_do() -> None:
    found = forecast(WORKER, BROKER, ROOM, Layout(), NETWORK)
    still, published, received, delivered, beats = 0.002, 10 * 100e-6, 10 * 50e-6, 0.05, 40 * 25e-6
    assert found.cpu == pytest.approx(still + published + received + delivered + beats)
    assert found.utilisation == pytest.approx(found.cpu)
    assert found.deliveries == 10_000


def test_every_worker_with_a_subscriber_takes_each_publication() -> None:
    one = forecast(WORKER, BROKER, ROOM, Layout(1, 4), NETWORK)
    four = forecast(WORKER, BROKER, ROOM, Layout(4, 4), NETWORK)
    assert one.broker_messages == 10
    assert four.broker_messages == pytest.approx(40)
    assert four.cpu - one.cpu == pytest.approx(3 * 0.002 + 30 * 50e-6)
    assert four.utilisation == pytest.approx(four.cpu / 4)
    assert one.broker_cpu == pytest.approx(0.003 + 10 * 25e-6)
    assert four.broker_cpu == pytest.approx(0.003 + 10 * 20e-6 + 40 * 5e-6)


def test_workers_that_share_a_core_are_as_slow_as_one() -> None:
    alone = forecast(WORKER, BROKER, ROOM, Layout(1, 1), NETWORK)
    shared = forecast(WORKER, BROKER, ROOM, Layout(2, 1), NETWORK)
    apart = forecast(WORKER, BROKER, ROOM, Layout(2, 2), NETWORK)
    told = 5e-6  # the second worker
    assert shared.latency_last == pytest.approx(alone.latency_last + told)
    assert apart.latency_last == pytest.approx(0.001 + 500 * 5e-6 + told)


def test_few_subscribers_reach_few_workers() -> None:
    assert workers_reached(50, 0) == 0
    assert workers_reached(50, 1) == pytest.approx(1)
    assert workers_reached(1, 1000) == 1
    assert 1 < workers_reached(50, 2) < 2
    assert workers_reached(50, 100_000) == pytest.approx(50)


def test_memory_counts_a_channel_in_each_worker_that_has_it() -> None:
    own = Workload(1000, channels=1000)
    everybody = Workload(1000, channels=1)
    one, two = Layout(1, 1), Layout(2, 2)
    assert forecast(WORKER, BROKER, own, one, NETWORK).memory == pytest.approx(50e6 + 10e6 + 2e6)
    found = forecast(WORKER, BROKER, everybody, two, NETWORK)
    assert found.memory == pytest.approx(20e6 + 100e6 + 10e6 + 4e3)
    assert found.kernel_memory == 3e6


def test_the_wire_carries_headers_beside_frames() -> None:
    found = forecast(WORKER, BROKER, ROOM, Layout(), NETWORK)
    assert found.frames == pytest.approx(10_000 * 150 + 40 * 4)
    assert found.packets == pytest.approx(10_040)
    assert found.wire == pytest.approx(found.frames + 10_040 * 112)


def test_half_of_the_subscribers_have_waited_for_half_of_the_others() -> None:
    found = forecast(WORKER, BROKER, ROOM, Layout(), NETWORK)
    assert found.latency == pytest.approx(0.001 + 500 * 5e-6)
    assert found.latency_last == pytest.approx(0.001 + 1000 * 5e-6)


def test_what_comes_at_random_waits_for_what_came_before() -> None:
    even = forecast(WORKER, BROKER, ROOM, Layout(), NETWORK)
    random = forecast(WORKER, BROKER, replace(ROOM, burstiness=1), Layout(), NETWORK)
    busy = even.utilisation
    assert random.latency - even.latency == pytest.approx(busy / (2 * (1 - busy)) * 1000 * 5e-6)


def test_too_much_has_no_latency_that_ends() -> None:
    much = Workload(1000, (Stream(rate=1000, subscribers=1000, payload=100),))
    assert forecast(WORKER, BROKER, much, Layout(), NETWORK).latency == math.inf


def test_nodes_of_a_broker_share_its_channels() -> None:
    one = forecast(WORKER, BROKER, ROOM, Layout(1, 1, brokers=1), NETWORK)
    four = forecast(WORKER, BROKER, ROOM, Layout(1, 1, brokers=4), NETWORK)
    assert one.broker_cpu - 0.003 == pytest.approx(4 * (four.broker_cpu - 0.003))


def test_workers_are_as_few_as_their_load_and_their_clients_allow() -> None:
    assert workers_for(WORKER, BROKER, Workload(100_000), NETWORK) == 5
    busy = Workload(100_000, (Stream(rate=10, subscribers=100_000, payload=100),))
    workers = workers_for(WORKER, BROKER, busy, NETWORK)
    loads = [
        forecast(WORKER, BROKER, busy, Layout(count, count), NETWORK).utilisation
        for count in (workers - 1, workers)
    ]
    assert loads[0] > 0.6 >= loads[1]


def test_what_every_worker_must_take_cannot_be_shared() -> None:
    flood = Workload(10**6, (Stream(rate=50_000, subscribers=10**6, payload=1),))
    with pytest.raises(ValueError, match="a workload that workers can share"):
        workers_for(WORKER, BROKER, flood, NETWORK)
