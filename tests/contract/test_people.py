"""People, their rights and the registered configuration: kept with history, told in the log."""

from __future__ import annotations

import pytest

from airlock.domain.errors import Refused
from airlock.domain.people.actors import Channel, Person
from airlock.services.approvals import policy_registry
from airlock.services.audit import access_log
from airlock.services.people import recognition
from airlock.testing import PEOPLE, RULEBOOK, World


def told(world: World, stream: str) -> list[tuple[str, str]]:
    return [(e["what"], e["resource"]) for e in access_log.events(world.store, stream, 500)]


def test_everybody_who_got_rights_is_in_the_log(world: World) -> None:
    access = told(world, "access")
    assert {one for what, one in access if what == "RightsChanged"} == {f"user/{n}" for n in PEOPLE}


def test_a_change_of_roles_keeps_the_old_ones_as_history(world: World) -> None:
    before = len(told(world, "access"))
    recognition.keep_person(world.store, Person("lena", "Lena", frozenset({"viewer"})))
    event = access_log.events(world.store, "access")[-1]
    assert event["old"] == {"active": True, "roles": ["algorithm_lead"]}
    assert event["new"] == {"active": True, "roles": ["viewer"]}
    assert not recognition.keep_person(world.store, Person("lena", "Lena", frozenset({"viewer"})))
    assert len(told(world, "access")) == before + 1


def test_a_request_brings_the_roles_of_now_and_keeps_the_name(world: World) -> None:
    roles = frozenset({"viewer", "nonsense"})
    actor = recognition.recognise(world.store, world.rulebook, "lena", "lena@x", roles, Channel.API)
    assert (actor.name, actor.roles) == ("Lena", {"viewer"})


def test_registering_is_told_once(world: World) -> None:
    assert [what for what, _ in told(world, "configuration")] == ["Registered", "Registered"]
    assert policy_registry.register(world.store, RULEBOOK, [world.pipeline]) == []
    assert len(told(world, "configuration")) == 2


def test_what_was_never_registered_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="is not registered"):
        policy_registry.rulebook(world.store, "sha256:" + "0" * 64)
