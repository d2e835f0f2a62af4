from __future__ import annotations

import pytest

from bench.bars import BARS
from bench.registry import CHANNEL_RIVALS, CHANNEL_RIVALS_2, PEERS
from bench.report import render
from bench.results import Cell, Results, Sample
from bench.speech import CHANNEL, MANY, ROOM, TEXT, Speech
from bench.works import WORKS

CHANNELS = ("channels", "channels-2")


def peers_of(work: str) -> list[str]:
    return [name for name, peer in PEERS.items() if peer.group == WORKS[work].group]


def sample(rate: float, **more: float) -> Sample:
    return Sample({"rate": rate, "per_cpu": rate, "load_busy": 0.25, **more})


@pytest.mark.parametrize("work", [*CHANNELS, "channels-cost"])
def test_a_work_has_peers_of_its_own(work: str) -> None:
    assert peers_of(work)
    assert not set(peers_of(work)) & {peer.name for peer in PEERS.values() if not peer.group}


@pytest.mark.parametrize(
    ("work", "rivals"), [("channels", CHANNEL_RIVALS), ("channels-2", CHANNEL_RIVALS_2)]
)
def test_rivals_are_the_other_frameworks_through_redis(work: str, rivals: tuple[str, ...]) -> None:
    assert {name.partition("-")[0] for name in rivals} == {"litestar", "socketio", "django"}
    assert len(rivals) == 4
    for name in rivals:
        assert PEERS[name].broker == "redis"
        assert not PEERS[name].is_ours
        assert name in peers_of(work)
    assert WORKS[work].baselines == rivals


def test_nobody_has_two_workers_without_a_broker() -> None:
    assert {PEERS[name].broker for name in peers_of("channels-2")} == {"redis", "nats"}
    for name in peers_of("channels-2"):
        assert "2" in PEERS[name].command
        assert PEERS[name].workers == 2


@pytest.mark.parametrize("speech", [CHANNEL, ROOM])
def test_a_peer_with_a_channel_is_told_what_to_publish(speech: Speech) -> None:
    assert set(speech.paths) == set(speech.messages) == {"fanout"}
    assert TEXT.encode() in speech.messages["fanout"]


def test_who_has_many_channels_is_told_which_by_the_work() -> None:
    assert (set(MANY.paths), MANY.messages) == ({"many"}, {})


def test_each_claim_about_channels_has_a_bar() -> None:
    bars = {(bar.work, bar.peer): bar for bar in BARS if bar.work in CHANNELS}
    assert bars["channels", "wirework-channels-memory"].ratio == 0.9
    assert bars["channels", "wirework-channels-memory"].against == ("wirework-broadcast",)
    assert bars["channels", "wirework-channels-redis"].ratio == 3
    assert bars["channels-2", "wirework-channels-redis-2"].ratio == 3


def test_the_core_of_the_broker_is_shown_where_somebody_has_one() -> None:
    cells = {
        "wirework-channels-redis": Cell([sample(90_000, broker_busy=0.04)]),
        "wirework-channels-memory": Cell([sample(80_000)]),
        "litestar-channels-redis": Cell([sample(20_000, broker_busy=0.01)]),
    }
    page = render(Results(cells={"channels": cells}))
    assert "| load core | broker core |\n" in page
    assert (
        "| **Wirework, Redis** | 90,000 | 4.50x | 90,000 | 4.50x | 11.1 µs | 25% | 4% |\n"
        "| **Wirework, memory** | 80,000 | 4.00x | 80,000 | 4.00x | 12.5 µs | 25% | – |" in page
    )
    assert "| at least 3x | 4.50x | 4.50x | yes | Litestar, Redis |" in page
    echo = render(Results(cells={"echo": {"wirework": Cell([sample(1)])}}))
    assert "| broker core" not in echo


def test_how_subscribers_are_spread_is_shown_where_there_are_several_workers() -> None:
    cells = {"wirework-channels-redis-2": Cell([sample(9000, broker_busy=0.04, share=0.52)])}
    page = render(Results(cells={"channels-2": cells}))
    assert "| broker core | on one worker |\n" in page
    assert "| 4% | 52% |\n" in page


def test_the_cost_of_a_channel_is_shown_in_bytes() -> None:
    values = {"channel": 1737.5, "subscription": 325.2}
    cells = {
        "wirework-many-memory": Cell([Sample(values)]),
        "wirework-many-redis": Cell([Sample({**values, "broker": 240.0})]),
        "wirework-many-nats": Cell(problems=["NotStarted: no broker"]),
    }
    page = render(Results(cells={"channels-cost": cells}))
    assert "|  | a channel | a subscription | a channel in the broker |\n" in page
    assert "| **Wirework, memory** | 1,740 bytes | 325 bytes | – |\n" in page
    assert "| **Wirework, Redis** | 1,740 bytes | 325 bytes | 240 bytes |\n" in page
    assert "| **Wirework, NATS** | failed | failed | – |\n" in page
    assert "bench-channels-cost" not in page
