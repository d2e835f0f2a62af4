"""What joins, leaves and rolls are news to those who have been told the ones before."""

from __future__ import annotations

import random

import pytest

from wirework import Member
from wirework.brokers.base import Roll
from wirework.channels.roster import EVERYBODY, Change, Roster
from wirework.commands import Joined, Left

ADA, BEN, CAM = (Member(f"c-{name}", name) for name in ("ada", "ben", "cam"))
PATIENCE = 10.0


def joined(member: Member, version: int) -> Joined:
    return Joined("room", member, version)


def left(member: Member, version: int) -> Left:
    return Left("room", member, version)


def take(roster: Roster, version: int, *members: Member, now: float = 0.0) -> list[Change]:
    with roster.reading() as began:
        return roster.take(Roll(members, version), began, now=now, patience=PATIENCE)


def known(version: int, *members: Member) -> Roster:
    """A roster whose first roll was this."""
    roster = Roster("room")
    assert take(roster, version, *members) == []
    return roster


def test_the_first_roll_is_news_to_nobody() -> None:
    roster = Roster("room")
    assert not roster.is_known
    assert take(roster, 5, ADA, BEN) == []
    assert roster.is_known
    assert len(roster) == 2


def test_who_comes_and_goes_is_told_to_everybody() -> None:
    roster = known(5, ADA)
    assert roster.note(joined(BEN, 6)) == EVERYBODY
    assert roster.note(left(BEN, 7)) == EVERYBODY
    assert len(roster) == 1


def test_what_a_roll_knew_is_old() -> None:
    roster = known(5, ADA)
    assert roster.note(joined(ADA, 4)) is None
    assert roster.note(left(BEN, 5)) is None
    assert len(roster) == 1


def test_a_member_that_joins_again_is_news_only_to_those_with_a_list_that_may_lack_it() -> None:
    roster = known(5, ADA, BEN)
    assert roster.note(joined(BEN, 9)) == 5
    assert roster.note(joined(BEN, 11)) == 9


def test_a_join_that_was_lost_is_told_with_the_next_roll() -> None:
    roster = known(5, ADA)
    assert take(roster, 7, ADA, BEN) == [joined(BEN, 7)]
    assert take(roster, 7, ADA, BEN) == []


def test_a_leave_that_was_lost_is_told_when_two_rolls_lack_the_member() -> None:
    roster = known(5, ADA, BEN)
    assert take(roster, 7, ADA, now=100) == []
    assert roster.is_doubtful
    assert take(roster, 7, ADA, now=109) == []
    assert take(roster, 7, ADA, now=110) == [left(BEN, 7)]
    assert not roster.is_doubtful
    assert len(roster) == 1


@pytest.mark.parametrize("returns", ["in-a-roll", "by-a-join"])
def test_a_member_that_was_missing_for_a_moment_never_left(returns: str) -> None:
    roster = known(5, ADA, BEN)
    assert take(roster, 7, ADA, now=100) == []
    if returns == "in-a-roll":
        assert take(roster, 8, ADA, BEN, now=105) == []
    else:
        assert roster.note(joined(BEN, 8)) == 5  # who was told a list without it
    assert not roster.is_doubtful
    assert take(roster, 8, ADA, BEN, now=300) == []


def test_a_leave_that_comes_late_is_told_at_once() -> None:
    roster = known(5, ADA, BEN)
    assert take(roster, 7, ADA) == []
    assert roster.note(left(BEN, 6)) == EVERYBODY
    assert not roster.is_doubtful


def test_what_happens_while_a_roll_is_read_counts_more_than_the_roll() -> None:
    roster = known(5, ADA, BEN)
    with roster.reading() as began:
        assert roster.note(left(BEN, 8)) == EVERYBODY
        assert roster.note(joined(CAM, 9)) == EVERYBODY
        assert roster.take(Roll((ADA, BEN), 7), began, now=0, patience=0) == []
    assert len(roster) == 2
    assert take(roster, 9, ADA, CAM) == []


def test_the_first_roll_gives_way_to_what_happened_meanwhile() -> None:
    roster = Roster("room")
    with roster.reading() as began:
        roster.note(left(BEN, 8))
        roster.note(joined(CAM, 9))
        roster.take(Roll((ADA, BEN), 7), began, now=0, patience=PATIENCE)
    assert take(roster, 9, ADA, CAM) == []


def test_of_two_rolls_at_once_the_newer_one_counts() -> None:
    roster = known(5, ADA)
    with roster.reading() as first, roster.reading() as second:
        newer = roster.take(Roll((ADA, BEN), 9), second, now=0, patience=0)
        older = roster.take(Roll((ADA,), 7), first, now=0, patience=0)
    assert (newer, older) == ([joined(BEN, 9)], [])
    assert len(roster) == 2


def test_what_is_told_of_a_roll_is_never_older_than_what_was_told_before() -> None:
    roster = known(50, ADA)
    roster.note(joined(CAM, 60))
    assert take(roster, 20, ADA, CAM, BEN) == [joined(BEN, 61)]
    assert roster.note(left(BEN, 21)) == EVERYBODY  # the broker has begun anew


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_lost_or_late_subscribers_know_the_truth_in_the_end(seed: int) -> None:
    chance = random.Random(seed)
    people = [Member(f"c-{number}", f"user-{number}") for number in range(5)]
    there, heard = {ADA.key: ADA}, {ADA.key}
    version = 1
    roster = known(version, ADA)
    coming: list[Change] = []

    def hear(changes: list[Change]) -> None:
        for change in changes:
            (heard.add if isinstance(change, Joined) else heard.discard)(change.member.key)

    def happen() -> None:
        nonlocal version
        version += 1
        member = chance.choice(people)
        is_gone = there.pop(member.key, None) is not None
        if not is_gone:
            there[member.key] = member
        if chance.random() < 0.7:
            coming.append(left(member, version) if is_gone else joined(member, version))

    def deliver(most: int) -> None:
        for change in coming[:most]:
            if roster.note(change) == EVERYBODY:
                hear([change])
        del coming[:most]

    for now in range(60):
        with roster.reading() as began:
            happen()
            deliver(chance.randrange(3))
            roll = Roll(list(there.values()), version)
            happen()
            deliver(chance.randrange(3))
            if chance.random() < 0.5:
                hear(roster.take(roll, began, now=now, patience=PATIENCE))
    deliver(len(coming))
    for now in (100, 200):
        hear(take(roster, version, *there.values(), now=now))
    assert heard == set(there)
    assert len(roster) == len(there)
