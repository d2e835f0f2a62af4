"""Inputs of the fuzzer: which target, which JSON adapter, and up to three frames, as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.mutations import mutate
from tests.fuzz.targets import ADAPTERS, TARGETS, Target, probe, seeds_of
from wirework.commands import Answer, Command
from wirework.dialects import Codec, Typed
from wirework.json import JsonAdapter
from wirework.types import Frame

__all__ = ["change", "first_inputs", "try_input"]

_BETWEEN = b"\x1e"
_BINARY = b"\x1f"
_MOST_FRAMES = 3


def first_inputs(*, planted: bool) -> list[bytes]:
    """Return an input for each frame that the vectors of the targets read."""
    found: list[bytes] = []
    for number, target in enumerate(_targets(planted)):
        for count, frame in enumerate(seeds_of(target)):
            found.append(_packed(number, count % len(ADAPTERS), [frame]))
    return found


def try_input(data: bytes, *, planted: bool) -> None:
    """Probe the target that `data` names with its frames.

    Raises:
        Exception: the dialect did what it may not do; what and how is printed.
    """
    number, adapter, frames = _unpacked(data)
    targets = _targets(planted)
    target, json = targets[number % len(targets)], ADAPTERS[adapter % len(ADAPTERS)]
    try:
        probe(target, json, frames)
    except Exception:
        print(f"{target.label} with {json.name} broke on {frames!r}", flush=True)
        raise


def change(data: bytes, random: Random) -> bytes:
    """Return `data` with one of its frames mutated, or one more, or another adapter."""
    number, adapter, frames = _unpacked(data)
    what = random.randrange(8)
    if what == 0:
        adapter += 1
    if frames and what == 1:
        frames = [*frames, random.choice(frames)]
    if not frames:
        frames = [""]
    place = random.randrange(len(frames))
    frames[place] = mutate(frames[place], random)
    return _packed(number, adapter, frames)


def _targets(planted: bool) -> Sequence[Target]:
    return [Target("the planted bug", _Planted(), True)] if planted else TARGETS


def _packed(number: int, adapter: int, frames: list[Frame]) -> bytes:
    parts = [_BINARY + each if isinstance(each, bytes) else each.encode() for each in frames]
    return bytes([number % 256, adapter % 256]) + _BETWEEN.join(parts)


def _unpacked(data: bytes) -> tuple[int, int, list[Frame]]:
    number, adapter, rest = data[:1], data[1:2], data[2:]
    frames: list[Frame] = []
    for part in rest.split(_BETWEEN)[:_MOST_FRAMES]:
        is_binary = part.startswith(_BINARY)
        frames.append(part[1:] if is_binary else part.decode("utf-8", "replace"))
    return sum(number), sum(adapter), frames


class _Planted(Typed):
    """Fails on what no vector has: details of an error that are no object."""

    def open(self, json: JsonAdapter) -> Codec:
        return _PlantedCodec(super().open(json))


class _PlantedCodec:
    def __init__(self, codec: Codec) -> None:
        self.variant = codec.variant
        self._codec = codec

    def decode(self, frame: Frame) -> Sequence[Command]:
        commands = self._codec.decode(frame)
        for command in commands:
            if isinstance(command, Answer) and command.failure is not None:
                details: Any = command.failure.details or {}
                details.get("until")
        return commands

    def encode(self, output: Any) -> Frame | None:
        return self._codec.encode(output)
