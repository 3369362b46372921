"""From measured to promoted: the tasks that ask Airlock and carry out what it says.

Rules:
* Airlock's own database is asked each time. No task trusts another task's colour, an event's
  payload or an XCom, so marking a task as success promotes nothing.
* A no of a person is an answer, not a crash: the level's task succeeds and says "rejected", what
  comes after is skipped, and the run ends as "refused".
* Every task can be tried again at any point.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TaskGroup

from airlock_airflow import approving, edge
from airlock_airflow.links import EvidenceLink, ReleaseLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.domain.approval.release import Release

log = logging.getLogger(__name__)

REQUEST, PROMOTE, OUTCOME = "request_release", "promote", "outcome"


class RequestReleaseOperator(BaseOperator):
    """Ask Airlock to open a release for what this run has measured.

    :param pipeline: the name of the pipeline; its DAG run's candidate is released.
    """

    ui_color = "#e6f4ea"
    operator_extra_links = (ReleaseLink(), EvidenceLink())

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**{"trigger_rule": "all_done", **kwargs})
        self.pipeline = pipeline

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Open the release, once per run.

        Raises:
            AirflowFailException: "refused: ..." if it is blocked; the release is recorded.
            AirflowSkipException: if nothing was measured, so that there is nothing to ask for, or
                the task of a gate has failed with what blocks it.
        """
        from airlock.services.approvals import open_release

        origin = edge.origin(context)
        with edge.translated(context):
            airlock = edge.airlock()
            with airlock.store.begin() as work:
                candidate = work.candidate(origin)
            if candidate is None:
                edge.skip("nothing was registered in this run, so there is nothing to release")
            params = context["params"]
            if params.get("dry_run"):
                return approving.answer(
                    "measured", candidate.version, "dry run: measured, not released"
                )
            opened = open_release.propose(
                airlock.proposals,
                origin,
                airlock.rulebook.digest,
                open_release.Again(
                    str(params.get("after_rejection") or ""), str(params.get("reason") or "")
                ),
            )
        if opened.outcome == "blocked":
            why = f"refused: {opened.message}"
            if "failed" in _states(context).values():
                edge.skip(why)  # a gate has said so in its own task: one cause is one failure
            edge.fail(context, why)
        self.log.info("%s", opened.message)
        return approving.answer(
            opened.outcome,
            candidate.version,
            opened.message,
            opened.release,
        )


class PromoteModelOperator(BaseOperator):
    """Promote an approved release, in exactly one promotion however often it is tried.

    :param release: the release's id; by default the release this DAG run has opened.
    """

    template_fields = ("release",)
    ui_color = "#e6f4ea"
    operator_extra_links = (ReleaseLink(),)

    def __init__(self, *, release: str = "", **kwargs: Any) -> None:
        # Tried again: MLflow away, or the decider has not settled a release without levels yet.
        defaults = {"retries": 2, "retry_delay": timedelta(seconds=10)}
        super().__init__(**{**defaults, "trigger_rule": "none_failed", **kwargs})
        self.release = release

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Ask Airlock. Without every vote this fails, whatever the tasks before look like."""
        from dataclasses import asdict

        from airlock.domain.approval.release import State
        from airlock.domain.errors import Unreachable
        from airlock.services.promotion import promote
        from airlock.services.proposals import ProposedPromotions

        with edge.translated(context):
            airlock = edge.airlock()
            release = _get(self.release) if self.release else approving.release_of(context)
            if not self.release and release.state in _ENDED:
                edge.skip(f"refused: release {release.id} is {release.state} ({release.why})")
            if release.state is State.REQUESTED:
                raise Unreachable(f"release {release.id} is not settled yet")
            promotion = promote.promote(
                ProposedPromotions(airlock.proposals, edge.origin(context)),
                airlock.registry,
                release.id,
                f"{edge.origin(context)}/{context['ti'].task_id}",
            )
        return asdict(promotion)


class OutcomeOperator(BaseOperator):
    """Say in one word how the run ended, and fail the run only if something failed.

    The words: promoted, refused, kept, measured, failed.
    """

    ui_color = "#f1f3f4"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trigger_rule": "all_done", **kwargs})

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Read the release and the states of this run's tasks."""
        ti = context["ti"]
        states = _states(context)
        failures = {
            name: str(ti.xcom_pull(task_ids=name, key=edge.WHY) or "its log says why")
            for name, state in sorted(states.items())
            if state == "failed" and name != ti.task_id
        }
        idle = sum(state == "upstream_failed" for state in states.values())
        request_result = ti.xcom_pull(task_ids=REQUEST) or {}
        with edge.translated(context), edge.airlock().store.begin() as work:
            release = work.by_origin(edge.origin(context))
        result = outcome(release, request_result, failures, idle)
        if result["outcome"] == "failed" or (failures and result["outcome"] != "promoted"):
            ti.xcom_push(key="return_value", value=result)
            if release is None:
                _note(context, result)
            edge.fail(context, f"{result['outcome']}: {result['why']}")
        return result


