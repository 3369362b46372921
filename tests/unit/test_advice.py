"""What a refusal advises in words: each text has a line in a table, and what it names exists.

`next_steps.txt` beside this file is the table: a class of what is asked for (`== ...`), its advices
as they are printed (`{name}`: a value), and below an advice, indented, the test that follows it in
the situation that prints it. A new next step without a line fails, and so does a line nothing
prints. Commands are tabled by test_next_steps.py.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from airlock.config.load import KINDS
from airlock.entrypoints.main import app
from airlock.entrypoints.presentation.printed_commands import PERSONAL
from airlock.gates import BY_NAME
from airlock_airflow.steps import STEPS
from tests.advice import next_steps
from tests.support import ROOT

pytestmark = pytest.mark.unit

TABLE = Path(__file__).with_name("next_steps.txt")
_COMMAND = re.compile(r"`(?:airlock|make) ")


@cache
def _places() -> dict[str, list[str]]:
    """Return each advice with the places that print it; reading the product takes seconds."""
    places: dict[str, list[str]] = defaultdict(list)
    for step in next_steps():
        places[step.text].append(step.place)
    return dict(places)


def advices() -> list[str]:
    """Return every text there is."""
    return sorted(text for text in _places() if text)


def _table() -> dict[str, dict[str, str]]:
    """Return class -> advice -> the test that follows it, if one does."""
    table: dict[str, dict[str, str]] = {}
    advice = ""
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("== "):
            of_class = table.setdefault(line[3:], {})
        elif line.startswith("    "):
            of_class[advice] = line.strip()
        elif line and not line.startswith("#"):
            advice = line
            assert not any(advice in advices for advices in table.values()), f"twice: {advice}"
            of_class[advice] = ""
    return table


CLASSES = _table()
FOLLOWED = {text: test for of in CLASSES.values() for text, test in of.items() if test}


def _naming(pattern: str) -> dict[str, list[str]]:
    """Return the names in advices that match a pattern, with their places."""
    places: dict[str, list[str]] = defaultdict(list)
    for text in advices():
        for name in re.findall(pattern, text):
            places[name] += _places()[text]
    assert places, pattern
    return dict(places)


def _missing(pattern: str, names: Any) -> dict[str, list[str]]:
    return {name: where for name, where in _naming(pattern).items() if name not in names}


def test_every_next_step_of_the_product_is_read() -> None:
    """Handed on are those of another error, and those whose words are given by a caller."""
    assert len({place for places in _places().values() for place in places}) > 400
    assert len(_places().get("", [])) < 20


def test_every_advice_in_words_has_a_line_and_every_line_is_printed() -> None:
    lines = {text for of in CLASSES.values() for text in of}
    words = {text for text in advices() if not _COMMAND.search(text)}
    assert sorted(words - lines) == [], "add a line to tests/unit/next_steps.txt"
    assert sorted(lines - words) == [], "nothing prints this any more"


@pytest.mark.parametrize("of", CLASSES)
def test_of_each_class_an_advice_is_followed_by_a_test(of: str) -> None:
    assert any(CLASSES[of].values())


@pytest.mark.parametrize("advice", FOLLOWED)
def test_the_test_that_follows_an_advice_is_there(advice: str) -> None:
    file, _, name = FOLLOWED[advice].partition("::")
    text = (ROOT / "tests" / file).read_text("utf-8")
    assert re.search(rf"^(?:def )?{name}\b", text, re.MULTILINE), FOLLOWED[advice]


def test_a_task_that_is_named_is_said_to_be_of_a_pipelines_dag() -> None:
    """A DAG of one's own has other tasks, or none: the step or what it does is named too."""
    wiring = (ROOT / "plugins/airlock_airflow/pipeline.py").read_text()
    tasks = set(re.findall(r'"((?:pin|validate|run|register|request)_[a-z_]+)"', wiring))
    assert "pin_data" in tasks
    for text in advices():
        named = {task for task in tasks if re.search(rf"\b{task}\b", text)}
        assert not named or "in a pipeline's DAG" in text, _places()[text]
    assert _missing(r'step="(\w+)"', STEPS) == {}


