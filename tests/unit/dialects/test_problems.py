from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.unit.dialects.frames import json_values
from wirework.commands import Failure
from wirework.dialects.problems import kind_of, problems_of, text_of

PROBLEM = {"loc": ["a", 0, "b"], "type": "missing", "msg": "Field required"}


@pytest.mark.parametrize(
    "details",
    [
        pytest.param(None, id="none"),
        pytest.param({"a": 1}, id="object"),
        pytest.param(["a"], id="array of strings"),
        pytest.param([PROBLEM, {"loc": "a", "type": "x", "msg": "y"}], id="loc is a string"),
        pytest.param([PROBLEM, {"loc": [], "type": "x"}], id="no msg"),
        pytest.param([PROBLEM, {"loc": [], "type": 1, "msg": "y"}], id="type is a number"),
    ],
)
def test_details_that_are_no_problems_are_none(details: Any) -> None:
    failure = Failure("validation", "no", details)
    assert (problems_of(failure), text_of(failure)) == ([], "no")


def test_only_validation_has_problems() -> None:
    assert problems_of(Failure("validation", "no", [PROBLEM])) == [PROBLEM]
    assert problems_of(Failure("other", "no", [PROBLEM])) == []


def test_every_problem_is_in_the_text_with_its_place() -> None:
    whole = {"loc": ["__model__"], "type": "x", "msg": "too much"}
    failure = Failure("validation", "no", (PROBLEM, whole))
    assert text_of(failure) == "a.0.b: Field required; too much"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_kinds_of_json_have_names(value: object, kind: str) -> None:
    assert kind_of(value) == kind


@given(json_values)
def test_details_of_any_shape_leave_a_text(details: Any) -> None:
    assert text_of(Failure("validation", "no", details)) == "no"
