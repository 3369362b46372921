"""Gates as a pipeline writes them: `{gate: latency, p95Ms: 150}`.

A gate is a frozen dataclass of `airlock.gates`; its fields are the options. A strict model is
made from those fields, so a new gate needs nothing here. What a type cannot say (a threshold out
of range) the gate's own `__post_init__` says with a ValueError.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import Field, PlainSerializer, ValidationError, create_model

from airlock.config.problems import Place, listed, show
from airlock.config.schemas import Strict, Trouble, complaint, refuse, settle, unknown
from airlock.domain.gates import Gate
from airlock.domain.metrics import DIRECTIONS
from airlock.gates import BY_NAME, written

#: In `metricsThreshold`: not a metric of the model but the limit of its answers.
LATENCY = "latencyMs"


@cache
def options_of(gate: type[Gate]) -> type[Strict]:
    """Return the model of one gate's options."""
    hints = get_type_hints(gate)
    fields: dict[str, Any] = {}
    for option in _options(gate):
        hint = hints[option.name]
        if get_origin(hint) is tuple:  # a YAML list
            hint = Annotated[hint, Field(strict=False)]
        default = ... if option.default is dataclasses.MISSING else option.default
        fields[option.name] = (hint, default)
    return create_model(f"{gate.__name__}Options", __base__=Strict, **fields)


def parse(raw: Any, place: Place) -> tuple[Gate | None, list[Trouble]]:
    """Return the gate one entry of a YAML list describes, or the problems of the entry."""
    if not isinstance(raw, dict):
        return None, [Trouble(place, "a mapping such as {gate: data-validation}", show(raw))]
    gate = BY_NAME.get(raw["gate"]) if isinstance(raw.get("gate"), str) else None
    if gate is None:
        where = (*place, "gate") if "gate" in raw else place
        return None, [unknown(where, raw.get("gate"), BY_NAME, "one of the gates")]
    raw_options = {key: value for key, value in raw.items() if key != "gate"}
    try:
        options = options_of(gate).model_validate(raw_options)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        return None, [complaint(details, options_of(gate), place) for details in errors]
    values = {name: getattr(options, name) for name in type(options).model_fields}
    try:
        return gate(**values), []
    except ValueError as error:
        return None, [_out_of_range(str(error), raw_options, place)]


def thresholds(values: Mapping[str, float]) -> Iterator[tuple[Gate | None, list[Trouble]]]:
    """Yield the gate of each entry of a `metricsThreshold`, or the problems of the entry."""
    for metric, threshold in values.items():
        entry: dict[str, Any] = {"gate": "latency", "p95Ms": threshold}
        if metric != LATENCY:
            entry = {"gate": "metrics-threshold", "metric": metric, "threshold": threshold}
        gate, troubles = parse(entry, ())
        if metric != LATENCY and metric not in DIRECTIONS:
            troubles = [unknown((), metric, [*DIRECTIONS, LATENCY])]
        yield gate, [dataclasses.replace(trouble, place=(metric,)) for trouble in troubles]


def read_gates(
    entries: Any, shorthand: Sequence[Gate], required: Sequence[str], metrics: Sequence[str]
) -> tuple[Gate, ...]:
    """Return all gates of a pipeline: those of its thresholds, then those it lists.

    Refuses a gate that is there twice, one on a metric its task does not have (none given: not
    known), and a list in which a required gate is missing.
    """
    if not isinstance(entries, list | tuple):
        refuse(Trouble((), "a list", show(entries)))
    gates: dict[str, Gate] = {}
    troubles = [trouble for gate in shorthand for trouble in _add(gate, (), gates, metrics)]
    for index, raw in enumerate(entries):
        gate, wrong = parse(raw, (index,))
        troubles += wrong or _add(gate, (index,), gates, metrics)
    settle(troubles)
    names = {gate.name for gate in gates.values()}
    actual = listed(sorted(names))
    settle(Trouble((), f"the required gate {n}", actual) for n in required if n not in names)
    return tuple(gates.values())


def _add(
    gate: Gate | None, place: Place, gates: dict[str, Gate], metrics: Sequence[str]
) -> list[Trouble]:
    """Add a gate, or return why it cannot be one of *gates*."""
    metric = getattr(gate, "metric", None)
    if gate is None:
        return []
    if metric and metrics and metric not in metrics:
        where = (*place, "metric") if place else place
        return [unknown(where, metric, metrics, "a metric of the pipeline's task, one of")]
    if gate.key in gates:
        return [Trouble((*place, "gate"), "each gate once", f"{gate.key} again")]
    gates[gate.key] = gate
    return []


def _documents_of(gates: Sequence[Gate]) -> list[dict[str, Any]]:
    return [written(gate) for gate in gates]


#: The gates of a pipeline: gate objects in Python, canonical documents outside.
Gates = Annotated[tuple[Any, ...], Field(strict=False), PlainSerializer(_documents_of)]


def _options(gate: type[Gate]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(gate)  # type: ignore[arg-type]  # Gate is a Protocol of dataclasses


def _out_of_range(message: str, values: Mapping[str, Any], place: Place) -> Trouble:
    """Point at the option the gate's message names, if it names exactly one."""
    if "metric" in values and values["metric"] not in DIRECTIONS:
        return unknown((*place, "metric"), values["metric"], DIRECTIONS)
    words = set(re.findall(r"\w+", message))
    named = [key for key in values if {key, _snake(key)} & words]
    if len(named) != 1:
        return Trouble(place, message, ", ".join(f"{k}: {show(v)}" for k, v in values.items()))
    expected = re.sub(r"\bmust (be |lie )?", "", message.split(", found")[0])
    return Trouble((*place, named[0]), expected, show(values[named[0]]))


def _snake(key: str) -> str:
    return re.sub(r"[A-Z]", lambda upper: f"_{upper[0].lower()}", key)