def test_a_key_of_a_policy_or_a_pipeline_that_is_named_exists() -> None:
    keys = {name for kind in KINDS.values() for name in _properties(kind)}
    keys |= {alias for gate in BY_NAME.values() for alias in _camel(gate)}
    exceptions = {"asOf"}  # of an advisory database: docs/reference/gates.md
    for text in advices():
        for path in re.findall(r"\b(?:spec|data|resources|sourceCode)(?:\.[a-z][A-Za-z]+)+", text):
            assert set(path.split(".")) <= keys, f"{path}: {_places()[text]}"
    assert _missing(r"\b[a-z]+(?:[A-Z][a-z]+)+\b", keys | exceptions) == {}


def _properties(kind: Any) -> Iterator[str]:
    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from node.get("properties", {})
            for value in node.values():
                yield from walk(value)
        if isinstance(node, list):
            for value in node:
                yield from walk(value)

    yield from walk(kind.model_json_schema(by_alias=True))


def _camel(gate: Any) -> Iterator[str]:
    for name in gate.__dataclass_fields__:
        head, *rest = name.split("_")
        yield head + "".join(word.title() for word in rest)


def test_a_role_or_right_that_is_named_is_one_of_the_policy() -> None:
    access = yaml.safe_load((ROOT / "include/policies/access.yaml").read_text())
    roles = access["spec"]["roles"]
    rights = {right for role in roles.values() for right in role["permissions"]}
    assert _missing(r"\b(?:release|gate|approver|audit|evidence|user):[a-z]+\b", rights) == {}


def test_a_file_that_is_named_exists() -> None:
    pattern = r"(?<![\w/.])((?:docs|include|deploy|artifacts)/[\w./-]+\.\w+|docker-compose\.yml)"
    for name, where in _naming(pattern).items():
        places = (ROOT / name, ROOT / "include/airlock" / name)
        assert any(place.is_file() for place in places), f"{name}: {where}"


def test_a_page_that_is_named_exists() -> None:
    pages = "\n".join(
        path.read_text("utf-8")
        for path in (ROOT / "include/airlock/entrypoints").rglob("*")
        if path.suffix in (".py", ".html", ".j2", ".jinja")
    )
    named = _naming(r"\b(?:the page ([A-Z][a-z]+)|(?:the|on the) ([A-Z][a-z]+) page)")
    for name, where in named.items():
        title = "".join(name)
        assert re.search(rf'>{title}<|"{title}"', pages), f"{title}: {where}"


def test_an_option_that_is_named_in_words_is_one_of_a_command() -> None:
    options = {name for option in _options(typer.main.get_command(app)) for name in option.opts}
    foreign = {"--conn-type", "--app-name"}  # of airflow and mlflow
    assert _missing(r"(?<![\w-])(--[a-z][a-z-]*)", options | foreign) == {}


def _options(place: Any) -> Iterator[Any]:
    yield from place.params
    for inner in getattr(place, "commands", {}).values():
        yield from _options(inner)


def test_an_extra_that_is_named_is_one_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    assert _missing(r"airlock\[(\w+)\]|extra `(\w+)`", {("gates", ""), ("", "aws")}) == {}
    assert {"gates", "aws"} <= extras


def test_a_command_for_somebody_else_names_that_person() -> None:
    """`--as` where the sentence says that another person types it; the rest is for the reader."""
    other = re.compile(r"\b(?:another person|an operator|requester|uninvolved|one of them)\b", re.I)
    for text in advices():
        for line in re.findall(r"`airlock ([^`]+)`", text):
            personal = any(f"{line} ".startswith(f"{name} ") for name in PERSONAL)
            if personal and other.search(text.partition(line)[0]):
                assert " --as " in line, f"{line}: {_places()[text]}"
