"""ModelPipeline: one model, from its data to the release it asks for.

Rules:
* The training script and the data must be there, inside the checkout, not in a hidden folder.
* The declared risk facts are exactly those the RiskPolicy asks for.
* `metricsThreshold` of a stage is shorthand: the canonical document has the gates it stands for.
* Where the environment needs gates, all of the ApprovalPolicy's required gates are there.

Nothing is imported and no data is read here; a name in YAML never runs code.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from airlock.config.context import context_of, inside, relative
from airlock.config.cron import check_cron
from airlock.config.gate_options import Gates, read_gates, thresholds
from airlock.config.problems import show
from airlock.config.risk import Facts, facts_troubles
from airlock.config.schemas import (
    FILLED,
    ApiVersion,
    Items,
    Line,
    PersonId,
    Slug,
    Strict,
    Trouble,
    refuse,
    settle,
    unknown,
)
from airlock.config.slices import Slice, Slices, check_columns
from airlock.domain.gates import Gate
from airlock.gates import BY_NAME

Task = Literal["classification", "regression"]
#: The metrics each task is measured by.
METRICS: dict[Task, tuple[str, ...]] = {
    "classification": ("roc_auc", "average_precision", "accuracy", "f1", "log_loss", "brier"),
    "regression": ("rmse", "mae", "r2"),
}
#: The stages every pipeline has; besides them any gate may have one of its own name.
STAGES = ("validate", "train", "evaluate")


def _stage_name(name: str) -> str:
    if name not in (*STAGES, *BY_NAME):
        refuse(unknown((), name, [*STAGES, *BY_NAME], "a stage or a gate, one of"))
    return name


StageName = Annotated[
    str, AfterValidator(_stage_name), Field(json_schema_extra={"enum": [*STAGES, *BY_NAME]})
]


class SourceCode(Strict):
    """Where the model's own code lives."""

    path: str

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str, info: ValidationInfo) -> str:
        if context := context_of(info):
            inside(context.root, path, folder=True)
        return relative(path)


class Triggers(Strict):
    """What starts a run, besides a person."""

    cron: Annotated[str, AfterValidator(check_cron)] | None = None
    on_commit: bool = False
    on_drift: bool = False

    @field_validator("on_drift")
    @classmethod
    def _not_yet(cls, value: bool) -> bool:
        if value:
            expected = "false: nothing looks for drift in production yet, so it would start no run"
            refuse(Trouble((), expected, "true"))
        return value


class Data(Strict):
    """The rows: where they are, what is predicted, what orders them, how many are held out."""

    source: str
    target: Line
    task: Task = "classification"
    time_column: Line | None = None
    holdout: Annotated[float, Field(gt=0, lt=0.9)] = 0.25
    # None and not empty, so that a pipeline without them keeps the digest it had.
    slices: Slices | None = None
    protected_attributes: Slices | None = None
    entity_column: Line | None = None
    available_at: dict[str, Line] | None = None
    serving_log: str | None = None

    @field_validator("source")
    @classmethod
    def _exists(cls, source: str, info: ValidationInfo) -> str:
        if context := context_of(info):
            inside(context.root, source)
        return relative(source)

    @field_validator("available_at")
    @classmethod
    def _times(cls, times: dict[str, str] | None, info: ValidationInfo) -> dict[str, str] | None:
        if times and info.data.get("time_column") is None:
            refuse(Trouble((), "nothing without timeColumn, to compare with", show(times)))
        return times or None

    @field_validator("serving_log")
    @classmethod
    def _log(cls, log: str | None, info: ValidationInfo) -> str | None:
        context = context_of(info)
        if context and log is not None:
            inside(context.root, log, exists=False)
        return relative(log) if log else None

    @field_validator("target", "time_column", "entity_column")
    @classmethod
    def _column(cls, column: str | None, info: ValidationInfo) -> str | None:
        if column is not None and not column.strip():
            refuse(Trouble((), "the name of a column", show(column)))
        if column is not None and column == info.data.get("target"):
            refuse(Trouble((), "another column than the target", show(column)))
        return column

    @field_validator("slices", "protected_attributes")
    @classmethod
    def _groups(
        cls, groups: tuple[Slice, ...] | None, info: ValidationInfo
    ) -> tuple[Slice, ...] | None:
        check_columns(groups or (), info.data.get("target"), info.data.get("time_column"))
        return groups or None


