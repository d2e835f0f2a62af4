from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.process import Process

WITH_A_CHILD = """
import socket, subprocess, sys
sockets = [socket.socket() for _ in range(3)]
child = subprocess.Popen([sys.executable, "-c", "print('hello', flush=True); input()"],
    stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def process() -> Iterator[Process]:
    core = min(os.sched_getaffinity(0))
    found = Process((sys.executable, "-c", WITH_A_CHILD), core, environ={})
    yield found
    found.stop()


def said(process: Process) -> list[str]:
    while "hello" not in process.last_words() or " / " not in process.last_words():
        assert process.exit_status is None, process.last_words()
    return process.last_words().split(" / ")


def test_a_process_is_measured_with_its_children(process: Process) -> None:
    said(process)
    assert list(process.sockets().values()) == [3, 0]
    assert process.cpu_seconds() > 0
    assert process.resident() > 2_000_000


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_a_process_ends_with_its_children(process: Process) -> None:
    child = next(int(word) for word in said(process) if word.isdigit())
    process.sleep()
    process.stop()
    assert process.exit_status is not None
    # It was killed, but on a busy machine it may still be on its way.
    assert any(not is_alive(child) for _ in range(1_000_000))
    process.stop()


def test_what_cannot_be_started_says_so() -> None:
    with pytest.raises(FileNotFoundError):
        Process(("no-such-program",), 0, environ={})
