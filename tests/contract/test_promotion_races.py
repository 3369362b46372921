"""Promoting against whatever ends a release, in threads: what ended before has moved nothing.

Each round is one approved release. A task promotes it, and at the same moment somebody ends it; or
the task's attempt has begun, and is settled while its grant is being handed in. Afterwards the
alias has moved if, and only if, the release is PROMOTED, and what was signed moves nothing more.
`TEST_ROUNDS=1000` runs the whole thousand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from airlock.domain.approval.release import State
from airlock.domain.errors import AirlockError, Refused
from airlock.domain.people.actors import Actor, Person
from airlock.ports import PromotionPermit, PromotionRequest
from airlock.services.approvals import deadlines, decide
from airlock.services.people import recognition
from airlock.services.promotion import promote
from airlock.services.queries import releases
from airlock.testing import World, pipeline_document
from tests.contract.conftest import Database
from tests.seeding import clone, damages
from tests.support import rounds

pytestmark = pytest.mark.race

ROUNDS = rounds(5, 40)
OTHER = f"sha256:{'1' * 64}"


def withdraw(world: World, release_id: str) -> None:
    decide.withdraw(world.store, release_id, world.actor("ana"), "found a bug")


def void(world: World, release_id: str) -> None:
    decide.void(world.store, release_id, Actor.system("x"), "other data", data_digest=OTHER)


def expire(world: World, release_id: str) -> None:
    deadlines.sweep(world.store)


def demote(world: World, release_id: str) -> None:
    recognition.keep_person(world.store, Person("lena", "Lena", frozenset({"viewer"})))


ENEMIES: dict[str, Callable[[World, str], None]] = {
    "withdraw": withdraw,
    "void": void,
    "expire": expire,
    "demotion": demote,
}
ENDED = {
    "withdraw": {State.WITHDRAWN},
    "void": {State.AWAITING_APPROVAL},
    "expire": {State.EXPIRED},
    "demotion": {State.APPROVED},
}


@pytest.fixture
def world(postgres_database: Database) -> World:
    return World(
        postgres_database.store("airlock_decider"),
        worker=postgres_database.store("airlock_worker"),
        pipeline=pipeline_document(impact="none"),
    )


@pytest.fixture
def ids(world: World, postgres_database: Database) -> list[str]:
    """Return as many open releases as there are rounds, each with files of its own."""
    first = world.open()
    decide.settle(world.store, world.signer, first)
    found = clone(postgres_database.urls["postgres"], first, ROUNDS)
    with world.store.begin() as unit:
        for release_id in found:
            subject = unit.get(release_id).subject
            files = dict(world.registry.files["credit", "1"])
            world.registry.files[subject.model, subject.version] = files
    return found


def at_once(*acts: Callable[[], Any], first: int) -> list[str]:
    """Do all of it at the same moment; return what came of each."""

    def outcome(act: Callable[[], Any]) -> str:
        try:
            act()
        except AirlockError as error:
            return type(error).__name__
        return "done"

    order = [*acts[first:], *acts[:first]]
    with ThreadPoolExecutor(len(acts)) as pool:
        got = list(pool.map(outcome, order))
    return [*got[len(acts) - first :], *got[: len(acts) - first]]


@pytest.mark.parametrize("begun", [False, True], ids=["from the start", "while it is settled"])
@pytest.mark.parametrize("enemy", ENEMIES)
def test_what_ended_before_has_moved_nothing(
    world: World, ids: list[str], postgres_database: Database, enemy: str, begun: bool
) -> None:
    lena = Person("lena", "Lena", frozenset({"algorithm_lead"}))
    seen: Counter[str] = Counter()
    for at, release_id in enumerate(ids):
        recognition.keep_person(world.store, lena)
        world.approve(release_id, "lena")
        if enemy == "expire":
            due_now(postgres_database, release_id)
        permit = begin(world, release_id) if begun else None
        task = [
            lambda: world.promote(release_id),  # noqa: B023 - done before the next round
            lambda: hand_in(world, permit, at % 12),  # noqa: B023
        ][begun]
        other = [
            lambda: ENEMIES[enemy](world, release_id),  # noqa: B023
            lambda: settle_and(ENEMIES[enemy], world, release_id),  # noqa: B023
        ][begun]
        at_once(task, other, first=at % 2)
        state = releases.outcome(world.store, release_id).state
        model = releases.outcome(world.store, release_id).subject.model
        moved = (model, "champion") in world.registry.aliases
        assert moved == (state is State.PROMOTED), (state, moved)
        assert state in {State.PROMOTED, State.APPROVED} | ENDED[enemy]
        seen[state.value] += 1
        if not moved:
            nothing_signed_moves_it(world, release_id)
    print(f"promote against {enemy}, begun {begun}: {dict(seen)}")
    assert damages(world.store) == []


def due_now(database: Database, release_id: str) -> None:
    with create_engine(database.urls["postgres"]).begin() as connection:
        connection.execute(
            text("UPDATE timer SET due_at = '2026-01-01' WHERE release = :r AND kind = 'unused'"),
            {"r": release_id},
        )


def begin(world: World, release_id: str) -> PromotionPermit:
    permit = world.promoter.begin(PromotionRequest(release=release_id, attempt="run-1"))
    assert isinstance(permit, PromotionPermit)
    return permit


def hand_in(world: World, permit: PromotionPermit | None, late: int) -> None:
    """Move the alias after some looks at the database, so that either side comes first at times."""
    assert permit is not None
    for _ in range(late):
        releases.outcome(world.store, permit.release)
    world.registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)


def settle_and(end: Callable[[World, str], None], world: World, release_id: str) -> None:
    """End the attempt, and the release as soon as that is possible."""
    try:
        world.promoter.finish(release_id, "run-1")
    except promote.Ended:
        end(world, release_id)


def nothing_signed_moves_it(world: World, release_id: str) -> None:
    """Hand in every grant there ever was for it."""
    with world.store.begin() as unit:
        stored = unit.grant_of(release_id)
        release = unit.get(release_id)
    if stored is None:
        return
    assert stored.revoked_at is not None
    with pytest.raises(Refused, match="was revoked"):
        world.registry.set_alias(
            release.subject.model, "champion", release.subject.version, stored.envelope
        )
    assert (release.subject.model, "champion") not in world.registry.aliases
