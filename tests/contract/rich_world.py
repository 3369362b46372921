"""A database in which everything has happened once: what the log's verification has to cover."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from airlock.adapters.checkpoints.folder import CheckpointFolder
from airlock.adapters.keys.ed25519 import FileKeyring, FileSigner
from airlock.domain.approval.approval_conditions import Conditions, Demand
from airlock.domain.approval.release import Decision
from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError
from airlock.domain.people.actors import Actor, Person
from airlock.ports import Parked, Spot
from airlock.services.approvals import break_glass, deadlines, decide, delegation, waivers
from airlock.services.audit import access_log, erasure, transparency_log
from airlock.services.people import accounts, enrolment, recognition, slack_links
from airlock.services.promotion import rollback
from airlock.testing import PEOPLE, RULEBOOK, FakeClock, FakeKeys, World, pipeline_document

TEAM = "T0AIRLOCK"
MakeWorld = Callable[..., World]


def rulebook() -> dict[str, Any]:
    """Return a policy with everything in it."""
    document = copy.deepcopy(dict(RULEBOOK))
    access, approval = document["access"]["spec"], document["approval"]["spec"]
    access["roles"]["operator"] = {"inherits": ["viewer"], "permissions": ["release:promote"]}
    access["roles"]["boss"] = {"inherits": ["viewer"], "permissions": ["gate:waive"]}
    glass = {"roles": ["algorithm_lead", "compliance_officer"], "people": 2, "hours": 4}
    approval["breakGlass"] = {**glass, "reviewers": ["security_auditor"]}
    soft = dict.fromkeys(("high", "medium", "low"), "soft")
    approval["enforcement"] = {"metrics-threshold": soft}
    return document


class RichWorld:
    """Two models, and what people, machines and time have done to them."""

    def __init__(self, make_world: MakeWorld, folder: Path, clock: FakeClock) -> None:
        self.clock, self.folder = clock, folder
        self.signer, self.keyring = FileSigner(folder / "signing.pem"), FileKeyring(folder / "keys")
        folks = {**PEOPLE, "otto": "operator", "bea": "boss", "gone": "viewer"}
        given = {"signer": self.signer, "rulebook": rulebook(), "gate_signer": FakeKeys()}
        self.credit = make_world(clock, folks=folks, **given)
        pipeline = pipeline_document()
        pipeline["metadata"]["name"] = "fraud"
        self.fraud = make_world(clock, folks={}, pipeline=pipeline, **given)
        for world in (self.credit, self.fraud):
            world.keys = self.keyring  # type: ignore[assignment]
        self.copies = CheckpointFolder(folder / "checkpoints")

    def fill(self) -> None:
        """Let everything happen."""
        for act in (
            self._promotions,
            self._rollback,
            self._waiver,
            self._people,
            self._emergencies,
            self._chat,
            self._waiting,
            self._ended,
            self._texts,
            self._accounts,
            self._talk,
        ):
            act()
            self.tick()
        self.cover()
        access_log.read(self.credit.store, self.credit.actor("sam"))  # not in the tree yet

    def tick(self, **time: float) -> None:
        """Let time pass."""
        self.clock.pass_(**(time or {"seconds": 1}))

    def cover(self) -> None:
        """Let everything join the tree, and carry the checkpoint out."""
        transparency_log.checkpoint_now(self.credit.store, self.signer)
        transparency_log.publish(self.credit.store, self.copies)

    def _approve(self, world: World, release_id: str, **lead: Any) -> None:
        world.approve(release_id, "lena", release_id, **lead)
        for name in ("carla", "mara", "milo"):
            self.tick()
            world.approve(release_id, name)

    def _promotions(self) -> None:
        for world in (self.credit, self.fraud):
            due = stamp(self.clock.at + timedelta(days=900))
            demands = (Demand(text="add the missing rows", owner="ana", due=due),)
            release_id = world.open("first")
            self._approve(world, release_id, conditions=Conditions(findings=demands))
            world.promote(release_id, "first-attempt")
            self.tick()
        with self.credit.store.begin() as unit:
            found = unit.findings("credit")[0]
        rules = self.credit.rulebook
        actor = self.credit.actor("mara")
        delegation.close_finding(self.credit.store, rules, actor, found.id, "rows are there")

    def _rollback(self) -> None:
        world = self.credit
        second = world.open("second")
        self._approve(world, second)
        world.promote(second, "second-attempt")
        self.tick()
        otto = world.actor("otto")
        rollback.allow(world.store, second, otto, "it drifts", "", "key-2")
        self.tick()
        world.promote(second, "back")

    def _waiver(self) -> None:
        world = self.credit
        opened = world.request(world.measure("weak", auc=0.6))
        assert opened.release is not None
        name, until = opened.release.id, self.clock.at + timedelta(days=80)
        bea, gate = world.actor("bea"), "metrics-threshold:roc_auc"
        waivers.waive(world.store, self.signer, name, gate, "known to be weak", until, bea)
        self.tick()
        world.vote(name, "luis", Decision.REJECT)

    def _people(self) -> None:
        world, now = self.credit, self.clock.at
        give = {"start": now, "end": now + timedelta(days=60), "reason": "away for a while"}
        rules, store = world.rulebook, world.store
        delegation.delegate(store, rules, world.actor("luis"), "vera", **give)
        lent = delegation.delegate(store, rules, world.actor("mina"), "vera", **give)
        self.tick()
        delegation.revoke(store, world.actor("mina"), lent.id)
        for roles in ({"viewer", "developer"}, {"viewer"}, {"viewer", "developer"}):
            recognition.keep_person(store, Person("vera", "Vera", frozenset(roles)))
            self.tick()
        recognition.keep_person(store, Person("gone", "Gone", frozenset(), active=False))

    def _accounts(self) -> None:
        """Somebody's password changes, which suspends; somebody else's enrolment is ended."""
        world = self.credit
        with world.store.begin() as unit:
            seen = unit.account("mina")
            assert seen is not None
            changed = replace(seen, marks={**seen.marks, "password": "another"})
            accounts.observe(unit, "mina", changed)
            known = unit.people()
            assert accounts.admit(unit, "lenа", known) is not None  # noqa: RUF001 - another a
            mine = unit.enrolments(person="milo")
            unit.commit()
        enrolment.end(world.store, world.rulebook, world.actor("milo"), mine[0].id, "on my own")

    def _emergencies(self) -> None:
        for world in (self.credit, self.fraud):
            release_id = world.open("urgent")
            for name in ("lena", "carla"):
                self.tick()
                actor = world.actor(name)
                break_glass.break_glass(
                    world.store, self.signer, release_id, actor, "it burns", "INC-7"
                )
            world.promote(release_id, "urgent-attempt")
            if world is self.credit:
                self.tick()
                break_glass.review(world.store, release_id, world.actor("sam"), "it was right")
        self.tick(hours=25)
        deadlines.sweep(self.fraud.store)  # nobody has reviewed the other

    def _chat(self) -> None:
        store = self.credit.store
        for person in ("lena", "carla"):
            code = slack_links.offer(store, self.credit.actor(person)).code
            self.tick()
            slack_links.redeem(store, TEAM, f"U0{person.upper()}", code)
        self.tick()
        slack_links.end(store, self.credit.actor("carla"), "carla")
        slack_links.offer(store, self.credit.actor("mara"))
        for _ in range(2):
            self.tick()
            try:
                slack_links.redeem(store, TEAM, "U0EVE", "AAAA-AAAA-AAAA")
            except AirlockError:
                continue

    def _waiting(self) -> None:
        world = self.fraud
        release_id = world.open("waiting")
        world.approve(release_id, "lena")
        self.tick(hours=73)
        deadlines.sweep(world.store)
        with world.store.begin() as unit:
            unit.begin_posting(f"{release_id}/main", release_id)
            unit.end_posting(f"{release_id}/main", Spot("C0", "1.2"), "digest")
            unit.commit()
        with world.store.begin() as unit:
            unit.park(Parked(release_id, 2, "fraud", "waiting", "wait", self.clock.at))
            unit.commit()
        self.tick()
        decide.void(
            world.store,
            release_id,
            Actor.system("decider"),
            "other data",
            data_digest="sha256:" + "d" * 64,
        )
        world.approve(release_id, "luis")

    def _ended(self) -> None:
        world = self.credit
        world.measure("never-asked")
        release_id = world.open("back")
        decide.withdraw(world.store, release_id, world.actor("ana"), "a better one comes")
        self.tick()
        release_id = world.open("approved")
        self._approve(world, release_id)

    def _texts(self) -> None:
        world = self.credit
        admin = world.actor("admin")
        erasure.erase(world.store, admin, "luis", "asked for it")

    def _talk(self) -> None:
        sam = self.credit.actor("sam")
        for number in range(300):
            if number % 100 == 0:
                self.cover()
                self.tick(seconds=61)
            access_log.note(self.credit.store, sam, "LogRead", "", {"entries": number})
