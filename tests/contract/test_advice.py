"""What a refusal advises is done, in the situation that prints it, and leads on."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from airlock.domain.approval.release import State
from airlock.domain.errors import Refused
from airlock.domain.people.actors import Person
from airlock.services.approvals import decide
from airlock.services.people import recognition
from airlock.services.pipeline.collect_and_judge import case_of
from airlock.testing import FakeClock, World
from tests.support import ROOT

MakeWorld = Callable[..., World]


def refused(world: World, release_id: str) -> str:
    """Return what the refusal of a promotion advises."""
    with pytest.raises(Refused) as caught:
        world.promote(release_id)
    return str(caught.value.next_step)


def told(world: World, person: str) -> str:
    """Return what somebody was told of releases."""
    with world.store.begin() as unit:
        payloads = [message.payload for message in unit.claim(100)]
    return "\n".join(one["text"] for one in payloads if person in one.get("people", ()))


def follow(world: World, release_id: str, advice: str) -> str:
    """Do what it says, word by word: withdraw as the requester, then run again."""
    assert "withdraw" in advice
    assert advice.index("withdraw") < advice.index("run the pipeline again")
    again = world.request(world.measure("run-2", auc=0.91))
    assert again.release is None, "as it says: while it is open a new run opens none"
    decide.withdraw(world.store, release_id, world.actor("ana"), "as advised")
    opened = world.request(world.measure("run-3", auc=0.92)).release
    assert opened is not None
    return opened.id


def test_when_an_approver_has_left(make_world: MakeWorld) -> None:
    world = make_world()
    release_id = world.open()
    world.approve_all(release_id)
    recognition.keep_person(world.store, Person("mara", "Mara", frozenset({"developer"}), True))
    advice = refused(world, release_id)
    assert advice in told(world, "ana"), "the requester hears of it without asking"
    command = re.search(r"`airlock (.*?)`", advice)
    assert command is not None
    assert command[1].startswith(f"release withdraw {release_id} --as ana --reason")
    new = follow(world, release_id, advice)
    world.keep(Person("mira", "Mira", frozenset({"risk_committee"}), True))
    for name in ("lena", "carla", "milo", "mira"):
        world.approve(new, name)
    assert world.promote(new, "run-3").release_id == new


def test_when_an_approval_has_run_out(make_world: MakeWorld) -> None:
    from airlock.domain.approval.approval_conditions import Conditions
    from airlock.domain.clock import stamp

    clock = FakeClock()
    world = make_world(clock=clock)
    release_id = world.open()
    until = FakeClock()
    until.pass_(hours=2)
    world.approve(release_id, "lena", conditions=Conditions(expires_at=stamp(until.at)))
    for name in ("carla", "mara", "milo"):
        world.approve(release_id, name)
    clock.pass_(hours=3)
    new = follow(world, release_id, refused(world, release_id))
    assert new != release_id
    assert decide.settle(world.store, world.signer, new).state is State.AWAITING_APPROVAL


def test_when_votes_are_missing(make_world: MakeWorld) -> None:
    """The guide of a pipeline's DAG says what to do when `promote` is red."""
    guide = (ROOT / "plugins/airlock_airflow/guide.py").read_text()
    advice = 'get the votes, then "\n        "`airlock release promote ID`'
    assert advice in guide
    world = make_world()
    release_id = world.open()
    refused(world, release_id)
    world.approve_all(release_id)
    assert world.promote(release_id).release_id == release_id


def test_when_a_dag_of_ones_own_judges_before_it_registers(make_world: MakeWorld) -> None:
    """A task register_candidate is only in a pipeline's DAG, so the advice names the operator."""
    world = make_world()
    with pytest.raises(Refused, match="has no candidate") as caught, world.store.begin() as unit:
        case_of(unit, "mine/run-1")
    assert 'StepOperator with step="register"' in caught.value.next_step
    assert caught.value.next_step.index("in a pipeline's DAG") < caught.value.next_step.index(
        "register_candidate"
    )
