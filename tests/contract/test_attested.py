"""Only results signed by somebody trusted with the gate open a release: on both databases."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.keys.ed25519 import FileGateKeys, FileSigner, create
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.release import State
from airlock.domain.evidence.attestation import PREDICATE_TYPE, Unattested, attest
from airlock.domain.gates import Verdict
from airlock.domain.people.actors import Actor
from airlock.domain.promotion.grant import enclose
from airlock.services.approvals import decide
from airlock.services.audit import access_log
from airlock.services.queries import releases
from airlock.testing import PEOPLE, RULEBOOK, World, pipeline_document
from airlock_evidence.archive import Failed
from airlock_evidence.attested import ATTESTATIONS, check_attested
from airlock_evidence.dossier import read_dossier
from tests.contract.bundle_kit import Evidenced, canonical, resealed
from tests.contract.conftest import Database
from tests.contract.test_waivers import blocked, rulebook, waive

MakeSigned = Callable[..., World]
KEY = "metrics-threshold:roc_auc"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gate-keys"


def signer(folder: Path, name: str, where: str = "") -> FileSigner:
    """Create a signer whose public key is in the folder, or in *where* below it."""
    file = folder.parent / f"{name}.pem"
    create(file, folder / where if where else folder)
    return FileSigner(file)


@pytest.fixture
def make_signed(database: Database, folder: Path) -> MakeSigned:
    def make(**options: Any) -> World:
        trusted = FileGateKeys(folder)
        worker, decider = (
            SqlStore(database.urls[f"airlock_{role}"], gate_keys=trusted)
            for role in ("worker", "decider")
        )
        return World(decider, worker=worker, **options)

    return make


def test_a_result_nobody_has_signed_opens_nothing(make_signed: MakeSigned, folder: Path) -> None:
    folder.mkdir()
    world = make_signed()
    release_id = world.open()
    with pytest.raises(Unattested, match=r"metrics-threshold:roc_auc \(nobody has signed it\)"):
        world.approve(release_id, "lena")
    assert access_log.verify(world.store, world.keys).ok


def test_a_signed_result_leads_to_the_promotion(make_signed: MakeSigned, folder: Path) -> None:
    world = make_signed(gate_signer=signer(folder, "runner"))
    release_id = world.open()
    assert world.approve_all(release_id).state is State.APPROVED
    assert world.promote(release_id).after == "1"
    with world.store.begin() as unit:
        (envelope,) = unit.attestations_of("credit/run-1").values()
    assert json.loads(envelope)["payloadType"] == "application/vnd.in-toto+json"


def test_a_signer_nobody_trusts_opens_nothing(make_signed: MakeSigned, folder: Path) -> None:
    signer(folder, "runner")
    world = make_signed(gate_signer=signer(folder.parent / "elsewhere", "stranger"))
    with pytest.raises(Unattested, match="which is not a trusted key"):
        world.approve(world.open(), "lena")


def test_a_signer_of_another_gate_opens_nothing(make_signed: MakeSigned, folder: Path) -> None:
    world = make_signed(gate_signer=signer(folder, "runner", "latency"))
    with pytest.raises(Unattested, match="which is not a trusted key"):
        world.approve(world.open(), "lena")


def test_a_signer_of_this_gate_alone_is_enough(make_signed: MakeSigned, folder: Path) -> None:
    world = make_signed(gate_signer=signer(folder, "runner", "metrics-threshold"))
    assert world.approve(world.open(), "lena").level == 2


def test_a_key_taken_away_stops_what_is_open(make_signed: MakeSigned, folder: Path) -> None:
    world = make_signed(gate_signer=signer(folder, "runner"))
    release_id = world.open()
    world.approve_all(release_id)
    for file in folder.glob("*.pem"):
        file.unlink()
    signer(folder, "another")
    with pytest.raises(Unattested, match="which is not a trusted key"):
        world.promote(release_id)


@pytest.mark.parametrize(
    "about", ["artifact", "evidence", "options", "verdict", "key", "run", "nothing"]
)
def test_what_is_signed_has_to_be_this_result(
    make_signed: MakeSigned, folder: Path, about: str
) -> None:
    runner = signer(folder, "runner")
    world = make_signed(gate_signer=runner)
    origin = world.measure("run-1")
    with world.store.begin() as unit:
        (result,) = unit.results_of(origin)
        candidate = unit.candidate(origin)
        assert candidate is not None
        (envelope,) = unit.attestations_of(origin).values()
        options = json.loads(_payload(envelope))["predicate"]["options"]
        changed = {
            "evidence": {"evidence": ("sha256:" + "1" * 64,)},
            "verdict": {"verdict": Verdict.FAILED},
            "key": {"key": "metrics-threshold:f1"},
        }.get(about, {})
        other = "sha256:" + "2" * 64
        forged = attest(
            type(result)(**{**_fields(result), **changed}),
            other if about == "artifact" else candidate.artifact_digest,
            other if about == "options" else options,
            runner.key_id,
            runner.sign,
            "other/run" if about == "run" else origin,
        )
        unit.put_result(origin, result, "{}" if about == "nothing" else forged)
        unit.commit()
    opened = world.request(origin).release
    assert opened is not None
    words = "is not a DSSE envelope" if about == "nothing" else f"another {about}"
    with pytest.raises(Unattested, match=words):
        world.approve(opened.id, "lena")


def test_an_emergency_and_a_release_without_people_need_it_too(
    make_signed: MakeSigned, folder: Path
) -> None:
    folder.mkdir()
    world = make_signed(pipeline=pipeline_document(environment="staging"))
    release_id = world.open()
    with pytest.raises(Unattested):
        decide.settle(world.store, world.signer, release_id)
    assert releases.outcome(world.store, release_id).state is State.REQUESTED


def test_no_waiver_helps_a_result_nobody_has_signed(make_signed: MakeSigned, folder: Path) -> None:
    folder.mkdir()
    world = make_signed(rulebook=rulebook(), folks=PEOPLE | {"bea": "boss"})
    with pytest.raises(Unattested):
        waive(world, blocked(world))


def test_a_waived_result_was_signed_as_it_was(make_signed: MakeSigned, folder: Path) -> None:
    world = make_signed(
        rulebook=rulebook(), folks=PEOPLE | {"bea": "boss"}, gate_signer=signer(folder, "runner")
    )
    release_id = blocked(world)
    assert waive(world, release_id).level == 1
    assert world.approve_all(release_id).state is State.APPROVED


def _payload(envelope: str) -> bytes:
    found = base64.b64decode(json.loads(envelope)["payload"])
    assert json.loads(found)["predicateType"] == PREDICATE_TYPE
    return found


def _fields(result: Any) -> dict[str, Any]:
    return {name: getattr(result, name) for name in type(result).__dataclass_fields__}


def test_an_advisory_gate_needs_no_signature(make_signed: MakeSigned, folder: Path) -> None:
    runner = signer(folder, "runner", "metrics-threshold")
    document = rulebook("hard")
    document["approval"]["spec"]["enforcement"] = {
        "latency": dict.fromkeys(("high", "medium", "low"), "advisory")
    }
    pipeline = pipeline_document()
    pipeline["spec"]["gates"].append({"gate": "latency", "p95Ms": 5.0})
    world = make_signed(rulebook=document, pipeline=pipeline, gate_signer=runner)
    assert world.approve(world.open(), "lena").level == 2


def test_a_store_without_keys_asks_for_no_signature(make_world: Callable[..., World]) -> None:
    """Only tests have such a store: `test_bootstrap` sees to it that the platform has none."""
    world = make_world(rulebook=RULEBOOK)
    assert world.approve(world.open(), "lena").level == 2


def test_the_bundle_has_the_signed_results_and_checks_them(
    make_signed: MakeSigned, folder: Path, tmp_path: Path
) -> None:
    runner = signer(folder, "runner")
    airlock = Evidenced(make_signed, tmp_path, gate_signer=runner)
    files = airlock.files(airlock.promoted())
    result = airlock.check(files)
    assert result.failures == []
    assert any(f"signed by {runner.key_id}" in note for note in result.notes)
    for spoil, words in (
        (lambda one: one["results"].clear(), "does not have the signed result"),
        (lambda one: one["keys"].clear(), "is not signed by a key that is here"),
        (lambda one: one["results"].update({KEY: "{}"}), "is no envelope"),
    ):
        document = json.loads(files[ATTESTATIONS])
        spoil(document)
        forged = resealed({**files, ATTESTATIONS: canonical(document)})
        (failure,) = airlock.check(forged).failures
        assert words in str(failure)
    document = json.loads(files[ATTESTATIONS])
    (known,) = document["keys"]
    stranger = signer(folder.parent / "elsewhere", "stranger")
    statement = json.loads(_payload(document["results"][KEY]))
    document["results"][KEY] = enclose(statement, known, stranger.sign)
    document["keys"] = {known: base64.b64encode(stranger.public).decode()}
    (failure,) = airlock.check(resealed({**files, ATTESTATIONS: canonical(document)})).failures
    assert f"the key {known} is not the one its id names" in str(failure)
    dossier = read_dossier(files)
    dossier.pipeline["spec"]["gates"][0]["threshold"] = 0.1
    with pytest.raises(Failed, match="is not the result in the log"):  # signed: other options
        check_attested(files, dossier)


def test_the_signed_results_of_a_candidate_that_took_over_are_compared_with_the_log(
    make_signed: MakeSigned, folder: Path, tmp_path: Path
) -> None:
    airlock = Evidenced(make_signed, tmp_path, gate_signer=signer(folder, "runner"))
    world = airlock.world
    release_id, second = world.open(), world.measure("run-2")
    decide.void(world.store, release_id, Actor.system("x"), "a new candidate", origin=second)
    world.approve_all(release_id)
    files = airlock.files(release_id)
    result = airlock.check(files)
    assert result.failures == []
    assert any("results of gates are signed by" in note for note in result.notes)
    document = json.loads(files[ATTESTATIONS])
    document["results"].clear()
    forged = resealed({**files, ATTESTATIONS: canonical(document)})
    (failure,) = airlock.check(forged).failures
    assert "does not have the signed result" in str(failure)


def test_a_signed_result_of_another_release_does_not_fit(
    make_signed: MakeSigned, folder: Path, tmp_path: Path
) -> None:
    airlock = Evidenced(make_signed, tmp_path, gate_signer=signer(folder, "runner"))
    first = airlock.files(airlock.promoted("run-1"))
    second = airlock.files(airlock.promoted("run-2"))
    forged = resealed({**second, ATTESTATIONS: first[ATTESTATIONS]})
    (failure,) = airlock.check(forged).failures
    assert "is about another artifact" in str(failure)
