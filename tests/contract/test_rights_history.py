"""Who could do what at time T, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from airlock.domain.errors import NotFound
from airlock.domain.people.actors import Person
from airlock.services.people import recognition
from airlock.testing import FakeClock, World

pytestmark = pytest.mark.nobody_enrolled


def test_rights_are_those_of_the_moment_asked_for(make_world: Callable[..., World]) -> None:
    clock = FakeClock()
    begun = clock.at
    world = make_world(clock=clock)
    clock.pass_(days=1)
    world.keep(Person("lena", "Lena", frozenset({"viewer"})))
    clock.pass_(days=1)
    gone = Person("lena", "Lena", frozenset({"viewer"}), active=False)
    world.keep(gone)
    clock.pass_(days=1)
    both = frozenset({"algorithm_lead", "developer"})
    world.keep(Person("lena", "Lena", both))

    def roles(days: float) -> list[str]:
        found: list[str] = recognition.rights_at(world.store, "lena", begun + timedelta(days=days))[
            "roles"
        ]
        return found

    assert [roles(0.5), roles(1.5), roles(2.5)] == [["algorithm_lead"], ["viewer"], []]
    now = recognition.rights_at(world.store, "lena")
    assert now["roles"] == ["algorithm_lead", "developer"]
    assert now["permissions"] == ["release:read", "release:vote", "release:withdraw"]
    then = recognition.rights_at(world.store, "lena", begun + timedelta(days=2.5))
    assert (then["active"], then["permissions"]) == (False, [])


def test_somebody_not_known_yet_is_not_guessed(world: World) -> None:
    with pytest.raises(NotFound, match="did not know 'nobody'"):
        recognition.rights_at(world.store, "nobody")
    with pytest.raises(NotFound, match="did not know 'lena' at 2020-01-01"):
        recognition.rights_at(
            world.store, "lena", FakeClock().at.replace(year=2020, month=1, day=1)
        )
