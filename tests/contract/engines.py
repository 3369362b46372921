"""Two engines the state machine drives: the domain alone in memory, and the services on a database.

Both have the same people, the same rules and the same clock. The domain engine is what a store
does without a database: it keeps a release, a log and a grant, and decides nothing itself.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from airlock.adapters.sql_store import SqlStore
from airlock.domain.approval import timers, waiver_approval, waivers
from airlock.domain.approval.policy import Plan, Rulebook, Tier
from airlock.domain.approval.release import Release, State, Story, Subject
from airlock.domain.approval.release_request import Draft, blocking, open_release
from airlock.domain.approval.voting import Ballot, cast, may_answer
from airlock.domain.clock import stamp
from airlock.domain.errors import Conflict, Refused
from airlock.domain.gates import GateResult, Verdict
from airlock.domain.log.audit import Entry, Head, append
from airlock.domain.people import actors as people_rules
from airlock.domain.people.actors import Actor, Channel, Person
from airlock.domain.people.delegation import Delegation, Powers
from airlock.domain.people.separation_of_duties import Work
from airlock.domain.promotion.grant import Grant
from airlock.domain.promotion.promotion import (
    check_idle,
    check_promotable,
    check_unexpired,
    end,
    ends_at,
    finish,
    grant_for,
    start,
    withdraw,
)
from airlock.ports import PromotionPermit, PromotionRequest
from airlock.services.approvals import decide, delegation, policy_registry
from airlock.services.approvals import waivers as services_waiving
from airlock.services.people import recognition
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, FakeClock, World, pipeline_document

#: Everybody, with the roles held at first. ana asked, cole wrote the code, pia the policy.
CROWD = {
    "ana": {"developer", "algorithm_lead", "risk_committee"},
    "cole": {"algorithm_lead", "risk_committee"},
    "pia": {"compliance_officer", "risk_owner"},
    "lena": {"algorithm_lead"},
    "luis": {"algorithm_lead", "compliance_officer"},
    "carla": {"compliance_officer"},
    "mara": {"risk_committee", "algorithm_lead"},
    "milo": {"risk_committee"},
    "mina": {"risk_committee"},
    "vera": {"risk_owner"},
    "admin": {"admin"},
    "boss": {"risk_owner"},
}
EXCLUDED = {"ana", "cole", "pia"}
#: Somebody to whom Airflow gives roles, and whom nobody has enrolled for any.
STRANGER = "nick"
#: The one gate, which has failed; it is soft, and who has these roles may waive it, but for roles
#: that the requester holds, too.
GATE, WAIVING = "metrics-threshold:roc_auc", {"risk_owner", "risk_committee"}
LEVELS: list[dict[str, Any]] = [
    {
        "name": "first",
        "rules": [
            {"role": "algorithm_lead"},
            {"anyOf": [{"role": "compliance_officer"}, {"role": "risk_committee", "count": 2}]},
        ],
    },
    {"name": "second", "rules": [{"role": "risk_committee"}]},
]
#: So long a level of this policy may wait.
EXPIRES = timedelta(hours=216)


def rulebook() -> dict[str, Any]:
    document = copy.deepcopy(dict(RULEBOOK))
    document["approval"]["spec"]["tiers"]["high"] = {"levels": LEVELS}
    document["access"]["spec"]["gitAuthors"] = {"cole@x.org": "cole", "pia@x.org": "pia"}
    document["access"]["spec"]["superiors"] = {"compliance_officer": "boss"}
    roles = document["access"]["spec"]["roles"]
    roles["risk_owner"] = {"inherits": ["viewer"], "permissions": ["gate:waive"]}
    roles["risk_committee"]["permissions"].append("gate:waive")
    soft = dict.fromkeys(("high", "medium", "low"), "soft")
    document["approval"]["spec"]["enforcement"] = {"metrics-threshold": soft}
    return document


class DomainEngine:
    """The domain without a store. What is measured is measured on its data: other data void it."""

    voids_waivers = True

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.rules = Rulebook.from_document(rulebook())
        self.people = {name: Person(name, name, frozenset(r)) for name, r in CROWD.items()}
        self.lent: list[Delegation] = []
        self.entries: list[Entry] = []
        self.contents: list[dict[str, Any]] = []
        self.grants: dict[str, Grant] = {}
        self.spent: set[str] = set()
        self.revoked: set[str] = set()
        subject = Subject(
            model="credit",
            version="1",
            artifact_digest="sha256:a",
            data_digest="sha256:b",
            code_commit="c",
            pipeline_digest="sha256:d",
            policy_digest=self.rules.digest,
            environment="production",
        )
        draft = Draft(id="rel-1", origin="o", subject=subject, location="l", requester="ana")
        self._release: Release | None = None
        plan, gates, asks = self.plan(), self.results(subject), Actor.system("x")
        self._keep(open_release(draft, plan, gates, [GATE], self.holders(), asks, self.now()))

    @property
    def release(self) -> Release:
        assert self._release is not None
        return self._release

    def now(self) -> str:
        return stamp(self.clock())

    def holders(self) -> Any:
        return people_rules.holders(
            tuple(replace(one, enrolled=not one.unconfirmed) for one in self.people.values())
        )

    def plan(self) -> Plan:
        plan = self.rules.plan("production", Tier.HIGH)
        work = Work(requester="ana", committers=("cole@x.org",), policy_changer="pia@x.org")
        lent = tuple(one for one in self.lent if one.holds(self.now()))
        return replace(
            plan,
            excluded=self.rules.separation.excluded(work, self.holders()),
            powers=Powers(lent, self.rules.superiors),
        )

    def _keep(self, story: Story) -> None:
        for event in story.events:
            head = Head(self.entries[-1].seq, self.entries[-1].hash) if self.entries else Head()
            self.entries.append(append(head, "rel-1", event, story.at))
            self.contents.append(self.entries[-1].content)
        self._release = story.release

    def actor(self, name: str) -> Actor:
        person = self.people.get(name) or Person(name, name, frozenset())
        return Actor(name, name, person.roles, Channel.PAGE)

    def results(self, subject: Subject) -> list[GateResult]:
        name, *_ = GATE.split(":")
        about = (subject.data_digest,)
        return [
            GateResult(gate=name, key=GATE, verdict=Verdict.FAILED, message="weak", evidence=about)
        ]

    def scene(self, plan: Plan) -> waivers.Scene:
        return waivers.Scene(
            artifact_digest=self.release.subject.artifact_digest,
            options={GATE: "sha256:o"},
            weights=plan.weights,
            at=self.now(),
            able=waiver_approval.able_to_waive(self.release, plan, self.holders()),
        )

    def judged(self, plan: Plan, release: Release) -> list[GateResult]:
        return waivers.waived(self.results(release.subject), release.waivers, self.scene(plan))

    def check_gates(self, plan: Plan) -> None:
        if why := blocking(self.judged(plan, self.release), [GATE], plan):
            raise Refused(why)

    def waive(self, name: str, hours: int) -> None:
        plan, until = self.plan(), self.clock() + timedelta(hours=hours)
        story = waiver_approval.waive(
            self.release,
            plan,
            self.judged(plan, self.release),
            self.scene(plan),
            self.actor(name),
            self.holders(),
            gate=GATE,
            reason="looked at it",
            until=until,
            reviewed="",
        )
        assert story.release is not None
        results = self.judged(plan, story.release)
        if story.release.state is State.BLOCKED and not blocking(results, [GATE], plan):
            story.tell("LevelOpened", {"level": 1, "name": "first"})
        self._keep(story)

    def vote(self, name: str, ballot: Ballot) -> None:
        plan = self.plan()
        self.check_gates(plan)
        timers.check_in_time(self.release, plan.timing, self.now())
        story = cast(self.release, plan, ballot, self.actor(name), self.holders(), self.now())
        self._keep(story)

    def may_answer(self) -> tuple[str, ...]:
        return may_answer(self.release, self.plan(), self.holders())

    def withdraw(self, name: str) -> None:
        self._keep(withdraw(self.release, self.actor(name), "a reason", self.now()))

    def void(self, digest: str) -> None:
        subject = replace(self.release.subject, data_digest=digest)
        check_idle(self.release, self.now())
        if self.release.state not in (State.AWAITING_APPROVAL, State.APPROVED):
            return
        story = Story(self.release, Actor.system("x"), self.now(), "p")
        same = {name: getattr(self.release, name) for name in ("origin", "location", "requester")}
        story.tell("ReleaseVoided", {"subject": asdict(subject), **same})
        story.tell("LevelOpened", {"level": 1, "name": "first"})
        self._keep(story)

    # promoting: what `airlock.services.promotion.promote` and the guard do, without a store

    @property
    def grant(self) -> Grant | None:
        return list(self.grants.values())[-1] if self.grants else None

    @property
    def moved(self) -> bool:
        return bool(self.spent)

    def begin(self, attempt: str) -> str:
        self.settle()
        release, plan = self.release, self.plan()
        if release.lease is not None and release.lease.attempt == attempt:
            return release.lease.grant
        check_idle(release, self.now())
        self.check_gates(plan)
        check_promotable(release, plan, self.holders())
        approved = [e["at"] for e in self.log() if e["what"] == "ReleaseApproved"]
        check_unexpired(release, plan, approved[-1], self.now())
        now = self.clock()
        grant = grant_for(
            release,
            plan,
            grant_id=f"g-{len(self.grants)}",
            expected_current=None,
            sequence=1,
            issued_at=now,
            expires_at=ends_at(now, ()),
        )
        self.grants[grant.id] = grant
        self._keep(start(release, grant, attempt, ("key", "digest"), self.now()))
        return grant.id

    def hand_in(self, grant_id: str) -> None:
        """What the guard does with a grant."""
        grant = self.grants[grant_id]
        if grant_id in self.spent:
            return
        if grant_id in self.revoked or self.spent or self.clock() >= grant.expires_at:
            raise Refused("revoked, overtaken or expired")
        self.spent.add(grant_id)

    def revoke(self, grant_id: str) -> None:
        self.revoked.add(grant_id)

    def finish(self, attempt: str) -> None:
        lease = self.release.lease
        if lease is None or lease.attempt != attempt:
            raise Conflict("nobody has it")
        self._settle()

    def settle(self) -> None:
        lease = self.release.lease
        if lease is not None and self.now() >= lease.until:
            with contextlib.suppress(Refused):
                self._settle()

    def _settle(self) -> None:
        lease = self.release.lease
        assert lease is not None
        grant, at = self.grants[lease.grant], self.now()
        if grant.id in self.spent:
            self._keep(finish(self.release, grant, lease.attempt, at, at))
            return
        self.revoke(grant.id)
        self._keep(end(self.release, grant, lease.attempt, "not moved", at, at))
        raise Refused("not moved")

    def set_person(self, name: str, roles: frozenset[str], active: bool) -> None:
        self.people[name] = Person(name, name, roles, active)

    def claim(self, name: str, roles: frozenset[str]) -> None:
        """Let Airflow give somebody roles that no enrolment confirms."""
        self.people[name] = Person(name, name, frozenset(), unconfirmed=roles)

    def lend(self, giver: str, taker: str, hours: int) -> None:
        start_at = self.clock()
        self.lent.append(
            Delegation(
                id=f"d{len(self.lent)}",
                giver=giver,
                taker=taker,
                start=stamp(start_at),
                end=stamp(start_at + timedelta(hours=hours)),
                reason="away",
                made_at=stamp(start_at),
            )
        )

    def log(self) -> list[dict[str, Any]]:
        return self.contents

    def close(self) -> None:
        """Nothing to give back."""


class SqlEngine:
    """The services on a database: one URL of SQLite, or those of PostgreSQL's two roles.

    What a run has measured is frozen, so new data alone leaves the waiver of it standing.
    """

    voids_waivers = False

    def __init__(self, url: str, worker_url: str = "", gone: Callable[[], object] = bool) -> None:
        self.clock, self._gone = FakeClock(), gone
        self.store = SqlStore(url, clock=self.clock)
        self.worker = SqlStore(worker_url or url, clock=self.clock)
        document = rulebook()
        policy_registry.register(self.store, document, [], "pia@x.org")
        folks = {name: "viewer" for name in CROWD}
        pipeline = pipeline_document()
        pipeline["metadata"]["owner"] = "ana"
        self.world = World(
            self.store, rulebook=document, pipeline=pipeline, folks=folks, worker=self.worker
        )
        for name, roles in CROWD.items():
            self.set_person(name, frozenset(roles), True)
        self.world.registry.clock = self.clock
        self.permits: dict[str, PromotionPermit] = {}
        self.id = self.world.open(auc=0.6, committers=("cole@x.org",))

    @property
    def release(self) -> Release:
        with self.store.begin() as unit:
            return unit.lock(self.id)  # with commitments, as the log has them

    @property
    def grant(self) -> Any:
        with self.store.begin() as unit:
            return unit.grant_of(self.id)

    def vote(self, name: str, ballot: Ballot) -> None:
        decide.vote(self.store, self.world.keys, self.id, ballot, self.world.actor(name))

    def waive(self, name: str, hours: int) -> None:
        until = self.clock() + timedelta(hours=hours)
        actor, why = self.world.actor(name), "looked at it"
        services_waiving.waive(self.store, self.world.keys, self.id, GATE, why, until, actor)

    def may_answer(self) -> tuple[str, ...]:
        shown = releases.show(self.store, self.world.keys, self.id, None)
        return tuple(shown["mayAnswer"])

    def withdraw(self, name: str) -> None:
        decide.withdraw(self.store, self.id, self.world.actor(name), "a reason")

    def void(self, digest: str) -> None:
        decide.void(self.store, self.id, Actor.system("x"), "changed", data_digest=digest)

    @property
    def moved(self) -> bool:
        return ("credit", "champion") in self.world.registry.aliases

    def begin(self, attempt: str) -> str:
        begun = self.world.promoter.begin(PromotionRequest(release=self.id, attempt=attempt))
        if not isinstance(begun, PromotionPermit):
            raise Conflict("already done")
        self.permits[begun.grant] = begun
        return begun.grant

    def hand_in(self, grant_id: str) -> None:
        one = self.permits[grant_id]
        self.world.registry.set_alias(one.model, one.alias, one.version, one.envelope)

    def finish(self, attempt: str) -> None:
        if self.world.promoter.finish(self.id, attempt).replayed:
            raise Conflict("already done")

    def settle(self) -> None:
        self.world.promoter.settle_all()

    def set_person(self, name: str, roles: frozenset[str], active: bool) -> None:
        self.world.keep(Person(name, name.title(), roles, active))

    def claim(self, name: str, roles: frozenset[str]) -> None:
        """Let Airflow give somebody roles that no enrolment confirms."""
        recognition.keep_person(self.store, Person(name, name.title(), roles, True))

    def lend(self, giver: str, taker: str, hours: int) -> None:
        now = self.clock()
        delegation.delegate(
            self.store,
            self.world.rulebook,
            self.world.actor(giver),
            taker,
            now,
            now + timedelta(hours=hours),
            "away for a while",
        )

    def log(self) -> list[dict[str, Any]]:
        with self.store.begin() as unit:
            return [entry.content for entry in unit.entries(self.id)]

    def close(self) -> None:
        self.store.close()
        self.worker.close()
        self._gone()
