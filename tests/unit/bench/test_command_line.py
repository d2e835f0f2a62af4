from __future__ import annotations

import pytest

from bench.__main__ import parse
from bench.registry import MAIN, PEERS
from bench.works import WORKS


def test_everything_is_run_by_default() -> None:
    options = parse([])
    assert options.only == list(WORKS)
    assert options.peers is None


def test_works_and_peers_are_chosen_by_name() -> None:
    options = parse(["--only", "echo, json", "--peers", "wirework,aiohttp"])
    assert options.only == ["echo", "json"]
    assert options.peers == ["wirework", "aiohttp"]


def test_an_unknown_peer_ends_the_program_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(["--peers", "nobody"])
    assert "no 'nobody'; there are wirework," in capsys.readouterr().err


def test_the_main_peers_exist_and_take_the_port_they_are_given() -> None:
    assert set(MAIN) <= set(PEERS)
    for peer in PEERS.values():
        assert "8123" in " ".join(peer.argv(8123))