class Resources(Strict):
    """What one stage may use."""

    cpu: Annotated[float, Field(ge=0.1, le=256)] = 1.0
    memory_mb: Annotated[int, Field(ge=128, le=4_194_304)] = 2048


class Stage(Strict):
    """One step of a run, or the task of one gate, with its limits."""

    name: StageName
    resources: Resources = Resources()
    timeout_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = 30
    metrics_threshold: Annotated[dict[str, float], FILLED] = Field(
        default_factory=dict, exclude=True
    )

    @field_validator("metrics_threshold")
    @classmethod
    def _only_evaluate(cls, limits: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        name = info.data.get("name")
        if name not in (None, "evaluate"):
            refuse(Trouble((), "thresholds in the stage evaluate", f"them in the stage {name}"))
        settle(trouble for _, troubles in thresholds(limits) for trouble in troubles)
        return limits


class PipelineMetadata(Strict):
    """The pipeline's name is also the name of its DAG, its experiment and its model."""

    name: Slug
    owner: PersonId
    description: Line = ""


class PipelineSpec(Strict):
    """What the pipeline runs and what its releases have to pass."""

    source_code: SourceCode
    training_script: str
    triggers: Triggers = Triggers()
    data: Data
    risk: Facts
    environment: Slug = "production"
    when_release_open: Literal["keep", "supersede"] = "keep"
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    stages: Annotated[Items[Stage], Field(validate_default=True)] = ()
    gates: Annotated[Gates, Field(validate_default=True)] = ()

    @field_validator("training_script")
    @classmethod
    def _script(cls, script: str, info: ValidationInfo) -> str:
        context, code = context_of(info), info.data.get("source_code")
        if not script.endswith(".py"):
            refuse(Trouble((), "a Python file, ending in .py", show(script)))
        if context and code:
            inside(context.root / code.path, script)
        return relative(script)

    @field_validator("risk")
    @classmethod
    def _facts(cls, risk: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        context = context_of(info)
        if context and context.risk:
            facts = context.risk.facts
            absent = (name for name in facts if name not in risk)
            missing = (Trouble((name,), "this fact declared", "nothing") for name in absent)
            settle([*facts_troubles(risk, facts), *missing])
        return risk

    @field_validator("environment")
    @classmethod
    def _check_environment(cls, environment: str, info: ValidationInfo) -> str:
        context = context_of(info)
        if context and context.approval and environment not in context.approval.environments:
            refuse(unknown((), environment, context.approval.environments))
        return environment

    @field_validator("stages")
    @classmethod
    def _all_stages(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        named: dict[str, Stage] = {}
        for index, stage in enumerate(stages):
            if stage.name in named:
                refuse(Trouble((index, "name"), "each stage once", f"{stage.name} again"))
            named[stage.name] = stage
        always = tuple(named.get(name) or Stage(name=name) for name in STAGES)
        return always + tuple(stage for name, stage in named.items() if name not in STAGES)

    @field_validator("gates", mode="before")
    @classmethod
    def _gates(cls, entries: Any, info: ValidationInfo) -> tuple[Gate, ...]:
        stages: tuple[Stage, ...] = info.data.get("stages", ())
        shorthand = [
            gate for stage in stages for gate, _ in thresholds(stage.metrics_threshold) if gate
        ]
        data: Data | None = info.data.get("data")
        metrics = METRICS[data.task] if data else ()
        return read_gates(entries, shorthand, _required(info) if stages else (), metrics)

    def stage(self, name: str) -> Stage:
        """Return one stage; every pipeline has all of them."""
        return next(stage for stage in self.stages if stage.name == name)


def _required(info: ValidationInfo) -> tuple[str, ...]:
    """Return the gates the approval policy requires for this pipeline's environment."""
    context = context_of(info)
    if context is None or context.approval is None:
        return ()
    environment = context.approval.environments.get(info.data.get("environment", ""))
    return context.approval.required_gates if environment and environment.gates else ()


class ModelPipeline(Strict):
    """One model's way to production."""

    api_version: ApiVersion
    kind: Literal["ModelPipeline"]
    metadata: PipelineMetadata
    spec: PipelineSpec
