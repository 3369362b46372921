"""What was kept while a grant was still given at approval: bundles verify, a database goes on."""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import create_engine, text

from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.release import State
from airlock.domain.errors import Conflict, Refused
from airlock.domain.people.actors import Actor, Channel
from airlock.domain.promotion.grant import LONGEST, Standing, read_own
from airlock.ports import PromotionPermit, PromotionRequest
from airlock.services.approvals import decide
from airlock.services.audit.replays import compare_tables
from airlock.services.promotion.promote import Promoter
from airlock.testing import RULEBOOK, FakeKeys, FakeRegistry, FakeWatch
from airlock.testing.approvers import enrol
from airlock_evidence.archive import unpack
from airlock_evidence.checking import check
from airlock_evidence.trust import Trust
from tests.seeding import damages

DATA = Path(__file__).with_name("data") / "before-0040"
KEYS = {
    name: bytes.fromhex(key) for name, key in json.loads((DATA / "keys.json").read_text()).items()
}


def bundles() -> dict[str, bytes]:
    with tarfile.open(DATA / "bundles.tar.xz") as archive:
        return {
            Path(one.name).stem: archive.extractfile(one).read()  # type: ignore[union-attr]
            for one in archive
        }


@pytest.mark.parametrize(
    ("name", "state"),
    [("approved", "APPROVED"), ("promoted", "PROMOTED"), ("rolled-back", "ROLLED_BACK")],
)
def test_an_old_bundle_verifies_and_says_what_it_said(name: str, state: str) -> None:
    files = unpack(bundles()[name], "the zip")
    result = check(files, lambda _: Trust(dict(KEYS), {}, "our keys"))
    assert result.ok, result.failures
    assert any(f"the release is {state}" in line for line in result.proved)
    assert "grants/promotion.json" in files
    assert ("grants/rollback.json" in files) == (state == "ROLLED_BACK")


def test_an_old_bundle_whose_grant_is_gone_does_not() -> None:
    files = dict(unpack(bundles()["promoted"], "the zip"))
    del files["grants/promotion.json"]
    assert not check(files, lambda _: Trust(dict(KEYS), {}, "our keys")).ok


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "airlock.db"


@pytest.fixture
def old(path: Path) -> Iterator[SqlStore]:
    path.write_bytes(lzma.decompress((DATA / "airlock.db.xz").read_bytes()))
    upgrade(f"sqlite:///{path}")
    store = SqlStore(f"sqlite:///{path}")
    with store.begin() as unit:
        everybody = unit.people()
    enrol(store, Rulebook.from_document(RULEBOOK), everybody)  # after an upgrade nobody is
    yield store
    store.close()


class OldKeys(FakeKeys):
    """Signs with its own key, and knows that of before."""

    def valid_at(self, key_id: str, at: Any) -> bool:
        return key_id in KEYS or super().valid_at(key_id, at)

    def verify(self, key_id: str, signature: bytes, message: bytes) -> bool:
        return key_id in KEYS or super().verify(key_id, signature, message)


def named(store: SqlStore, run: str) -> str:
    with store.begin() as unit:
        release = unit.by_origin(f"credit/{run}")
    assert release is not None
    return release.id


def promoter(store: SqlStore, registry: FakeRegistry) -> Promoter:
    keys = OldKeys()
    return Promoter(store, keys, keys, FakeWatch(registry))


def registry_of(store: SqlStore, run: str) -> FakeRegistry:
    """Return a registry that has the version of a run, and has seen what was spent so far."""
    registry = FakeRegistry()
    with store.begin() as unit:
        subject = unit.get(named(store, run)).subject
        for release in unit.find(limit=100):
            kept = (unit.grant_of(release.id, why) for why in ("promotion", "rollback"))
            registry.envelopes += [one.envelope for one in kept if one and one.spent_at]
    contents = {"five": b"five 0.8", "three": b"three 0.8"}
    registry.files["credit", subject.version] = {"model.skops": contents[run]}
    return registry


