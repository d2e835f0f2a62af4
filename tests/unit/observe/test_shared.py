from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wirework.observe.shared import forget_dead_workers, is_shared


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


def test_the_environment_says_whether_workers_share_their_values(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_shared()
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    assert not is_shared()


def test_gauges_of_workers_that_are_no_more_are_removed_and_their_counters_stay(
    folder: Path,
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, alive = process.pid, os.getpid()
    names = [f"{kind}_{pid}.db" for kind in ("gauge_livesum", "counter") for pid in (dead, alive)]
    for name in (*names, "gauge_livesum_other.db"):
        (folder / name).touch()
    forget_dead_workers()
    left = {file.name for file in folder.iterdir()}
    assert left == {*names, "gauge_livesum_other.db"} - {f"gauge_livesum_{dead}.db"}
