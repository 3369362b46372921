"""Experiments, runs, logged models and traces have the rights models have.

Rules:
* What a release shows stays: the run behind a frozen version, its experiment and its logged model
  are never deleted or renamed, and no person changes the run's parameters, metrics, tags, inputs or
  outputs. Airlock's own accounts add to it until the version is released; from then on nobody does.
* Tags under `airlock.` of runs are written by Airlock's accounts alone.
* Everything else is free to everybody who is logged in, as MLflow has it.

The store for runs is MLflow's own, so its writing methods are wrapped. Every method that does
more than read is classified here; one that nobody has classified stops the start (`boot`).
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from airlock_mlflow.caller import caller
from airlock_mlflow.denial import Denied
from airlock_mlflow.guard import Guard
from airlock_mlflow.naming import is_reserved_tag
from airlock_mlflow.tables import FROZEN, RELEASES

#: What only reads, and what is no method. Everything else has to be on one of the lists below.
_READING = re.compile(
    r"(batch_get|calculate|filter|find|get(?!_or_create)|list|query|resolve|sanitize|search|sum|"
    r"supports)_\w+|secret_cache|[A-Z_]+"
)
#: Of one run: what adds to it, and what takes away.
ADDING = frozenset(
    ["link_traces_to_run", "log_batch", "log_batch_async", "log_inputs", "log_metric",
     "log_metric_async", "log_outputs", "log_param", "log_param_async", "record_logged_model",
     "set_tag", "set_tag_async", "update_run_info"]
)  # fmt: skip
TAKING = frozenset(["delete_run", "delete_tag", "restore_run", "unlink_traces_from_run"])
#: Of a whole experiment, and of one logged model.
EXPERIMENT = frozenset(["delete_experiment", "delete_traces", "rename_experiment"])
LOGGED = frozenset(
    ["delete_logged_model", "delete_logged_model_tag", "finalize_logged_model",
     "log_logged_model_params", "set_logged_model_tags"]
)  # fmt: skip
NEW = frozenset(["create_run"])
#: Those that touch nothing a release shows. The gateway, MCP servers, scorers and skills are off.
FREE = frozenset(
    ["add_dataset_to_experiments", "add_guardrail_to_endpoint",
     "add_items_to_review_queue", "archive_traces", "attach_model_to_endpoint",
     "create_assessment", "create_budget_policy", "create_dataset",
     "create_endpoint_binding", "create_experiment", "create_issue",
     "create_label_schema", "create_logged_model", "create_review_queue",
     "delete_assessment", "delete_budget_policy", "delete_dataset",
     "delete_dataset_records", "delete_dataset_tag", "delete_endpoint_binding",
     "delete_experiment_tag", "delete_label_schema", "delete_review_queue",
     "delete_scorer", "delete_trace_tag", "deprecated_end_trace_v2",
     "deprecated_start_trace_v2", "detach_model_from_endpoint", "end_async_logging",
     "flush_async_logging", "get_or_create_user_queue",
     "link_mcp_server_versions_to_trace", "link_prompts_to_trace", "log_spans",
     "log_spans_async", "register_scorer", "remove_dataset_from_experiments",
     "remove_guardrail_from_endpoint", "remove_items_from_review_queue",
     "restore_experiment", "set_dataset_tags", "set_experiment_tag",
     "set_model_versions_tags", "set_review_queue_item_status", "set_trace_tag",
     "shut_down_async_logging", "start_trace", "update_assessment",
     "update_budget_policy", "update_endpoint_guardrail_config", "update_issue",
     "update_label_schema", "update_review_queue", "upsert_dataset_records",
     "upsert_online_scoring_config"]
)  # fmt: skip
_FREE_LIKE = re.compile(r"\w+_(gateway|mcp)_\w+|(\w+_)?(skill|skills)(_\w+)?")
GUARDED = ADDING | TAKING | EXPERIMENT | LOGGED | NEW

_VERSIONS = sa.table("model_versions", sa.column("name"), sa.column("version"), sa.column("run_id"))
_RUNS = sa.table("runs", sa.column("run_uuid"), sa.column("experiment_id"))
_FROZEN_RUNS = (
    sa.select(FROZEN.c.model, FROZEN.c.version, RELEASES.c.grant_id)
    .join(
        _VERSIONS,
        sa.and_(_VERSIONS.c.name == FROZEN.c.model, _VERSIONS.c.version == FROZEN.c.version),
    )
    .join(
        RELEASES,
        sa.and_(RELEASES.c.model == FROZEN.c.model, RELEASES.c.version == FROZEN.c.version),
        isouter=True,
    )
    .order_by(RELEASES.c.grant_id.is_(None))
    .limit(1)
)
_OF_RUN = _FROZEN_RUNS.where(_VERSIONS.c.run_id == sa.bindparam("run"))
_OF_EXPERIMENT = _FROZEN_RUNS.join(_RUNS, _RUNS.c.run_uuid == _VERSIONS.c.run_id).where(
    _RUNS.c.experiment_id == sa.bindparam("experiment")
)
_STEP = "Use a run of your own; what was frozen for a release stays as it is"


def unclassified() -> Iterable[str]:
    """Return the methods of MLflow's store for runs that nobody has classified."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    known = GUARDED | FREE
    found = {name for name in dir(SqlAlchemyStore) if not name.startswith("_")} - known
    free = (_READING, _FREE_LIKE)
    return sorted(name for name in found if not any(one.fullmatch(name) for one in free))


