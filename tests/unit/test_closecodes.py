from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework import closecodes
from wirework.closecodes import check_close, http_status, is_sendable, shorten_reason

SENDABLE = [1000, 1001, 1003, *range(1007, 1015), 3000, 3999, 4000, 4401, 4999]
NOT_SENDABLE = [-1, 0, 999, 1002, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536]


@pytest.mark.parametrize("code", SENDABLE)
def test_a_code_that_a_close_frame_may_carry_passes(code: int) -> None:
    assert is_sendable(code)
    check_close(code, "")


@pytest.mark.parametrize("code", NOT_SENDABLE)
def test_a_code_that_no_close_frame_may_carry_is_an_error_that_lists_the_good_ones(
    code: int,
) -> None:
    assert not is_sendable(code)
    with pytest.raises(ValueError, match=f"1007-1014 or 3000-4999, got {code}"):
        check_close(code, "")


@pytest.mark.parametrize("code", ["1000", None, 1000.0, True])
def test_a_code_that_is_no_int_is_a_type_error(code: Any) -> None:
    with pytest.raises(TypeError, match="expected an int"):
        check_close(code, "")


def test_a_reason_that_is_no_str_is_a_type_error() -> None:
    reason: Any = b"bye"
    with pytest.raises(TypeError, match="expected a str, got b'bye'"):
        check_close(1000, reason)


def test_a_reason_is_measured_in_bytes_of_utf_8() -> None:
    check_close(1000, "x" * 123)
    with pytest.raises(ValueError, match="at most 123 bytes in UTF-8, got 124"):
        check_close(1000, "é" * 62)


@given(st.text(max_size=200))
def test_a_shortened_reason_fits_a_close_frame_and_begins_like_the_long_one(reason: str) -> None:
    short = shorten_reason(reason)
    assert len(short.encode()) <= 123
    assert reason.startswith(short)
    assert short == reason or len(short.encode()) > 119


def test_a_reason_that_is_not_utf_8_is_mended() -> None:
    assert shorten_reason("bad \ud800") == "bad ?"


@pytest.mark.parametrize(
    ("code", "status"),
    [(4401, 401), (4404, 404), (4429, 429), (1013, 503), (1011, 500), (1008, 403), (1000, 403)],
)
def test_a_close_before_the_answer_has_the_status_that_says_the_same(
    code: int, status: int
) -> None:
    assert http_status(code) == status


def test_every_named_code_has_a_meaning() -> None:
    names = [name for name in closecodes.__all__ if name.isupper()]
    named = [getattr(closecodes, name) for name in names if not name.startswith("MAX")]
    codes = {code for code in named if isinstance(code, int)}
    assert codes == set(closecodes.MEANINGS)
