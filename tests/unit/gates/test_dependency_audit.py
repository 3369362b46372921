from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.domain.gates import GateResult, Verdict
from airlock.gates import DependencyAudit, build
from airlock.gates.dependency_audit import LICENSES
from tests.unit.gates.kit import judge, never_passes_on_nothing

LOCK = "sha256:" + "c" * 64
BOTH = ["locked", "installed"]


def package(name: str = "skops", **over: Any) -> dict[str, Any]:
    defaults = {"name": name, "version": "0.16.0", "where": BOTH, "licence": "MIT"}
    return defaults | {"alternatives": [["MIT"]]} | over


def weakness(**over: Any) -> dict[str, Any]:
    defaults = {"package": "skops", "version": "0.12.0", "where": BOTH, "id": "CVE-2025-54886"}
    return defaults | {"aliases": ["GHSA-1"], "summary": "so", "fixedIn": ["0.13.0"]} | over


def database(**over: Any) -> dict[str, Any]:
    defaults = {"digest": LOCK, "asOf": "2026-11-20T00:00:00+00:00", "ageDays": 1, "records": 18}
    defaults |= {"unreadable": 0, "unreadableIds": []}
    return defaults | {"source": "by hand", "complete": False} | over


ODD = {"package": "skops", "version": "0.16.0", "id": "OSV-9", "why": "no events"}


def facts(*packages: dict[str, Any], **over: Any) -> dict[str, Any]:
    entries = list(packages) or [package()]
    defaults = {
        "lockDigest": LOCK,
        "candidateLockDigest": LOCK,
        "locked": sum("locked" in entry["where"] for entry in entries),
        "installed": sum("installed" in entry["where"] for entry in entries),
        "database": database(),
        "packages": entries,
        "vulnerable": [],
        "unreadable": [],
        "sbomDigest": LOCK,
    }
    return defaults | over


def judge_audit(gate: DependencyAudit | None = None, *packages: Any, **over: Any) -> GateResult:
    return judge(gate or DependencyAudit(), dependency_audit=facts(*packages, **over))


def test_nothing_never_passes() -> None:
    never_passes_on_nothing(DependencyAudit())


@pytest.mark.parametrize(
    ("over", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"vulnerable": [weakness()]}, Verdict.FAILED),
        ({"packages": []}, Verdict.ERRORED),
        ({"packages": [], "locked": 0, "installed": 0}, Verdict.ERRORED),
        ({"locked": 2}, Verdict.ERRORED),
        ({"installed": 0}, Verdict.ERRORED),
        ({"lockDigest": "sha256:" + "d" * 64}, Verdict.ERRORED),
        ({"lockDigest": "", "candidateLockDigest": ""}, Verdict.ERRORED),
        ({"database": database(records=0)}, Verdict.ERRORED),
        ({"database": database(ageDays=30)}, Verdict.PASSED),
        ({"database": database(records=990, unreadable=10, unreadableIds=["a"])}, Verdict.PASSED),
        ({"database": database(records=989, unreadable=11, unreadableIds=["a"])}, Verdict.ERRORED),
        ({"database": database(records=999, unreadable=1)}, Verdict.ERRORED),
        ({"unreadable": [ODD]}, Verdict.ERRORED),
        ({"unreadable": [ODD], "vulnerable": [weakness()]}, Verdict.FAILED),
        ({"database": database(ageDays=31)}, Verdict.ERRORED),
        ({"database": database(ageDays=31), "vulnerable": [weakness()]}, Verdict.ERRORED),
    ],
)
def test_only_an_audit_of_everything_by_fresh_advisories_passes(
    over: dict[str, Any], verdict: Verdict
) -> None:
    assert judge_audit(**over).verdict is verdict


