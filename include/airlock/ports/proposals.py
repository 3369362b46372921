"""What tasks propose, and the sources the decider holds their claims against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


class Proposals(Protocol):
    """Where a task hands in what it has done or asks for. It can change nothing else."""

    def submit(self, kind: str, origin: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Propose something as the run *origin* (`dag_id/run_id`); return the decider's answer.

        *kind*: one of `airlock.domain.evidence.proposals.Kind`; *body*: JSON data.

        Raises:
            Refused, Invalid: (or one of their kinds) what the decider refused it with.
            Unreachable: if nobody has answered in time; nothing is lost, propose it again.
        """


@dataclass(frozen=True, slots=True)
class PendingProposal:
    """A proposal as handed in: nothing of it has been looked at."""

    id: int
    kind: str
    origin: str
    body: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What Airlock knows of a run. The decider alone writes it, from what Airflow says.

    *requester*: who triggered it, or the pipeline's owner; *source*: `airflow`, or `before` for a
    run of a time when its tasks wrote that themselves.
    """

    origin: str
    dag: str
    started_at: str
    requester: str
    pipeline: str
    policy: str
    source: str = "airflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run in Airflow's own words. *triggered_by*: empty if nobody did, but a schedule."""

    dag_id: str
    run_id: str
    state: str
    triggered_by: str = ""
    started_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Say whether it has ended."""
        return self.state in ("success", "failed")


class RunSource(Protocol):
    """Airflow's own record of its runs. All raise Unreachable."""

    def run(self, origin: str) -> RunRecord | None:
        """Return a run, or None if Airflow has none of that name."""

    def has_task(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Say whether a run has such a task instance."""

    def failed_tasks(self, dag_id: str, run_id: str) -> tuple[str, ...]:
        """Return the tasks of a run that Airflow says have failed, by name; a hundred at most."""


@dataclass(frozen=True, slots=True)
class CodeChange:
    """What changed in some code between two commits.

    *files*: (path, lines added, lines removed), the counts None for what is no text; *text*: a
    unified diff of a limited size; *left_out*: paths it has no room for.
    """

    files: tuple[tuple[str, int | None, int | None], ...]
    text: str
    left_out: tuple[str, ...] = ()


class CodeSource(Protocol):
    """The decider's own checkout. All raise Refused if nobody can say which code that is."""

    def commit(self, folder: str) -> str:
        """Return the commit of the code in a folder."""

    def committers(self, folder: str, since: str = "") -> tuple[str, ...]:
        """Return who has changed a folder since a commit, as e-mail addresses."""

    def lock(self) -> str:
        """Return the digest of the file that locks the libraries."""

    def change(self, folder: str, before: str, after: str) -> CodeChange:
        """Return what changed in the code of a folder between two commits."""


class ArtifactSource(Protocol):
    """The bytes of model versions where the registry keeps them."""

    def digest(self, model: str, version: str) -> str | None:
        """Hash the files of a version now; None if there are none. Raises Unreachable."""


class RulesInForce(Protocol):
    """Policy and pipelines as the decider itself reads them."""

    def policy(self) -> str:
        """Return the digest of the policy in force."""

    def pipeline(self, name: str) -> str | None:
        """Return the digest of a pipeline, or None if there is no valid one of that name."""


class Inbox(Protocol):
    """What tasks propose, and the runs they are tasks of: the decider's part of a transaction."""

    def claim_proposal(self, seconds: float) -> PendingProposal | None:
        """Take the oldest proposal nobody works on; nobody else gets it for some seconds."""

    def answer_proposal(self, proposal_id: int, answer: str) -> None:
        """Answer a proposal, once."""

    def wake_proposer(self, proposal_id: int) -> None:
        """Wake whoever waits for the answer to a proposal, when this commits."""

    def forget_proposals(self, answered_before: str) -> int:
        """Forget what was answered before a time; return how many that were."""

    def put_run(self, new: Run) -> None:
        """Keep a run, or what is newer of it."""

    def run(self, origin: str) -> Run | None:
        """Return a run, if a proposal has ever begun it."""
