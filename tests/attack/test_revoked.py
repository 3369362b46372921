"""Row 3 of issue 11: a grant of a release that ended moves nothing, whatever was signed before.

A real guard in front of a real MLflow, with and without permits in its database; the decider is
the real one, over its own database.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from mlflow.exceptions import RestException

from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.adapters.mlflow import MlflowRegistry
from airlock.adapters.mlflow.drift_source import MlflowWatch
from airlock.adapters.mlflow.guard_database import GuardDatabase
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.release import State
from airlock.domain.errors import AirlockError, Refused
from airlock.domain.people.access_token import REVOKE
from airlock.domain.people.actors import Actor
from airlock.domain.promotion.grant import Grant, Standing
from airlock.domain.promotion.promotion import Underway
from airlock.ports import PromotionPermit, PromotionRequest
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.promotion import promote
from airlock.services.queries import releases
from airlock.testing import World, pipeline_document
from airlock_mlflow.schema import create
from tests.attack.guard_kit import ON_ALL_PAIRS, Answer, Site
from tests.attack.guard_server import WORKER
from tests.support import rounds

ON_SQLITE = pytest.mark.parametrize("site", ["sqlite-files"], indirect=True, scope="session")
ON_POSTGRES = pytest.mark.parametrize("site", ["postgres-s3"], indirect=True, scope="session")
#: How often each race is run; the whole thousand now and then, by hand.
ROUNDS = rounds(3, 24)


def line(site: Site) -> tuple[str, str]:
    model = f"revoked-{uuid.uuid4().hex[:8]}"
    return model, site.candidate(model)


def watch(site: Site) -> MlflowWatch:
    return MlflowWatch(site.url, site.signer)


def revoke(site: Site, grant: Grant, *permissions: str, body: Any = None) -> Answer:
    token = site.token("somebody", *permissions)
    body = body or {"envelope": site.envelope(grant)}
    path = f"/airlock/grants/{grant.id}/revoke"
    return site.ask("POST", path, body, "", {"Authorization": f"Bearer {token}"})


def move(site: Site, model: str, version: str) -> None:
    with site.as_(WORKER) as client:
        client.set_registered_model_alias(model, "champion", version)


# -- the address -----------------------------------------------------------------------------------


@ON_ALL_PAIRS
@pytest.mark.parametrize("delivered", [True, False])
def test_a_revoked_grant_is_never_spent(site: Site, delivered: bool) -> None:
    model, version = line(site)
    grant = site.grant(model, version)
    if delivered:
        assert site.hand_in(grant).status == 201
    seen = watch(site)
    assert seen.standing(grant.id) is Standing.UNSPENT
    for _ in range(2):
        assert seen.revoke(grant.id, site.envelope(grant)) is Standing.REVOKED
    assert seen.standing(grant.id) is Standing.REVOKED
    site.hand_in(grant)
    with pytest.raises(RestException, match=f"{grant.id} was revoked"):
        move(site, model, version)
    assert site.alias(model) is None
    site.release(model, version)  # a new grant, with the same number: that one was never used
    assert site.alias(model) == version


@ON_ALL_PAIRS
def test_a_spent_grant_is_answered_as_spent_and_serves_on(site: Site) -> None:
    model, version = line(site)
    grant = site.release(model, version)
    assert watch(site).revoke(grant.id, site.envelope(grant)) is Standing.SPENT
    assert watch(site).standing(grant.id) is Standing.SPENT
    assert site.alias(model) == version


@pytest.mark.parametrize("permissions", [(), ("audit:read",), ("release:promote", "release:vote")])
def test_nobody_but_the_decider_revokes(site: Site, permissions: tuple[str, ...]) -> None:
    model, version = line(site)
    grant = site.grant(model, version)
    answer = revoke(site, grant, *permissions)
    assert answer.status == 403
    assert "needs grant:revoke" in answer.text
    path = f"/airlock/grants/{grant.id}/revoke"
    for person, status in (("", 401), ("ana", 403), (WORKER, 403)):
        body = {"envelope": site.envelope(grant)}
        assert site.ask("POST", path, body, person).status == status
    assert watch(site).standing(grant.id) is Standing.UNSPENT


def test_what_is_revoked_is_named_twice_and_signed(site: Site) -> None:
    model, version = line(site)
    grant, other = site.grant(model, version), site.grant(model, version)
    answer = revoke(site, grant, REVOKE, body={"envelope": site.envelope(other)})
    assert answer.status == 403
    assert f"the envelope is that of {other.id}" in answer.text
    assert revoke(site, grant, REVOKE, body={"envelope": "{}"}).status == 403
    assert revoke(site, grant, REVOKE, body={"envelope": "x" * 70_000}).status == 413
    assert {watch(site).standing(one.id) for one in (grant, other)} == {Standing.UNSPENT}


@ON_ALL_PAIRS
@pytest.mark.race
def test_of_spending_and_revoking_at_once_one_comes_first(site: Site) -> None:
    model, version = line(site)
    outcomes: Counter[str] = Counter()
    for at in range(ROUNDS):
        grant = site.grant(model, version)
        assert site.hand_in(grant).status == 201
        before = site.serving.get((model, "champion"))
        outcome = race(
            lambda: move(site, model, version),
            lambda grant=grant: watch(site).revoke(grant.id, site.envelope(grant)),
            swapped=bool(at % 2),
        )[1]
        assert watch(site).standing(grant.id) is outcome
        outcomes[str(outcome)] += 1
        if outcome is Standing.SPENT:
            site.moved(grant)
        assert site.alias(model) == (version if outcome is Standing.SPENT else before)
    print(f"spend against revoke on {site.database.split(':')[0]}: {dict(outcomes)}")


def race(
    first: Callable[[], Any], second: Callable[[], Any], *, swapped: bool = False
) -> list[Any]:
    """Do both at once; return what each got, refused or not."""

    def outcome(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (AirlockError, RestException) as error:
            return error

    order = [second, first] if swapped else [first, second]
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(outcome, order))
    return got[::-1] if swapped else got


# -- permits ---------------------------------------------------------------------------------------


def permits(site: Site) -> GuardDatabase | None:
    url = site.environment.get("GUARD_URL")
    return GuardDatabase(url) if url else None


@ON_POSTGRES
@pytest.mark.parametrize("written", [True, False])
def test_a_revoked_permit_moves_nothing_even_with_the_servers_own_password(
    site: Site, written: bool
) -> None:
    model, version = line(site)
    grant = site.grant(model, version)
    theirs = permits(site)
    assert theirs is not None
    if written:
        theirs.write(grant)
    assert theirs.revoke(grant) is Standing.REVOKED
    theirs.write(grant)  # whoever was slow finds it revoked
    insert = "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
    engine = sa.create_engine(site.database)
    with engine.begin() as work, pytest.raises(sa.exc.DBAPIError, match="there is no permit"):
        work.execute(
            sa.text(f"{insert} VALUES ('default', :m, 'champion', :v)"),
            {"m": model, "v": int(version)},
        )
    engine.dispose()
    assert site.hand_in(grant).status == 201
    with pytest.raises(RestException):
        move(site, model, version)
    assert site.alias(model) is None


@ON_POSTGRES
def test_a_spent_permit_is_answered_as_spent(site: Site) -> None:
    model, version = line(site)
    grant = site.release(model, version)
    theirs = permits(site)
    assert theirs is not None
    assert theirs.revoke(grant) is Standing.SPENT


@ON_POSTGRES
def test_an_older_database_is_upgraded_and_its_unspent_permits_end(site: Site) -> None:
    model, version = line(site)
    spent, other = site.release(model, version), site.candidate(model, b"other")
    old = site.grant(model, other, expires_at=datetime.now(UTC) + timedelta(days=14))
    assert site.hand_in(old).status == 201
    admin = site.environment["ADMIN_DSN"]
    with psycopg.connect(admin, autocommit=True) as owner:  # as it was before
        owner.execute("ALTER TABLE airlock_permits DROP CONSTRAINT airlock_permits_end")
        owner.execute("ALTER TABLE airlock_permits DROP COLUMN revoked_at")
        owner.execute("DROP TABLE airlock_revoked")
    url = site.environment["OWNER_URL"]
    for _ in range(2):
        create(url, ("champion", "production", "prod"), "mlflow_app", "airlock_guard")
    theirs = permits(site)
    assert theirs is not None
    assert theirs.revoke(spent) is Standing.SPENT
    with psycopg.connect(admin) as owner:
        row = owner.execute("SELECT revoked_at FROM airlock_permits WHERE grant_id = %s", [old.id])
        assert row.fetchone() != (None,)
    with pytest.raises(RestException):
        move(site, model, other)
    assert site.alias(model) == version
    site.release(model, other)
    assert site.alias(model) == other


@ON_SQLITE
def test_an_older_file_is_upgraded(site: Site, tmp_path: Path) -> None:
    copy = tmp_path / "old.db"
    with sa.create_engine(site.database).connect() as source:
        source.execute(sa.text("VACUUM INTO :path"), {"path": str(copy)})
    engine = sa.create_engine(f"sqlite:///{copy}")
    with engine.begin() as work:
        work.execute(sa.text("DROP TABLE airlock_revoked"))
    create(f"sqlite:///{copy}")
    assert sa.inspect(engine).has_table("airlock_revoked")
    engine.dispose()


# -- the whole way ---------------------------------------------------------------------------------


class SiteRegistry:
    """The registry behind a real guard, as a task reaches it; candidates are made there."""

    def __init__(self, site: Site) -> None:
        self.site, self._real = site, MlflowRegistry(site.url)

    def add(self, model: str, content: bytes) -> str:
        return self.site.candidate(model, content)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            with self.site.as_(WORKER):
                return getattr(self._real, name)(*arguments)

        return call


class GuardedWorld(World):
    """A world whose promotions go to a real guard."""

    site: Site

    @property
    def promoter(self) -> promote.Promoter:
        keyring = FileKeyring(self.site.folder / "keys")
        seen = watch(self.site)
        return promote.Promoter(self.store, self.signer, keyring, seen, permits(self.site))


@pytest.fixture
def world(site: Site, airlock_url: str) -> Iterator[GuardedWorld]:
    store = SqlStore(airlock_url)
    pipeline = pipeline_document(impact="none")
    pipeline["metadata"]["name"] = f"credit-{uuid.uuid4().hex[:8]}"
    made = GuardedWorld(store, signer=site.signer, pipeline=pipeline)
    made.site, made.registry = site, SiteRegistry(site)  # type: ignore[assignment]
    yield made
    store.close()


def approved(world: GuardedWorld, run: str = "run") -> str:
    release_id = world.open(run)
    world.approve(release_id, "lena")
    return release_id


def begin(world: GuardedWorld, release_id: str) -> PromotionPermit:
    permit = world.promoter.begin(PromotionRequest(release=release_id, attempt="run-1"))
    assert isinstance(permit, PromotionPermit)
    return permit


def hand_in(world: GuardedWorld, permit: PromotionPermit) -> None:
    world.registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)


def withdraw(world: GuardedWorld, release_id: str) -> None:
    decide.withdraw(world.store, release_id, world.actor("ana"), "found a bug")


def void(world: GuardedWorld, release_id: str) -> None:
    digest = f"sha256:{uuid.uuid4().hex * 2}"
    decide.void(world.store, release_id, Actor.system("x"), "new data", data_digest=digest)


ENDS = {"withdrawn": withdraw, "voided to round 2": void}


@pytest.mark.parametrize("end", ENDS)
def test_row_3_a_grant_of_a_release_that_ended_is_refused(world: GuardedWorld, end: str) -> None:
    release_id = approved(world)
    permit = begin(world, release_id)
    with pytest.raises(Underway, match=f"by run-1 until {permit.until}"):
        ENDS[end](world, release_id)
    with pytest.raises(Refused, match="the alias had not moved"):
        world.promoter.finish(release_id, "run-1")
    ENDS[end](world, release_id)
    with pytest.raises(Refused, match="was revoked"):
        hand_in(world, permit)
    assert world.site.alias(permit.model) is None
    with pytest.raises(Refused, match=r"is (WITHDRAWN|AWAITING_APPROVAL)"):
        world.promote(release_id)


def test_the_whole_way_and_back_to_nothing_to_do(world: GuardedWorld) -> None:
    release_id = approved(world)
    done = world.promote(release_id)
    assert world.site.alias(done.model) == done.after
    assert world.promote(release_id).replayed
    assert access_log.verify(world.store, FileKeyring(world.site.folder / "keys")).ok


def test_files_changed_behind_the_guard_end_the_attempt_and_void_it(world: GuardedWorld) -> None:
    release_id = approved(world)
    with world.store.begin() as unit:
        release = unit.get(release_id)
    other = replace(release.subject, artifact_digest=f"sha256:{'1' * 64}")
    assert other != release.subject  # what the guard hashes is the truth, not what a task says
    permit = begin(world, release_id)
    hand_in(world, permit)
    assert world.promoter.finish(release_id, "run-1").after == permit.version


@pytest.mark.race
@pytest.mark.parametrize("end", ENDS)
def test_promoting_against_an_end_never_moves_the_alias_of_what_ended(
    world: GuardedWorld, end: str
) -> None:
    """The task moves the alias while its attempt is being ended, and the release after it."""
    outcomes: Counter[str] = Counter()
    for at in range(ROUNDS):
        release_id = approved(world, f"run-{at}")
        permit = begin(world, release_id)
        before = world.site.alias(permit.model)

        def stop(release_id: str = release_id) -> None:
            world.promoter.finish(release_id, "run-1")

        def stop_and_end(release_id: str = release_id) -> None:
            try:
                world.promoter.finish(release_id, "run-1")
            except Refused:
                ENDS[end](world, release_id)

        race(lambda permit=permit: hand_in(world, permit), stop_and_end, swapped=bool(at % 2))
        state = releases.outcome(world.store, release_id).state
        moved = world.site.alias(permit.model) != before
        assert moved == (state is State.PROMOTED)
        outcomes[state.value] += 1
        if state is not State.PROMOTED:
            with pytest.raises(Refused):
                hand_in(world, permit)
            assert world.site.alias(permit.model) == before
        if state is State.AWAITING_APPROVAL:
            withdraw(world, release_id)
    print(f"promote against {end} on {world.site.database.split(':')[0]}: {dict(outcomes)}")
