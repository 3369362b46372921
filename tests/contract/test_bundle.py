"""The evidence bundle of every kind of release holds, and says what happened."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airlock.adapters.keys.ed25519 import FileShelf, FileSigner
from airlock.domain.approval.release import Decision
from airlock.domain.errors import Invalid, NotFound, Refused, Unreachable
from airlock.domain.log.checkpoint import Checkpoint, seal
from airlock.domain.people.actors import Actor
from airlock.ports import PromotionRequest
from airlock.services.approvals import break_glass, decide, delegation, policy_registry
from airlock.services.audit import access_log, erasure, export, key_rotation, transparency_log
from airlock.services.promotion import rollback
from airlock.testing import PEOPLE, World, pipeline_document
from airlock_evidence.archive import unpack
from airlock_evidence.checking import check
from airlock_evidence.proofs import peek
from airlock_evidence.trust import Trust
from tests.contract.bundle_kit import Evidenced, book, canonical, resealed
from tests.contract.tree_kit import keys, witness

MakeWorld = Callable[..., World]


@pytest.fixture
def airlock(make_world: MakeWorld, tmp_path: Path) -> Evidenced:
    return Evidenced(make_world, tmp_path)


def holds(airlock: Evidenced, release_id: str) -> dict[str, Any]:
    """Check a bundle and return its readable outcome, votes and report."""
    files = airlock.files(release_id)
    result = airlock.check(files)
    assert result.ok, result.failures
    assert result.outside
    return {
        "files": files,
        "result": result,
        "votes": json.loads(files["votes.json"])["votes"],
        "outcome": json.loads(files["outcome.json"]),
        "report": files["report.html"].decode(),
        "card": files["model-card.md"].decode(),
    }


def test_without_a_reason_or_a_release_nothing_is_handed_out(airlock: Evidenced) -> None:
    release_id = airlock.promoted()
    with pytest.raises(Invalid, match="needs a reason"):
        airlock.export(release_id, "  ")
    with pytest.raises(NotFound):
        airlock.export("rel-nothing")
    assert not [
        e for e in access_log.events(airlock.world.store, "access") if "Exported" in e["what"]
    ]


def test_a_promoted_release_is_proved(airlock: Evidenced) -> None:
    found = holds(airlock, airlock.promoted())
    assert [(v["person"], v["level"], v["roles"]) for v in found["votes"]] == [
        ("lena", 1, ["algorithm_lead"]),
        ("carla", 2, ["compliance_officer"]),
        ("mara", 3, ["risk_committee"]),
        ("milo", 3, ["risk_committee"]),
    ]
    assert all(v["reason"] == "looked at the numbers" for v in found["votes"])
    assert all(v["time_to_decide"] and v["channel"] == "page" for v in found["votes"])
    assert found["outcome"]["state"] == "PROMOTED"
    assert found["outcome"]["promotion"]["after"] == "1"
    assert "roc_auc" in found["card"]
    assert "<script" not in found["report"]
    assert "http" not in found["report"]


def test_the_export_is_in_the_log_and_in_the_bundle(airlock: Evidenced) -> None:
    release_id = airlock.promoted()
    found = holds(airlock, release_id)
    event = access_log.events(airlock.world.store, "access", 1)[0]
    assert (event["what"], event["who"]["id"], event["why"]) == (
        "EvidenceExported",
        "sam",
        "yearly audit",
    )
    assert event["data"]["entries"] == len(found["files"]["log/stream.jsonl"].splitlines())
    assert found["outcome"]["export"]["seq"] == event["seq"]


def test_two_exports_differ_in_the_checkpoint_and_the_time_alone(airlock: Evidenced) -> None:
    release_id = airlock.promoted()
    first, second = airlock.files(release_id), airlock.files(release_id)
    changed = {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
    assert changed <= {
        "bundle.json",
        "log/checkpoint.txt",
        "log/stream.jsonl",
        "log/context.jsonl",
        "outcome.json",
        "texts.json",
        "report.html",
        "README.txt",
        "manifest.json",
    }
    bodies = [
        [json.loads(line)["body"] for line in files["log/stream.jsonl"].splitlines()]
        for files in (first, second)
    ]
    assert bodies[0] == bodies[1]
    assert resealed(first) == first


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ("reject", "REJECTED"),
        ("withdraw", "WITHDRAWN"),
        ("open", "AWAITING_APPROVAL"),
        ("approve", "APPROVED"),
        ("blocked", "BLOCKED"),
    ],
)
def test_a_release_that_was_not_promoted_says_so(airlock: Evidenced, end: str, state: str) -> None:
    world = airlock.world
    release_id = world.open(auc=0.1 if end == "blocked" else 0.8)
    if end == "reject":
        world.vote(release_id, "lena", Decision.REJECT, reason="not this one")
    if end == "withdraw":
        decide.withdraw(world.store, release_id, world.actor("ana"), "wrong data")
    if end == "approve":
        world.approve_all(release_id)
    found = holds(airlock, release_id)
    assert found["outcome"]["state"] == state
    assert f"was not promoted by this release: it is {state}" in found["card"].replace("\\_", "_")
    assert "grants/promotion.json" not in found["files"]
    assert ("It gets a grant when it is promoted" in found["report"]) == (end == "approve")


@pytest.mark.parametrize("back", [False, True])
def test_an_attempt_that_moved_nothing_is_told(
    make_world: MakeWorld, tmp_path: Path, back: bool
) -> None:
    document = book()
    roles = document["access"]["spec"]["roles"]
    roles["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    folks = {**PEOPLE, "otto": "operator"}
    airlock = Evidenced(make_world, tmp_path, rulebook=document, folks=folks)
    world = airlock.world
    if back:
        airlock.promoted("one")
        release_id = airlock.promoted("two")
        rollback.allow(world.store, release_id, world.actor("otto"), "it drifts")
    else:
        release_id = world.open()
        world.approve_all(release_id)
    ask = PromotionRequest(release=release_id, attempt="dead")
    world.promoter.begin(ask)
    assert holds(airlock, release_id)["outcome"]["state"] == ("PROMOTED" if back else "PROMOTING")
    with pytest.raises(Refused, match="the alias had not moved"):
        world.promoter.finish(release_id, "dead")
    found = holds(airlock, release_id)
    assert found["outcome"]["state"] == ("PROMOTED" if back else "APPROVED")
    assert "ended without a move" in found["report"]
    world.promote(release_id, "again")
    found = holds(airlock, release_id)
    assert found["outcome"]["state"] == ("ROLLED_BACK" if back else "PROMOTED")


def test_a_void_round_is_told_and_does_not_count(airlock: Evidenced) -> None:
    world = airlock.world
    release_id = world.open()
    world.approve(release_id, "lena")
    other = world.measure("run-2")
    decide.void(world.store, release_id, Actor.system("decider"), "a new candidate", origin=other)
    world.approve_all(release_id)
    world.promote(release_id)
    found = holds(airlock, release_id)
    assert [(v["person"], v["round"], v["void"]) for v in found["votes"]][:2] == [
        ("lena", 1, True),
        ("lena", 2, False),
    ]
    assert "every answer until then is void" in found["report"]


def test_a_release_that_other_rules_ended_is_told_and_moves_nothing(airlock: Evidenced) -> None:
    world = airlock.world
    release_id = world.open()
    world.approve(release_id, "lena")
    elsewhere = copy.deepcopy(world.pipeline)
    elsewhere["spec"]["environment"] = "staging"
    policy_registry.register(world.store, world.rulebook.document, [elsewhere])
    found = holds(airlock, release_id)
    assert found["outcome"]["state"] == "EXPIRED"
    assert "is that of credit for staging, not of credit for production" in found["report"]


def test_a_delegate_is_named_with_the_person_behind(make_world: MakeWorld, tmp_path: Path) -> None:
    airlock = Evidenced(make_world, tmp_path, folks={**PEOPLE, "dora": "viewer"})
    world = airlock.world
    with world.store.begin() as unit:
        now = unit.now()
    delegation.delegate(
        world.store,
        world.rulebook,
        world.actor("lena"),
        "dora",
        now,
        now + timedelta(days=1),
        "on leave",
    )
    release_id = world.open()
    world.approve(release_id, "dora")
    found = holds(airlock, release_id)
    (vote,) = found["votes"]
    assert (vote["person"], vote["behind"], vote["capacity"]) == ("dora", "lena", "delegate")
    assert vote["roles"] == ["viewer"]
    assert vote["roles_of_the_person_behind"] == ["algorithm_lead"]
    assert "as delegate of lena" in found["report"]


def test_a_broken_glass_is_told(make_world: MakeWorld, tmp_path: Path) -> None:
    glass = {
        "roles": ["algorithm_lead", "compliance_officer"],
        "people": 2,
        "hours": 4,
        "reviewers": ["security_auditor"],
    }
    airlock = Evidenced(make_world, tmp_path, rulebook=book(breakGlass=glass))
    world = airlock.world
    release_id = world.open()
    for name in ("lena", "carla"):
        actor = world.actor(name)
        break_glass.break_glass(world.store, world.signer, release_id, actor, "it burns", "INC-7")
    world.promote(release_id)
    break_glass.review(world.store, release_id, world.actor("sam"), "was right")
    found = holds(airlock, release_id)
    assert "The glass was broken for INC-7 by lena and carla" in found["report"]
    assert "Reviewed by sam" in found["report"]


def test_a_rollback_is_told_with_its_grant(make_world: MakeWorld, tmp_path: Path) -> None:
    document = book()
    roles = document["access"]["spec"]["roles"]
    roles["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    airlock = Evidenced(
        make_world, tmp_path, rulebook=document, folks={**PEOPLE, "otto": "operator"}
    )
    world = airlock.world
    first, second = airlock.promoted("one"), airlock.promoted("two")
    otto = world.actor("otto")
    rollback.allow(world.store, second, otto, "it drifts")
    world.promote(second, "back")
    found = holds(airlock, second)
    assert found["outcome"]["rollback"]["to"] == first
    assert found["outcome"]["grant_claims"]["grants/rollback.json"]["rolls_back"] == second
    assert "Rolled back on" in found["report"]
    assert holds(airlock, first)["outcome"]["state"] == "PROMOTED"


def test_an_environment_without_people_has_a_bundle_too(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    airlock = Evidenced(make_world, tmp_path, pipeline=pipeline_document(environment="staging"))
    world = airlock.world
    opened = world.request(world.measure("run-1")).release
    assert opened is not None
    decide.settle(world.store, world.signer, opened.id)
    found = holds(airlock, opened.id)
    assert found["votes"] == []
    assert "needs no approval by people" in found["report"]


def test_what_the_old_key_signed_is_proved_after_a_rotation(
    airlock: Evidenced, tmp_path: Path
) -> None:
    release_id = airlock.promoted()
    old = airlock.signer.key_id
    before = dict(airlock.keyring.keys())
    key_rotation.rotate(
        airlock.world.store, airlock.signer, FileShelf(tmp_path / "signing.pem", tmp_path / "keys")
    )
    files = holds(airlock, release_id)["files"]
    assert airlock.signer.key_id != old
    by_old = check(files, lambda _: Trust(before, {}, "the old key alone"))
    assert by_old.ok, by_old.failures


def test_a_checkpoint_by_a_key_that_was_given_up_is_refused(
    airlock: Evidenced, tmp_path: Path
) -> None:
    release_id = airlock.promoted()
    (tmp_path / "stolen.pem").write_bytes((tmp_path / "signing.pem").read_bytes())
    stolen = FileSigner(tmp_path / "stolen.pem")
    shelf = FileShelf(tmp_path / "signing.pem", tmp_path / "keys")
    key_rotation.rotate(airlock.world.store, airlock.signer, shelf)
    files = airlock.files(release_id)
    origin, size, root, at = peek(files["log/checkpoint.txt"])
    for late, good in ((0, True), (3600, False)):
        note = seal(Checkpoint(origin, size, root), stolen.public, stolen.sign, at + late)
        result = airlock.check(resealed({**files, "log/checkpoint.txt": note.encode()}))
        assert result.ok is good, result.failures
    assert "had been given up" in str(result.failures[0])


def test_the_witness_is_shown_and_the_newer_tree_extends_the_one_it_saw(
    airlock: Evidenced, tmp_path: Path
) -> None:
    release_id = airlock.promoted()
    with witness(tmp_path, airlock.world, airlock.signer) as place:
        transparency_log.publish(airlock.world.store, place)
        airlock.witnesses = {place.witness_name: place.cosigner}
        found = holds(airlock, release_id)
    assert {"log/witnessed.txt", "log/consistency.json"} <= set(found["files"])
    assert any("witness airlock/witness cosigned" in one for one in found["result"].proved)
    public = {name: one.public for name, one in airlock.witnesses.items()}
    for path in ([], json.loads(found["files"]["log/consistency.json"])["path"][1:]):
        proof = {"log/consistency.json": canonical({"path": path})}
        said = str(airlock.check(resealed({**found["files"], **proof})).failures[0])
        assert "does not extend the one of the witness" in said
    outside = check(found["files"], lambda _: Trust(dict(airlock.keyring.keys()), public, "ours"))
    said = [one for one in outside.proved if "cosigned" in one]
    assert said
    assert "inside the bundle" not in said[0]


def test_a_process_without_the_key_waits_for_the_one_that_has_it(
    airlock: Evidenced, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_id = airlock.promoted()
    monkeypatch.setattr(export, "LOOKS", 1)
    monkeypatch.setattr(export, "PAUSE_S", 0.0)
    actor = airlock.world.actor("sam")
    with pytest.raises(Unreachable, match="not covered by a checkpoint yet"):
        export.export(
            airlock.world.store, airlock.keyring, None, {}, actor, release_id, "yearly audit"
        )


def test_evidence_that_would_not_hold_is_not_handed_out(airlock: Evidenced, tmp_path: Path) -> None:
    release_id = airlock.promoted()
    _, foreign = keys(tmp_path / "foreign")
    actor = airlock.world.actor("sam")
    with pytest.raises(Refused, match=r"the evidence of .* does not hold"):
        export.export(
            airlock.world.store, foreign, airlock.signer, {}, actor, release_id, "yearly audit"
        )


def test_the_report_of_the_page_is_that_of_the_bundle_without_the_proof(airlock: Evidenced) -> None:
    release_id = airlock.promoted()
    shown = export.report(airlock.world.store, airlock.keyring, {}, release_id)
    kept = unpack(airlock.export(release_id), "the zip")["report.html"].decode()
    assert shown.split("<h2>Proof</h2>")[0] == kept.split("<h2>Proof</h2>")[0]
    assert "Checkpoint" in kept.split("<h2>Proof</h2>")[1]


def test_what_people_wrote_cannot_become_html(airlock: Evidenced) -> None:
    release_id = airlock.world.open()
    words = '<script>alert(1)</script> <img src=x onerror="x"> | * `x` </td>'
    airlock.world.approve(release_id, "lena", reason=words)
    found = holds(airlock, release_id)
    assert "<script" not in found["report"]
    assert "<img" not in found["report"]
    assert "&lt;script&gt;" in found["report"]
    assert canonical(found["votes"][0]["reason"]) == canonical(words)


def test_an_erased_text_is_shown_as_erased_and_everything_else_still_holds(
    airlock: Evidenced,
) -> None:
    world = airlock.world
    release_id = world.open()
    world.approve(release_id, "lena", reason="a private thought of mine")
    world.approve(release_id, "carla", reason="all forms are filled")
    before = holds(airlock, release_id)
    assert "a private thought of mine" in before["report"]
    assert b"a private thought" not in before["files"]["log/stream.jsonl"]
    erasure.erase(world.store, world.actor("admin"), "lena", "she asked for it")
    erasure.erase(world.store, world.actor("admin"), "admin", "no reasons of erasures either")
    after = holds(airlock, release_id)
    assert [vote["reason"] for vote in after["votes"]] == ["erased", "all forms are filled"]
    assert not [name for name, data in after["files"].items() if b"private thought" in data]
    assert any("were erased since" in note for note in after["result"].notes)


def test_a_text_that_is_left_out_or_changed_is_no_erased_one(airlock: Evidenced) -> None:
    release_id = airlock.promoted()
    files = airlock.files(release_id)
    texts = json.loads(files["texts.json"])
    name = next(iter(texts))
    less = {one: text for one, text in texts.items() if one != name}
    made = resealed({**files, "texts.json": canonical(less)})
    assert "no entry says it was erased" in str(airlock.check(made).failures[0])
    texts[name]["text"] += "!"
    made = resealed({**files, "texts.json": canonical(texts)}, readable_too=False)
    assert "not the one that was committed to" in str(airlock.check(made).failures[0])
