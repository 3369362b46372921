"""What the decider holds proposals against, put together; and where a process proposes.

SQLite has no roles, so there a process proposes to itself, and Airflow is not asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airlock.adapters.airflow.rest import AirflowRest
from airlock.adapters.mlflow.drift_source import MlflowWatch
from airlock.adapters.sql_store.proposals.submission import SqlProposals
from airlock.bootstrap.room import reserve_of
from airlock.config.load import Fingerprint, fingerprint, load_pipelines
from airlock.domain.digest import digest_json
from airlock.domain.errors import Invalid
from airlock.ports import Proposals, Registry, RunRecord
from airlock.services.proposals import DirectProposals, Handling, Sources
from airlock.services.proposals.recent import RecentRuns

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock
    from airlock.config.settings import Settings


def proposals_of(airlock: Airlock) -> Proposals:
    """Return where this process proposes."""
    url = airlock.settings.database_url or ""
    if not url.startswith("sqlite"):
        return SqlProposals(url)
    return DirectProposals(Handling(airlock.store, local_sources(airlock)))


def local_sources(airlock: Airlock) -> Sources:
    """Return what a process that asks no Airflow holds its own claims against."""
    return Sources(
        runs=AnyRun(),
        code=airlock.code,
        artifacts=_Registered(airlock.registry),
        rules=DiskRules(airlock),
        promotions=airlock.promotions if airlock.signer else None,
    )


def handling_of(airlock: Airlock) -> Handling:
    """Return what answers proposals in a deciding process. Raises Invalid."""
    chosen = airlock.settings
    if airlock.signer is None:
        raise Invalid("a process without a signing key answers no proposals")
    sources = Sources(
        runs=RecentRuns(AirflowRest(chosen.airflow_url, password_file(chosen))),
        code=airlock.code,
        artifacts=MlflowWatch(chosen.mlflow_tracking_uri, airlock.signer),
        rules=DiskRules(airlock),
        promotions=airlock.promotions,
        room=reserve_of(chosen).check,
    )
    return Handling(airlock.store, sources)


def password_file(settings: Settings) -> Path:
    """Return where the password of the service account is. Raises Invalid."""
    if settings.service_password_file is None:
        raise Invalid(
            "AIRLOCK_SERVICE_PASSWORD_FILE is not set, so Airflow could not be told anything",
            next_step="`airlock up` sets it for the delivery process.",
        )
    return settings.service_password_file


class DiskRules:
    """Policy and pipelines as they are on disk now; read again when a file changes."""

    def __init__(self, airlock: Airlock) -> None:
        """Read what *airlock* is configured with."""
        self._airlock = airlock
        self._fingerprint: Fingerprint | None = None
        self._pipelines: dict[str, str] = {}

    def policy(self) -> str:
        """Return the digest of the policy in force."""
        return self._airlock.rulebook.digest

    def pipeline(self, name: str) -> str | None:
        """Return the digest of a pipeline, or None if there is no valid one of that name."""
        chosen = self._airlock.settings
        current = fingerprint(chosen.config_dir)
        if current != self._fingerprint:
            valid = load_pipelines(chosen.config_dir, chosen.root).valid
            self._pipelines = {pipeline.name: digest_json(pipeline.document) for pipeline in valid}
            self._fingerprint = current
        return self._pipelines.get(name)


class AnyRun:
    """Where no Airflow is asked: every run is there, and a schedule has started it."""

    def run(self, origin: str) -> RunRecord | None:
        """Return the run of that name."""
        dag_id, _, run_id = origin.partition("/")
        return RunRecord(dag_id=dag_id, run_id=run_id, state="running")

    def has_task(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Say that it has."""
        return True

    def failed_tasks(self, dag_id: str, run_id: str) -> tuple[str, ...]:
        """Say that nobody knows of any."""
        return ()


class _Registered:
    """The bytes as the registry hands them out, where no guard hashes them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def digest(self, model: str, version: str) -> str | None:
        """Download and hash the files of a version."""
        return self._registry.artifact_digest(model, version)
