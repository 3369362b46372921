"""Experiments, runs, logged models and traces have the rights models have.

Rules:
* What a release shows stays: the run behind a frozen version, its experiment and its logged model
  are never deleted or renamed, and no person changes the run's parameters, metrics, tags, inputs or
  outputs. Airlock's own accounts add to it until the version is released; from then on nobody does.
* So do the traces written in that run or linked to it, metrics of its logged model, and the data
  sets of evaluations of its experiment: nobody takes anything away from them.
* Tags under `airlock.` are written by Airlock's accounts alone, on whatever it is.
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

from airlock_mlflow import belonging
from airlock_mlflow.caller import caller
from airlock_mlflow.denial import Denied
from airlock_mlflow.guard import Guard
from airlock_mlflow.naming import is_reserved_tag

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
#: Of one trace, in the same way.
TRACE_ADDING = frozenset(
    ["create_assessment", "deprecated_end_trace_v2", "deprecated_start_trace_v2",
     "link_mcp_server_versions_to_trace", "link_prompts_to_trace", "log_spans",
     "log_spans_async", "set_trace_tag", "start_trace"]
)  # fmt: skip
TRACE_TAKING = frozenset(
    ["delete_assessment", "delete_trace_tag", "update_assessment"]
)  # fmt: skip
#: Of a data set of evaluations: what takes away. Adding is free, as new runs are.
DATASET = frozenset(
    ["delete_dataset", "delete_dataset_records", "remove_dataset_from_experiments"]
)  # fmt: skip
#: What is new, or has tags alone that are Airlock's.
NEW = frozenset(["create_dataset", "create_experiment", "create_logged_model", "create_run"])
TAGGED = frozenset(
    ["delete_dataset_tag", "delete_experiment_tag", "set_dataset_tags", "set_experiment_tag"]
)
#: Those that touch nothing a release shows. The gateway, MCP servers, scorers and skills are off.
FREE = frozenset(
    ["add_dataset_to_experiments", "add_guardrail_to_endpoint",
     "add_items_to_review_queue", "archive_traces", "attach_model_to_endpoint",
     "create_budget_policy", "create_endpoint_binding", "create_issue",
     "create_label_schema", "create_review_queue", "delete_budget_policy",
     "delete_endpoint_binding", "delete_label_schema", "delete_review_queue",
     "delete_scorer", "detach_model_from_endpoint", "end_async_logging",
     "flush_async_logging", "get_or_create_user_queue", "register_scorer",
     "remove_guardrail_from_endpoint", "remove_items_from_review_queue",
     "restore_experiment", "set_model_versions_tags", "set_review_queue_item_status",
     "shut_down_async_logging", "update_budget_policy",
     "update_endpoint_guardrail_config", "update_issue", "update_label_schema",
     "update_review_queue", "upsert_dataset_records", "upsert_online_scoring_config"]
)  # fmt: skip
_FREE_LIKE = re.compile(r"\w+_(gateway|mcp)_\w+|(\w+_)?(skill|skills)(_\w+)?")
GUARDED = (
    ADDING | TAKING | EXPERIMENT | LOGGED | TRACE_ADDING | TRACE_TAKING | DATASET | NEW | TAGGED
)

_STEP = "Use a run of your own; what was frozen for a release stays as it is"


def unclassified() -> Iterable[str]:
    """Return the methods of MLflow's store for runs that nobody has classified."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    classified = GUARDED | FREE
    names = {name for name in dir(SqlAlchemyStore) if not name.startswith("_")} - classified
    free = (_READING, _FREE_LIKE)
    return sorted(name for name in names if not any(pattern.fullmatch(name) for pattern in free))


