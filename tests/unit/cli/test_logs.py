"""Log lines that leave in a thread: in order, bounded, and not lost where they need not be."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import pytest

from wirework.cli.logs import Spool

SCRIPT = """
import logging, sys
from wirework.cli.logs import write_in_a_thread
own = logging.StreamHandler(sys.stdout)
own.setFormatter(logging.Formatter("own %(message)s"))
logging.getLogger("a").addHandler(own)
logging.getLogger("a").propagate = False
write_in_a_thread()
for number in range(1000):
    logging.getLogger("a").error("a%d", number)
    logging.getLogger("b").warning("b%d", number)
logging.getLogger("b").info("never")
"""

CHILDREN = """
import logging, multiprocessing, os, signal, sys, threading
from concurrent.futures import ProcessPoolExecutor
from wirework.cli import logs
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
logs.write_in_a_thread()
signal.alarm(50)  # for a child that hangs, too

def say(text):
    logging.info(text)

def fork():
    child = os.fork()
    if not child:
        signal.alarm(20)
        say("child")
        sys.exit()
    os.waitpid(child, 0)

def fork_while_the_log_is_busy():
    is_held, is_over = threading.Event(), threading.Event()
    def hold():
        with logging.root.handlers[0].stream._changed:
            is_held.set()
            is_over.wait()
    threading.Thread(target=hold).start()
    is_held.wait()
    fork()
    is_over.set()

def pool():
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(say, "child").result()

{kind}()
say("parent")
"""


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe with room for a page."""
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
        os.close(reader)


def read_until(reader: int, end: str) -> str:
    said = ""
    while not said.endswith(end):
        said += os.read(reader, 1000).decode()
    return said


def test_a_writer_waits_for_nobody_and_everything_comes_in_order() -> None:
    with pipe() as (reader, stream):
        spool = Spool(stream)
        lines = [f"line {number}\n" for number in range(5000)]
        for line in lines:
            spool.write(line)
        assert read_until(reader, lines[-1]) == "".join(lines)


def test_what_finds_no_room_is_counted_and_said() -> None:
    with pipe() as (reader, stream):
        spool = Spool(stream, room=10_000)
        for _ in range(100):
            spool.write("x" * 999 + "\n")
        said, lost = "", 0
        while lost + said.count("x\n") < 100:
            said += os.read(reader, 1000).decode()
            lost = sum(map(int, re.findall(r"^(\d+) lines of the log were lost.*\n", said, re.M)))
    assert lost + said.count("x\n") == 100
    assert lost >= 100 - 10 - 4 - 2  # the room, the pipe, and those between


def test_a_stream_without_a_reader_harms_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    spool = Spool(cast(TextIO, os.fdopen(writer, "w", buffering=1)))
    for _ in range(3):
        spool.write("gone\n")
        spool.drain(5)


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run it without a measurement of coverage, which writes lines of its own."""
    others = {name: os.environ[name] for name in os.environ if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, env=others, capture_output=True, text=True, timeout=60, check=True
    )


def test_a_process_that_ends_says_everything_first() -> None:
    ended = run(SCRIPT)
    assert ended.stdout.splitlines() == [f"own a{number}" for number in range(1000)]
    assert ended.stderr.splitlines() == [f"b{number}" for number in range(1000)]


def test_a_spool_says_whether_it_is_a_terminal() -> None:
    with pipe() as (_, stream):
        assert not Spool(stream).isatty()
        assert Spool(stream).writable()


def test_handlers_with_a_stream_of_their_own_keep_it() -> None:
    script = SCRIPT.replace("sys.stdout)", "open('/dev/null', 'w'))") + "print(own.stream.name)"
    ended = run(script)
    assert ended.stdout == "/dev/null\n"
    assert logging.lastResort is not None


@pytest.mark.parametrize("kind", ["fork", "fork_while_the_log_is_busy", "pool"])
def test_a_forked_child_says_its_own_lines(kind: str) -> None:
    script = CHILDREN.replace("{kind}", kind)
    ended = run(script)
    assert ended.stderr.splitlines() == ["child", "parent"]


class Moody(io.StringIO):
    """A stream that fails once, in a way that no stream should."""

    has_failed = False

    def write(self, text: str) -> int:
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("reentrant call")
        return super().write(text)


def test_a_stream_that_fails_in_whatever_way_is_tried_again() -> None:
    stream = Moody()
    spool = Spool(stream)
    spool.write("gone\n")
    spool.drain(5)
    spool.write("here\n")
    spool.drain(5)
    assert stream.getvalue() == "here\n1 lines of the log were lost: nobody took them\n"


def test_a_spool_that_is_forked_writes_by_itself() -> None:
    stream = io.StringIO()
    spool = Spool(stream)
    spool.go_direct()
    assert spool.write("a line\n") == 7
    assert stream.getvalue() == "a line\n"
