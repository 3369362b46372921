"""dependency-audit on the real lock, the real environment and the advisories that are shipped."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.domain.digest import file_digest
from airlock.domain.gates import Evidence, Verdict, run_gate
from airlock.gates import DependencyAudit
from tests.integration.code_kit import ARTIFACT, Repository, judged, kept, small
from tests.support import ROOT

pytestmark = pytest.mark.integration

collect = COLLECTORS["dependency-audit"]
#: Distributions of this environment whose licence nobody can read, looked at by hand.
UNREADABLE = ("huey", "sigstore-models", "skops", "supervisor", "text-unidecode")


@pytest.fixture
def code(tmp_path: Path) -> Repository:
    made = small(tmp_path)
    advise(made, json.loads((ROOT / "include/advisories/pypi.json").read_text())["vulns"])
    shutil.copy(ROOT / "requirements.txt", made.root / "requirements.txt")
    return made


def advise(code: Repository, records: list[Any], age_days: int = 0) -> None:
    """Write advisories of a certain age."""
    as_of = (datetime.now(UTC) - timedelta(days=age_days)).isoformat()
    code.put("include/advisories/pypi.json", json.dumps({"asOf": as_of, "vulns": records}))


def test_the_real_lock_is_audited_whole_with_a_bill_of_materials(code: Repository) -> None:
    found = collect(code.scene(code.commit()))
    evidence = {"dependency-audit": Evidence("dependency-audit", ARTIFACT, kept(found))}
    passed = run_gate(DependencyAudit(license_exceptions=UNREADABLE), evidence)
    assert passed.verdict is Verdict.PASSED, passed.message
    assert "18 advisories" in passed.message
    assert found.facts["locked"] > 200
    assert found.facts["installed"] > 200
    failed = run_gate(
        DependencyAudit(allowed_licenses=("MIT",), license_exceptions=UNREADABLE), evidence
    )
    assert failed.verdict is Verdict.FAILED
    assert "licence not allowed" in failed.message
    bill = found.files["sbom.json"]
    assert file_digest(bill) == found.facts["sbomDigest"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.read_text()) is None
    components = json.loads(bill.read_text())["components"]
    named = {(one["name"], one["version"]) for one in components}
    assert named == {(one["name"], one["version"]) for one in found.facts["packages"]}


def test_a_vulnerable_pin_is_found_though_another_version_is_installed(code: Repository) -> None:
    code.put("requirements.txt", "skops==0.12.0\n")
    gate = DependencyAudit(license_exceptions=UNREADABLE)
    scene = code.scene(code.commit())
    result = judged(gate, scene, collect)
    assert result.verdict is Verdict.FAILED
    assert "skops 0.12.0 (CVE-2025-54886, fixed in 0.13.0)" in result.message
    assert result.details is not None
    assert "skops" in result.details["differs"]
    ignoring = DependencyAudit(license_exceptions=UNREADABLE, ignore=("CVE-2025-54886",))
    ignored = judged(ignoring, scene, collect)
    assert ignored.verdict is Verdict.PASSED
    assert "ignored: CVE-2025-54886" in ignored.message


def nothing_locked(code: Repository) -> None:
    code.put("requirements.txt", "# nothing\n")


def no_lock(code: Repository) -> None:
    (code.root / "requirements.txt").unlink()


def no_database(code: Repository) -> None:
    shutil.rmtree(code.root / "include/advisories")


def empty_database(code: Repository) -> None:
    advise(code, [])


def malformed_database(code: Repository) -> None:
    code.put("include/advisories/pypi.json", "{")


def old_database(code: Repository) -> None:
    advise(code, _records(code), age_days=31)


def database_of_tomorrow(code: Repository) -> None:
    advise(code, _records(code), age_days=-3)


def _records(code: Repository) -> list[Any]:
    records: list[Any] = json.loads((code.root / "include/advisories/pypi.json").read_text())[
        "vulns"
    ]
    return records


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (nothing_locked, "0 of 0 locked packages audited"),
        (no_lock, "there is no lock requirements.txt"),
        (no_database, "there is no advisory database"),
        (empty_database, "has no records"),
        (malformed_database, "is malformed"),
        (old_database, "31 days old, expected at most 30"),
        (database_of_tomorrow, "from the future"),
    ],
)
def test_an_audit_that_did_not_happen_is_no_clean_bill(
    code: Repository, change: Any, said: str
) -> None:
    change(code)
    gate = DependencyAudit(license_exceptions=UNREADABLE)
    result = judged(gate, code.scene(code.commit()), collect)
    assert result.verdict is Verdict.ERRORED
    assert said in result.message


def test_another_lock_than_that_of_the_candidate_is_not_audited_for_it(code: Repository) -> None:
    scene = code.scene(code.commit(), lock=ARTIFACT)
    result = judged(DependencyAudit(license_exceptions=UNREADABLE), scene, collect)
    assert result.verdict is Verdict.ERRORED
    assert "not the one the candidate was registered with" in result.message


def test_the_database_may_be_elsewhere(code: Repository, tmp_path: Path) -> None:
    place = tmp_path / "mirror"
    shutil.move(code.root / "include/advisories", place)
    code.options = {"gate": "dependency-audit", "database": str(place)}
    gate = DependencyAudit(database=str(place), license_exceptions=UNREADABLE)
    assert judged(gate, code.scene(code.commit()), collect).verdict is Verdict.PASSED
