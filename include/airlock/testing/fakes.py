"""Fakes that keep the promises of the real adapters, in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airlock.domain.digest import digest_bytes, manifest_digest, short
from airlock.domain.errors import NotFound, Refused, Unreachable
from airlock.domain.promotion.grant import Grant, Standing, read_own
from airlock.domain.registry_drift import Sighting, SpentThere
from airlock.ports import CodeChange, Parked, RunRecord


@dataclass
class FakeRegistry:
    """A model registry in memory, and its guard: a grant is spent once, or revoked, never both.

    `down` makes it unreachable; `files` can be tampered with. `clock`: the guard's own.
    """

    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    down: bool = False
    envelopes: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    clock: Callable[[], datetime] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock behind: another process has a registry of its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Come with a new lock."""
        self.__dict__.update(state, _lock=threading.RLock())

    def add(self, model: str, content: bytes) -> str:
        """Register a version with one file and return its number."""
        version = str(sum(1 for name, _ in self.files if name == model) + 1)
        self.files[model, version] = {"model.skops": content}
        return version

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at, or None."""
        self._check()
        return self.aliases.get((model, alias))

    def set_alias(self, model: str, alias: str, version: str, envelope: str = "") -> None:
        """Point the alias at a version by spending the grant, as the guard does."""
        self._files(model, version)
        with self._lock:
            if envelope and not self._spendable(read_own(envelope), model, alias, version):
                return
            self.envelopes.append(envelope)
            self.aliases[model, alias] = version

    def _spendable(self, grant: Grant, model: str, alias: str, version: str) -> bool:
        """Say whether a grant is still to be spent; False if it has moved the alias already."""
        spent = [read_own(envelope) for envelope in self.envelopes if envelope]
        last = max((other.sequence for other in spent if other.model == model), default=0)
        if grant.id in {other.id for other in spent}:
            if grant.sequence == last:
                return False
            raise Refused(f"grant {grant.id} is spent already: a grant is spent once")
        digest = self.artifact_digest(model, version)
        wrong = {
            f"grant {grant.id} was revoked": grant.id in self.revoked,
            f"grant {grant.id} is for something else": (grant.model, grant.alias, grant.version)
            != (model, alias, version),
            f"grant {grant.id} is number {grant.sequence}, {last} came later": grant.sequence
            <= last,
            f"grant {grant.id} expired": self.clock is not None
            and self.clock() >= grant.expires_at,
            f"the files of {model} version {version} are {short(digest)} now, but "
            f"{short(grant.artifact_digest)} was approved: somebody changed them": digest
            != grant.artifact_digest,
        }
        for why, holds in wrong.items():
            if holds:
                raise Refused(why)
        return True

    def standing(self, grant_id: str) -> Standing:
        """Return the state of a grant in the guard."""
        self._check()
        with self._lock:
            if any(read_own(envelope).id == grant_id for envelope in self.envelopes if envelope):
                return Standing.SPENT
            return Standing.REVOKED if grant_id in self.revoked else Standing.UNSPENT

    def revoke(self, grant_id: str) -> Standing:
        """Let a grant never be spent, unless it was."""
        with self._lock:
            if self.standing(grant_id) is Standing.SPENT:
                return Standing.SPENT
            self.revoked.add(grant_id)
            return Standing.REVOKED

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
class FakeWatch:
    """Looks at a `FakeRegistry` as the guard's addresses would; what it says can be spoiled."""

    registry: FakeRegistry
    protected: frozenset[str] = frozenset({"champion", "production", "prod"})
    forged: list[SpentThere] = field(default_factory=list)
    locations: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: dict[tuple[str, str], str] = field(default_factory=dict)
    answers: dict[tuple[str, str], str | None] = field(default_factory=dict)
    refused: list[Mapping[str, Any]] = field(default_factory=list)
    hashed: list[str] = field(default_factory=list)
    before: list[Callable[[], None]] = field(default_factory=list)

    def sightings(self) -> tuple[Sighting, ...]:
        """Return every protected alias; first, once, whatever the test lets happen now."""
        if self.before:
            self.before.pop(0)()
        self.registry._check()
        newest = {(grant.model, grant.alias): grant for grant in self._grants()}
        sightings = []
        for (model, alias), version in self.registry.aliases.items():
            if alias in self.protected:
                last = newest.get((model, alias))
                plain = self.registry.location(model, version)
                sightings.append(
                    Sighting(
                        model=model,
                        alias=alias,
                        version=version,
                        location=self.locations.get((model, version), plain),
                        problem=self.problems.get((model, alias), ""),
                        grant=last.id if last else None,
                        released=last.version if last else None,
                        sequence=last.sequence if last else None,
                    )
                )
        return tuple(sightings)

    def ledger(self) -> tuple[frozenset[str], tuple[SpentThere, ...]]:
        """Return the protected aliases, and the grants the registry was handed."""
        self.registry._check()
        spent = [
            SpentThere(grant=grant.id, model=grant.model, alias=grant.alias, version=grant.version)
            for grant in self._grants()
        ]
        return self.protected, (*spent, *self.forged)

    def resolve_alias(self, model: str, alias: str) -> str | None:
        """Return the version an ordinary client gets."""
        plain = self.registry.alias(model, alias)
        return self.answers.get((model, alias), plain)

    def digest(self, model: str, version: str) -> str | None:
        """Hash a version's files."""
        self.hashed.append(f"{model}/{version}")
        self.registry._check()
        if not self.registry.files.get((model, version)):
            return None
        return self.registry.artifact_digest(model, version)

    def attempts(self, model: str) -> tuple[Mapping[str, Any], ...]:
        """Return what was refused."""
        return tuple(self.refused)

    def standing(self, grant_id: str) -> Standing:
        """Return the state of a grant in the guard."""
        return self.registry.standing(grant_id)

    def revoke(self, grant_id: str, envelope: str) -> Standing:
        """Let a grant never be spent, unless it was."""
        return self.registry.revoke(grant_id)

    def set_back(self, model: str, alias: str, version: str) -> None:
        """Set an alias back to the last grant's version, as the guard does."""
        self.registry._check()
        last = [grant for grant in self._grants() if (grant.model, grant.alias) == (model, alias)]
        if not last or last[-1].version != version:
            raise Refused(f"the newest release of {model} is not of version {version}")
        self.registry.aliases[model, alias] = version

    def _grants(self) -> list[Grant]:
        grants = {grant.id: grant for grant in map(read_own, filter(None, self.registry.envelopes))}
        return sorted(grants.values(), key=lambda grant: grant.sequence)


