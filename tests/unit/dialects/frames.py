"""What peers may send, well-meant or not, for the property tests of the dialects."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["LEAVES", "frames", "json_values"]

LEAVES = 30
"""Of a value; more take their time, and show nothing that fewer do not."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=LEAVES,
)
"""Values that are the same after encoding and decoding."""

_FOUL = [
    '"\\ud800"',
    '{"\\udc00x": 1}',
    "1" * 5000,
    "-1e999",
    "NaN",
    '{"a": 1, "a": ["',
    "\ufeff{}",
    *["[" * depth + "]" * depth for depth in (300, 600, 100_000)],
    *['{"a":' * depth + "1" + "}" * depth for depth in (300, 600, 100_000)],
]


def frames(*keys: str) -> st.SearchStrategy[str | bytes]:
    """Return frames of every kind, many of them objects with these keys."""
    objects = st.dictionaries(st.sampled_from(keys) | st.text(), _wild, max_size=4)
    foul = st.sampled_from(_FOUL)
    inside = st.builds(_inside, st.sampled_from(keys), foul)
    return st.text() | st.binary() | (objects | _wild).map(json.dumps) | foul | inside


def _inside(key: str, foul: str) -> str:
    return f'{{"state": "a", "type": "a", {json.dumps(key)}: {foul}}}'


_any_text = st.text(st.characters())
_wild: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _any_text,
    lambda inner: st.lists(inner) | st.dictionaries(_any_text, inner),
    max_leaves=LEAVES,
)
"""Lone surrogates, which become escapes, numbers of any size, NaN."""
