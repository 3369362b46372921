"""Good bundles of every kind of release, each built once, with the key that signed its log."""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airlock.adapters.keys.ed25519 import FileGateKeys, FileShelf, FileSigner, create
from airlock.adapters.sql_migrations import upgrade
from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.release import Decision
from airlock.domain.clock import stamp
from airlock.domain.errors import Refused
from airlock.domain.people.actors import Actor, Person
from airlock.ports import PromotionRequest
from airlock.services.approvals import break_glass, decide, delegation, waivers
from airlock.services.audit import erasure, key_rotation, transparency_log
from airlock.services.promotion import rollback
from airlock.testing import PEOPLE, RULEBOOK, World, pipeline_document
from tests.contract.bundle_kit import Evidenced, Files
from tests.contract.tree_kit import witness

GATE = "metrics-threshold:roc_auc"
FOLKS = {**PEOPLE, "dora": "viewer", "otto": "operator", "bea": "boss"}


@dataclass(frozen=True)
class Good:
    """One good bundle, the state it has to tell, and what a tamperer could hold."""

    files: Files
    state: str
    folder: Path
    signer: FileSigner
    keys: dict[str, bytes]
    witnesses: dict[str, bytes] = field(default_factory=dict)
    given_up: FileSigner | None = None


def build(folder: Path) -> dict[str, Good]:
    """Return every good bundle, by kind of release."""
    template = folder / "template.db"
    upgrade(f"sqlite:///{template}")
    return {
        name: happened(_make(folder / name, template, **options))
        for name, (happened, options) in KINDS.items()
    }


