"""The first draft of a model's files, as text, from a description of its data.

Pure: it reads nothing and writes nothing. What it cannot know (what the model is for, how much harm
a wrong answer does, how good is good enough) it writes down as cautiously as it can and says so
beside it; the gate model-card fails until somebody has answered.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from airlock.adapters.datasets.profile import FEW, Column, Profile
from airlock.entrypoints.cli.pipelines import scaffold_texts

_WIDE = 100
#: A text of more different values than this is no category a model could learn.
_MANY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a first draft is made of."""

    name: str
    owner: str
    source: str
    target: str
    task: str
    time_column: str | None
    profile: Profile
    risk: Mapping[str, Any]
    gates: Sequence[Mapping[str, Any]]
    environment: str

    @property
    def package(self) -> str:
        """The model's Python package."""
        return self.name.replace("-", "_")

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns a model can learn from as they are."""
        return tuple(
            column
            for column in self.profile.columns
            if column.name not in (self.target, self.time_column)
            and column.kind in ("number", "boolean", "text")
            and column.distinct > 1
            and (column.kind != "text" or column.distinct <= _MANY)
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """The columns that are neither feature, target nor time."""
        used = {self.target, self.time_column, *(column.name for column in self.features)}
        return tuple(column.name for column in self.profile.columns if column.name not in used)


def files(draft: Draft) -> dict[str, str]:
    """Return the text of every file, by its path in the checkout."""
    code, regression = f"include/models/{draft.package}", draft.task == "regression"
    texts = [column.name for column in draft.features if column.kind == "text"]
    plain = [column.name for column in draft.features if column.kind != "text"]
    words = {
        "name": draft.name,
        "package": draft.package,
        "owner": draft.owner,
        "target": _literal(draft.target),
        "numbers": _list("NUMBERS", plain),
        "texts": _list("TEXTS", texts),
        "left_out": _left_out(draft.left_out),
        "estimator": "HistGradientBoosting" + ("Regressor" if regression else "Classifier"),
        "first": _literal((plain or texts)[0]),
        "load": "frame(read(DATA, DATA.name))" + _dropped(draft.time_column),
        "source": draft.source,
    }
    measure = scaffold_texts.TEST_NUMBERS if regression else scaffold_texts.TEST_CLASSES
    return {
        f"{code}/__init__.py": f'"""{draft.name}: a first draft, written from its data."""\n',
        f"{code}/train.py": Template(scaffold_texts.TRAIN).substitute(words),
        f"{code}/suite.py": _suite(draft),
        f"{code}/model_card.yaml": Template(scaffold_texts.CARD).substitute(words),
        f"tests/models/test_{draft.package}.py": Template(
            scaffold_texts.TEST_HEAD + measure + scaffold_texts.TEST_TAIL
        ).substitute(words | measure_imports(regression)),
        f"include/pipelines/{draft.name}.yaml": _pipeline(draft),
    }


def measure_imports(regression: bool) -> dict[str, str]:
    """Return what the draft of the tests imports to measure with."""
    return {"metric": "mean_absolute_error" if regression else "roc_auc_score"}


def _left_out(names: Sequence[str]) -> str:
    """Name the columns that are no features, in lines that are not too wide."""
    if not names:
        return ""
    note = f"Left out, because they are constant, times or free text: {', '.join(names)}."
    return "\n" + textwrap.fill(note.replace("\\", ""), _WIDE, break_long_words=False)


def _dropped(column: str | None) -> str:
    return f".drop(columns=[{_literal(column)}])" if column else ""


def _literal(value: Any) -> str:
    """Return a value as Python writes it, in double quotes unless it holds some."""
    if not isinstance(value, str) or ('"' in value and "'" not in value):
        return repr(value)
    return _quoted(value)


def _quoted(text: str) -> str:
    """Return a text as YAML and Python both write it."""
    return json.dumps(text, ensure_ascii=False)


def _list(name: str, values: Iterable[Any], indent: str = "", end: str = "") -> str:
    """Return `name = [...]` on one line, or one value per line where it does not fit."""
    every = [_literal(value) for value in values]
    short = f"{indent}{name} = [{', '.join(every)}]{end}"
    if len(short) <= _WIDE:
        return short
    lines = "".join(f"{indent}    {literal},\n" for literal in every)
    return f"{indent}{name} = [\n{lines}{indent}]{end}"


def _entry(name: str, values: Iterable[Any]) -> str:
    """Return one entry of a dictionary of lists."""
    text = _list("", values).removeprefix(" = ")
    short = f"    {_literal(name)}: {text},\n"
    if len(short) <= _WIDE + 1 and "\n" not in text:
        return short
    lines = "".join(f"        {_literal(value)},\n" for value in values)
    return f"    {_literal(name)}: [\n{lines}    ],\n"


def _table(entries: Iterable[str]) -> str:
    """Return a dictionary of these entries."""
    text = "".join(entries)
    return f"{{\n{text}}}" if text else "{}"


def _suite(draft: Draft) -> str:
    """Return expectations that hold on the data as it is."""
    columns = [column for column in draft.profile.columns if column.distinct]
    present = [column.name for column in columns if not column.missing]
    partly = {column.name: _share(column) for column in columns if column.missing}
    valued = [column for column in columns if column.values and column.distinct <= FEW]
    ranged = [column for column in columns if column.low is not None and column not in valued]
    target = draft.profile.column(draft.target)
    mean, spread = float(target.mean or 0), float(target.spread or 0)
    return Template(scaffold_texts.SUITE).substitute(
        name=draft.name,
        columns=_list("COLUMNS", [column.name for column in draft.profile.columns]),
        present=_list("PRESENT", present),
        mostly=_table(f"    {_literal(k)}: {v},\n" for k, v in partly.items()),
        ranges=_table(f"    {_literal(c.name)}: ({c.low!r}, {c.high!r}),\n" for c in ranged),
        values=_table(_entry(column.name, column.values) for column in valued),
        rows=max(1, draft.profile.rows // 2),
        target=_literal(draft.target),
        low=float(f"{mean - spread / 4:.4g}"),
        high=float(f"{mean + spread / 4:.4g}"),
    )


def _share(column: Column) -> float:
    """Return how many values have to be there: nearly as many as there are."""
    share = 1 - column.missing / column.rows
    return max(0.0, round(share - 0.05, 2))


def _pipeline(draft: Draft) -> str:
    """Return the pipeline; what a person has to decide stands beside a comment."""
    threshold = "r2: 0.0" if draft.task == "regression" else "roc_auc: 0.5"
    time = f", timeColumn: {_quoted(draft.time_column)}" if draft.time_column else ""
    risk = ", ".join(f"{key}: {str(value).lower()}" for key, value in draft.risk.items())
    return Template(scaffold_texts.PIPELINE).substitute(
        name=draft.name,
        package=draft.package,
        owner=draft.owner,
        source=_quoted(draft.source),
        target=_quoted(draft.target),
        task=draft.task,
        time=time,
        risk=risk,
        environment=draft.environment,
        threshold=threshold,
        gates="".join(f"    - {{{_options(gate)}}}\n" for gate in draft.gates),
    )


def _options(gate: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in gate.items())
