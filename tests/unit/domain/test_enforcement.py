"""What a gate's no weighs, as a table, and what blocks whatever it weighs."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.approval.policy import Level, Plan, Rulebook, Tier, asks_less
from airlock.domain.approval.release_request import blocking
from airlock.domain.approval.rules import Quorum
from airlock.domain.evidence.enforcement import Enforcement
from airlock.domain.gates import GateResult, Verdict
from airlock.testing import RULEBOOK

WORDS = st.sampled_from(list(Enforcement))


def plan(tier: Tier = Tier.HIGH, **weights: Any) -> Plan:
    document = copy.deepcopy(dict(RULEBOOK))
    document["approval"]["spec"]["enforcement"] = {
        gate: dict.fromkeys(("high", "low"), table) if isinstance(table, str) else table
        for gate, table in weights.items()
    }
    return Rulebook.from_document(document).plan("production", tier)


def result(gate: str, verdict: Verdict = Verdict.FAILED) -> GateResult:
    return GateResult(gate=gate, key=gate, verdict=verdict, message="measured")


def test_nothing_judged_blocks_whatever_the_gates_weigh() -> None:
    for weight in Enforcement:
        assert blocking([], [], plan(a=weight.value)) == "no gates were judged: empty never passes"
        assert "empty never passes" in blocking([], ["a"], plan(a=weight.value))


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("weight", Enforcement)
def test_what_blocks(weight: Enforcement, verdict: Verdict) -> None:
    message = blocking(
        [result("a", verdict), result("b", Verdict.PASSED)], ["a", "b"], plan(a=weight)
    )
    expected = weight is not Enforcement.ADVISORY and not verdict.opens
    assert bool(message) == expected
    assert not message or message.startswith(f"a: {verdict} (measured)")


def test_a_gate_the_policy_does_not_name_is_hard() -> None:
    assert plan(b="soft").enforcement("a") is Enforcement.HARD


def test_a_gate_weighs_what_its_tier_says() -> None:
    table = {"high": "hard", "low": "advisory"}
    results = [result("a"), result("b", Verdict.PASSED)]
    assert blocking(results, ["a", "b"], plan(Tier.HIGH, a=table))
    assert not blocking(results, ["a", "b"], plan(Tier.LOW, a=table))


def test_advice_alone_opens_nothing() -> None:
    message = blocking([result("a", Verdict.PASSED)], ["a"], plan(a="advisory"))
    assert message == "every gate is only advisory, so nothing could block: empty never passes"


def test_an_advisory_gate_has_to_be_judged_all_the_same() -> None:
    message = blocking([result("b", Verdict.PASSED)], ["a", "b"], plan(a="advisory"))
    assert message == "a: no result"


@given(before=WORDS, after=WORDS)
def test_rules_that_weigh_a_gate_less_ask_less(before: Enforcement, after: Enforcement) -> None:
    weaker = asks_less(plan(a=before.value), plan(a=after.value))
    assert weaker == (after.rank < before.rank)


@pytest.mark.parametrize(
    ("before", "after", "less"),
    [
        ([("lead", 1)], [("lead", 1)], False),
        ([("lead", 1)], [("lead", 2)], False),
        ([("lead", 2)], [("lead", 1)], True),
        ([("lead", 1)], [("lead", 1), ("officer", 1)], False),
        ([("lead", 1), ("officer", 1)], [("lead", 2)], True),
        ([("lead", 1), ("lead", 1)], [("lead", 2)], True),
        ([("lead", 1)], [("officer", 5)], True),
    ],
)
def test_more_people_of_the_same_role_ask_for_more(
    before: list[tuple[str, int]], after: list[tuple[str, int]], less: bool
) -> None:
    def level(rules: list[tuple[str, int]]) -> Plan:
        quorums = tuple(Quorum(role, count) for role, count in rules)
        return replace(plan(), levels=(Level("one", quorums),))

    assert asks_less(level(before), level(after)) is less