@dataclass
class FakeAirflow:
    """Remembers who was woken and what was noted."""

    woken: list[Parked] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    started: dict[str, Mapping[str, Any]] = field(default_factory=dict)
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

    def start(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a DAG run, once for each id."""
        self._check()
        self.started.setdefault(f"{dag_id}/{run_id}", conf)

    def _check(self) -> None:
        if self.down:
            raise Unreachable("Airflow does not answer", next_step="Try again.")


@dataclass
class FakeRuns:
    """Airflow's record of its runs. Any run is there and goes on, unless it is in `runs`.

    `default`: who has triggered a run that nobody has told of; empty: a schedule has.
    """

    runs: dict[str, RunRecord | None] = field(default_factory=dict)
    tasks: set[tuple[str, str, str]] = field(default_factory=set)
    failed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    default: str = ""
    strict: bool = False
    down: bool = False

    def add(self, origin: str, triggered_by: str = "", **more: Any) -> RunRecord:
        """Let there be a run."""
        dag_id, _, run_id = origin.partition("/")
        run = RunRecord(
            **{"dag_id": dag_id, "run_id": run_id, "state": "running", **more},
            triggered_by=triggered_by,
        )
        self.runs[origin] = run
        return run

    def run(self, origin: str) -> RunRecord | None:
        """Return a run."""
        if self.down:
            raise Unreachable("Airflow does not answer", next_step="Try again.")
        if origin not in self.runs and not self.strict:
            return self.add(origin, self.default)
        return self.runs.get(origin)

    def has_task(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Say whether a run has a task."""
        if self.down:
            raise Unreachable("Airflow does not answer", next_step="Try again.")
        return (dag_id, run_id, task_id) in self.tasks

    def failed_tasks(self, dag_id: str, run_id: str) -> tuple[str, ...]:
        """Return the tasks of a run that have failed."""
        return self.failed.get(f"{dag_id}/{run_id}", ())


@dataclass
class FakeCode:
    """A checkout; what it is can be set."""

    head: str = "0123456789abcdef"
    people: tuple[str, ...] = ()
    locked: str = ""

    def commit(self, folder: str) -> str:
        """Return the commit."""
        return self.head

    def change(self, folder: str, before: str, after: str) -> CodeChange:
        """Say that nothing is known."""
        raise Refused(f"this checkout does not have the commit {before[:12]}")

    def committers(self, folder: str, since: str = "") -> tuple[str, ...]:
        """Return who has changed it."""
        return self.people

    def lock(self) -> str:
        """Return the digest of the lock."""
        return self.locked


@dataclass
class FakeArtifacts:
    """The bytes of a registry; `recorded` and `digests` say otherwise of versions.

    *registry* returns the registry of now: a test may exchange it.
    """

    registry: Callable[[], Any]
    recorded: Callable[[str, str], str | None] = lambda _model, _version: None
    digests: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def digest(self, model: str, version: str) -> str | None:
        """Hash a version's files."""
        if (model, version) in self.digests:
            return self.digests[model, version]
        if digest := self.recorded(model, version):
            return digest
        try:
            return str(self.registry().artifact_digest(model, version))
        except NotFound:
            return None


@dataclass
class FakeRules:
    """What is in force, as a test says."""

    in_force: Callable[[], str]
    pipelines: Callable[[], Mapping[str, str]]

    def policy(self) -> str:
        """Return the policy's digest."""
        return self.in_force()

    def pipeline(self, name: str) -> str | None:
        """Return a pipeline's digest."""
        return self.pipelines().get(name)


@dataclass
class FakeClock:
    """A database's clock for tests: give it to `SqlStore(url, clock=...)`, then `pass_`."""

    at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time; a microsecond passes with every look, as on a real clock."""
        self.at += timedelta(microseconds=1)
        return self.at

    def pass_(self, **span: float) -> None:
        """Let time go by."""
        self.at += timedelta(**span)


class FakeKeys:
    """Signs and verifies with one secret in memory; as strict as Ed25519 about changed bytes."""

    key_id = "fake-key"
    public = hashlib.sha256(b"airlock").digest()

    def keys(self) -> Mapping[str, bytes]:
        """Return the one key there is."""
        return {self.key_id: self.public}

    def valid_at(self, key_id: str, at: datetime) -> bool:
        """Say that the one key is always in use."""
        return key_id == self.key_id

    def sign(self, message: bytes) -> bytes:
        """Return a keyed hash of *message*."""
        return hashlib.blake2b(message, key=b"airlock").digest()

    def verify(self, key_id: str, signature: bytes, message: bytes) -> bool:
        """Say whether this key signed *message*."""
        return key_id == self.key_id and signature == self.sign(message)
