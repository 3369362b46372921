"""`airlock pipeline init`: the first draft of a model's files, from its data. Works offline.

Nothing that exists is overwritten: either all files are written or none. Before that the data is
pinned once, in a folder of its own: what the first run would refuse is refused here, in its words.
"""

from __future__ import annotations

import dataclasses
import getpass
import keyword
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from airlock.adapters.datasets.files import MEND_DATA, FileData
from airlock.adapters.datasets.profile import Column, Profile, profile
from airlock.config.load import RulebookConfig, load_rulebook
from airlock.domain.errors import Conflict, Invalid
from airlock.entrypoints.cli.pipelines.scaffold import Draft, files
from airlock.entrypoints.presentation.terminal import advised, say, settings
from airlock.gates import BY_NAME
from airlock.tables import DataUnusable, open_rows

#: Gates that need nothing but the data and the model, besides those the policy requires.
_ALWAYS = ("data-validation", "leakage", "label-balance", "drift", "model-card", "artifact-format")
#: Written as `metricsThreshold` of the stage evaluate.
_THRESHOLDS = ("metrics-threshold", "latency")
_TASKS = ("classification", "regression")
#: So few different whole numbers may be classes as well as amounts: a person has to say.
_FEW_CLASSES = 20


def register(app: typer.Typer) -> None:
    """Add the command to the group of pipelines."""
    app.command("init")(init_command)


def init_command(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, hyphens: churn-risk.")],
    data: Annotated[Path, typer.Option(help="A Parquet or CSV file.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    time_column: Annotated[str, typer.Option(help="The column that orders the rows.")] = "",
    owner: Annotated[str, typer.Option(help="The Airflow user who answers for it.")] = "",
    task: Annotated[
        str, typer.Option(help="classification or regression, where the data does not say.")
    ] = "",
) -> None:
    """Write a first draft of a model: code, suite, card, tests and pipeline, from its data."""
    here = settings()
    rulebook = load_rulebook(here.config_dir)
    package = _slug(name)
    pinned = _pinned(data, target, time_column, task)
    column = pinned.column(target)
    kind = task or _task(column)
    source, copied = _source(data, here.root, name)
    draft = Draft(
        name=package,
        owner=owner or getpass.getuser(),
        source=source,
        target=target,
        task=kind,
        time_column=time_column or None,
        profile=pinned,
        risk=_cautious(rulebook),
        gates=_gates(rulebook, column, kind),
        environment=_environment(rulebook),
    )
    if not draft.features:
        raise Invalid(f"{data} has no column a model could learn {target} from")
    written = files(draft)
    existing = [
        path for path in (*written, *([source] if copied else [])) if (here.root / path).exists()
    ]
    if existing:
        raise Conflict(
            f"{', '.join(existing)}: already there, nothing was written",
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
    if keyword.iskeyword(name):
        raise Invalid(
            f"Python cannot import a package called {name!r}: it is a word of the language",
            next_step=f"Choose a name of two words, such as {name}-model.",
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


def _pinned(data: Path, target: str, time_column: str, task: str) -> Profile:
    """Describe the rows as the first run would pin them.

    Raises:
        Invalid: in the words of the run, if it would refuse them.
    """
    if task not in ("", *_TASKS):
        raise Invalid(
            f"there is no task {task!r}", next_step=f"Give --task {' or --task '.join(_TASKS)}."
        )
    with tempfile.TemporaryDirectory(prefix="airlock-init-") as scratch:
        pins = FileData(Path(scratch))
        try:
            facts = pins.pin(data, time_column or None, target=target, task=task or None)
        except DataUnusable as error:
            raise Invalid(error.message, next_step=_of_init(error.next_step)) from error
        return profile(open_rows(pins.path(facts["digest"])))


def _of_init(step: str) -> str:
    """Return what to do here, where there is no pipeline yet whose data could be mended."""
    return step.replace(MEND_DATA, "give --target and --time-column as the columns are called")


def _task(target: Column) -> str:
    """Return the task: 0 and 1 are classes, few other whole numbers are a question.

    Raises:
        Invalid: if nobody can tell classes from amounts, or there is one value alone.
    """
    if set(target.values) == {0, 1}:
        return "classification"
    values = ", ".join(f"{value:g}" for value in target.values[:5])
    more = f" and {len(target.values) - 5} more" if len(target.values) > 5 else ""
    if target.distinct < 2:
        raise Invalid(
            f"the target {target.name!r} has one value only ({values}): there is nothing to learn",
            next_step="Give data with different answers.",
        )
    if target.distinct <= _FEW_CLASSES and all(value == int(value) for value in target.values):
        raise Invalid(
            f"the target {target.name!r} holds {target.distinct} whole numbers ({values}{more}): "
            "are they classes, or amounts?",
            next_step="Classes: two can be trained so far, written 0 and 1; encode them so in the "
            "data. Amounts: say --task regression.",
        )
    return "regression"


def _cautious(rulebook: RulebookConfig) -> Mapping[str, Any]:
    """Return the worst choice of every risk fact: true, or the last in its list."""
    facts = rulebook.risk.spec.facts
    return {name: True if True in choices else choices[-1] for name, choices in facts.items()}


def _environment(rulebook: RulebookConfig) -> str:
    environments = list(rulebook.approval.spec.environments)
    return "production" if "production" in environments else environments[-1]


def _gates(rulebook: RulebookConfig, target: Column, task: str) -> list[Mapping[str, Any]]:
    """Return the gates the policy requires, and those that need nothing more."""
    classes = task == "classification"
    margin = 0.01 if classes else float(f"{0.05 * float(target.spread or 1):.2g}")
    options = {"metric": "roc_auc" if classes else "mae", "margin": margin}
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
        if unknown := [option for option in needed if option not in options]:
            raise Invalid(
                f"the policy requires the gate {name}, whose {', '.join(unknown)} nobody can guess",
                next_step="Copy a pipeline of include/pipelines and write your own.",
            )
        gates.append({"gate": name, **{option: options[option] for option in needed}})
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
        "`airlock policy check`",
        f"`airlock pipeline run {draft.name} --dry-run --wait`",
    )
    for number, step in enumerate(steps, 1):
        say(advised(f"  {number}. {step}"))
