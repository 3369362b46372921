"""Evidence dependency-audit: what the environment is made of, and what is known about it.

Rules:
* Looked at is what the lock promises and what is installed where the lab's children run. Where they
  differ, both versions are.
* The lock is the checkout's; the digest noted when the candidate was registered goes with it.
* An advisory that cannot be read is set aside; those that name one of the packages are facts.
* No network: advisories come from a file whose age is part of the evidence.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airlock.adapters.jobs import errors, tool_versions
from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.dependencies import advisories, licences, lockfile, sbom
from airlock.adapters.jobs.dependencies.advisories import Database
from airlock.domain.digest import file_digest
from airlock.domain.errors import Invalid

GATE = "dependency-audit"
LOCK = "requirements.txt"
DATABASE = "include/advisories"
_DAY = 24 * 60 * 60
_NAMED = 20


def collect(scene: Scene) -> Collected:
    """Audit the lock and what is installed, and write the bill of materials."""
    work = scene.lab.workspace(GATE, scene.recipe.name)
    lock = lockfile.read(scene.root / LOCK)
    database = advisories.load(scene.root / str(scene.options(GATE).get("database", DATABASE)))
    about = _about(database)
    installed = _installed(scene, work)
    packages = _packages(lock.pins, installed["distributions"])
    bill = sbom.write(scene.recipe.name, scene.case.candidate.version, packages, work / "sbom.json")
    facts = {
        "lockDigest": file_digest(scene.root / LOCK),
        "candidateLockDigest": scene.tag_of("lock_digest"),
        "locked": len(lock.pins),
        "lockedElsewhere": lock.elsewhere,
        "installed": len(installed["distributions"]),
        "python": installed["python"],
        "database": about,
        "packages": packages,
        "vulnerable": [
            {
                "package": package["name"],
                "version": package["version"],
                "where": package["where"],
                **advisory,
            }
            for package in packages
            for advisory in database.affecting(package["name"], package["version"])
        ],
        "unreadable": [
            {"package": package["name"], "version": package["version"], **odd.to_facts()}
            for package in packages
            for odd in database.unknown(package["name"], package["version"])
        ],
        "sbomDigest": file_digest(bill),
    }
    return Collected(facts, {"sbom.json": bill})


def _installed(scene: Scene, work: Path) -> dict[str, Any]:
    """Ask the interpreter the lab's children run in."""
    script = Path(__file__).parents[1] / "programs" / "distributions.py"
    result = work / "installed.json"
    argv = [scene.lab.python, str(script), str(result)]
    code = tool_versions.run("the list of what is installed", argv, work, scene.limits(GATE))
    if code or not result.is_file():
        raise errors.LabFailure(
            f"what is installed cannot be listed: {tool_versions.last_words(work)}",
            next_step=f"see {work / 'log.txt'}",
        )
    listing: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return listing


def _packages(pins: dict[str, str], installed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every version that is locked or installed, with its licence where it is installed."""
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    packages: dict[tuple[str, str], dict[str, Any]] = {}

    def add(name: str, version: str, where: str, **more: Any) -> None:
        try:
            key = (name, str(Version(version)))
        except InvalidVersion as error:
            raise errors.LabFailure(
                f"{name} is {where} in a version nobody can compare: {version!r}",
                next_step="Versions are written as PEP 440 says.",
            ) from error
        blank: dict[str, Any] = {"name": name, "version": key[1], "where": []}
        package = packages.setdefault(key, blank | {"licence": "", "alternatives": None})
        package["where"].append(where)
        package |= more

    for name, version in pins.items():
        add(name, version, "locked")
    for distribution in installed:
        licence, alternatives = licences.of(distribution)
        name = canonicalize_name(distribution["name"])
        add(name, distribution["version"], "installed", licence=licence, alternatives=alternatives)
    return [packages[key] for key in sorted(packages)]


def _about(database: Database) -> dict[str, Any]:
    age = (datetime.now(UTC) - database.as_of).total_seconds() / _DAY
    if age < -1:
        raise Invalid(
            f"the advisory database is from the future: {database.as_of.isoformat()}",
            next_step="Correct its asOf, or this machine's clock.",
        )
    return {
        "digest": database.digest,
        "asOf": database.as_of.isoformat(),
        "ageDays": max(0, int(age)),
        "records": database.records,
        "source": database.source,
        "complete": database.complete,
        "unreadable": len(database.unreadable),
        "unreadableIds": [record.id[:100] for record in database.unreadable[:_NAMED]],
    }
