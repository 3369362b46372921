"""A store with a registered policy, a pipeline, people, and candidates on demand."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from airlock.domain.approval.approval_conditions import EVERYBODY, Reach
from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.release import Decision, Release
from airlock.domain.approval.voting import Ballot
from airlock.domain.digest import digest_bytes, digest_json
from airlock.domain.errors import NotFound
from airlock.domain.evidence.proposals import Kind
from airlock.domain.gates import Evidence
from airlock.domain.people.actors import Actor, Channel, Person
from airlock.domain.people.separation_of_duties import SHIPPED
from airlock.gates import build
from airlock.ports import Candidate, Keyring, Promotion, Proposals, Signer, Store
from airlock.services.approvals import decide, open_release, policy_registry
from airlock.services.people import recognition
from airlock.services.pipeline import collect_and_judge
from airlock.services.promotion import promote as promotions
from airlock.services.proposals import DirectProposals, Handling, Sources
from airlock.services.queries import releases
from airlock.testing.approvers import enrol, persons
from airlock.testing.documents import PEOPLE, RULEBOOK, pipeline_document
from airlock.testing.fakes import (
    FakeArtifacts,
    FakeCode,
    FakeKeys,
    FakeRegistry,
    FakeRules,
    FakeRuns,
    FakeWatch,
)


class World:
    """A store with a registered policy, a pipeline, people, and candidates on demand."""

    def __init__(
        self,
        store: Store,
        signer: Signer | None = None,
        *,
        rulebook: Mapping[str, Any] = RULEBOOK,
        pipeline: Mapping[str, Any] | None = None,
        folks: Mapping[str, str] = PEOPLE,
        worker: Store | None = None,
        gate_signer: Signer | None = None,
    ) -> None:
        self.store, self.worker = store, worker or store
        self.keys, self.gate_signer = FakeKeys(), gate_signer
        self.signer: Signer = signer or self.keys
        self.registry = FakeRegistry()
        self.rulebook = Rulebook.from_document(rulebook)
        self.pipeline = pipeline or pipeline_document()
        self.runs, self.code = FakeRuns(default="ana"), FakeCode()
        self.artifacts = FakeArtifacts(lambda: self.registry)
        self._proposals: Proposals | None = None
        policy_registry.register(store, rulebook, [self.pipeline], SHIPPED)
        enrol(store, self.rulebook, persons(folks))

    def over(self, store: Store, worker: Store) -> World:
        """Return this world on a copy of its database; what either does, the other does not see."""
        twin = copy.copy(self)
        twin.store, twin.worker = store, worker
        twin.registry, twin.runs, twin.code, twin.pipeline = copy.deepcopy(
            (self.registry, self.runs, self.code, self.pipeline)
        )
        twin.artifacts = FakeArtifacts(lambda: twin.registry)
        return twin

    def keep(self, person: Person) -> bool:
        """Have Airflow say this of a person, and enrol the person for it; say if it changed.

        Tests about people nobody has enrolled use `recognition.keep_person`.
        """
        changed = recognition.keep_person(self.store, person)
        enrol(self.store, self.rulebook, [person])
        return changed

    @property
    def proposals(self) -> Proposals:
        """Where tasks hand in what they propose; it is answered at once, unless a test says how."""
        return self._proposals or DirectProposals(Handling(self.store, self.sources()))

    @proposals.setter
    def proposals(self, proposals: Proposals) -> None:
        self._proposals = proposals

    def sources(self) -> Sources:
        """Return what the decider holds claims against."""

        def pipelines() -> dict[str, str]:
            return {self.pipeline["metadata"]["name"]: digest_json(self.pipeline)}

        rules = FakeRules(lambda: self.rulebook.digest, pipelines)
        return Sources(
            runs=self.runs,
            code=self.code,
            artifacts=self.artifacts,
            rules=rules,
            promotions=self.promoter,
        )

    def actor(self, name: str, channel: Channel = Channel.PAGE) -> Actor:
        """Return a person as an actor, with the roles held now."""
        with self.store.begin() as unit:
            persons = {person.id: person for person in unit.people()}
        person = persons.get(name, Person(name, name, frozenset()))
        return person.acting(channel)

    def measure(
        self,
        run: str,
        auc: float = 0.8,
        requester: str = "ana",
        committers: tuple[str, ...] = (),
        content: str = "",
        champion: str = "",
        more: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> str:
        """Register a candidate with evidence and judge its gates; return the origin.

        Every run has bytes of its own, unless *content* says what they are. *champion*: the
        version it was compared with; *more*: facts of further evidence, by kind.
        """
        origin = f"{self.pipeline['metadata']['name']}/{run}"
        model = self.pipeline["metadata"]["name"]
        version = self.registry.add(model, (content or f"{run} {auc}").encode())
        digest = self.registry.artifact_digest(model, version)
        pipeline = digest_json(self.pipeline)
        self.runs.add(origin, requester)
        self.code.people = committers
        begun = self.proposals.submit(
            Kind.RUN, origin, {"pipeline": pipeline, "policy": self.rulebook.digest}
        )
        candidate = Candidate(
            origin=origin,
            model=model,
            version=version,
            run_id=f"mlflow-{run}",
            location=self.registry.location(model, version),
            artifact_digest=digest,
            data_digest=digest_bytes(b"data"),
            code_commit=self.code.head,
            pipeline_digest=pipeline,
            requester=requester,
            environment=self.pipeline["spec"]["environment"],
            raised_to=None,
            started_at=begun["startedAt"],
            lock_digest=self.code.locked,
        )
        served = {"version": champion, "metrics": {"roc_auc": 0.75}} if champion else None
        facts = {"rows": 1000, "candidate": {"metrics": {"roc_auc": auc}}, "champion": served}
        kinds = {"evaluation": facts, **(more or {})}
        measured = collect_and_judge.documents(
            [Evidence(kind, digest, details) for kind, details in kinds.items()]
        )
        body = {"candidate": asdict(candidate), "evidence": measured}
        self.proposals.submit(Kind.CANDIDATE, origin, body)
        for gate in self.pipeline["spec"]["gates"]:
            collect_and_judge.judge(
                self.worker, self.proposals, origin, build(gate), self.gate_signer
            )
        return origin

    def request(self, origin: str, when_open: str = "") -> open_release.Opened:
        """Ask for the release of a measured run, as its task does.

        *when_open*: what happens to another one, in place of what the pipeline says.
        """
        policy = self.rulebook.digest
        if when_open:
            actor = Actor.system("run", Channel.DAG)
            return open_release.request_release(self.store, policy, origin, when_open, actor)
        opening = open_release.propose(self.proposals, origin, policy)
        release = releases.outcome(self.store, opening.release) if opening.release else None
        return open_release.Opened(opening.outcome, release, opening.message)

    def open(self, run: str = "run-1", **measured: Any) -> str:
        """Measure a candidate and open its release; return the release id."""
        opened = self.request(self.measure(run, **measured))
        if opened.release is None:
            raise NotFound(opened.message)
        return opened.release.id

    def ballot(self, release_id: str, decision: Decision, **overrides: Any) -> Ballot:
        """Return an answer to what is open now."""
        return self.ballot_of(releases.outcome(self.store, release_id), decision, **overrides)

    @staticmethod
    def ballot_of(release: Release, decision: Decision, **overrides: Any) -> Ballot:
        """Return an answer to a release as somebody has seen it."""
        ballot = Ballot(
            decision=decision,
            reason="looked at the numbers",
            level=release.level,
            round=release.round,
            subject_digest=release.subject.digest,
        )
        return replace(ballot, **overrides)

    def approve(self, release_id: str, name: str, key: str = "", **overrides: Any) -> Release:
        """Approve as *name* at the open level."""
        return self.vote(release_id, name, Decision.APPROVE, key, **overrides)

    def vote(
        self, release_id: str, name: str, decision: Decision, key: str = "", **overrides: Any
    ) -> Release:
        """Answer as *name* at the open level."""
        ballot = self.ballot(release_id, decision, **overrides)
        return decide.vote(self.store, self.signer, release_id, ballot, self.actor(name), key)

    @property
    def promoter(self) -> promotions.Promoter:
        """The decider, as a task asks it to promote."""
        keyring: Keyring = self.keys
        return promotions.Promoter(self.store, self.signer, keyring, FakeWatch(self.registry))

    def promote(
        self, release_id: str, attempt: str = "run-1", reach: Reach = EVERYBODY
    ) -> Promotion:
        """Promote as a task would."""
        return promotions.promote(self.promoter, self.registry, release_id, attempt, reach)

    def approve_all(self, release_id: str) -> Release:
        """Approve at every level until the release is approved."""
        for name in ("lena", "carla", "mara", "milo"):
            release = releases.outcome(self.store, release_id)
            if release.state.value != "AWAITING_APPROVAL":
                break
            self.approve(release_id, name)
        return releases.outcome(self.store, release_id)