def test_what_is_vulnerable_is_named_with_the_version_that_fixes_it() -> None:
    result = judge_audit(vulnerable=[weakness(), weakness(package="x", id="CVE-1", fixedIn=[])])
    assert result.message == (
        "known to be vulnerable: skops 0.12.0 (CVE-2025-54886, fixed in 0.13.0), "
        "x 0.12.0 (CVE-1, no fix known)"
    )
    assert result.measured == 2.0


@pytest.mark.parametrize("name", ["CVE-2025-54886", "GHSA-1"])
def test_what_is_ignored_is_shown_all_the_same(name: str) -> None:
    gate = DependencyAudit(ignore=(name, "CVE-0"))
    result = judge_audit(gate, vulnerable=[weakness()])
    assert result.verdict is Verdict.PASSED
    assert result.message.endswith("; ignored: CVE-2025-54886")
    assert result.details is not None
    assert result.details["ignored"] == [weakness()]
    assert result.details["ignoredInVain"] == ["CVE-0"]
    other = judge_audit(gate, vulnerable=[weakness(), weakness(id="CVE-1", aliases=[])])
    assert other.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("alternatives", "allowed"),
    [
        ([["MIT"]], True),
        ([["GPL-3.0-only"]], False),
        ([["GPL-3.0-only"], ["MIT"]], True),
        ([["GPL-3.0-only", "MIT"]], False),
        ([["Apache-2.0", "ISC"]], True),
        ([["Apache-2.0 WITH LLVM-exception"]], True),
        ([["GPL-3.0-only WITH GCC-exception-3.1"]], False),
        ([], False),
        ([[]], False),
    ],
)
def test_one_alternative_must_be_allowed_in_all_its_parts(
    alternatives: list[list[str]], allowed: bool
) -> None:
    result = judge_audit(None, package(alternatives=alternatives))
    assert (result.verdict is Verdict.PASSED) == allowed


def test_a_licence_nobody_can_read_is_excepted_by_name_and_shown() -> None:
    huey = package("huey", licence="", alternatives=[])
    assert (
        judge_audit(None, huey).message == "licence not allowed or not readable: huey (none stated)"
    )
    excepted = judge_audit(DependencyAudit(license_exceptions=("huey",)), huey)
    assert excepted.verdict is Verdict.PASSED
    assert excepted.message.endswith("; licences excepted: huey")


def test_what_is_only_locked_has_no_licence_to_read_and_what_differs_is_listed() -> None:
    locked = package(where=["locked"], version="0.15.0", licence="", alternatives=None)
    result = judge_audit(None, locked, package(where=["installed"]))
    assert result.verdict is Verdict.PASSED
    assert result.details is not None
    assert result.details["differs"] == ["skops"]


@given(st.lists(st.lists(st.sampled_from([*LICENSES, "GPL-3.0-only", "X"]))))
def test_licences_are_allowed_as_logic_says(alternatives: list[list[str]]) -> None:
    allowed = any(parts and set(parts) <= set(LICENSES) for parts in alternatives)
    result = judge_audit(None, package(alternatives=alternatives))
    assert (result.verdict is Verdict.PASSED) == allowed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_age_days": 0}, "max_age_days must be 1 or more"),
        ({"database": " "}, "database must name"),
        ({"allowed_licenses": ()}, "allowed_licenses must name"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DependencyAudit(**options)


def test_it_is_written_in_yaml_as_the_pipeline_reads_it() -> None:
    written = {"gate": "dependency-audit", "maxAgeDays": 7, "allowedLicenses": ["MIT"]}
    assert build(written) == DependencyAudit(max_age_days=7, allowed_licenses=("MIT",))


def test_what_was_set_aside_is_counted_and_named() -> None:
    odd = database(records=999, unreadable=1, unreadableIds=["OSV-9"])
    assert "1 advisories set aside: OSV-9" in judge_audit(database=odd).message
    message = judge_audit(unreadable=[ODD]).message
    assert "the advisory OSV-9 on skops cannot be read: no events" in message
    assert "none known to be vulnerable" not in message
