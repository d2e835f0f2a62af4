from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import streams
from tests.fuzz.inputs import change, first_inputs, try_input

ROOT = Path(__file__).parents[2]


def fuzz(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    # Measuring the coverage of this process would take most of its time.
    others = {name: os.environ[name] for name in os.environ if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *options],
        cwd=ROOT,
        env={**others, "TMPDIR": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


@pytest.mark.timeout(180)
def test_no_frame_breaks_a_dialect(tmp_path: Path) -> None:
    ended = fuzz(tmp_path, "--runs", "100000000", "--seconds", "50")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.timeout(180)
def test_no_bytes_of_a_peer_break_the_native_transport(tmp_path: Path) -> None:
    ended = fuzz(tmp_path, "--target", "sockets", "--runs", "100000000", "--seconds", "20")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [(), ("--plain",)], ids=["guided", "plain"])
def test_a_bug_is_found_and_told_with_the_frame_that_shows_it(
    how: tuple[str, ...], tmp_path: Path
) -> None:
    ended = fuzz(tmp_path, "--planted", *how, WIREWORK_FUZZ_SEED="7")
    assert ended.returncode != 0
    assert "seed 7, " in ended.stdout
    assert re.search(r"the planted bug with \w+ broke on \[.*error.*\]", ended.stdout)
    assert "object has no attribute 'get'" in ended.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [(), ("--plain",)], ids=["guided", "plain"])
def test_a_bug_of_a_transport_is_found_and_told_with_the_bytes_that_show_it(
    how: tuple[str, ...], tmp_path: Path
) -> None:
    options = ("--target", "sockets", "--planted", *how)
    ended = fuzz(tmp_path, *options, WIREWORK_FUZZ_SEED="7")
    assert ended.returncode != 0
    # Python quotes bytes with an apostrophe in them otherwise.
    said = r"it broke on b(['\"])GET /echo HTTP/1.1.*\1, cut by \d+"
    assert re.search(said, ended.stdout), ended.stdout[-3000:]
    assert re.search(r"Violation: heard \[.*\] where \[.*''?.*\] was said", ended.stdout)


def test_any_bytes_are_an_input() -> None:
    random = Random(1)
    for size in range(200):
        data = random.randbytes(size)
        try_input(data, planted=False)
        try_input(change(data, random), planted=False)


def test_the_first_inputs_hold_a_frame_of_every_vector_that_reads_one() -> None:
    assert len(first_inputs(planted=False)) > 300
    assert all(len(data) > 1 for data in first_inputs(planted=True))


def test_any_bytes_are_sent_and_any_input_can_be_changed() -> None:
    random = Random(1)
    for size in range(60):
        data = random.randbytes(size)
        streams.try_input(data, planted=False)
        streams.try_input(streams.change(data, random), planted=False)
