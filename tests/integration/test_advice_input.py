"""What a refused input advises is typed as it says, and goes through."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airlock.adapters.datasets.files import DataUnusable, FileData
from airlock.domain.errors import Invalid
from airlock.entrypoints.cli.delegation import moment_of
from airlock.entrypoints.cli.waivers import conditions
from airlock.entrypoints.http.pages.base import utc
from tests.command import run_cli
from tests.support import empty_checkout

pytestmark = pytest.mark.integration

Typed = tuple[str, ...]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the policies, and one table."""
    empty_checkout(tmp_path, monkeypatch)
    rows = "".join(f"{20 + n % 50},{n % 7},{n % 2}\n" for n in range(400))
    (tmp_path / "people.csv").write_text(f"age,rooms,moved\n{rows}", "utf-8")
    return tmp_path


def init(name: str = "churn-risk", target: str = "moved", *more: str) -> Typed:
    return ("pipeline", "init", name, "--data", "people.csv", "--target", target, *more)


def rewritten(checkout: Path, encoding: str, header: str) -> None:
    file = checkout / "people.csv"
    text = file.read_text("utf-8").replace("age,rooms,moved", header)
    file.write_bytes(text.encode(encoding))


#: What is typed, what comes back, and what is typed then: with what the advice says put in.
INIT: dict[str, tuple[Typed, str, Callable[[re.Match[str]], Typed]]] = {
    "a name with capitals": (
        init("Churn_Risk"),
        r"Use lower-case letters, digits and single hyphens, such as (\S+)\.",
        lambda said: init(said[1]),
    ),
    "a word of Python": (
        init("class"),
        r"Choose a name of two words, such as (\S+)\.",
        lambda said: init(said[1]),
    ),
    "a task that is not there": (
        init("churn-risk", "moved", "--task", "guessing"),
        r"Give (--task) (\w+) or",
        lambda said: init("churn-risk", "moved", said[1], said[2]),
    ),
    "classes or amounts": (
        init("churn-risk", "rooms"),
        r"Amounts: say (--task) (regression)\.",
        lambda said: init("churn-risk", "rooms", said[1], said[2]),
    ),
    "a column that is not there": (
        init("churn-risk", "has_moved"),
        r"it has age, rooms, (moved)(?s:.*)give --target and --time-column as the columns are",
        lambda said: init("churn-risk", said[1]),
    ),
    "a name that is taken": (
        init("taken-name"),
        r"Choose another name, or remove what is there\.",
        lambda said: init("another-name"),
    ),
}


@pytest.mark.parametrize("situation", INIT)
def test_a_refused_draft_is_drafted_as_it_is_advised(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, situation: str
) -> None:
    monkeypatch.chdir(checkout)
    (checkout / "include/pipelines/taken-name.yaml").write_text("x: 1\n")
    typed, advice, then = INIT[situation]
    refused = run_cli(*typed)
    found = re.search(advice, refused.err)
    assert (refused.code != 0, found is not None) == (True, True), refused.err
    assert found is not None
    (checkout / "include/pipelines/taken-name.yaml").unlink()
    again = run_cli(*then(found))
    assert again.code == 0, again.err


def test_text_in_another_encoding_is_saved_as_it_says(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    rewritten(checkout, "latin-1", "größe,rooms,moved")
    refused = run_cli(*init())
    assert "save the file as UTF-8 (in a spreadsheet: CSV UTF-8)" in refused.err
    text = (checkout / "people.csv").read_bytes().decode("latin-1")
    (checkout / "people.csv").write_text(text, "utf-8-sig")  # as a spreadsheet's "CSV UTF-8" is
    assert run_cli(*init()).code == 0


def test_a_window_without_rows_is_widened_as_it_says(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("day,x\n2024-05-01,1\n2024-05-02,2\n", "utf-8")
    data, late = FileData(tmp_path / "pins"), datetime(2025, 1, 1, tzinfo=UTC).date()
    with pytest.raises(DataUnusable, match="has no rows") as caught:
        data.pin(source, "day", since=late)
    assert caught.value.next_step == "widen the window of the run: its options since and until"
    wider = late - timedelta(days=365)
    assert data.pin(source, "day", since=wider)["rows"] == 2
    typed = run_cli("pipeline", "run", "--help").out
    assert "--since" in typed
    assert "--until" in typed


def test_a_table_without_rows_has_no_window_to_widen(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("day,x\n", "utf-8")
    with pytest.raises(DataUnusable) as caught:
        FileData(tmp_path / "pins").pin(source)
    assert caught.value.next_step == "give data with rows"
    source.write_text("day,x\n2024-05-01,1\n", "utf-8")
    assert FileData(tmp_path / "pins").pin(source)["rows"] == 1


def test_pinned_data_that_was_changed_is_pinned_again_by_the_next_run(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("day,x\n2024-05-01,1\n", "utf-8")
    data = FileData(tmp_path / "pins")
    digest = data.pin(source)["digest"]
    data.path(digest).write_bytes(b"something else")
    with pytest.raises(DataUnusable) as caught:
        data.path(digest)
    assert "start a new run, which pins the data again" in caught.value.next_step
    assert data.pin(source)["digest"] == digest
    assert data.path(digest).is_file()


def _advice(call: Callable[[], object]) -> str:
    with pytest.raises(Invalid) as caught:
        call()
    return caught.value.next_step


def test_an_example_of_a_time_is_a_time_that_counts() -> None:
    """An example in the past would be refused by what reads it next."""
    soon = datetime.now(UTC)
    typed = _advice(lambda: moment_of("tomorrow")).removeprefix("Such as ").rstrip(".")
    assert moment_of(typed) > soon
    typed = _advice(lambda: utc("tomorrow", "the end")).removeprefix("Write it as ").rstrip(".")
    assert utc(typed, "the end") > soon
    said = _advice(lambda: conditions(None, [], "", ["ana"]))
    finding = said.removeprefix("Write it as ").rstrip(".")
    (given,) = conditions(None, [], "", [finding])["findings"]
    assert (given["owner"], given["text"]) == ("ana", "explain the age effect")
    assert datetime.fromisoformat(given["due"]) > soon


def test_a_share_is_written_as_it_says() -> None:
    assert _advice(lambda: conditions(25, [], "", [])) == "A quarter is 0.25."
    assert conditions(0.25, [], "", [])["maxTrafficShare"] == 0.25
