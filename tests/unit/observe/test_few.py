from __future__ import annotations

import pytest

from wirework.closecodes import MEANINGS
from wirework.observe.few import Few, peer_code


def test_the_first_values_are_labels_and_all_others_are_one() -> None:
    few = Few(2)
    assert [few.label(value) for value in ("a", "b", "c", "a", "d")] == [
        *("a", "b", "other", "a", "other")
    ]


def test_a_long_value_is_cut() -> None:
    assert len(Few(1).label("x" * 1000)) == 64


@pytest.mark.parametrize("code", MEANINGS)
def test_a_known_code_of_a_peer_is_a_label(code: int) -> None:
    assert peer_code(code) == str(code)


def test_all_other_codes_of_peers_are_three_labels() -> None:
    found = {peer_code(code) for code in range(5100) if code not in MEANINGS}
    assert found == {"3xxx", "4xxx", "other"}
