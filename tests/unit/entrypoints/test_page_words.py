from __future__ import annotations

from typing import Any

import pytest

from airlock.domain.number_format import NONE, change, number
from airlock.entrypoints.http.pages.templates import moment
from airlock.entrypoints.presentation.audit_event_text import is_consequence, sentence
from airlock.entrypoints.presentation.terminal import cell, printable


def event(kind: str, data: dict[str, Any], why: str = "") -> dict[str, Any]:
    actor = {"id": "lena", "roles": []}
    return {"what": kind, "who": actor, "why": why, "data": data, "resource": "r", "new": None}


SENTENCES = {
    "approved at level 1: good numbers": event(
        "VoteCast", {"decision": "approve", "level": 1}, "good numbers"
    ),
    "rejected at level 2: no": event("VoteCast", {"decision": "reject", "level": 2}, "no"),
    "gates judged: 1 failed, 2 passed": event(
        "GatesJudged", {"results": [{"verdict": v} for v in ("PASSED", "FAILED", "PASSED")]}
    ),
    "gates judged: none": event("GatesJudged", {"results": []}),
    "level 2 (compliance) opened": event("LevelOpened", {"level": 2, "name": "compliance"}),
    "alias champion moved from nothing to version 3": event(
        "ReleasePromoted", {"alias": "champion", "before": None, "after": "3"}
    ),
    "tried to answer and was refused: wrong role": event("VoteRefused", {}, "wrong role"),
    "waived latency (FAILED) until 2026-12-01T23:59:59.000000000Z: it is a small segment": event(
        "WaiverGranted",
        {"gate": "latency", "verdict": "FAILED", "until": "2026-12-01T23:59:59.000000000Z"},
        "it is a small segment",
    ),
    "tried to waive a gate: wrong role": event("WaiverRefused", {}, "wrong role"),
    "something new: because": event("SomethingNew", {}, "because"),
    "vote cast: of an older kind": event("VoteCast", {}, "of an older kind"),
    "answered rel-1 (approve) in Slack, as U1 of T1, having seen abababababab": event(
        "SlackAnswer",
        {
            "release": "rel-1",
            "decision": "approve",
            "account": "U1",
            "team": "T1",
            "subjectDigest": f"sha256:{'ab' * 32}",
        },
    ),
    "Slack, a click: refused, wrong role": event(
        "SlackRefused", {"about": "a click"}, "wrong role"
    ),
    "grant issued": event("GrantIssued", {}),
}


def test_a_change_of_rights_says_old_and_new() -> None:
    old, new = {"roles": ["viewer"], "active": True}, {"roles": [], "active": False}
    changed = {**event("RightsChanged", {}), "resource": "user/eve", "old": None, "new": old}
    assert sentence(changed) == "rights of eve: unknown, now viewer"
    assert sentence({**changed, "old": old, "new": new}) == (
        "rights of eve: viewer, now not active (no role)"
    )


@pytest.mark.parametrize("words", SENTENCES)
def test_every_event_is_a_sentence(words: str) -> None:
    assert sentence(SENTENCES[words]) == words


def test_what_follows_by_itself_is_told_apart() -> None:
    assert is_consequence(event("LevelCompleted", {"level": 1}))
    assert not is_consequence(event("VoteCast", {}))
    assert not is_consequence(event("SomethingNew", {}))


NUMBERS = {
    "0.8834": 0.883412,
    "69,421": 69421,
    "14": 14.0,
    "-0.0112": -0.0112,
    "123,457": 123456.7,
    "0": 0,
    NONE: None,
    "1e-07": 1e-7,
    "nan": float("nan"),
    "inf": float("inf"),
}


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers_read_well(text: str, value: float | None) -> None:
    assert number(value) == text


CHANGES = [
    ("higher", 0.9, 0.8, "good"),
    ("higher", 0.8, 0.9, "bad"),
    ("lower", 0.4, 0.5, "good"),
    ("lower", 0.5, 0.4, "bad"),
    ("higher", 0.5, 0.5, "calm"),
    (None, 0.5, 0.4, "calm"),
    ("higher", 0.5, None, "calm"),
]


@pytest.mark.parametrize(("direction", "candidate", "champion", "tone"), CHANGES)
def test_better_and_worse_depend_on_the_metric(
    direction: str | None, candidate: float, champion: float | None, tone: str
) -> None:
    metric = {"direction": direction, "candidate": candidate, "champion": champion}
    assert change(metric)[0] == tone


def test_times_are_utc_for_people_and_machines() -> None:
    machine, people = moment("2026-11-21T09:30:00.123456789Z")
    assert (machine, people) == ("2026-11-21T09:30:00+00:00", "21 Nov 2026, 09:30:00 UTC")
    assert moment("yesterday") == ("yesterday", "yesterday")


def test_nothing_from_outside_steers_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\u202e") == "a\\x1b[2Jb\\x07\\x202e"
    assert cell("[red]x[/]") == r"\[red]x\[/]"
    assert cell(None) == NONE
    assert cell("PASSED") == "[green]PASSED[/]"
