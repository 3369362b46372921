"""What a sentence of the product tells people to type or to look at exists, whole as it is printed.

Read from the source: every text that is not a docstring, with what is put in at `{}`. What follows
from the state of a release (withdraw, ask again, roll back) is done in the situation that prints
it, in tests/contract/test_advice.py.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from airlock.config.settings import SETTINGS
from airlock.entrypoints.main import app
from tests.advice import sources
from tests.support import ROOT

pytestmark = pytest.mark.unit

#: Named as the program it is, and not as something to type.
PROGRAMS = {
    "airlock witness": "AIRLOCK_WITNESS_KEY is what it prints when it starts",
    "airlock person enrol --first": "a setting says that this is what it is for",
}
#: These read, or ask for a login: they answer in every situation.
ANYWHERE = frozenset(
    {
        *("audit export", "audit list", "audit verify", "detect list", "evidence verify"),
        *("finding list", "gate list", "login", "mlflow-token", "person list", "pipeline list"),
        *("policy check", "release list", "release show", "security released", "slack check"),
        *("status", "user link-slack"),
        "pipeline run",  # a run can always be started
        "release approve",  # printed by the task of an open level alone
    }
)
#: These start or end processes of this machine, which tests/airflow does with a real platform.
PLATFORM = frozenset({"deliver", "down", "up", "timers run"})
#: What succeeds in some situations only: the test that reads the advice there and follows it.
FOLLOWED = {
    "gate waive": "contract/test_advice_votes.py::a_waiver_by_somebody_without_the_right",
    "person confirm": "contract/test_enrolment.py::test_fifty_people_come_by_one_file",
    "person enrol": "contract/test_enrolment.py::test_the_first_two_come_by_the_owners_credential",
    "release promote": "contract/test_advice.py::test_when_votes_are_missing",
    "release request": "contract/test_rejections.py::test_rejected_bytes_are_refused",
    "release review": "contract/test_advice_runs.py::an_emergency_before_the_last_was_reviewed",
    "release rollback": "contract/test_rollback.py::test_what_was_allowed_is_done_within_the_hour",
    "release withdraw": "contract/test_advice.py::test_when_an_approver_has_left",
}
_COMMAND = re.compile(r"`((?:airlock|make) [^`\n]+)`")
_SETTING = re.compile(r"\bAIRLOCK_[A-Z_]+\b(?!\*)")
_PAGE = re.compile(r"\bdocs/[a-z0-9/-]+\.md\b")
_SLACK = re.compile(r"(?<![\w/}])/airlock ([a-z]+)\b")
_TASK = re.compile(r"\b[Tt]asks? (?:`)?([a-z]+(?:_[a-z]+)+)\b")


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Return place and text of every string that is no docstring.

    Reading the product takes seconds: a test asks for it, and no import of this file does.
    """
    return tuple(text for path in sources() for text in _texts(path))


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    aside = {id(child) for node in nodes for child in _aside(node)}
    for node in nodes:
        text = _template(node)
        if text and id(node) not in aside:
            yield f"{path.relative_to(ROOT)}:{node.lineno}", text  # type: ignore[attr-defined]


def _aside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield docstrings, and the parts of texts that are yielded whole."""
    if isinstance(node, ast.JoinedStr):
        yield from node.values
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
        yield body[0].value


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "VALUE" for part in node.values
        )
    return ""


def matches(pattern: re.Pattern[str]) -> dict[str, list[str]]:
    """Return the matches of a pattern, with the places that print them."""
    places: dict[str, list[str]] = defaultdict(list)
    for place, text in texts():
        for match in pattern.findall(text):
            places[match].append(place)
    return dict(places)


@cache
def printed() -> dict[str, list[str]]:
    """Return each command the product prints, with its places."""
    return matches(_COMMAND)


def words_of(line: str) -> list[str]:
    """Return a printed command's words; what stands for a value is one word."""
    return shlex.split(line.replace('"..."', "TEXT").replace("...", "TEXT"))


@cache
def program() -> Any:
    """Return the program's commands, which take a while to build."""
    return typer.main.get_command(app)


