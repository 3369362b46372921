"""What the bundle's program says of rules is what Airlock says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.approval.matching import missing
from airlock.domain.approval.rules import rule_from_document
from airlock_evidence.archive import Failed
from airlock_evidence.rules import met

PEOPLE = ("ann", "bob", "cem", "dan")
ROLES = ("lead", "legal", "risk")

simple = st.one_of(
    st.builds(lambda r, n: {"role": r, "count": n}, st.sampled_from(ROLES), st.integers(1, 2)),
    st.builds(lambda p: {"people": p}, st.lists(st.sampled_from(PEOPLE), min_size=1, unique=True)),
)
rules = st.recursive(
    simple,
    lambda part: st.one_of(
        st.builds(lambda p: {"allOf": p}, st.lists(part, min_size=1, max_size=2)),
        st.builds(lambda p: {"anyOf": p}, st.lists(part, min_size=1, max_size=2)),
    ),
    max_leaves=3,
)
holders = st.dictionaries(st.sampled_from(PEOPLE), st.frozensets(st.sampled_from(ROLES)))


def test_no_rules_and_nobody_never_meet() -> None:
    assert not met([], {"ann": frozenset({"lead"})})
    assert not met([{"role": "lead"}], {})
    for empty in ({}, {"allOf": []}, {"anyOf": []}, {"role": "lead", "count": 0}):
        with pytest.raises(Failed):
            met([empty], {"ann": frozenset({"lead"})})


@given(st.lists(rules, min_size=1, max_size=3), holders)
def test_rules_are_met_exactly_when_airlock_says_so(
    documents: list[dict[str, Any]], people: dict[str, frozenset[str]]
) -> None:
    ours = [rule_from_document(document) for document in documents]
    assert met(documents, people) == (not missing(ours, set(people), people, ()))
