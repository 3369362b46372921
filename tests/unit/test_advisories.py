"""Advisories in OSV format: which versions they mean, what a database is, and what is none."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from airlock.adapters.jobs.dependencies import advisories
from airlock.domain.errors import Invalid
from tests.support import ROOT

SHIPPED = ROOT / "include/advisories"
versions = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda two: f"{two[0]}.{two[1]}")


def record(id_: str = "OSV-1", events: Any = None, **over: Any) -> dict[str, Any]:
    range_events = events or [{"introduced": "0"}, {"fixed": "2.0"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Some_Package"},
        "ranges": [{"type": "ECOSYSTEM", "events": range_events}],
    }
    about = {"id": id_, "modified": "2026-11-01T00:00:00Z", "affected": [affected | over]}
    return about | {"aliases": ["CVE-1"], "summary": "bad"}


def written(folder: Path, document: Any, name: str = "one.json") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def affected(folder: Path, version: str, document: Any) -> list[str]:
    database = advisories.load(written(folder, document))
    return [advisory["id"] for advisory in database.affecting("some-package", version)]


@given(introduced=versions, fixed=versions, here=versions)
def test_a_range_means_what_packaging_says(introduced: str, fixed: str, here: str) -> None:
    introduced, fixed = sorted((introduced, fixed), key=Version)
    events = [{"introduced": introduced}, {"fixed": fixed}]
    assert advisories.in_range(here, events) == (here in SpecifierSet(f">={introduced},<{fixed}"))
    events = [{"introduced": introduced}, {"last_affected": fixed}]
    assert advisories.in_range(here, events) == (here in SpecifierSet(f">={introduced},<={fixed}"))


@given(
    pairs=st.lists(st.tuples(versions, versions), min_size=1, max_size=3),
    here=versions,
    order=st.randoms(use_true_random=False),
)
def test_the_order_events_are_written_in_means_nothing(
    pairs: list[tuple[str, str]], here: str, order: Any
) -> None:
    events = [{"introduced": low} for low, _ in pairs] + [{"fixed": high} for _, high in pairs]
    shuffled = list(events)
    order.shuffle(shuffled)
    distinct = {next(iter(event.values())) for event in events}
    if len(distinct) == len(events):  # introduced and fixed at one version contradict each other
        assert advisories.in_range(here, shuffled) == advisories.in_range(here, events)


@pytest.mark.parametrize(
    ("version", "events", "inside"),
    [
        ("1.0", [{"introduced": "0"}], True),
        ("0.0.dev1", [{"introduced": "0"}, {"fixed": "0.0"}], True),
        ("2.0rc1", [{"introduced": "0"}, {"fixed": "2.0"}], True),
        ("2.0.post1", [{"introduced": "0"}, {"fixed": "2.0"}], False),
        ("2.0+cpu", [{"introduced": "0"}, {"last_affected": "2.0"}], True),
        ("2.0+cpu", [{"introduced": "0"}, {"fixed": "2.0"}], False),
        ("1.5", [{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.4"}], True),
        ("1.2", [{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.4"}], False),
        ("1.5", [{"introduced": "0"}, {"limit": "1.4"}], False),
        ("1.5", [{"introduced": "0"}, {"limit": "*"}], True),
        ("1!1.0", [{"introduced": "0"}, {"fixed": "9.0"}], False),
    ],
)
def test_the_edges_of_ranges(version: str, events: list[dict[str, str]], inside: bool) -> None:
    assert advisories.in_range(version, events) is inside


def test_listed_versions_count_beside_ranges(tmp_path: Path) -> None:
    listed = record(versions=["3.0", "2004d"])
    assert affected(tmp_path, "3.0.0", listed) == ["OSV-1"]
    assert affected(tmp_path, "3.1", listed) == []


def test_what_is_withdrawn_or_of_another_ecosystem_does_not_count(tmp_path: Path) -> None:
    gone = record() | {"withdrawn": "2026-11-02T00:00:00Z"}
    other = record(package={"ecosystem": "npm", "name": "some-package"})
    assert affected(tmp_path, "1.0", [gone, other]) == []
    assert affected(tmp_path, "1.0", [gone, record("OSV-2")]) == ["OSV-2"]


def test_a_fix_is_named_only_where_it_is_newer(tmp_path: Path) -> None:
    events = [{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.1"}]
    database = advisories.load(written(tmp_path, record(events=events)))
    assert database.affecting("some-package", "2.0")[0]["fixedIn"] == ["2.1"]


def test_a_file_a_folder_and_a_zip_are_the_same_database(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    written(folder, record("OSV-1"), "a.json")
    written(folder, record("OSV-2"), "b.json")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    single = written(tmp_path, {"vulns": [record("OSV-1"), record("OSV-2")]})
    loaded = [advisories.load(path) for path in (folder, tmp_path / "all.zip", single)]
    ids = [
        [advisory["id"] for advisory in each.affecting("some-package", "1.0")] for each in loaded
    ]
    assert ids == [["OSV-1", "OSV-2"]] * 3
    assert len({each.digest for each in loaded}) == 3
    assert {each.as_of.isoformat() for each in loaded} == {"2026-11-01T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "is malformed"),
        ("[1, 2]", "a record without an id"),
        ("{}", "neither a record, nor a list"),
        ("[]", "has no records"),
        ({"asOf": "2026-11-01", "vulns": []}, "has no records"),
        ({"asOf": "some day", "vulns": [record()]}, "is malformed"),
        ([{"id": "OSV-1"}], "is malformed"),
        ([record() | {"modified": "yesterday"}], "is malformed"),
    ],
)
def test_what_is_no_database_is_refused(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        _ = advisories.load(written(tmp_path, document)).as_of


def test_no_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no advisory database"):
        advisories.load(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "broken",
    [
        record(events=[{"fixed": "1.0"}]),
        record(events=[{"introduced": "0"}, {"fixed": "not a version"}]),
        record(events=[{"introduced": "0"}, {"mended": "1.0"}]),
        record(ranges=[]),
        record(ranges=[{"type": "ECOSYSTEM"}]),
    ],
)
def test_a_broken_record_of_a_package_in_use_is_named(tmp_path: Path, broken: Any) -> None:
    database = advisories.load(written(tmp_path, broken))
    assert (database.affecting("another", "1.0"), database.unknown("another", "1.0")) == ([], [])
    assert database.affecting("some-package", "1.0") == []
    (unknown,) = database.unknown("some-package", "1.0")
    assert (unknown.id, unknown.why != "") == ("OSV-1", True)


@pytest.mark.parametrize(
    ("odd", "called", "packages"),
    [
        (None, "db.json[1]", ()),
        ({"id": 7}, "db.json[1]", ()),
        ({"id": "OSV-2"}, "OSV-2", ()),
        ({"id": "OSV-2", "modified": "yesterday"}, "OSV-2", ()),
        (
            {"id": "OSV-2", "affected": [{"package": {"ecosystem": 3, "name": "Some_Package"}}]},
            "OSV-2",
            ("some-package",),
        ),
    ],
)
def test_an_odd_record_costs_itself(
    tmp_path: Path, odd: Any, called: str, packages: tuple[str, ...]
) -> None:
    path = tmp_path / "db.json"
    path.write_text(json.dumps([record(), odd]))
    database = advisories.load(path)
    assert database.records == 1
    assert [(entry.id, entry.packages) for entry in database.unreadable] == [(called, packages)]
    assert bool(database.unknown("some-package", "1.0")) == bool(packages)


def test_an_odd_file_of_a_folder_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("no JSON")
    (tmp_path / "b.json").write_text(json.dumps(record()))
    database = advisories.load(tmp_path)
    assert (database.records, [entry.id for entry in database.unreadable]) == (1, ["a.json"])


@pytest.mark.parametrize("version", ["2.5.1", "2.5.1+cpu", "2.5.1+cu118"])
@pytest.mark.parametrize(
    "affected",
    [
        {"versions": ["2.5.0", "2.5.1"], "ranges": []},
        {"events": [{"introduced": "0"}, {"last_affected": "2.5.1"}]},
        {"events": [{"introduced": "2.5.1"}, {"fixed": "2.6.0"}]},
    ],
)
def test_a_local_label_is_no_other_release(
    tmp_path: Path, version: str, affected: dict[str, Any]
) -> None:
    database = advisories.load(written(tmp_path, record(**affected)))
    assert [advisory["id"] for advisory in database.affecting("some-package", version)] == ["OSV-1"]
    assert database.affecting("some-package", "2.6.0+cpu") == []


def test_a_list_may_name_one_build_alone(tmp_path: Path) -> None:
    database = advisories.load(written(tmp_path, record(versions=["1.0+evil"], ranges=[])))
    assert database.affecting("some-package", "1.0+evil") != []
    assert database.affecting("some-package", "1.0") == []


def test_the_shipped_advisories_hold_what_is_known_of_mlflow_and_say_they_are_not_complete() -> (
    None
):
    database = advisories.load(SHIPPED)
    weaknesses = json.loads(
        (ROOT / "include/airlock/entrypoints/presentation/known_weaknesses.json").read_text()
    )
    closed = {
        weakness["id"]: weakness["fixed"] for weakness in weaknesses["mlflow"] if weakness["fixed"]
    }
    fixes = {
        advisory["id"]: advisory["fixedIn"] for advisory in database.affecting("mlflow", "1.0")
    }
    assert fixes == {id_: [fixed] for id_, fixed in closed.items()}
    assert database.complete is False
    assert database.as_of.date().isoformat() == weaknesses["asOf"]
