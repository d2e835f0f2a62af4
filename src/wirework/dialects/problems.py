"""What is wrong with a message, in words: for the dialects whose errors people read."""

from __future__ import annotations

from typing import Any, Final

from ..commands import Failure
from ..errors import Problem

__all__ = ["kind_of", "problems_of", "text_of"]

_WHOLE: Final = "__model__"


def problems_of(failure: Failure) -> list[Problem]:
    """Return the problems that a "validation" failure lists; none where it lists anything else."""
    found = failure.details
    if failure.code != "validation" or not isinstance(found, list | tuple):
        return []
    return list(found) if all(_is_problem(item) for item in found) else []


def text_of(failure: Failure) -> str:
    """Return what `failure` says to people: every problem that it lists, else its message."""
    return "; ".join([_words(problem) for problem in problems_of(failure)]) or failure.message


def kind_of(value: object) -> str:
    """Return what a decoded JSON value is, with its article: "an object", "a string", "null"."""
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _is_problem(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("loc"), list | tuple):
        return False
    return isinstance(item.get("type"), str) and isinstance(item.get("msg"), str)


def _words(problem: Problem) -> str:
    place = ".".join([str(step) for step in problem["loc"] if step != _WHOLE])
    return f"{place}: {problem['msg']}" if place else problem["msg"]
