"""A grant in a bundle is for exactly this release, by a key in use, or it is refused."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest

from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.promotion.grant import Grant, seal, unseal
from airlock.testing import World
from airlock_evidence.archive import Failed
from airlock_evidence.claims import PROMOTION, check_grants, envelope_digest
from airlock_evidence.dossier import Dossier, read_dossier
from airlock_evidence.ed25519 import verify
from airlock_evidence.trust import Rotation
from tests.contract.bundle_kit import Evidenced, Files

pytestmark = pytest.mark.tamper


@pytest.fixture(scope="module")
def airlock(tmp_path_factory: pytest.TempPathFactory) -> Evidenced:
    folder = tmp_path_factory.mktemp("grants")
    url = f"sqlite:///{folder / 'airlock.db'}"
    upgrade(url)

    def make(**options: Any) -> World:
        return World(SqlStore(url, pooled=False), **options)

    return Evidenced(make, folder)


@pytest.fixture(scope="module")
def files(airlock: Evidenced) -> Files:
    return airlock.files(airlock.promoted())


@pytest.fixture
def dossier(files: Files) -> Dossier:
    return copy.deepcopy(read_dossier(files))


def checked(
    airlock: Evidenced, dossier: Dossier, files: Files, rotated: tuple[Rotation, ...] = ()
) -> list[str]:
    keys = airlock.keyring.keys()

    def good(key: str, signature: bytes, message: bytes) -> bool:
        return key in keys and verify(keys[key], signature, message)

    return check_grants(files, dossier.release, dossier.policy, good, rotated)


def issued(airlock: Evidenced, dossier: Dossier, files: Files, **changes: Any) -> Files:
    """Return files with another grant, which the key has signed and the log has issued."""
    known = unseal(files[PROMOTION].decode(), airlock.keyring.verify)
    fields = {name: getattr(known, name) for name in Grant.__dataclass_fields__}
    grant = Grant(**{**fields, **changes})
    envelope = seal(grant, airlock.signer.key_id, airlock.signer.sign).encode()
    dossier.release.grants[-1]["envelopeDigest"] = envelope_digest(envelope)
    return {**files, PROMOTION: envelope}


def test_the_grant_that_was_issued_is_good(
    airlock: Evidenced, dossier: Dossier, files: Files
) -> None:
    assert checked(airlock, dossier, files) == []
    assert checked(airlock, dossier, issued(airlock, dossier, files)) == []


def test_no_grant_where_one_was_issued_and_one_where_none_was_are_refused(
    airlock: Evidenced, dossier: Dossier, files: Files
) -> None:
    less = {name: data for name, data in files.items() if name != PROMOTION}
    with pytest.raises(Failed, match="is missing"):
        checked(airlock, dossier, less)
    dossier.release.grants.clear()
    with pytest.raises(Failed, match="no such grant"):
        checked(airlock, dossier, files)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("release", "rel-other"),
        ("model", "other"),
        ("version", "9"),
        ("alias", "staging"),
        ("environment", "staging"),
        ("artifact_digest", f"sha256:{'0' * 64}"),
        ("location", "memory:/elsewhere"),
        ("subject_digest", f"sha256:{'0' * 64}"),
        ("policy_digest", f"sha256:{'0' * 64}"),
        ("sequence", 7),
        ("round", 2),
        ("rolls_back", "rel-other"),
        ("expected_current", "5"),
    ],
)
def test_a_signed_grant_with_another_claim_is_refused_and_the_claim_named(
    airlock: Evidenced, dossier: Dossier, files: Files, claim: str, value: Any
) -> None:
    made = issued(airlock, dossier, files, **{claim: value})
    with pytest.raises(Failed, match=f"is for {claim} "):
        checked(airlock, dossier, made)


def test_a_grant_that_had_expired_when_it_was_spent_is_refused(
    airlock: Evidenced, dossier: Dossier, files: Files
) -> None:
    known = unseal(files[PROMOTION].decode(), airlock.keyring.verify)
    made = issued(airlock, dossier, files, expires_at=known.issued_at)
    with pytest.raises(Failed, match="had expired"):
        checked(airlock, dossier, made)


def test_a_grant_that_lives_longer_than_its_attempt_is_refused(
    airlock: Evidenced, dossier: Dossier, files: Files
) -> None:
    known = unseal(files[PROMOTION].decode(), airlock.keyring.verify)
    made = issued(airlock, dossier, files, expires_at=known.expires_at + timedelta(days=14))
    with pytest.raises(Failed, match="its attempt at"):
        checked(airlock, dossier, made)


def test_a_grant_signed_after_its_key_was_given_up_is_refused(
    airlock: Evidenced, dossier: Dossier, files: Files
) -> None:
    key = airlock.signer.key_id
    long_ago = Rotation("2020-01-01T00:00:00.000000000Z", key, "new", b"", b"")
    with pytest.raises(Failed, match=f"key {key}, which had been given up"):
        checked(airlock, dossier, files, (long_ago,))
    later = long_ago._replace(at="2999-01-01T00:00:00.000000000Z")
    assert checked(airlock, dossier, files, (later,)) == []


@pytest.mark.parametrize("change", ["payload", "sig", "keyid", "type", "none"])
def test_an_envelope_that_is_not_signed_as_it_says_is_refused(
    airlock: Evidenced, dossier: Dossier, files: Files, change: str
) -> None:
    envelope = json.loads(files[PROMOTION])
    (signature,) = envelope["signatures"]
    if change == "payload":
        envelope["payload"] = envelope["payload"][:-8] + "AAAAAAA="
    elif change == "sig":
        signature["sig"] = "A" * 86 + "=="
    elif change == "keyid":
        signature["keyid"] = "0" * 16
    elif change == "type":
        envelope["payloadType"] = "text/plain"
    else:
        envelope["signatures"] = []
    made = json.dumps(envelope).encode()
    dossier.release.grants[-1]["envelopeDigest"] = envelope_digest(made)
    with pytest.raises(Failed, match=r"grants/promotion\.json"):
        checked(airlock, dossier, {**files, PROMOTION: made})
