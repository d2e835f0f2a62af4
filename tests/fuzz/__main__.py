"""Feed frames to the dialects until one breaks: `python -m tests.fuzz --runs 200000`.

With `--target sockets` it is bytes to the native transport: handshakes, and frames as they are cut.

Where atheris is installed coverage guides what is tried next; elsewhere the first inputs are
changed at random. The seed is printed, and taken from $WIREWORK_FUZZ_SEED where that is set.
What broke is printed with its traceback, and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

_HAS_ATHERIS = importlib.util.find_spec("atheris") is not None
_INPUTS = {"dialects": "tests.fuzz.inputs", "sockets": "tests.fuzz.streams"}
_GUIDES = {
    "dialects": ["wirework.dialects", "wirework.json"],
    "sockets": ["wirework.transports.native", "wirework.connection", "uvicorn.protocols"],
}
"""What coverage is measured of."""


def main() -> None:
    parser = argparse.ArgumentParser("tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=200_000, help="how many inputs are tried")
    parser.add_argument("--seconds", type=int, default=0, help="end after this time; 0: never")
    parser.add_argument("--target", choices=_INPUTS, default="dialects", help="what is fuzzed")
    parser.add_argument("--planted", action="store_true", help="fuzz what has a bug")
    parser.add_argument("--plain", action="store_true", help="do without atheris")
    options = parser.parse_args()
    seed = int(os.environ.get("WIREWORK_FUZZ_SEED", 0)) or secrets.randbelow(2**31) + 1
    is_plain = options.plain or not _HAS_ATHERIS
    print(f"seed {seed}, {'at random' if is_plain else 'guided by coverage'}", flush=True)
    (_run_plain if is_plain else _run_guided)(options, seed)


def _run_plain(options: argparse.Namespace, seed: int) -> None:
    inputs = importlib.import_module(_INPUTS[options.target])
    random = Random(seed)
    first = inputs.first_inputs(planted=options.planted)
    end = time.monotonic() + (options.seconds or math.inf)
    runs = 0
    while runs < options.runs and time.monotonic() < end:
        inputs.try_input(inputs.change(random.choice(first), random), planted=options.planted)
        runs += 1
    print(f"{runs} runs, nothing broke")


def _run_guided(options: argparse.Namespace, seed: int) -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=_GUIDES[options.target]):
        inputs = importlib.import_module(_INPUTS[options.target])

    first = inputs.first_inputs(planted=options.planted)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        what = random.random()
        if what < 0.2:
            return bytes(atheris.Mutate(data, max_size))
        # libFuzzer forgets inputs that lead nowhere new, but what they say is still worth a change
        return bytes(inputs.change(random.choice(first) if what < 0.6 else data, random)[:max_size])

    folder = Path(tempfile.mkdtemp(prefix="wirework-fuzz-"))
    for number, data in enumerate(first):
        (folder / str(number)).write_bytes(data)
    limits = [f"-runs={options.runs}", f"-max_total_time={options.seconds}", f"-seed={seed}"]
    others = ["-max_len=8192", "-timeout=30", f"-artifact_prefix={folder}/"]
    atheris.Setup(
        [sys.argv[0], *limits, *others, str(folder)],
        lambda data: inputs.try_input(data, planted=options.planted),
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
