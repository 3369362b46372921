"""Fakes that keep the promises of the real adapters, and a small world to test in.

    world = World(store)                      # registered policy, pipeline and people
    release_id = world.open("run-1")          # measured, gates open, level 1 waits
    world.approve(release_id, "lena")

The fakes are real implementations in memory; the contract tests run on them and on the real ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.digest import digest_bytes, digest_json, manifest_digest
from airlock.domain.errors import NotFound, Unreachable
from airlock.domain.gates import Evidence
from airlock.domain.people import Actor, Channel, Person
from airlock.domain.policy import Rulebook
from airlock.domain.release import Decision, Release
from airlock.domain.voting import Ballot
from airlock.gates import build
from airlock.ports import Candidate, Parked, Signer, Store
from airlock.services import (
    configuring,
    deciding,
    evidence,
    people,
    promoting,
    reading,
    requesting,
)

RULEBOOK: Mapping[str, Any] = {
    "risk": {
        "spec": {
            "facts": {"impact": ["none", "direct"]},
            "rules": [{"tier": "low", "when": {"impact": "none"}}],
            "otherwise": "high",
        }
    },
    "approval": {
        "spec": {
            "environments": {
                "staging": {"gates": True, "people": False, "alias": "staging"},
                "production": {"gates": True, "people": True, "alias": "champion"},
            },
            "requiredGates": [],
            "grantHours": 336,
            "tiers": {
                "low": {"levels": [{"name": "lead", "rules": [{"role": "algorithm_lead"}]}]},
                "high": {
                    "levels": [
                        {"name": "lead", "rules": [{"role": "algorithm_lead", "count": 1}]},
                        {"name": "compliance", "rules": [{"role": "compliance_officer"}]},
                        {"name": "committee", "rules": [{"role": "risk_committee", "count": 2}]},
                    ]
                },
            },
        }
    },
    "access": {
        "spec": {
            "roles": {
                "viewer": {"inherits": [], "permissions": ["release:read"]},
                "developer": {"inherits": ["viewer"], "permissions": ["release:withdraw"]},
                "algorithm_lead": {"inherits": ["viewer"], "permissions": ["release:vote"]},
                "compliance_officer": {"inherits": ["viewer"], "permissions": ["release:vote"]},
                "risk_committee": {"inherits": ["viewer"], "permissions": ["release:vote"]},
                "security_auditor": {
                    "inherits": ["viewer"],
                    "permissions": ["audit:read", "audit:verify", "audit:export"],
                },
                "admin": {"inherits": ["developer"], "permissions": ["user:read"]},
            },
            "airflowRoles": {
                name: name
                for name in (
                    "viewer",
                    "developer",
                    "algorithm_lead",
                    "compliance_officer",
                    "risk_committee",
                    "security_auditor",
                    "admin",
                )
            },
        }
    },
}

#: Everybody of the demo, with the roles held.
PEOPLE: Mapping[str, str] = {
    "ana": "developer",
    "lena": "algorithm_lead",
    "luis": "algorithm_lead",
    "carla": "compliance_officer",
    "mara": "risk_committee",
    "milo": "risk_committee",
    "mina": "risk_committee",
    "sam": "security_auditor",
    "vera": "viewer",
    "admin": "admin",
}


def pipeline_document(impact: str = "direct", environment: str = "production") -> dict[str, Any]:
    """Return a pipeline whose only gate is a threshold on roc_auc."""
    return {
        "metadata": {"name": "credit", "owner": "ana"},
        "spec": {
            "environment": environment,
            "risk": {"impact": impact},
            "gates": [{"gate": "metrics-threshold", "metric": "roc_auc", "threshold": 0.7}],
        },
    }


@dataclass
class FakeRegistry:
    """A model registry in memory. `down` makes it unreachable; `files` can be tampered with."""

    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    down: bool = False

    def add(self, model: str, content: bytes) -> str:
        """Register a version with one file and return its number."""
        version = str(sum(1 for name, _ in self.files if name == model) + 1)
        self.files[model, version] = {"model.skops": content}
        return version

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at, or None."""
        self._check()
        return self.aliases.get((model, alias))

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point the alias at a version."""
        self._files(model, version)
        self.aliases[model, alias] = version

    def download(self, model: str, version: str, into: Path) -> Path:
        """Write the files of a version into a folder."""
        for name, content in self._files(model, version).items():
            (into / name).write_bytes(content)
        return into

    def artifact_digest(self, model: str, version: str) -> str:
        """Return the manifest digest of a version's files."""
        files = self._files(model, version)
        return manifest_digest({name: digest_bytes(content) for name, content in files.items()})

    def location(self, model: str, version: str) -> str:
        """Return where the bytes are read from."""
        self._files(model, version)
        return f"memory:/{model}/{version}"

    def _files(self, model: str, version: str) -> dict[str, bytes]:
        self._check()
        if (model, version) not in self.files:
            raise NotFound(f"there is no version {version} of {model}")
        return self.files[model, version]

    def _check(self) -> None:
        if self.down:
            raise Unreachable("the registry does not answer", next_step="Try again.")