def command_of(words: list[str]) -> tuple[Any, str, list[str]]:
    """Return a command of the program, its name and the words behind it."""
    place = program()
    name, rest = "airlock", words[1:]
    while rest and rest[0] in getattr(place, "commands", {}):
        place, name = place.commands[rest[0]], f"{name} {rest[0]}"
        rest = rest[1:]
    return place, name, rest


def test_there_are_sentences_to_look_at() -> None:
    assert len(printed()) > 30
    assert "airlock status" in printed()


def test_a_printed_command_is_accepted_as_it_is_printed() -> None:
    """The program takes it: it exists, and nothing it needs is left out."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    refusals = {}
    for line, places in printed().items():
        words = words_of(line)
        if words[0] == "make":
            assert words[1] in targets, places
        elif line not in PROGRAMS and (why := _refusal(words)):
            refusals[line] = (why, places)
    assert refusals == {}


def _refusal(words: list[str]) -> str:
    """Return why the program does not take a command; empty if it does."""
    command, name, rest = command_of(words)
    try:
        command.make_context(name, [*rest])
    except Exception as error:  # typer keeps a click of its own to itself
        return str(error)
    for parameter in command.params:
        of_here = parameter.name == "role" and parameter.opts == ["--role"]
        if of_here and _is_of_here(parameter) and "--role" not in rest:
            return "refused on the machine of `airlock up`: it needs --role"
    return ""


def _is_of_here(option: Any) -> bool:
    """Say whether --role is the role of this machine's platform, not that of a person."""
    return "wrote down for this role" in (option.help or "")


def test_a_printed_command_is_typed_by_a_test_or_says_why_not() -> None:
    paths = (path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    tests = "\n".join(path.read_text() for path in paths)
    missing = {}
    for line, places in printed().items():
        words = words_of(line)
        if words[0] == "make":
            continue  # tests/unit/test_documented_commands.py
        _, name, _ = command_of(words)
        if not re.search(r",\s*".join(f'"{word}"' for word in name.split()[1:]), tests):
            missing[name] = places
    assert missing == {}, "no test types these"


def test_every_printed_command_has_a_situation_or_needs_none() -> None:
    """What depends on the situation is followed there by a test that reads the advice."""
    lines = [words_of(line) for line in printed() if line not in PROGRAMS]
    names = {
        command_of(words)[1].removeprefix("airlock ") for words in lines if words[0] == "airlock"
    }
    assert names == names & (ANYWHERE | PLATFORM | FOLLOWED.keys())
    assert set(FOLLOWED) <= names


@pytest.mark.parametrize("name", sorted(FOLLOWED))
def test_the_test_that_follows_an_advice_reads_it(name: str) -> None:
    file, _, start = FOLLOWED[name].partition("::")
    text = (ROOT / "tests" / file).read_text()
    body = text.partition(f"def {start}")[2].partition("\n\n\n")[0]
    assert f"{name.split()[-1]}" in body
    assert "next_step" in body or "advice" in body, f"{FOLLOWED[name]} reads no advice"


def test_a_setting_that_is_named_exists() -> None:
    names = {setting.name for setting in SETTINGS}
    names |= {f"{name}_FILE" for name in names}
    missing = {}
    for name, places in matches(_SETTING).items():
        group = name.removesuffix("VALUE")  # AIRLOCK_SLACK_{variable}, AIRLOCK_SLACK_*
        there = name in names or (
            group.endswith("_") and any(setting.startswith(group) for setting in names)
        )
        if not there:
            missing[name] = places
    assert missing == {}


def test_a_page_that_is_named_exists() -> None:
    pages = matches(_PAGE)
    assert pages
    assert {page: pages[page] for page in pages if not (ROOT / page).is_file()} == {}


def test_a_command_of_slack_that_is_named_exists() -> None:
    wiring = (ROOT / "include/airlock/entrypoints/slack/commands.py").read_text()
    named = matches(_SLACK)
    assert "pending" in named
    assert {word for word in named if f'"{word}": self.' not in wiring} == set()


def test_a_task_that_is_named_is_one_of_a_pipelines() -> None:
    wiring = (ROOT / "plugins/airlock_airflow/pipeline.py").read_text()
    wiring += (ROOT / "plugins/airlock_airflow/releasing.py").read_text()
    named = matches(_TASK)
    assert named
    assert {name: places for name, places in named.items() if f'"{name}"' not in wiring} == {}
