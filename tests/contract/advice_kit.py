"""A world whose refusals are printed, and what follows an advice word by word, and nothing else."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from airlock.domain.errors import AirlockError, Refused
from airlock.domain.people.actors import Channel
from airlock.services.approvals import break_glass, deadlines, decide, delegation, waivers
from airlock.services.people import enrolment, recognition
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, World
from airlock.testing.approvers import seen_account
from tests.contract.conftest import Database

_WITHDRAW = re.compile(r"`airlock release withdraw (\S+) --as (\S+) --reason")
_SWEEP = re.compile(r"expires with the next sweep")
_RUN = re.compile(r"(?:run the pipeline again|start a new run)", re.IGNORECASE)


def refused(call: Callable[[], object], kind: type[AirlockError] = Refused) -> str:
    """Return what a refusal advises."""
    caught: AbstractContextManager[pytest.ExceptionInfo[AirlockError]]
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value.next_step)


def runs_again(world: World, advice: str, run: str = "advised") -> str:
    """Do what leads to a release of its own, in the order it is said; return that release's id.

    An advice that leaves a step out ends in "one is still open", as it would for a reader.
    """
    assert _WITHDRAW.search(advice) or "ithdraw" not in advice, f"not to be typed: {advice}"
    steps = sorted(
        (found.start(), index, found)
        for index, pattern in enumerate((_WITHDRAW, _SWEEP, _RUN))
        if (found := pattern.search(advice))
    )
    opened = ""
    for _, index, found in steps:
        if index == 0:
            decide.withdraw(world.store, found[1], world.actor(found[2]), "as advised")
        elif index == 1:
            deadlines.sweep(world.store)
        else:
            opened = world.open(run, auc=0.93)
    assert opened, f"nothing to do in: {advice}"
    return opened


GATE = "metrics-threshold:roc_auc"
WHY = "asked for by the team"


@dataclass(frozen=True)
class Case:
    """A refusal, a part of its advice, and the advice done; what is done has to go through."""

    refused: Callable[[], object]
    advice: str
    follow: Callable[[str], object]


def book(weight: str = "soft", *, glass: bool = True) -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    spec, roles = document["approval"]["spec"], document["access"]["spec"]["roles"]
    roles["boss"] = {"inherits": ["viewer"], "permissions": ["gate:waive"]}
    spec["enforcement"] = {"metrics-threshold": dict.fromkeys(("high", "low"), weight)}
    if glass:
        two = {"roles": ["algorithm_lead", "compliance_officer"], "people": 2, "hours": 4}
        spec["breakGlass"] = {**two, "reviewers": ["security_auditor"]}
    return document


class Scene:
    """A world on a clock of the test's own, and short words for what people do in it."""

    def __init__(self, database: Database, **options: Any) -> None:
        self.clock = FakeClock()
        store = database.store("airlock_decider", self.clock)
        folks = {**PEOPLE, "bea": "boss", **options.pop("folks", {})}
        self.world = World(store, folks=folks, **{"rulebook": book(), **options})
        self.store, self.book = self.world.store, self.world.rulebook

    def blocked(self) -> str:
        opened = self.world.request(self.world.measure("weak", auc=0.6)).release
        assert opened is not None
        return opened.id

    def waive(self, release_id: str, name: str, days: float = 30) -> object:
        return waivers.waive(
            self.store,
            self.world.signer,
            release_id,
            actor=self.world.actor(name),
            gate=GATE,
            reason=WHY,
            until=self.clock.at + timedelta(days=days),
        )

    def lend(self, giver: str, taker: str, days: float = 1) -> object:
        start, actor = self.clock.at, self.world.actor(giver)
        end = start + timedelta(days=days)
        return delegation.delegate(self.store, self.book, actor, taker, start, end, WHY)

    def smash(self, release_id: str, name: str, incident: str = "INC-7") -> object:
        actor = self.world.actor(name)
        return break_glass.break_glass(
            self.store, self.world.signer, release_id, actor, WHY, incident
        )

    def propose(self, name: str, by: str = "admin", role: str = "algorithm_lead") -> Any:
        return enrolment.propose(self.store, self.book, self.world.actor(by), name, role, WHY)

    def confirm(self, enrolment_id: str, by: str = "sam") -> object:
        return enrolment.confirm(self.store, self.book, self.world.actor(by), enrolment_id, WHY)

    def airflow_says(self, name: str, role: str = "algorithm_lead", **account: str) -> None:
        seen, roles = seen_account(name, **account), frozenset({role})
        recognition.recognise(self.store, self.book, name, name.title(), roles, Channel.API, seen)


def first_name(advice: str) -> str:
    """Return the first of the people an advice names after a colon."""
    return advice.partition(": ")[2].split(",")[0].rstrip(".")


def cases(module: dict[str, Any]) -> list[Callable[[Scene], Case]]:
    """Return the functions of a test file that make a case."""
    return [
        value
        for value in module.values()
        if callable(value) and getattr(value, "__annotations__", {}).get("return") == "Case"
    ]


def check(case: Callable[[Scene], Case], database: Database) -> None:
    """See that a case is refused with its advice, and that following it goes through."""
    made = case(Scene(database))
    advice = refused(made.refused, AirlockError)
    assert made.advice in advice
    assert made.follow(advice), "what is advised has to lead somewhere"