@dataclass
class FakeAirflow:
    """Remembers who was woken and what was noted."""

    woken: list[Parked] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    down: bool = False

    def wake(self, parked: Parked, note: str) -> bool:
        """Wake a parked task."""
        self._check()
        self.woken.append(parked)
        return True

    def note(self, dag_id: str, run_id: str, note: str) -> None:
        """Write a note onto a DAG run."""
        self._check()
        self.notes[f"{dag_id}/{run_id}"] = note

    def _check(self) -> None:
        if self.down:
            raise Unreachable("Airflow does not answer", next_step="Try again.")


class FakeKeys:
    """Signs and verifies with one secret in memory; as strict as Ed25519 about changed bytes."""

    key_id = "fake-key"

    def sign(self, message: bytes) -> bytes:
        """Return a keyed hash of *message*."""
        return hashlib.blake2b(message, key=b"airlock").digest()

    def verify(self, key_id: str, signature: bytes, message: bytes) -> bool:
        """Say whether this key signed *message*."""
        return key_id == self.key_id and signature == self.sign(message)


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
    ) -> None:
        self.store, self.worker = store, worker or store
        self.keys = FakeKeys()
        self.signer: Signer = signer or self.keys
        self.registry = FakeRegistry()
        self.rulebook = Rulebook.from_document(rulebook)
        self.pipeline = pipeline or pipeline_document()
        configuring.register(store, rulebook, [self.pipeline])
        for name, role in folks.items():
            people.keep_person(store, Person(name, name.title(), frozenset({role})))

    def actor(self, name: str, channel: Channel = Channel.PAGE) -> Actor:
        """Return a person as an actor, with the roles held now."""
        with self.store.begin() as unit:
            found = {person.id: person for person in unit.people()}
        person = found.get(name, Person(name, name, frozenset()))
        return Actor(person.id, person.name, person.roles, channel)

    def measure(self, run: str, auc: float = 0.8, requester: str = "ana") -> str:
        """Register a candidate with evidence and judge its gates; return the origin."""
        origin = f"{self.pipeline['metadata']['name']}/{run}"
        model = self.pipeline["metadata"]["name"]
        version = self.registry.add(model, f"{run} {auc}".encode())
        digest = self.registry.artifact_digest(model, version)
        with self.worker.begin() as unit:
            unit.put_candidate(
                Candidate(
                    origin=origin,
                    model=model,
                    version=version,
                    run_id=f"mlflow-{run}",
                    location=self.registry.location(model, version),
                    artifact_digest=digest,
                    data_digest=digest_bytes(b"data"),
                    code_commit="0123456789abcdef",
                    pipeline_digest=digest_json(self.pipeline),
                    requester=requester,
                    environment=self.pipeline["spec"]["environment"],
                    raised_to=None,
                    started_at=stamp(unit.now()),
                )
            )
            facts = {"rows": 1000, "candidate": {"metrics": {"roc_auc": auc}}, "champion": None}
            unit.put_evidence(origin, Evidence("evaluation", digest, facts))
            unit.commit()
        for gate in self.pipeline["spec"]["gates"]:
            evidence.judge(self.worker, origin, build(gate))
        return origin

    def request(self, origin: str, when_open: str = "keep") -> requesting.Opened:
        """Ask for the release of a measured run."""
        actor = Actor.system("run", Channel.DAG)
        return requesting.request_release(
            self.worker, self.rulebook.digest, origin, when_open, actor
        )

    def open(self, run: str = "run-1", **measured: Any) -> str:
        """Measure a candidate and open its release; return the release id."""
        opened = self.request(self.measure(run, **measured))
        if opened.release is None:
            raise NotFound(opened.message)
        return opened.release.id

    def ballot(self, release_id: str, decision: Decision, **overrides: Any) -> Ballot:
        """Return an answer to what is open now."""
        release = reading.outcome(self.store, release_id)
        seen = Ballot(
            decision=decision,
            reason="looked at the numbers",
            level=release.level,
            round=release.round,
            subject_digest=release.subject.digest,
        )
        return replace(seen, **overrides)

    def approve(self, release_id: str, name: str, key: str = "", **overrides: Any) -> Release:
        """Approve as *name* at the open level."""
        return self.vote(release_id, name, Decision.APPROVE, key, **overrides)

    def vote(
        self, release_id: str, name: str, decision: Decision, key: str = "", **overrides: Any
    ) -> Release:
        """Answer as *name* at the open level."""
        ballot = self.ballot(release_id, decision, **overrides)
        return deciding.vote(self.store, self.signer, release_id, ballot, self.actor(name), key)

    def promote(self, release_id: str, attempt: str = "run-1") -> promoting.Promotion:
        """Promote as a task would."""
        actor = Actor.system("promoter", Channel.DAG)
        return promoting.promote(self.worker, self.keys, self.registry, release_id, attempt, actor)

    def approve_all(self, release_id: str) -> Release:
        """Approve at every level until the release is approved."""
        for name in ("lena", "carla", "mara", "milo"):
            release = reading.outcome(self.store, release_id)
            if release.state.value != "AWAITING_APPROVAL":
                break
            self.approve(release_id, name)
        return reading.outcome(self.store, release_id)
