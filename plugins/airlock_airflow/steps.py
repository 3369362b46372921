"""The steps of a pipeline run as tasks: pin, validate, train, collect, evaluate, register.

What a step does is in `airlock.services.pipeline.steps`. The operator finds out which run this is,
who asked for it and for which window, and hands that over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow.sdk import BaseOperator

from airlock_airflow import edge
from airlock_airflow.literal import LiteralFields
from airlock_airflow.queues import queue_of

if TYPE_CHECKING:
    from airlock.domain.evidence.pipeline_spec import Recipe
    from airlock.services.pipeline.steps import Job

Step = Literal["pin", "validate", "train", "collect", "evaluate", "register"]
STEPS: tuple[str, ...] = get_args(Step)


class StepOperator(LiteralFields, BaseOperator):
    """Run one step of a pipeline.

    The steps `validate`, `train` and `collect` run the model team's own code, so they have a queue
    of their own (`queues`).
    A refusal (bad data, a script that raises) fails the task at once. What was unreachable is
    tried again as `retries` says.

    :param step: pin, validate, train, collect (for gates that need the team's own code to run:
        before those gates), evaluate or register.
    :param pipeline: the name of a pipeline in include/pipelines.
    :param inputs: the results of the steps before: `pinned` for all but pin, `trained` for
        evaluate and register, `validated` and `evaluated` for register.
    """

    template_fields = ("inputs",)  # results of other tasks are put in, no text is rendered
    ui_color = "#e8f0fe"

    def __init__(
        self, *, step: Step, pipeline: str, inputs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if step not in STEPS:
            raise ValueError(f"step must be one of {', '.join(STEPS)}, found {step!r}")
        self.step = step
        self.pipeline = pipeline
        self.inputs = dict(inputs or {})

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Run the step; what it returns is the input of later steps."""
        with edge.translated(context):
            edge.check_queue(queue_of(self))
            job = job_of(self.pipeline, context)
            return _RUN[self.step](job, self.inputs)


def job_of(pipeline: str, context: Mapping[str, Any]) -> Job:
    """Return what this DAG run is to do."""
    from airlock.services.pipeline.steps import Job

    recipe = recipe_of(pipeline)
    params = context["params"]
    return Job(
        origin=edge.origin(context),
        recipe=recipe,
        requester=edge.requester(context, recipe.owner),
        reason=str(params.get("reason") or ""),
        since=_day(params.get("since")),
        until=_day(params.get("until")) or _end(context, recipe),
        raised_to=params.get("raise_tier") or None,
    )


def recipe_of(pipeline: str) -> Recipe:
    """Return the recipe in the file as it is now; the steps compare it with the run's first."""
    from airlock.config.load import load_pipelines
    from airlock.domain.errors import Refused
    from airlock.domain.evidence.pipeline_spec import Recipe

    settings = edge.settings()
    pipeline_config = load_pipelines(settings.config_dir, settings.root).get(pipeline)
    if pipeline_config is None:
        raise Refused(
            f"there is no valid pipeline {pipeline!r} in {settings.config_dir}/pipelines",
            next_step="`airlock policy check` says what is wrong with the files.",
        )
    return Recipe(pipeline_config.document)


def _day(text: Any) -> date | None:
    return date.fromisoformat(str(text)[:10]) if text else None


def _end(context: Mapping[str, Any], recipe: Recipe) -> date | None:
    """Return the last day of a scheduled run's window; data without a time has no window.

    Airflow's form gives a run that a person starts the present as its date, REST gives none: who
    wants an end says so under "Data until".
    """
    run = context["dag_run"]
    if run.run_type == "manual" or not recipe.time_column:
        return None
    return run.logical_date.date() if run.logical_date else None


def _pin(job: Job, _inputs: Mapping[str, Any]) -> dict[str, Any]:
    from airlock.services.pipeline import steps

    airlock = edge.airlock()
    return steps.pin(airlock.store, airlock.proposals, edge.bench(), job, airlock.rulebook.digest)


def _validate(job: Job, inputs: Mapping[str, Any]) -> dict[str, Any]:
    from airlock.services.pipeline import steps

    return steps.validate(edge.training_bench(job.origin), job, inputs["pinned"])


def _train(job: Job, inputs: Mapping[str, Any]) -> dict[str, Any]:
    from airlock.services.pipeline import steps

    return steps.train(edge.training_bench(job.origin), job, inputs["pinned"])


def _collect(job: Job, inputs: Mapping[str, Any]) -> dict[str, Any]:
    from airlock.services.pipeline import steps

    return {**steps.collect(edge.training_bench(job.origin), job, inputs["pinned"])}


def _evaluate(job: Job, inputs: Mapping[str, Any]) -> dict[str, Any]:
    from airlock.services.pipeline import steps

    airlock = edge.airlock()
    return steps.evaluate(
        airlock.store,
        airlock.proposals,
        edge.bench(),
        job,
        inputs["pinned"],
        inputs["trained"],
    )


def _register(job: Job, inputs: Mapping[str, Any]) -> dict[str, Any]:
    from airlock.services.pipeline import steps

    return steps.register(
        edge.airlock().store,
        edge.airlock().proposals,
        edge.bench(),
        job,
        edge.code_of(job.recipe),
        inputs["pinned"],
        inputs["validated"],
        inputs["trained"],
        {"evidence": inputs["evaluated"]["predictions"]},
    )


_RUN: dict[str, Callable[[Job, Mapping[str, Any]], dict[str, Any]]] = {
    "pin": _pin,
    "validate": _validate,
    "train": _train,
    "collect": _collect,
    "evaluate": _evaluate,
    "register": _register,
}
