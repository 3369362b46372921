"""Who may not judge a release, as a table of sentences."""

from __future__ import annotations

import pytest

from airlock.domain.errors import Refused
from airlock.domain.people.separation_of_duties import (
    CHANGED_POLICY,
    COMMITTED,
    OWNED_RUN,
    REQUESTED,
    SHIPPED,
    UNKNOWN,
    Separation,
    Work,
    check_all_known,
    unknown_because,
)

AUTHORS = {"lena@x.org": "lena", "pia@x.org": "pia"}
HOLDERS = {"lena": frozenset({"lead"}), "vera": frozenset({"viewer", "lead"})}

CASES = {
    "who asked is out": (Work(requester="ana"), {}, {"ana": REQUESTED}),
    "the owner of the run is out": (
        Work(requester="ana", owner="bob"),
        {},
        {"ana": REQUESTED, "bob": OWNED_RUN},
    ),
    "an owner who asked is named once": (
        Work(requester="ana", owner="ana"),
        {},
        {"ana": REQUESTED},
    ),
    "a committer is out, however git spells the address": (
        Work(requester="ana", committers=(" Lena@X.org",)),
        {},
        {"ana": REQUESTED, "lena": COMMITTED},
    ),
    "whoever changed the policy last is out": (
        Work(requester="ana", policy_changer="pia@x.org"),
        {},
        {"ana": REQUESTED, "pia": CHANGED_POLICY},
    ),
    "two reasons are both said": (
        Work(requester="pia", policy_changer="pia@x.org"),
        {},
        {"pia": f"{REQUESTED} and {CHANGED_POLICY}"},
    ),
    "an unknown author keeps nobody out": (
        Work(requester="ana", committers=("stranger@x.org",)),
        {},
        {"ana": REQUESTED},
    ),
    "a policy can keep a person out": (
        Work(requester="ana"),
        {"people": frozenset({"max"})},
        {"ana": REQUESTED, "max": "may not approve under the policy in force"},
    ),
    "a policy can keep a role out": (
        Work(requester="ana"),
        {"roles": frozenset({"viewer"})},
        {"ana": REQUESTED, "vera": "may not approve as viewer under the policy in force"},
    ),
}


@pytest.mark.parametrize("sentence", CASES)
def test_invariant_2_nobody_judges_own_work(sentence: str) -> None:
    work, also, expected = CASES[sentence]
    separation = Separation(authors=AUTHORS, **also)
    assert separation.excluded(work, HOLDERS) == expected


@pytest.mark.parametrize("sentence", CASES)
def test_a_policy_can_only_be_stricter(sentence: str) -> None:
    work = CASES[sentence][0]
    least = Separation(authors=AUTHORS).excluded(work, HOLDERS)
    more = Separation(authors=AUTHORS, roles=frozenset({"lead"}), people=frozenset({"max"}))
    assert set(least) <= set(more.excluded(work, HOLDERS))


def test_authors_nobody_is_known_for_are_recorded() -> None:
    work = Work(requester="ana", committers=("lena@x.org", UNKNOWN), policy_changer="z@x.org")
    assert Separation(authors=AUTHORS).unknown(work) == (UNKNOWN, "z@x.org")


def test_nobody_is_unknown_where_nobody_changed_anything() -> None:
    work = Work(requester="ana", policy_changer=SHIPPED)
    assert Separation(authors=AUTHORS).unknown(work) == ()
    check_all_known((), "high")


def test_a_policy_of_which_nobody_knows_who_changed_it_is_unknown() -> None:
    why = unknown_because("a  shallow\nclone")
    assert Separation().unknown(Work(requester="ana")) == (UNKNOWN,)
    assert Separation().unknown(Work(requester="ana", policy_changer=why)) == (why,)
    assert why == "unknown: a shallow clone"
    assert len(unknown_because("x" * 900)) == 320


@pytest.mark.parametrize(
    ("author", "step"),
    [
        (
            "stranger@x.org",
            "with each person's user name in Airflow: stranger@x.org: NAME.",
        ),
        ("we:ird@x.org", '"we:ird@x.org": NAME'),
        (UNKNOWN, "Train from a full clone"),
        (unknown_because("a shallow clone"), "Train from a full clone"),
    ],
)
def test_the_refusal_has_the_very_line_to_add(author: str, step: str) -> None:
    with pytest.raises(Refused, match="nobody may approve") as caught:
        check_all_known((author,), "high")
    assert author in caught.value.message
    assert step in caught.value.next_step
