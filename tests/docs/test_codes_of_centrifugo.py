"""The codes of Centrifugo's protocol are on its page as the dialect has them."""

from __future__ import annotations

import re

from tests.docs.test_tables import DOCS
from wirework import closecodes
from wirework.commands import Failure, Gap, Output, Unsubscribed
from wirework.dialects import Centrifugo
from wirework.dialects.centrifugo.codes import ERRORS
from wirework.json import MsgspecAdapter
from wirework.publications import Position

JSON = MsgspecAdapter()
OF_TRANSPORTS = {1002, 1005, 1006, 1009}
"""Codes that no application closes with."""


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    text = (DOCS / "dialects/centrifugo.md").read_text("utf-8")
    part = text.partition(f"### {heading}\n")[2].partition("\n#")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_every_error_has_the_code_of_the_table() -> None:
    shown = {
        word: (int(row[0]), row[3] == "yes") for row in table("Errors") for word in words(row[2])
    }
    assert shown == ERRORS


def test_an_error_of_the_application_is_400() -> None:
    assert table("Errors")[-1][0] == "400"
    frame = Centrifugo().open(JSON).encode(Failure("mine", "no", id=1))
    assert JSON.decode(str(frame))["error"]["code"] == 400


def test_every_close_code_has_the_code_of_the_table() -> None:
    shown = {
        int(code): (int(row[0]), row[3] == "comes back")
        for row in table("Disconnects")
        if row[0] != "yours"
        for code in re.findall(r"\d{4}", row[1].replace("4401, expired", ""))
    }
    known = [code for code in closecodes.MEANINGS if code not in OF_TRANSPORTS]
    told = {code: Centrifugo().wire_close(code, "")[0] for code in known}
    assert shown == {code: (theirs, theirs < 3500) for code, theirs in told.items()}


def test_expired_credentials_have_the_code_of_the_table() -> None:
    row = next(row for row in table("Disconnects") if row[1] == "4401, expired")
    theirs, _ = Centrifugo().wire_close(closecodes.NOT_AUTHENTICATED, closecodes.EXPIRED_REASON)
    assert (int(row[0]), row[3]) == (theirs, "comes back")


def test_every_end_of_a_subscription_has_the_code_of_the_table() -> None:
    codec = Centrifugo().open(JSON)
    for code, ours, _, then in table("Unsubscribes"):
        ended: list[Output] = [Unsubscribed("n", word) for word in words(ours)]
        for output in ended or [Gap("n", Position("e", 1))]:
            told = JSON.decode(str(codec.encode(output)))["push"]["unsubscribe"]["code"]
            assert told == int(code)
            assert (told >= 2500) is (then == "subscribes anew")
