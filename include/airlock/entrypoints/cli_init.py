"""`airlock pipeline init`: the first draft of a model's files, from its data. Works offline.

Nothing that exists is overwritten: either all files are written or none.
"""

from __future__ import annotations

import dataclasses
import getpass
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from airlock.adapters.table_profile import Column, profile
from airlock.config.load import RulebookConfig, load_rulebook
from airlock.domain.errors import Conflict, Invalid
from airlock.entrypoints.drafts import Draft, files
from airlock.entrypoints.terminal import say, settings
from airlock.gates import BY_NAME

#: Gates that need nothing but the data and the model, besides those the policy requires.
_ALWAYS = ("data-validation", "leakage", "label-balance", "drift", "model-card", "artifact-format")
#: Written as `metricsThreshold` of the stage evaluate.
_THRESHOLDS = ("metrics-threshold", "latency")


def register(app: typer.Typer) -> None:
    """Add the command to the group of pipelines."""
    app.command("init")(init_command)


def init_command(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, hyphens: churn-risk.")],
    data: Annotated[Path, typer.Option(help="A Parquet or CSV file.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    time_column: Annotated[str, typer.Option(help="The column that orders the rows.")] = "",
    owner: Annotated[str, typer.Option(help="The Airflow user who answers for it.")] = "",
) -> None:
    """Write a first draft of a model: code, suite, card, tests and pipeline, from its data."""
    here = settings()
    rulebook = load_rulebook(here.config_dir)
    found = profile(data)
    source, copied = _source(data, here.root, name)
    draft = Draft(
        name=_slug(name),
        owner=owner or getpass.getuser(),
        source=source,
        target=found.column(target).name,
        time_column=found.column(time_column).name if time_column else None,
        profile=found,
        risk=_cautious(rulebook),
        gates=_gates(rulebook, _checked(found.column(target))),
        environment=_environment(rulebook),
    )
    if not draft.features:
        raise Invalid(f"{data} has no column a model could learn {target} from")
    written = files(draft)
    taken = [
        path for path in (*written, *([source] if copied else [])) if (here.root / path).exists()
    ]
    if taken:
        raise Conflict(
            f"{', '.join(taken)}: already there, nothing was written",
            next_step="Choose another name, or remove what is there.",
        )
    for path, text in written.items():
        place = here.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    if copied:
        shutil.copyfile(data, here.root / source)
    _tell(draft, [*written, *([source] if copied else [])])


def _slug(name: str) -> str:
    import re

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 50:
        raise Invalid(
            f"{name!r} is no name for a pipeline",
            next_step="Use lower-case letters, digits and single hyphens, such as churn-risk.",
        )
    return name


def _source(data: Path, root: Path, name: str) -> tuple[str, bool]:
    """Return where the data lies in the checkout, and whether it has to be copied there."""
    path, root = data.resolve(), root.resolve()
    if path.is_relative_to(root):
        inside = path.relative_to(root)
        if not any(part.startswith(".") for part in inside.parts):
            return inside.as_posix(), False
    suffix = ".csv" if data.suffix == ".csv" else ".parquet"
    return f"include/models/{name.replace('-', '_')}/data{suffix}", True


def _checked(target: Column) -> Column:
    """Refuse a target nothing can be learned from."""
    if target.kind != "number":
        raise Invalid(
            f"the target {target.name!r} holds {target.kind}; expected numbers",
            next_step="Encode it in the data; a classification has 0 and 1.",
        )
    if target.missing or target.distinct < 2:
        raise Invalid(
            f"the target {target.name!r} has {target.distinct} different values and "
            f"{target.missing} missing ones; expected at least two and none missing"
        )
    return target


def _cautious(rulebook: RulebookConfig) -> Mapping[str, Any]:
    """Return the worst choice of every risk fact: true, or the last in its list."""
    facts = rulebook.risk.spec.facts
    return {name: True if True in choices else choices[-1] for name, choices in facts.items()}


def _environment(rulebook: RulebookConfig) -> str:
    known = list(rulebook.approval.spec.environments)
    return "production" if "production" in known else known[-1]


def _gates(rulebook: RulebookConfig, target: Column) -> list[Mapping[str, Any]]:
    """Return the gates the policy requires, and those that need nothing more."""
    classes = set(target.values) == {0, 1}
    margin = 0.01 if classes else float(f"{0.05 * float(target.spread or 1):.2g}")
    given = {"metric": "roc_auc" if classes else "mae", "margin": margin}
    gates: list[Mapping[str, Any]] = []
    for name in dict.fromkeys((*_ALWAYS, *rulebook.approval.spec.required_gates)):
        if name in _THRESHOLDS:
            continue
        needed = [
            option.name
            for option in dataclasses.fields(BY_NAME[name])  # type: ignore[arg-type]
            if option.default is dataclasses.MISSING
            and option.default_factory is dataclasses.MISSING
        ]
        if unknown := [option for option in needed if option not in given]:
            raise Invalid(
                f"the policy requires the gate {name}, whose {', '.join(unknown)} nobody can guess",
                next_step="Copy a pipeline of include/pipelines and write your own.",
            )
        gates.append({"gate": name, **{option: given[option] for option in needed}})
    return gates


def _tell(draft: Draft, written: list[str]) -> None:
    """Say what was written and what to do next."""
    say(f"A first draft of {draft.name} ({draft.task}, {draft.profile.rows:,} rows):")
    for path in written:
        say(f"  {path}")
    say("What to do next:")
    steps = (
        f"read include/models/{draft.package}/train.py: take out features that must not decide",
        f"read include/models/{draft.package}/suite.py: it says what the data is, not must be",
        f"answer every TODO in include/models/{draft.package}/model_card.yaml",
        f"answer the risk facts and raise the threshold in include/pipelines/{draft.name}.yaml",
        f"pytest tests/models/test_{draft.package}.py",
        "airlock policy check",
        f"airlock pipeline run {draft.name} --dry-run --wait",
    )
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")
