"""Who has to agree, as a table of sentences."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.rules import People, Quorum, missing, unfilled

HOLDERS = {
    "a": frozenset({"lead"}),
    "b": frozenset({"lead", "risk"}),
    "c": frozenset({"risk"}),
    "d": frozenset({"risk", "lead", "law"}),
    "e": frozenset({"viewer"}),
}
LEAD, RISK, LAW, TWO_RISK = Quorum("lead"), Quorum("risk"), Quorum("law"), Quorum("risk", 2)

CASES = {
    "nobody voted, one lead needed": ([LEAD], [], [0]),
    "one lead is enough for one lead": ([LEAD], ["a"], []),
    "a viewer fills no seat": ([LEAD], ["e"], [0]),
    "one person fills one seat, not two": ([LEAD, RISK], ["b"], [1]),
    "two of the committee need two people": ([TWO_RISK], ["c"], [0]),
    "two of the committee are met by two": ([TWO_RISK], ["b", "c"], []),
    "who fits several rules moves aside (GitLab 425759)": ([LEAD, RISK, LAW], ["b", "a", "d"], []),
    "the only lawyer is not wasted on another seat": ([LEAD, LAW], ["d", "a"], []),
    "a named person counts whatever the roles": ([People(("e",))], ["e"], []),
    "two of three named": ([People(("a", "c", "e"), 2)], ["a", "e"], []),
    "one of two named is missing": ([People(("a", "c"), 2)], ["a"], [0]),
}


@pytest.mark.parametrize("sentence", CASES)
def test_rules(sentence: str) -> None:
    rules, voters, free = CASES[sentence]
    assert unfilled(rules, voters, HOLDERS) == free


def test_no_rules_are_never_met() -> None:
    with pytest.raises(ValueError, match="can never be complete"):
        missing([], ["a"], HOLDERS, HOLDERS)


@pytest.mark.parametrize("count", [0, -1])
def test_an_empty_rule_cannot_be_built(count: int) -> None:
    with pytest.raises(ValueError, match="needs at least one person"):
        Quorum("lead", count)
    with pytest.raises(ValueError, match="needs at least one person"):
        People(("a",), count)


def test_more_people_than_are_named_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="only"):
        People(("a", "a"), 2)


def test_what_is_missing_names_only_who_can_still_help() -> None:
    found = missing([LAW, TWO_RISK], ["d"], HOLDERS, HOLDERS)
    assert [item.sentence() for item in found] == ["2 x risk (b, c)"]


ROLES = st.sets(st.sampled_from(["lead", "risk", "law"])).map(frozenset)
CROWDS = st.dictionaries(st.sampled_from("abcdefg"), ROLES, min_size=1)
RULES = st.lists(
    st.builds(Quorum, st.sampled_from(["lead", "risk", "law"]), st.integers(1, 2)),
    min_size=1,
    max_size=3,
)


@given(CROWDS, RULES)
def test_invariant_3_matching_finds_every_assignment_there_is(
    crowd: dict[str, frozenset[str]], rules: list[Quorum]
) -> None:
    seats = [rule for rule in rules for _ in range(rule.count)]
    possible = any(
        all(seat.fits(who, crowd[who]) for seat, who in zip(seats, order, strict=True))
        for order in permutations(crowd, len(seats))
    )
    assert (not unfilled(rules, crowd, crowd)) == possible


@given(CROWDS, RULES, st.randoms(use_true_random=False))
def test_invariant_14_the_verdict_is_a_function_of_the_set_of_votes(
    crowd: dict[str, frozenset[str]], rules: list[Quorum], random: object
) -> None:
    shuffled = list(crowd)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert unfilled(rules, shuffled, crowd) == unfilled(rules, sorted(crowd), crowd)
