"""Permits in the registry's database that no grant explains, on both databases of Airlock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from airlock.domain.promotion.grant import read_own
from airlock.domain.registry_drift import Permit
from airlock.services.audit import access_log
from airlock.services.registry import drift, drift_log
from airlock.services.registry.drift import Detector
from airlock.testing import FakeWatch, World
from tests.contract.conftest import Database
from tests.contract.test_broken_rows import edit as edit_row


@pytest.fixture
def site(world: World) -> World:
    """A world whose model serves version 1."""
    release_id = world.open()
    world.approve_all(release_id)
    world.promote(release_id)
    return world


@pytest.fixture
def watch(site: World) -> FakeWatch:
    return FakeWatch(site.registry)


def kinds(found: drift.Round) -> list[str]:
    return [one.kind.value for one in found.drifts]


def permit_of(world: World) -> Permit:
    """Return the permit of the grant that has promoted the one release there is."""
    with world.store.begin() as unit:
        (line,) = unit.lines()
        stored = unit.grant_of(str(line.release))
    assert stored is not None
    grant = read_own(stored.envelope)
    return Permit(
        grant=grant.id,
        model=grant.model,
        alias=grant.alias,
        version=grant.version,
        sequence=grant.sequence,
    )


@dataclass
class PermitsThere:
    """The registry's database as the detector reads it."""

    kept: list[Permit]

    def all(self) -> tuple[Permit, ...]:
        return tuple(self.kept)

    def write(self, grant: Any) -> None:
        raise NotImplementedError

    def revoke(self, grant: Any) -> Any:
        raise NotImplementedError


def test_a_permit_of_a_grant_given_here_is_no_finding(site: World, watch: FakeWatch) -> None:
    permit = permit_of(site)
    for one in (permit, replace(permit, ended=True)):
        assert Detector(site.store, watch, permits=PermitsThere([one])).look().drifts == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"grant": "grant-forged"},
        {"grant": "grant-forged", "ended": True},
        {"version": "2"},
        {"version": "2", "ended": True},
        {"alias": "production"},
        {"model": "other"},
        {"sequence": 99},
    ],
)
def test_a_permit_that_no_grant_explains_is_found_and_named(
    site: World, watch: FakeWatch, changed: dict[str, Any]
) -> None:
    forged = replace(permit_of(site), **changed)
    there = PermitsThere([forged])
    detector = Detector(site.store, watch, permits=there)
    assert kinds(detector.look()) == ["unknown-permit"]
    (event,) = access_log.events(site.store, drift_log.STREAM)
    assert event["data"]["thing"] == forged.grant
    assert forged.grant in event["why"]
    there.kept.clear()
    assert detector.look().mended == 1


def test_a_grant_that_the_log_does_not_tell_of_explains_no_permit(
    site: World, watch: FakeWatch, database: Database
) -> None:
    there = PermitsThere([permit_of(site)])
    edit_row(database, "UPDATE release_grant SET envelope = envelope || ' '")
    assert kinds(Detector(site.store, watch, permits=there).look()) == ["unknown-permit"]
