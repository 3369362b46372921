"""One gate by itself: what it asks, and trying it on a registered version."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airlock.config.gate_options import options_of, parse
from airlock.domain.errors import Invalid, Refused
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import Gate, GateResult
from airlock.gates import BY_NAME
from airlock.services.pipeline import collect_and_judge, gate_dry_run

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock


def described(gate: type[Gate]) -> dict[str, Any]:
    """Return the description of a gate: name, question, options and the evidence it needs."""
    schema = options_of(gate).model_json_schema(by_alias=True, mode="validation")
    required = set(schema.get("required", ()))
    paragraph = (sys.modules[gate.__module__].__doc__ or "").strip().partition("\n\n")[0]
    question = re.match(r"(?:[\w-]+: )?([^?]+\?)", " ".join(paragraph.split()))
    return {
        "name": gate.name,
        "question": question[1] if question else " ".join(paragraph.split()),
        "options": [
            {"name": name, "required": name in required, "default": field.get("default")}
            for name, field in schema.get("properties", {}).items()
        ],
        "needs": list(gate.needs),
    }


def try_gate(
    airlock: Airlock,
    name: str,
    model: str,
    version: str,
    changes: Sequence[str] = (),
    *,
    keep: bool = False,
) -> list[GateResult]:
    """Collect and judge a gate as the pipeline writes it, with *changes* to its options.

    Raises:
        Invalid: if there is no such gate, or an option cannot be read.
        Refused: if the version was not recorded by a run, or keeping would change a release.
    """
    from airlock.bootstrap.workbench import bench_of

    if name not in BY_NAME:
        names = ", ".join(sorted(BY_NAME))
        raise Invalid(f"there is no gate {name!r}; there are: {names}")
    if keep and changes:
        raise Invalid("what is kept is judged with the pipeline's own options: leave --set out")
    origin = _origin(airlock, model, version)
    gates = _gates(airlock, origin, name, _read(changes))
    bench = bench_of(airlock)
    if not keep:
        return [gate_dry_run.attempt(airlock.store, bench, origin, gate) for gate in gates]
    _check_unfrozen(airlock, origin)
    signer = airlock.gate_signer
    store, proposals = airlock.store, airlock.proposals
    return [
        collect_and_judge.examine(store, proposals, bench, origin, gate, signer) for gate in gates
    ]


def _origin(airlock: Airlock, model: str, version: str) -> str:
    origin = airlock.registry.tag(model, version, "origin")
    with airlock.store.begin() as unit:
        candidate = unit.candidate(origin) if origin else None
    if candidate is None or (candidate.model, candidate.version) != (model, version):
        raise Refused(
            f"version {version} of {model} was not registered by a pipeline run of this Airlock",
            next_step="`airlock release list` shows the versions there are.",
        )
    return origin


def _gates(airlock: Airlock, origin: str, name: str, changes: Mapping[str, Any]) -> list[Gate]:
    """Return the gates of that name in the pipeline of a run, or one made of *changes* alone."""
    with airlock.store.begin() as unit:
        recipe = collect_and_judge.case_of(unit, origin).recipe
    return [_gate({**gate, **changes}) for gate in _written(recipe, name)]


def _written(recipe: Recipe, name: str) -> list[Mapping[str, Any]]:
    return [gate for gate in recipe.gates if gate["gate"] == name] or [{"gate": name}]


def _gate(document: Mapping[str, Any]) -> Gate:
    gate, wrong = parse(dict(document), ())
    if gate is None or wrong:
        trouble = wrong[0]
        where = ".".join(str(part) for part in trouble.place)
        raise Invalid(
            f"the gate {document['gate']} cannot be made: {where}: expected {trouble.expected}, "
            f"found {trouble.actual}",
            next_step="`airlock gate list` shows its options; give them with --set OPTION=VALUE.",
        )
    return gate


def _read(changes: Sequence[str]) -> dict[str, Any]:
    import yaml

    options = {}
    for text in changes:
        key, equals, value = text.partition("=")
        try:
            options[key.strip()] = yaml.safe_load(value) if equals else None
        except yaml.YAMLError as error:
            raise Invalid(f"{text!r} cannot be read: {error}") from error
        if not equals or not key.strip():
            raise Invalid(f"{text!r} is not OPTION=VALUE", next_step="Such as --set margin=0.01.")
    return options


def _check_unfrozen(airlock: Airlock, origin: str) -> None:
    with airlock.store.begin() as unit:
        release = unit.by_origin(origin)
    if release is not None:
        raise Refused(
            f"release {release.id} was opened for this version, so what was measured is frozen",
            next_step="Leave --keep out to try the gate without keeping anything.",
        )
