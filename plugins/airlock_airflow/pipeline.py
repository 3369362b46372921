"""A pipeline's DAG, built from its YAML. Nothing is computed here, and nothing heavy imported.

    pin_data -> validate_data -> train -> evaluate -> register_candidate -> gates.* ->
    request_release -> approval.level_* -> promote -> outcome

    train -> run_team_code -> those gates that need the model team's own code to run, if any

Rules:
* A run may wait for people for days: no run time-out, and so many runs may be active that a
  waiting release never blocks the next training.
* Retries are for accidents; a refusal is never tried again.
* There is a task for every level any tier at or above the declared one has, because a person may
  raise the tier of a run. A level that is not needed skips itself.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    Param,
    TaskGroup,
    XComArg,
)

from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.gates import runs_team_code
from airlock.services.pipeline.commit_trigger import asset_of
from airlock_airflow.gates import GateOperator
from airlock_airflow.guide import guide
from airlock_airflow.releasing import release_task_group
from airlock_airflow.steps import StepOperator

if TYPE_CHECKING:
    from airlock.config.load import PipelineConfig
    from airlock.config.pipeline import Triggers
    from airlock.domain.approval.policy import Level, Rulebook, Tier

#: Far below what a month of nightly runs with nobody answering needs.
ACTIVE_RUNS = 200
_RETRY = {"retries": 2, "retry_delay": timedelta(seconds=10)}
_GRACE = timedelta(minutes=10)


def build(config: PipelineConfig, rulebook: Rulebook) -> DAG:
    """Return the DAG of one pipeline under the rule book on disk."""
    recipe = Recipe(config.document)
    tier = rulebook.tier(config.document["spec"]["risk"])
    levels = _levels(rulebook, recipe.environment, tier)
    with DAG(
        dag_id=config.name,
        description=config.model.metadata.description or f"Train and release {config.name}",
        schedule=schedule(config.name, config.spec.triggers),
        catchup=False,
        max_active_runs=ACTIVE_RUNS,
        tags=["airlock", f"tier:{tier.value}"],
        doc_md=guide(config, tier, levels),
        params=_params(tier),
        default_args={"owner": config.owner, **_RETRY},
        is_paused_upon_creation=False,
    ) as dag:
        registered, collected = _steps(recipe)
        with TaskGroup(group_id="gates") as gates:
            for gate in recipe.gates:
                task = GateOperator(
                    task_id=_safe(gate),
                    gate=gate,
                    execution_timeout=_limit(recipe, gate["gate"]),
                )
                if collected is not None and runs_team_code(gate):
                    collected >> task
        names = [level.name for level in levels]
        registered >> gates >> release_task_group(pipeline=recipe.name, levels=names)
    return dag


def _steps(recipe: Recipe) -> tuple[StepOperator, StepOperator | None]:
    """Return the task that registers the candidate, and the one that runs team code for gates."""

    def step(task_id: str, name: Any, *budgets: str, **inputs: Any) -> XComArg:
        return XComArg(
            StepOperator(
                task_id=task_id,
                step=name,
                pipeline=recipe.name,
                inputs=inputs,
                execution_timeout=_limit(recipe, *budgets),
            )
        )

    pinned = step("pin_data", "pin")
    validated = step("validate_data", "validate", "validate", pinned=pinned)
    trained = step("train", "train", "train", pinned=pinned)
    evaluated = step("evaluate", "evaluate", "evaluate", pinned=pinned, trained=trained)
    registered = step(
        "register_candidate",
        "register",
        "evaluate",
        pinned=pinned,
        trained=trained,
        validated=validated,
        evaluated=evaluated,
    )
    validated.operator >> trained.operator
    asking = [gate["gate"] for gate in recipe.gates if runs_team_code(gate)]
    if not asking:
        return registered.operator, None
    collected = step("run_team_code", "collect", *asking, pinned=pinned)
    trained.operator >> collected.operator
    return registered.operator, collected.operator


def _limit(recipe: Recipe, *budgets: str) -> timedelta:
    return timedelta(seconds=sum(recipe.budget(name).seconds for name in budgets)) + _GRACE


def _levels(rulebook: Rulebook, environment: str, declared: Tier) -> tuple[Level, ...]:
    """Return the longest list of levels a run of this pipeline can need."""
    if not rulebook.environment(environment).people:
        return ()
    tiers = [tier for tier in type(declared) if tier.rank >= declared.rank]
    own = rulebook.levels(declared)
    longest = max((rulebook.levels(tier) for tier in tiers), key=len)
    return own + longest[len(own) :]


def schedule(name: str, triggers: Triggers) -> Any:
    """Return when a pipeline runs: by the clock, by commits of its code, or by both.

    The delivery process posts an event when the code was committed.
    """
    cron = None
    if triggers.cron:
        # With a start date Airflow would make up for the last missed time at once, catchup or not.
        # `False` is read as "within a tenth of the interval", so a weekly pipeline would start at
        # once on most of a Monday (apache/airflow pull request 64162); zero waits for the next.
        cron = CronTriggerTimetable(triggers.cron, timezone="UTC", run_immediately=timedelta(0))
    if not triggers.on_commit:
        return cron
    commits = Asset(name=asset_of(name), uri=f"airlock://commit/{name}")
    return commits if cron is None else AssetOrTimeSchedule(timetable=cron, assets=commits)


def _params(tier: Tier) -> dict[str, Param]:
    """Return the trigger form: all of it may stay empty.

    Airflow's form takes a text without "null" among its types for one that must be filled in, and
    sends null for whatever is left empty.
    """
    return {
        "since": _optional(
            format="date",
            title="Data from",
            description="First day of the data, included. Empty: from the beginning.",
        ),
        "until": _optional(
            format="date",
            title="Data until",
            description="Last day of the data, included. Empty: all there is.",
        ),
        "reason": _optional(
            maxLength=500,
            title="Reason",
            description="Why this run. Kept with the model version; the approvers read it.",
        ),
        "after_rejection": _optional(
            pattern="^(rel-[0-9a-f]{4,32})?$",
            title="After a rejection",
            description="Only if bytes that were rejected are asked for again: the id of that "
            "release, such as rel-0123abcd; then say why under Reason. Empty: an ordinary run.",
        ),
        "raise_tier": _raise_tier(tier),
        "dry_run": Param(
            False,
            type=["null", "boolean"],
            title="Dry run",
            description="On: train, measure and judge, but ask for no release. Off: ask for one.",
        ),
    }


def _optional(**schema: Any) -> Param:
    return Param(None, type=["null", "string"], **schema)


def _raise_tier(declared: Tier) -> Param:
    tiers = [tier for tier in type(declared) if tier.rank > 0]
    labels = {
        tier.value: tier.value if tier.rank > declared.rank else f"{tier.value} (changes nothing)"
        for tier in tiers
    }
    return _optional(
        enum=[None, *(tier.value for tier in tiers)],
        values_display={"null": f"leave it {declared.value}"} | labels,
        title="Raise the risk tier",
        description=f"More people then have to approve. The declared facts make it "
        f"{declared.value}; a person can only raise it. Empty: it stays.",
    )


def _safe(gate: Any) -> str:
    parts = (str(gate["gate"]), str(gate.get("metric", "")))
    return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(part for part in parts if part))
