"""Every grant is checked: for promotion and for rollback, and whether its key was in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from airlock.adapters.keys.ed25519 import FileKeyring, FileShelf, FileSigner, give_up
from airlock.domain.clock import stamp
from airlock.domain.errors import Refused
from airlock.domain.people.actors import Actor
from airlock.domain.promotion.grant import LONGEST, GrantInvalid, opened, seal
from airlock.ports import Promotion, PromotionRequest
from airlock.services.audit import key_rotation, verification
from airlock.services.promotion import rollback
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, World
from tests.contract.conftest import Database
from tests.contract.tree_kit import keys

OPERATOR = {"inherits": ["viewer"], "permissions": ["release:promote"]}


def book() -> dict[str, Any]:
    document = json.loads(json.dumps(dict(RULEBOOK)))
    document["access"]["spec"]["roles"]["operator"] = OPERATOR
    return dict(document)


@pytest.fixture
def world(make_world: Callable[..., World], clock: FakeClock, tmp_path: Path) -> World:
    signer, keyring = keys(tmp_path)
    made = make_world(clock, signer=signer, rulebook=book(), folks={**PEOPLE, "otto": "operator"})
    made.keys = keyring  # type: ignore[assignment]
    return made


def rotate(world: World, folder: Path) -> FileSigner:
    """Give the key up, and return the thief who has kept a copy of it."""
    stolen = folder / "stolen.pem"
    stolen.write_bytes((folder / "signing.pem").read_bytes())
    key_rotation.rotate(
        world.store, world.signer, FileShelf(folder / "signing.pem", folder / "keys")
    )
    return FileSigner(stolen)


def promoted(world: World, run: str) -> str:
    release_id = world.open(run)
    world.approve_all(release_id)
    world.promote(release_id, run)
    return release_id


def leave(world: World, release_id: str) -> None:
    """Allow to go back, and begin it."""
    rollback.allow(world.store, release_id, world.actor("otto"), "it drifts")
    begin(world, release_id, "back")


def begin(world: World, release_id: str, attempt: str = "run-1") -> None:
    """Have a grant made, which is not spent yet."""
    world.promoter.begin(PromotionRequest(release=release_id, attempt=attempt))


def go_back(world: World, release_id: str) -> Promotion:
    return world.promote(release_id, "back")


def attack(database: Database, statement: str, **given: str) -> None:
    url = database.urls.get("postgres", database.urls["airlock_decider"])
    with create_engine(url).begin() as connection:
        connection.execute(text(statement), given)


def stored(world: World, release_id: str, purpose: str = "promotion") -> tuple[str, str]:
    with world.store.begin() as unit:
        found = unit.grant_of(release_id, purpose)
    assert found is not None
    return found.grant_id, found.envelope


def damages(world: World) -> tuple[str, ...]:
    return verification.verify(world.store, world.keys).damages


def signed_by(thief: FileSigner, world: World, envelope: str, at: datetime) -> str:
    """Return the same grant, issued *at* another time and signed with the stolen key."""
    grant = replace(opened(envelope, world.keys), issued_at=at, expires_at=at + LONGEST)
    return seal(grant, thief.key_id, thief.sign)


def test_a_grant_signed_before_the_rotation_is_still_good(world: World, tmp_path: Path) -> None:
    release_id = world.open("before")
    world.approve_all(release_id)
    begin(world, release_id)
    rotate(world, tmp_path)
    assert world.promote(release_id).after == "1"
    assert damages(world) == ()


def test_a_rollback_granted_before_the_rotation_is_still_good(world: World, tmp_path: Path) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    leave(world, second)
    rotate(world, tmp_path)
    assert go_back(world, second).after == "1"
    report = verification.verify(world.store, world.keys)
    assert report.ok, report.damages
    assert report.grants == 3


@pytest.mark.attack
def test_a_grant_signed_by_the_old_key_after_the_rotation_is_refused_and_named(
    world: World, clock: FakeClock, database: Database, tmp_path: Path
) -> None:
    release_id = world.open("one")
    world.approve_all(release_id)
    begin(world, release_id)
    thief = rotate(world, tmp_path)
    clock.pass_(hours=1)
    grant_id, envelope = stored(world, release_id)
    forged = signed_by(thief, world, envelope, clock())
    attack(database, "UPDATE release_grant SET envelope = :e", e=forged)
    with pytest.raises(GrantInvalid, match=f"{thief.key_id}, a key that had been given up"):
        world.promote(release_id)
    assert world.registry.alias("credit", "champion") is None
    assert any(grant_id in one and "given up" in one for one in damages(world))


@pytest.mark.attack
def test_a_backdated_grant_of_the_old_key_is_not_the_one_in_the_log(
    world: World, clock: FakeClock, database: Database, tmp_path: Path
) -> None:
    release_id = world.open("one")
    world.approve_all(release_id)
    begin(world, release_id)
    thief = rotate(world, tmp_path)
    _, envelope = stored(world, release_id)
    forged = signed_by(thief, world, envelope, clock.at - timedelta(minutes=1))
    attack(database, "UPDATE release_grant SET envelope = :e", e=forged)
    assert any("not the one the log says" in one for one in damages(world))


@pytest.mark.attack
def test_a_rollback_signed_by_the_old_key_after_the_rotation_is_refused_and_named(
    world: World, clock: FakeClock, database: Database, tmp_path: Path
) -> None:
    promoted(world, "one")
    second = promoted(world, "two")
    leave(world, second)
    thief = rotate(world, tmp_path)
    clock.pass_(hours=1)
    grant_id, envelope = stored(world, second, "rollback")
    forged = signed_by(thief, world, envelope, clock())
    attack(database, "UPDATE release_grant SET envelope = :e WHERE id = :i", e=forged, i=grant_id)
    with pytest.raises(Refused, match="a key that had been given up"):
        go_back(world, second)
    assert world.registry.alias("credit", "champion") == "2"
    assert any(grant_id in one and "given up" in one for one in damages(world))


@pytest.mark.tamper
@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM release_grant WHERE purpose = 'rollback'", "was issued, but it is gone"),
        ("UPDATE release_grant SET envelope = '{}' WHERE purpose = 'rollback'", "not a DSSE"),
        (
            "UPDATE release_grant SET envelope = (SELECT max(envelope) FROM release_grant "
            "WHERE purpose = 'promotion') WHERE purpose = 'rollback'",
            "is the grant of",
        ),
        ("UPDATE release_grant SET id = 'x' WHERE purpose = 'rollback'", "is not the one the log"),
    ],
)
def test_a_damaged_rollback_grant_is_found(
    world: World, database: Database, damage: str, found: str
) -> None:
    promoted(world, "one")
    leave(world, promoted(world, "two"))
    attack(database, damage)
    assert any(found in one for one in damages(world)), damages(world)


def test_the_grants_of_earlier_rounds_are_checked_too(world: World, database: Database) -> None:
    from airlock.services.approvals import decide

    release_id = world.open("one")
    world.approve_all(release_id)
    begin(world, release_id)
    with pytest.raises(Refused, match="the alias had not moved"):
        world.promoter.finish(release_id, "run-1")
    system = Actor.system("decider")
    digest = f"sha256:{'1' * 64}"
    decide.void(world.store, release_id, system, "other data", data_digest=digest)
    world.approve_all(release_id)
    begin(world, release_id)
    assert verification.verify(world.store, world.keys).grants == 2
    attack(database, "DELETE FROM release_grant WHERE round = 1")
    assert any("was issued, but it is gone" in one for one in damages(world))


def test_without_any_key_in_use_nothing_is_opened(world: World, tmp_path: Path) -> None:
    release_id = world.open("one")
    world.approve_all(release_id)
    begin(world, release_id)
    _, envelope = stored(world, release_id)
    keyring = FileKeyring(tmp_path / "keys")
    (key,) = keyring.keys()
    give_up(tmp_path / "keys", key, stamp(datetime.fromisoformat("2020-01-01T00:00:00+00:00")))
    with pytest.raises(GrantInvalid, match="given up"):
        opened(envelope, FileKeyring(tmp_path / "keys"))