def _states(context: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the states of this run's tasks, by name."""
    ti = context["ti"]
    states_of_runs = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])
    states: Mapping[str, str] = states_of_runs.get(ti.run_id, {})
    return states


def _note(context: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Have the sentence noted on the run; the release of a run is noted by the decider."""
    from airlock.domain.errors import AirlockError
    from airlock.domain.evidence.proposals import Kind

    body = {"why": f"{result['outcome']}: {result['why']}"[: edge.MOST_WHY]}
    try:
        edge.airlock().proposals.submit(Kind.FAILURE, edge.origin(context), body)
    except AirlockError as error:  # the run fails with its own reason, not with this one
        log.warning("the run's note could not be written: %s", edge.error_line(error))


def outcome(
    release: Release | None,
    request_result: Mapping[str, Any],
    failures: Mapping[str, str],
    idle: int = 0,
) -> dict[str, Any]:
    """Return the word for the end of a run, the release and why.

    *failures*: what each task that failed for itself has said; *idle*: how many others did not run
    because of it. A gate's no in a dry run is an answer, and no accident.
    """
    if release is None:
        word = str(request_result.get("outcome") or "failed")
        why = _because(failures, idle) or str(request_result.get("why", ""))
        if failures:
            gates_refused = word == "measured" and all(
                name.startswith("gates.") for name in failures
            )
            word = "refused" if gates_refused else "failed"
        return {"outcome": word, "release": None, "why": why or "nothing was released"}
    word = _WORDS.get(release.state.value, "failed")
    why = release.why
    if word == "failed":
        why = _because(failures, idle)
        why = f"release {release.id} is still {release.state}, but the run is over" + (
            f": {why}" if why else ""
        )
    return {"outcome": word, "release": release.id, "why": why}


def _because(failures: Mapping[str, str], idle: int) -> str:
    """Say in one sentence what failed for itself, and how many tasks did not run because of it."""
    reasons = "; ".join(f"task {name} failed: {why.rstrip('.')}" for name, why in failures.items())
    others = f" ({idle} more task{'s' if idle != 1 else ''} did not run because of that)"
    return reasons + (others if reasons and idle else "")


_WORDS = {
    "PROMOTED": "promoted",
    "BLOCKED": "refused",
    "REJECTED": "refused",
    "WITHDRAWN": "refused",
    "SUPERSEDED": "refused",
    "EXPIRED": "refused",
}
_ENDED = ("BLOCKED", "REJECTED", "WITHDRAWN", "SUPERSEDED", "EXPIRED")


def release_task_group(
    *, pipeline: str, levels: Sequence[str], group_id: str = "release", **kwargs: Any
) -> TaskGroup:
    """Return a task group that asks for a release, waits for every level and promotes.

    :param pipeline: the name of the pipeline in include/pipelines.
    :param levels: the names of the levels, in order; levels a tier does not need skip themselves.
    """
    with TaskGroup(group_id=group_id, prefix_group_id=False, **kwargs) as group:
        before: BaseOperator = RequestReleaseOperator(task_id=REQUEST, pipeline=pipeline)
        if levels:
            with TaskGroup(group_id="approval"):
                for number, name in enumerate(levels, 1):
                    level = approving.ApprovalGateOperator(
                        task_id=f"level_{number}",
                        task_display_name=f"Level {number}: {name}",
                        level=number,
                    )
                    before >> level
                    before = level
        before >> PromoteModelOperator(task_id=PROMOTE) >> OutcomeOperator(task_id=OUTCOME)
    return group


def _get(release_id: str) -> Release:
    with edge.airlock().store.begin() as work:
        return work.get(release_id)
