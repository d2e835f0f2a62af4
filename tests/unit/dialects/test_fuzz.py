from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wirework.dialects
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import ADAPTERS, TARGETS, Target, probe, seeds_of
from wirework.dialects import Dialect
from wirework.types import Frame

with_every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.label)


def test_every_dialect_is_a_target() -> None:
    exported = [getattr(wirework.dialects, name) for name in wirework.dialects.__all__]
    dialects = {each for each in exported if Dialect in each.__mro__[1:]}
    assert {type(target.dialect) for target in TARGETS} == dialects


@with_every_target
def test_what_the_vectors_read_can_be_answered(target: Target) -> None:
    for json in ADAPTERS:
        for frame in seeds_of(target):
            probe(target, json, [frame])


@with_every_target
@given(data=st.data())
def test_no_frame_close_to_a_vector_breaks_a_dialect(target: Target, data: st.DataObject) -> None:
    frames = st.builds(mutate, st.sampled_from(seeds_of(target)), st.randoms())
    probe(target, data.draw(st.sampled_from(ADAPTERS)), data.draw(st.lists(frames, max_size=3)))


@given(seed=st.integers(0, 2**32), frame=st.text() | st.binary())
def test_a_mutated_frame_is_one_that_can_be_sent(seed: int, frame: Frame) -> None:
    mutated = mutate(frame, Random(seed))
    sent = mutated if isinstance(mutated, bytes) else mutated.encode()
    assert type(sent) is bytes