def rulebook() -> dict[str, Any]:
    """Return the test policy with an emergency, a soft gate and somebody who may roll back."""
    document = copy.deepcopy(dict(RULEBOOK))
    access, approval = document["access"]["spec"], document["approval"]["spec"]
    access["roles"]["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    access["roles"]["boss"] = {"inherits": ["viewer"], "permissions": ["gate:waive"]}
    approval["breakGlass"] = {
        "roles": ["algorithm_lead", "compliance_officer"],
        "people": 2,
        "hours": 4,
        "reviewers": ["security_auditor"],
    }
    soft = dict.fromkeys(("high", "medium", "low"), "soft")
    approval["enforcement"] = {"metrics-threshold": soft}
    access["superiors"] = {"algorithm_lead": "vera"}
    return document


def _make(folder: Path, template: Path, *, signed_gates: bool = False, **options: Any) -> Evidenced:
    folder.mkdir()
    url = f"sqlite:///{shutil.copy(template, folder / 'airlock.db')}"
    if signed_gates:
        create(folder / "gates.pem", folder / "gate-keys")
        options["gate_signer"] = FileSigner(folder / "gates.pem")
    gate_keys = FileGateKeys(folder / "gate-keys") if signed_gates else None

    def make_world(**given: Any) -> World:
        return World(SqlStore(url, pooled=False, gate_keys=gate_keys), **given)

    return Evidenced(make_world, folder, rulebook=rulebook(), folks=FOLKS, **options)


def _good(airlock: Evidenced, release_id: str, state: str, **more: Any) -> Good:
    trusted = dict(airlock.keyring.keys())
    return Good(airlock.files(release_id), state, airlock.folder, airlock.signer, trusted, **more)


def _answer(world: World, release_id: str, *names: str) -> None:
    for name in names:
        world.approve(release_id, name)


def _promoted(airlock: Evidenced) -> Good:
    return _good(airlock, airlock.promoted(), "PROMOTED")


def _low_tier(airlock: Evidenced) -> Good:
    release_id = airlock.world.open()
    airlock.world.approve(release_id, "lena")
    airlock.world.promote(release_id)
    return _good(airlock, release_id, "PROMOTED")


def _open(airlock: Evidenced) -> Good:
    release_id = airlock.world.open()
    airlock.world.approve(release_id, "lena")
    return _good(airlock, release_id, "AWAITING_APPROVAL")


def _approved(airlock: Evidenced) -> Good:
    release_id = airlock.world.open()
    airlock.world.approve_all(release_id)
    return _good(airlock, release_id, "APPROVED")


def _rejected(airlock: Evidenced) -> Good:
    release_id = airlock.world.open()
    airlock.world.approve(release_id, "lena")
    airlock.world.vote(release_id, "carla", Decision.REJECT, reason="not this one")
    return _good(airlock, release_id, "REJECTED")


def _blocked(airlock: Evidenced) -> Good:
    return _good(airlock, airlock.world.open(auc=0.1), "BLOCKED")


def _withdrawn(airlock: Evidenced) -> Good:
    world, release_id = airlock.world, airlock.world.open()
    decide.withdraw(world.store, release_id, world.actor("ana"), "wrong data")
    return _good(airlock, release_id, "WITHDRAWN")


def _waived(airlock: Evidenced) -> Good:
    world, release_id = airlock.world, airlock.world.open(auc=0.6)
    until, bea = datetime.now(UTC) + timedelta(days=30), world.actor("bea")
    waivers.waive(world.store, world.signer, release_id, GATE, "few rows", until, bea)
    world.approve_all(release_id)
    world.promote(release_id)
    return _good(airlock, release_id, "PROMOTED")


def _conditional(airlock: Evidenced) -> Good:
    world, release_id = airlock.world, airlock.world.open()
    due = stamp(datetime.now(UTC) + timedelta(days=30))
    demand = Demand(text="explain the age effect", owner="ana", due=due)
    world.approve(release_id, "lena", conditions=Conditions(findings=(demand,)))
    _answer(world, release_id, "carla", "mara", "milo")
    world.promote(release_id)
    with world.store.begin() as unit:
        (found,) = unit.findings("credit")
    mara = world.actor("mara")
    delegation.close_finding(world.store, world.rulebook, mara, found.id, "it is explained")
    return _good(airlock, release_id, "PROMOTED")


def _delegated(airlock: Evidenced) -> Good:
    world, now = airlock.world, datetime.now(UTC)
    give = {"start": now, "end": now + timedelta(days=1), "reason": "on leave"}
    delegation.delegate(world.store, world.rulebook, world.actor("carla"), "dora", **give)
    release_id = world.open()
    _answer(world, release_id, "lena", "dora", "mara", "milo")
    world.promote(release_id)
    return _good(airlock, release_id, "PROMOTED")


def _stand_in(airlock: Evidenced) -> Good:
    world, release_id = airlock.world, airlock.world.open()
    for name in ("lena", "luis"):
        world.keep(Person(name, name.title(), frozenset({"algorithm_lead"}), active=False))
    _answer(world, release_id, "vera", "carla", "mara", "milo")
    world.promote(release_id)
    return _good(airlock, release_id, "PROMOTED")


def _emergency(airlock: Evidenced) -> Good:
    world, release_id = airlock.world, airlock.world.open()
    for name in ("lena", "carla"):
        actor = world.actor(name)
        break_glass.break_glass(world.store, world.signer, release_id, actor, "it burns", "INC-7")
    world.promote(release_id)
    break_glass.review(world.store, release_id, world.actor("sam"), "was right")
    return _good(airlock, release_id, "PROMOTED")


def _rolled_back(airlock: Evidenced) -> Good:
    airlock.promoted("one")
    second, world = airlock.promoted("two"), airlock.world
    rollback.allow(world.store, second, world.actor("otto"), "it drifts")
    world.promote(second, "back")
    return _good(airlock, second, "ROLLED_BACK")


def _attempted(airlock: Evidenced) -> Good:
    """An attempt that moved nothing, and a second one that did."""
    world, release_id = airlock.world, airlock.world.open()
    world.approve_all(release_id)
    world.promoter.begin(PromotionRequest(release=release_id, attempt="dead"))
    with contextlib.suppress(Refused):
        world.promoter.finish(release_id, "dead")
    world.promote(release_id, "again")
    return _good(airlock, release_id, "PROMOTED")


def _voided(airlock: Evidenced) -> Good:
    world, release_id = airlock.world, airlock.world.open()
    world.approve(release_id, "lena")
    other, decider = world.measure("run-2", auc=0.9), Actor.system("decider")
    decide.void(world.store, release_id, decider, "a new candidate", origin=other)
    world.approve_all(release_id)
    world.promote(release_id)
    return _good(airlock, release_id, "PROMOTED")


def _erased(airlock: Evidenced) -> Good:
    world, release_id = airlock.world, airlock.world.open()
    world.approve(release_id, "lena", reason="a private thought of mine")
    erasure.erase(world.store, world.actor("admin"), "lena", "she asked for it")
    return _good(airlock, release_id, "AWAITING_APPROVAL")


def _rotated(airlock: Evidenced) -> Good:
    release_id, before = airlock.promoted(), dict(airlock.keyring.keys())
    key, stolen = airlock.folder / "signing.pem", airlock.folder / "stolen.pem"
    stolen.write_bytes(key.read_bytes())
    shelf = FileShelf(key, airlock.folder / "keys")
    key_rotation.rotate(airlock.world.store, airlock.signer, shelf)
    made = _good(airlock, release_id, "PROMOTED")
    # The old key alone is trusted: it has signed the new one.
    return replace(made, keys=before, given_up=FileSigner(stolen))


def _witnessed(airlock: Evidenced) -> Good:
    release_id = airlock.promoted()
    with witness(airlock.folder, airlock.world, airlock.signer) as place:
        transparency_log.publish(airlock.world.store, place)
        airlock.witnesses = {place.witness_name: place.cosigner}
        seen = {place.witness_name: place.cosigner.public}
        return _good(airlock, release_id, "PROMOTED", witnesses=seen)


def _without_people(airlock: Evidenced) -> Good:
    opened = airlock.world.request(airlock.world.measure("run-1")).release
    assert opened is not None
    decide.settle(airlock.world.store, airlock.world.signer, opened.id)
    airlock.world.promote(opened.id)
    return _good(airlock, opened.id, "PROMOTED")


#: Kind of release -> what happened, and how its world is made otherwise.
KINDS: dict[str, tuple[Callable[[Evidenced], Good], dict[str, Any]]] = {
    "promoted": (_promoted, {}),
    "low tier": (_low_tier, {"pipeline": pipeline_document(impact="none")}),
    "open": (_open, {}),
    "approved": (_approved, {}),
    "rejected": (_rejected, {}),
    "blocked": (_blocked, {}),
    "withdrawn": (_withdrawn, {}),
    "waived": (_waived, {}),
    "conditional": (_conditional, {}),
    "delegated": (_delegated, {}),
    "stand-in": (_stand_in, {}),
    "emergency": (_emergency, {}),
    "rolled back": (_rolled_back, {}),
    "attempted": (_attempted, {}),
    "voided": (_voided, {}),
    "erased": (_erased, {}),
    "rotated": (_rotated, {}),
    "witnessed": (_witnessed, {}),
    "without people": (_without_people, {"pipeline": pipeline_document(environment="staging")}),
    "signed gates": (_promoted, {"signed_gates": True}),
}