def protect(made: Guard) -> None:
    """Let MLflow's store for runs ask the guard before it writes."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for name in sorted(GUARDED):
        plain = getattr(SqlAlchemyStore, name)
        if not hasattr(plain, "airlock_guarded"):
            setattr(SqlAlchemyStore, name, _asking(made, name, plain))


def _asking(made: Guard, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs).arguments
        try:
            _check(made, name, bound)
        except Denied as denied:
            made.record(denied)
            raise
        return plain(self, *args, **kwargs)

    method.airlock_guarded = True  # type: ignore[attr-defined] # so that it is wrapped once
    return method


def _check(made: Guard, name: str, sent: dict[str, Any]) -> None:
    """Refuse what changes the run behind a release. Raises Denied."""
    what = name.removesuffix("_async").replace("_", " ")
    if name in LOGGED:
        if name == "set_logged_model_tags" and _only_mlflows(sent["tags"]):
            return
        run = sent["self"].get_logged_model(sent["model_id"]).source_run_id
        _check_run(made, what, f"logged model {sent['model_id']}", run)
    elif name in EXPERIMENT:
        asked = {"experiment": int(sent["experiment_id"])}
        _check_row(made, what, f"experiment {sent['experiment_id']}", _OF_EXPERIMENT, asked)
    else:
        run = sent.get("run_id", "")
        _check_tags(what, f"run {run}", sent)
        adding = name in ADDING and caller().program
        _check_run(made, what, f"run {run}", run, adding=adding)


def _check_run(
    made: Guard, what: str, thing: str, run: str | None, *, adding: bool = False
) -> None:
    """Refuse to change a run behind a frozen version; one that has no id yet is behind none."""
    if run:
        _check_row(made, what, thing, _OF_RUN, {"run": run}, adding=adding)


def _check_row(
    made: Guard,
    what: str,
    thing: str,
    query: sa.Select[Any],
    asked: dict[str, Any],
    *,
    adding: bool = False,
) -> None:
    with made.reading() as work:
        row = work.execute(query, asked).first()
    if row is None or (adding and row.grant_id is None):
        return
    state = "frozen for a release" if row.grant_id is None else "released"
    raise Denied(what, thing, f"{thing} belongs to {row.model} version {row.version}, which is \
{state}", _STEP)  # fmt: skip


def _check_tags(what: str, thing: str, sent: dict[str, Any]) -> None:
    tags = [*(sent.get("tags") or []), *([sent["tag"]] if "tag" in sent else [])]
    keys = [tag.key for tag in tags] + ([sent["key"]] if "key" in sent else [])
    ours = [key for key in keys if is_reserved_tag(key)]
    if ours and not caller().program:
        raise Denied(what, thing, f"the tag {ours[0]} is written by Airlock alone",
                     "Use another name for your tag")  # fmt: skip


def _only_mlflows(tags: Iterable[Any]) -> bool:
    """Say whether MLflow itself notes which versions a logged model has, and nothing else."""
    return all(tag.key == "mlflow.modelVersions" for tag in tags)