def test_an_old_log_still_tells_the_state_of_the_tables(old: SqlStore, tmp_path: Path) -> None:
    for name, key in KEYS.items():
        public = Ed25519PublicKey.from_public_bytes(key)
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pem").write_bytes(pem)
    assert damages(old) == []
    with old.begin() as unit:
        compared = compare_tables(unit, FileKeyring(tmp_path))
    assert [one.sentence() for one in compared.findings] == []
    assert compared.grants == 8


@pytest.mark.parametrize(("issued_at", "found"), [("", 0), ("2019-01-01T00:00:00Z", 8)])
def test_the_oldest_grants_have_no_time_of_issue_and_verify_all_the_same(
    path: Path, tmp_path: Path, issued_at: str, found: int
) -> None:
    """Revision 0004 gave the column to rows that were there, empty, as upgrades leave it."""
    path.write_bytes(lzma.decompress((DATA / "airlock.db.xz").read_bytes()))
    with create_engine(f"sqlite:///{path}").begin() as connection:
        connection.execute(text("UPDATE release_grant SET issued_at = :at"), {"at": issued_at})
    upgrade(f"sqlite:///{path}")
    store = SqlStore(f"sqlite:///{path}")
    for name, key in KEYS.items():
        public = Ed25519PublicKey.from_public_bytes(key)
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pem").write_bytes(pem)
    with store.begin() as unit:
        compared = compare_tables(unit, FileKeyring(tmp_path))
    store.close()
    said = [one.sentence() for one in compared.findings]
    assert len(said) == found
    assert all("issued_at" in one for one in said)


def test_what_was_approved_asks_for_a_grant_like_everything_else(old: SqlStore) -> None:
    release_id = named(old, "five")
    with old.begin() as unit:
        stored = unit.grant_of(release_id)
    assert stored is not None
    assert stored.revoked_at is not None, "it lived for two weeks, and nobody had spent it"
    registry = registry_of(old, "five")
    permit = promoter(old, registry).begin(PromotionRequest(release=release_id, attempt="now"))
    assert isinstance(permit, PromotionPermit)
    assert permit.grant != stored.grant_id
    grant = read_own(permit.envelope)
    assert grant.expires_at - grant.issued_at <= LONGEST
    registry.set_alias(permit.model, permit.alias, permit.version, permit.envelope)
    assert promoter(old, registry).finish(release_id, "now").after == grant.version


@pytest.mark.parametrize("moved", [True, False])
def test_an_attempt_that_died_before_the_upgrade_is_settled(
    old: SqlStore, path: Path, moved: bool
) -> None:
    release_id = named(old, "five")
    with old.begin() as unit:
        stored = unit.grant_of(release_id)
    assert stored is not None
    changing = "UPDATE release_grant SET spent_by = 'dead', spent_at = issued_at, revoked_at = NULL"
    with create_engine(f"sqlite:///{path}").begin() as connection:
        connection.execute(text(f"{changing} WHERE id = :id"), {"id": stored.grant_id})
    registry = registry_of(old, "five")
    registry.envelopes = [one for one in registry.envelopes if one != stored.envelope]
    if moved:
        registry.set_alias("credit", "champion", read_own(stored.envelope).version, stored.envelope)
    asked = PromotionRequest(release=release_id, attempt="now")
    if moved:
        with pytest.raises(Conflict, match="already promoted"):
            promoter(old, registry).begin(asked)
        with old.begin() as unit:
            assert unit.get(release_id).state is State.PROMOTED
    else:
        assert isinstance(promoter(old, registry).begin(asked), PromotionPermit)
        assert registry.standing(stored.grant_id) is Standing.REVOKED


def test_what_was_allowed_to_go_back_is_allowed_again(old: SqlStore) -> None:
    registry = registry_of(old, "three")
    with pytest.raises(Conflict, match="already promoted"):
        promoter(old, registry).begin(PromotionRequest(release=named(old, "three"), attempt="back"))


def test_what_is_approved_can_be_withdrawn(old: SqlStore) -> None:
    ana = Actor("ana", "Ana", frozenset({"developer"}), Channel.CLI)
    done = decide.withdraw(old, named(old, "five"), ana, "not any more")
    assert done.state is State.WITHDRAWN
    with pytest.raises(Refused, match="is WITHDRAWN"):
        promoter(old, FakeRegistry()).begin(PromotionRequest(release=done.id, attempt="now"))
