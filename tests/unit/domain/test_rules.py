"""Who has to agree, as a table of sentences."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.approval.matching import missing, seatable, unfilled
from airlock.domain.approval.rules import AllOf, AnyOf, People, Quorum, Rule, rule_from_document

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
    "all of two rules need two people": ([AllOf((LEAD, RISK))], ["b"], [0]),
    "all of two rules are met by two": ([AllOf((LEAD, RISK))], ["a", "b"], []),
    "any of two rules is met by the first": ([AnyOf((LEAD, LAW))], ["a"], []),
    "any of two rules is met by the second": ([AnyOf((LAW, TWO_RISK))], ["b", "c"], []),
    "half of each way meets neither": ([AnyOf((AllOf((LEAD, LAW)), TWO_RISK))], ["c", "a"], [0]),
    "a way is given up for another when more answer": (
        [AnyOf((AllOf((LEAD, LAW)), TWO_RISK))],
        ["c", "a", "b"],
        [],
    ),
    "a way that takes somebody from another rule is not taken": (
        [LAW, AnyOf((LAW, LEAD))],
        ["d", "a"],
        [],
    ),
    "any within all within any": (
        [AnyOf((LAW, AllOf((RISK, AnyOf((LAW, LEAD))))))],
        ["c", "a"],
        [],
    ),
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
    for composed in (AllOf, AnyOf):
        with pytest.raises(ValueError, match="an empty rule is none"):
            composed(())


def test_more_people_than_are_named_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="only"):
        People(("a", "a"), 2)


def test_what_is_missing_names_only_who_can_still_help() -> None:
    gaps = missing([LAW, TWO_RISK], ["d"], HOLDERS, HOLDERS)
    assert [item.sentence() for item in gaps] == ["2 x risk (b, c)"]


def test_what_is_missing_of_a_composed_rule_is_said_way_by_way() -> None:
    rule = AnyOf((AllOf((LEAD, LAW)), TWO_RISK))
    (gap,) = missing([rule], ["a"], HOLDERS, HOLDERS)
    assert gap.sentence() == "(1 x law or 2 x risk) (b, c, d)"
    (gap,) = missing([rule], ["a", "c"], HOLDERS, HOLDERS)
    assert gap.sentence() == "(1 x law or 1 x risk) (b, d)"


def test_rules_are_built_from_their_documents() -> None:
    document = {
        "anyOf": [
            {"allOf": [{"role": "lead"}, {"people": ["a", "c"], "count": 2}]},
            {"role": "risk", "count": 2},
        ]
    }
    rule = rule_from_document(document)
    assert rule == AnyOf((AllOf((LEAD, People(("a", "c"), 2))), TWO_RISK))
    assert rule.count == 2
    assert rule.sentence() == "((1 x lead and 2 of a, c) or 2 x risk)"


ROLES = st.sets(st.sampled_from(["lead", "risk", "law"])).map(frozenset)
CROWDS = st.dictionaries(st.sampled_from("abcdefg"), ROLES, min_size=1)
SIMPLE = st.one_of(
    st.builds(Quorum, st.sampled_from(["lead", "risk", "law"]), st.integers(1, 2)),
    st.builds(People, st.just(("a", "b", "c")), st.integers(1, 2)),
)
COMPOSED = st.recursive(
    SIMPLE,
    lambda part: st.builds(
        lambda kind, parts: kind(tuple(parts)),
        st.sampled_from([AllOf, AnyOf]),
        st.lists(part, min_size=1, max_size=2),
    ),
    max_leaves=4,
)
RULES = st.lists(COMPOSED, min_size=1, max_size=2)


def met(rules: list[Rule], crowd: dict[str, frozenset[str]]) -> bool:
    """Search by brute force: every set of people for every rule, part by part."""
    if not rules:
        return True
    first, *rest = rules
    if isinstance(first, AnyOf):
        return any(met([part, *rest], crowd) for part in first.parts)
    if isinstance(first, AllOf):
        return met([*first.parts, *rest], crowd)
    return any(
        all(first.fits(person, crowd[person]) for person in chosen)
        and met(rest, {person: roles for person, roles in crowd.items() if person not in chosen})
        for chosen in combinations(crowd, first.count)
    )


@given(CROWDS, RULES)
def test_invariant_3_matching_finds_every_assignment_there_is(
    crowd: dict[str, frozenset[str]], rules: list[Rule]
) -> None:
    assert (not unfilled(rules, crowd, crowd)) == met(rules, crowd)
    assert seatable([(rules, crowd)], crowd) == met(rules, crowd)


@given(CROWDS, RULES, RULES, st.sets(st.sampled_from("abcdefg")))
def test_invariant_3_levels_share_no_people(
    crowd: dict[str, frozenset[str]], now: list[Rule], later: list[Rule], used: set[str]
) -> None:
    fresh = {person: roles for person, roles in crowd.items() if person not in used}
    possible = any(
        met(now, {person: crowd[person] for person in crowd if person in used or person in chosen})
        and met(later, {person: fresh[person] for person in fresh if person not in chosen})
        for size in range(len(fresh) + 1)
        for chosen in combinations(fresh, size)
    )
    assert seatable([(now, crowd), (later, fresh)], crowd) == possible


@given(CROWDS, RULES, st.data())
def test_invariant_3_whoever_is_named_as_missing_helps_and_nobody_else(
    crowd: dict[str, frozenset[str]], rules: list[Rule], data: st.DataObject
) -> None:
    """Votes of the named people alone fulfil the rules, if anybody's can."""
    voted: set[str] = set()
    while lacks := missing(rules, voted, crowd, crowd):
        named = sorted({person for item in lacks for person in item.candidates})
        if not named:
            break
        voted.add(data.draw(st.sampled_from(named)))
    assert (not unfilled(rules, voted, crowd)) == met(rules, crowd)


@given(CROWDS, RULES, st.randoms(use_true_random=False))
def test_invariant_14_the_verdict_is_a_function_of_the_set_of_votes(
    crowd: dict[str, frozenset[str]], rules: list[Rule], random: object
) -> None:
    shuffled = list(crowd)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert unfilled(rules, shuffled, crowd) == unfilled(rules, sorted(crowd), crowd)
