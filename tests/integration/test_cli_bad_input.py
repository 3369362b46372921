"""Bad input to every command that is a client of the REST API: a sentence, and no traceback.

Exit codes: 1 refused by a rule, 2 wrong use. Nothing is changed, and nothing a terminal would obey
is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from airlock.entrypoints.main import app
from tests.command import Said
from tests.integration.door_kit import Doors, running
from tests.integration.duty_kit import WRITES, fresh, later
from tests.integration.test_bad_input import state
from tests.support import sample

WHY = ("--reason", "looked at it")
#: Commands that are no clients of the REST API: they start the platform, or work offline.
OTHERS = {
    *("up", "down", "status", "logs", "demo", "deliver", "witness", "login"),
    *("policy check", "policy schema", "keys rotate", "keys show", "timers run", "detect run"),
    "completion",  # offline: tests/unit/entrypoints/test_cli_offline.py
    *(
        "pipeline list",
        "pipeline run",
        "pipeline logs",
    ),  # clients of Airflow, tried in tests/airflow
    "pipeline show",  # offline: tests/unit/entrypoints/test_here.py
    "pipeline init",  # offline: test_pipeline_init.py
    *("security scan", "security audit", "security convert"),  # test_security_cli.py
    *("gate list", "gate run"),  # offline, and with a worker's settings: test_gate_commands.py
    "slack check",  # of the set-up alone: test_slack_check.py
    "evidence verify",  # offline, tried in tests/integration/test_evidence_doors.py
}
#: Who tries, the command up to its id, what follows the id.
BY_ID: dict[str, tuple[str, tuple[str, ...]]] = {
    "release show": ("lena", ()),
    "release approve": ("lena", WHY),
    "release reject": ("lena", WHY),
    "release withdraw": ("ana", WHY),
    "release rollback": ("otto", WHY),
    "release promote": ("otto", ()),
    "release break-glass": ("lena", (*WHY, "--incident", "INC-1")),
    "release review": ("sam", WHY),
    "gate recompute": ("lena", ()),
    "gate waive": ("carla", (*WHY, "--until", "2999-01-01", "--", "latency")),
    "delegate to": ("lena", WHY),
    "delegate end": ("lena", ()),
    "finding close": ("carla", WHY),
    "user roles": ("admin", ()),
    "audit proof": ("sam", ("1",)),
    "evidence export": ("sam", WHY),
    "user erase": ("admin", ("--yes", *WHY)),
    "person enrol": ("admin", ("--role", "algorithm_lead", *WHY)),
    "person confirm": ("sam", WHY),
    "person end": ("sam", WHY),
    "person import": ("admin", ()),  # a file's name in the place of an id
}
#: Commands without an id, with an option that goes wrong.
OPTIONS: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "release list": ("lena", (("--state", "NONE"), ("--model", "a\x00b"))),
    "delegate list": ("lena", (("--person", "a\x1b[2J"), ("--person", "x" * 101))),
    "finding list": ("lena", (("--model", "\ud800"), ("--model", "x" * 201))),
    "audit list": ("sam", (("--stream", "a b"), ("--limit", "0"), ("--limit", "many"))),
    "detect list": ("sam", (("--session", "/nowhere.json"), ("more",))),
    "audit verify": ("sam", (("/nowhere.jsonl",),)),
    "audit export": ("sam", (("/nowhere/log.jsonl", *WHY), ("log.jsonl", "--reason", " "))),
    "release request": ("ana", (("--after-rejection", "rel-00000000", "--why", "mended"),)),
    "security released": ("lena", (("nothing", "production"), ("a b", "x\x00"), ("../me", ""))),
    "mlflow-token": ("lena", (("--session", "/nowhere.json"), ("more",))),
    "person list": ("admin", (("--session", "/nowhere.json"), ("more",))),
    "user link-slack": ("lena", (("--of", "sam"), ("--end", "--of", "a\x00b"), ("more",))),
    "whoami": ("lena", (("--session", "/nowhere.json"), ("more",))),
}
BAD_IDS = (
    "rel-00000000",
    "a\x00b",
    "\x1b[2J",
    "x" * 5000,
    "../../audit/events",
    "a b",
    "é",
    "?a=b",
)
BAD_REASONS = ("", "ab", "     ", "a\x00bc", "\x1b[2J\x1b[2J", "x" * 2001, "x" * 10_000_000)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with running(tmp_path_factory.mktemp("doors")) as found:
        for user in found.folks:  # their rights are recorded with their first request
            found.rest(user).get("/me")
        yield found


def commands() -> set[str]:
    """Return every command there is, as words."""

    def leaves(command: Any, above: str) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield above
            return
        for name, one in inner.items():
            yield from leaves(one, f"{above} {name}".strip())

    return set(leaves(typer.main.get_command(app), ""))


def test_the_tables_name_every_command() -> None:
    assert commands() == set(BY_ID) | set(OPTIONS) | OTHERS


def check(said: Said, *codes: int) -> None:
    assert said.code in codes, f"{said.code}: {said.err[:500]}"
    assert said.err.strip(), "a reason is said"
    assert "Traceback" not in said.err
    for forbidden in ("\x1b", "\x00"):
        assert forbidden not in said.err
    assert len(said.err) < 20_000


@pytest.mark.parametrize("command", BY_ID)
def test_an_id_that_is_none(doors: Doors, command: str) -> None:
    user, rest = BY_ID[command]
    fresh(doors)
    before = state(doors)
    for bad in sample(BAD_IDS, 3):
        check(doors.cli(user, *command.split(), *rest, "--", bad), 1, 2)
    assert state(doors) == before


@pytest.mark.parametrize("command", [name for name, (_, rest) in BY_ID.items() if WHY[0] in rest])
def test_a_reason_that_is_none(doors: Doors, command: str) -> None:
    write = next(
        one
        for one in WRITES.values()
        if " ".join(one.command(doors, "ID")[:2]) == command.replace("reject", "approve")
    )
    one = write.prepare(doors)
    user = min(write.able)
    before = state(doors)
    for bad in sample(BAD_REASONS, 3):
        words = ["--reason" if w == "--reason" else w for w in write.command(doors, one)]
        words[words.index("--reason") + 1] = bad
        words[1] = command.split()[1]
        check(doors.cli(user, *words), 1, 2)
    assert state(doors) == before


@pytest.mark.parametrize("command", OPTIONS)
def test_an_option_that_is_none(doors: Doors, command: str) -> None:
    user, tries = OPTIONS[command]
    for bad in tries:
        own = () if "--session" in bad else ("--session",)
        check(doors.cli(user, *command.split(), *bad, options=own), 1, 2)


APPROVALS = [
    ("--level", "-1"),
    ("--level", "one"),
    ("--level", "2"),
    ("--subject", "sha256:0"),
    ("--subject", f"sha256:{'0' * 64}"),
    ("--share", "0"),
    ("--share", "1.5"),
    ("--share", "nan"),
    ("--share", "half"),
    ("--segment", ""),
    ("--until", "tomorrow"),
    ("--until", "0001-01-01"),
    ("--until", "2020-01-01"),
    ("--finding", "ana"),
    ("--finding", "ana:soon:explain it"),
    ("--finding", "ana:2020-01-01:explain it"),
    ("--finding", "nobody:2999-01-01:explain it"),
    ("--finding", "ana:9999-12-31:explain it"),
]


@pytest.mark.parametrize("options", sample(APPROVALS, 3), ids=" ".join)
def test_an_approval_under_something_that_is_none(doors: Doors, options: tuple[str, ...]) -> None:
    release_id = fresh(doors)
    before = state(doors)
    check(doors.cli("lena", "release", "approve", release_id, *WHY, *options), 1, 2)
    assert state(doors) == before


@pytest.mark.parametrize(
    "options",
    [
        ("--days", "0"),
        ("--days", "nan"),
        ("--days", "91"),
        ("--days", "x"),
        ("--start", "soon"),
        ("--start", "9999"),
    ],
    ids=" ".join,
)
def test_a_delegation_over_a_time_that_is_none(doors: Doors, options: tuple[str, ...]) -> None:
    before = state(doors)
    check(doors.cli("lena", "delegate", "to", "vera", *WHY, *options), 2)
    past = (later(-9).isoformat(), "--days", "1")
    check(doors.cli("lena", "delegate", "to", "vera", *WHY, "--start", *past), 2)
    assert state(doors) == before
