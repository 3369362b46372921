"""What in MLflow belongs to a run behind a frozen version: rows asked for in MLflow's own tables.

Each question is a query whose first row names a model, a version and, if it was released, a grant;
a released version is named before one that is frozen only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from airlock_mlflow.tables import FROZEN, RELEASES

_VERSIONS = sa.table("model_versions", sa.column("name"), sa.column("version"), sa.column("run_id"))
_RUNS = sa.table("runs", sa.column("run_uuid"), sa.column("experiment_id"))
_TAGS = sa.table("tags", sa.column("key"), sa.column("value"), sa.column("run_uuid"))
_TRACES = sa.table("trace_info", sa.column("request_id"), sa.column("experiment_id"))
_TRACE_FACTS = sa.table(
    "trace_request_metadata", sa.column("key"), sa.column("value"), sa.column("request_id")
)
_LINKS = sa.table(
    "entity_associations",
    *(sa.column(f"{end}_{field}") for end in ("source", "destination") for field in ("type", "id")),
)
#: MLflow's key for the run a trace was written in, and for the prompts a run used.
SOURCE_RUN: Final = "mlflow.sourceRun"
LINKED_PROMPTS: Final = "mlflow.linkedPrompts"

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
    .where(_VERSIONS.c.run_id != "")  # a version that no run has made binds no run
    .order_by(RELEASES.c.grant_id.is_(None))
)
_FIRST = _FROZEN_RUNS.limit(1)


def _link(source: str, destination: str) -> sa.ColumnElement[bool]:
    return sa.and_(_LINKS.c.source_type == source, _LINKS.c.destination_type == destination)


#: Each trace with a run it belongs to: it was written in it, or linked to it.
_RUNS_OF_TRACES = sa.union_all(
    sa.select(_TRACE_FACTS.c.request_id.label("trace"), _TRACE_FACTS.c.value.label("run")).where(
        _TRACE_FACTS.c.key == SOURCE_RUN
    ),
    sa.select(_LINKS.c.source_id, _LINKS.c.destination_id).where(_link("trace", "run")),
).subquery()
_WITH_TRACES = _FROZEN_RUNS.join(_RUNS_OF_TRACES, _RUNS_OF_TRACES.c.run == _VERSIONS.c.run_id)
_WITH_EXPERIMENT = _FIRST.join(_RUNS, _RUNS.c.run_uuid == _VERSIONS.c.run_id)

OF_RUN: Final = _FIRST.where(_VERSIONS.c.run_id == sa.bindparam("run"))
OF_EXPERIMENT: Final = _WITH_EXPERIMENT.where(_RUNS.c.experiment_id == sa.bindparam("experiment"))
OF_TRACE: Final = _WITH_TRACES.where(_RUNS_OF_TRACES.c.trace == sa.bindparam("trace")).limit(1)
#: Traces in one experiment may belong to a run in another.
OF_TRACES_IN: Final = (
    _WITH_TRACES.join(_TRACES, _TRACES.c.request_id == _RUNS_OF_TRACES.c.trace)
    .where(_TRACES.c.experiment_id == sa.bindparam("experiment"))
    .limit(1)
)
#: A data set of evaluations belongs to the experiments it is part of. Their ids are numbers there,
#: and text among the links.
OF_DATASET: Final = _WITH_EXPERIMENT.join(
    _LINKS,
    sa.and_(
        _link("evaluation_dataset", "experiment"),
        _LINKS.c.destination_id == sa.cast(_RUNS.c.experiment_id, sa.String),
    ),
).where(_LINKS.c.source_id == sa.bindparam("dataset"))

_PROMPTS_OF_RUNS = _FROZEN_RUNS.join(_TAGS, _TAGS.c.run_uuid == _VERSIONS.c.run_id).where(
    _TAGS.c.key == LINKED_PROMPTS
).add_columns(_TAGS.c.value)  # fmt: skip
_PROMPTS_OF_TRACES = _WITH_TRACES.join(
    _LINKS,
    sa.and_(_link("trace", "prompt_version"), _LINKS.c.source_id == _RUNS_OF_TRACES.c.trace),
).add_columns(_LINKS.c.destination_id.label("value"))


def user_of_prompt(work: sa.Connection, name: str, version: str = "") -> sa.Row[Any] | None:
    """Return the run that used this version of a prompt; without a version, any of them."""
    for query, read in ((_PROMPTS_OF_RUNS, _listed), (_PROMPTS_OF_TRACES, _joined)):
        for row in work.execute(query):
            if any(listed == name and version in ("", at) for listed, at in read(str(row.value))):
                return row
    return None


def _listed(value: str) -> Iterator[tuple[str, str]]:
    """Yield the prompts a run's tag names; none if the tag is no such list."""
    try:
        document = json.loads(value)
    except ValueError:
        return
    for entry in document if isinstance(document, list) else ():
        if isinstance(entry, dict):
            yield str(entry.get("name", "")), str(entry.get("version", ""))


def _joined(value: str) -> Iterator[tuple[str, str]]:
    name, _, version = value.rpartition("/")
    yield name, version
