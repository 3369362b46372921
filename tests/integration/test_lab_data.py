"""Pinned data: content addressed, checked at every use, windows with both ends included."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas
import pytest

from airlock.adapters.datasets.files import DataUnusable, FileData
from airlock.domain.digest import file_digest
from airlock.domain.errors import Invalid, NotFound
from tests.integration.lab_kit import rows

pytestmark = pytest.mark.integration


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "demo" / "rows.parquet"
    path.parent.mkdir()
    rows(100).to_parquet(path, index=False)
    return path


@pytest.fixture
def data(tmp_path: Path) -> FileData:
    return FileData(tmp_path / "data")


def test_the_profile_says_what_was_pinned(data: FileData, source: Path) -> None:
    until = date(2020, 1, 10)
    facts = data.pin(source, "day", until, target="label")
    assert facts == {
        "source": "demo/rows.parquet",
        "digest": facts["digest"],
        "rows": 10,
        "columns": ["one", "two", "label", "day"],
        "schema": [
            {"name": "one", "type": "double", "kind": "number", "missing": 0},
            {"name": "two", "type": "double", "kind": "number", "missing": 0},
            {"name": "label", "type": "int64", "kind": "number", "missing": 0},
            {"name": "day", "type": "date32[day]", "kind": "time", "missing": 0},
        ],
        "window": {"since": None, "until": "2020-01-10"},
        "timeColumn": "day",
        "target": "label",
    }
    path = data.path(facts["digest"])
    assert file_digest(path) == facts["digest"]
    assert path.stem == facts["digest"].removeprefix("sha256:")
    assert pandas.read_parquet(path)["day"].max() == until


def test_both_ends_of_the_window_count(data: FileData, source: Path) -> None:
    assert data.pin(source, "day", date(2020, 1, 3), date(2020, 1, 3))["rows"] == 1


def test_the_same_rows_have_the_same_digest(data: FileData, source: Path) -> None:
    first, again = (data.pin(source, "day", date(2020, 2, 1)) for _ in range(2))
    assert first == again
    assert data.pin(source, "day", date(2020, 2, 2))["digest"] != first["digest"]
    assert len(list((data.path(first["digest"]).parent).iterdir())) == 2


def test_a_changed_file_is_refused_and_mended_by_pinning_again(
    data: FileData, source: Path
) -> None:
    digest = data.pin(source)["digest"]
    path = data.path(digest)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataUnusable, match=f"expected {digest}, found sha256:"):
        data.path(digest)
    assert data.pin(source)["digest"] == digest
    assert data.path(digest) == path


def test_times_of_day_are_measured_by_their_day(data: FileData, tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    stamps = pandas.to_datetime(["2020-01-01 23:59:59", "2020-01-02 00:00:00"])
    pandas.DataFrame({"at": stamps, "x": [1, 2]}).to_parquet(source, index=False)
    assert data.pin(source, "at", date(2020, 1, 1))["rows"] == 1


def test_a_csv_file_can_be_a_source(data: FileData, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("day,x\n2020-01-01,1\n2020-01-02,2\n")
    assert data.pin(source, "day", date(2020, 1, 1))["rows"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time_column": "when"}, "has no column 'when'; it has one, two, label, day"),
        ({"target": "goal"}, "has no column 'goal'"),
        ({"time_column": "one"}, "the time column 'one' holds double, not dates"),
        ({"time_column": "day", "until": date(2019, 1, 1)}, "has no rows until 2019-01-01"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(
    data: FileData, source: Path, change: dict[str, object], said: str
) -> None:
    with pytest.raises(DataUnusable, match=said):
        data.pin(source, **change)  # type: ignore[arg-type]


def test_rows_without_a_time_are_refused_not_dropped(data: FileData, tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    rows(10).assign(day=[None, *[date(2020, 1, 1)] * 9]).to_parquet(source, index=False)
    with pytest.raises(DataUnusable, match="1 rows have no 'day'"):
        data.pin(source, "day")


def test_a_window_needs_a_time_column(data: FileData, source: Path) -> None:
    with pytest.raises(Invalid, match="a window needs a time column"):
        data.pin(source, until=date(2020, 1, 1))


def test_a_file_that_is_missing_empty_or_no_table_is_named(data: FileData, tmp_path: Path) -> None:
    with pytest.raises(DataUnusable, match="there is no file"):
        data.pin(tmp_path / "absent.parquet")
    empty, odd = tmp_path / "empty.csv", tmp_path / "odd.parquet"
    empty.write_bytes(b"")
    odd.write_bytes(b"not a table")
    with pytest.raises(DataUnusable, match="is an empty file"):
        data.pin(empty)
    with pytest.raises(DataUnusable, match="cannot be read"):
        data.pin(odd)


def test_an_unknown_or_misspelt_digest_is_refused(data: FileData) -> None:
    with pytest.raises(NotFound, match="no data is pinned under sha256:0000"):
        data.path(f"sha256:{'0' * 64}")
    with pytest.raises(Invalid, match="is not a digest"):
        data.path("../../etc/passwd")