def protect(guard: Guard) -> None:
    """Let MLflow's store for runs ask the guard before it writes."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for name in sorted(GUARDED):
        plain = getattr(SqlAlchemyStore, name)
        if not hasattr(plain, "airlock_guarded"):
            setattr(SqlAlchemyStore, name, _asking(guard, name, plain))


def _asking(guard: Guard, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs).arguments
        try:
            _check(guard, name, bound)
        except Denied as denied:
            guard.record(denied)
            raise
        return plain(self, *args, **kwargs)

    method.airlock_guarded = True  # type: ignore[attr-defined] # so that it is wrapped once
    return method


def _check(guard: Guard, name: str, sent: dict[str, Any]) -> None:
    """Refuse what changes the run behind a release, or what belongs to it. Raises Denied."""
    action = name.removesuffix("_async").replace("_", " ")
    if name in LOGGED:
        if name == "set_logged_model_tags" and _only_mlflows(sent["tags"]):
            return
        _check_tags(action, f"logged model {sent['model_id']}", sent)
        _check_logged(guard, action, sent["self"], sent["model_id"])
    elif name in EXPERIMENT:
        _check_experiment(guard, action, sent)
    elif name in TRACE_ADDING | TRACE_TAKING:
        _check_traces(guard, action, sent, adding=name in TRACE_ADDING and caller().program)
    elif name in DATASET:
        parameters = {"dataset": sent["dataset_id"]}
        target = f"data set {sent['dataset_id']}"
        _check_row(guard, action, target, belonging.OF_DATASET, parameters)
    else:
        run = sent.get("run_id") or sent.get("source_run_id") or ""
        adding = name in ADDING | NEW and caller().program
        _check_tags(action, f"run {run}" if run else _named(sent), sent)
        _check_run(guard, action, f"run {run}", run, adding=adding)
        for model in _measured(sent):
            _check_logged(guard, action, sent["self"], model, adding=adding)


def _check_experiment(guard: Guard, action: str, sent: dict[str, Any]) -> None:
    parameters = {"experiment": int(sent["experiment_id"])}
    target = f"experiment {sent['experiment_id']}"
    _check_row(guard, action, target, belonging.OF_EXPERIMENT, parameters)
    if action == "delete traces":
        for trace in sent.get("trace_ids") or []:
            _check_row(guard, action, f"trace {trace}", belonging.OF_TRACE, {"trace": trace})
        if not sent.get("trace_ids"):
            _check_row(guard, action, f"a trace of {target}", belonging.OF_TRACES_IN, parameters)


def _check_traces(guard: Guard, action: str, sent: dict[str, Any], *, adding: bool) -> None:
    traces, facts = _traces(sent)
    for trace in sorted(traces):
        target = f"trace {trace}"
        _check_tags(action, target, sent)
        _check_row(guard, action, target, belonging.OF_TRACE, {"trace": trace}, adding=adding)
    if not traces:
        _check_tags(action, "a new trace", sent)
    run = facts.get(belonging.SOURCE_RUN)
    _check_run(guard, action, f"run {run}", run, adding=adding)


def _traces(sent: dict[str, Any]) -> tuple[set[str], dict[str, str]]:
    """Return the traces a call is about, and the metadata it sends of a new one."""
    if "spans" in sent:
        return {span.trace_id for span in sent["spans"]}, {}
    if "assessment" in sent:
        return {sent["assessment"].trace_id}, {}
    if "trace_info" in sent:
        return {sent["trace_info"].trace_id}, sent["trace_info"].trace_metadata or {}
    trace_id = sent.get("trace_id") or sent.get("request_id")
    return {trace_id} if trace_id else set(), sent.get("request_metadata") or {}


def _measured(sent: dict[str, Any]) -> set[str]:
    """Return the logged models that metrics are about, which may be another run's."""
    metrics = [*(sent.get("metrics") or []), *([sent["metric"]] if "metric" in sent else [])]
    return {metric.model_id for metric in metrics if metric.model_id}


def _named(sent: dict[str, Any]) -> str:
    """Name the target of a call without a run, as people do."""
    for kind, key in (("experiment", "experiment_id"), ("data set", "dataset_id")):
        if sent.get(key):
            return f"{kind} {sent[key]}"
    return str(sent.get("name") or "it")


def _check_logged(
    guard: Guard, action: str, store: Any, model: str, *, adding: bool = False
) -> None:
    run = store.get_logged_model(model).source_run_id
    _check_run(guard, action, f"logged model {model}", run, adding=adding)


def _check_run(
    guard: Guard, action: str, target: str, run: str | None, *, adding: bool = False
) -> None:
    """Refuse to change a run behind a frozen version; one that has no id yet is behind none."""
    if run:
        _check_row(guard, action, target, belonging.OF_RUN, {"run": run}, adding=adding)


def _check_row(
    guard: Guard,
    action: str,
    target: str,
    query: sa.Select[Any],
    parameters: dict[str, Any],
    *,
    adding: bool = False,
) -> None:
    with guard.reading() as work:
        row = work.execute(query, parameters).first()
    if row is None or (adding and row.grant_id is None):
        return
    state = "frozen for a release" if row.grant_id is None else "released"
    raise Denied(action, target, f"{target} belongs to {row.model} version {row.version}, which is \
{state}", _STEP)  # fmt: skip


def _check_tags(action: str, target: str, sent: dict[str, Any]) -> None:
    ours = [key for key in _tag_keys(sent) if is_reserved_tag(key)]
    if ours and not caller().program:
        raise Denied(action, target, f"the tag {ours[0]} is written by Airlock alone",
                     "Use another name for your tag")  # fmt: skip


def _tag_keys(sent: dict[str, Any]) -> list[str]:
    """Return the names of the tags a call is about: MLflow sends objects, or a mapping."""
    groups = [sent.get("tags"), getattr(sent.get("trace_info"), "tags", None)]
    groups += [
        [sent["tag"]] if "tag" in sent else None,
        {sent["key"]: ""} if "key" in sent else None,
    ]
    return [str(getattr(tag, "key", tag)) for tags in groups for tag in tags or ()]


def _only_mlflows(tags: Iterable[Any]) -> bool:
    """Say whether MLflow itself notes which versions a logged model has, and nothing else."""
    return all(tag.key == "mlflow.modelVersions" for tag in tags)
