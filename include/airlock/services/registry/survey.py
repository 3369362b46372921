"""Looking through a whole registry: what each version is made of, and what stands open.

It reads and never changes anything. A version that cannot be fetched is UNREADABLE, not fine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from airlock import artifacts
from airlock.domain.errors import AirlockError
from airlock.domain.gates import Evidence, Verdict
from airlock.gates.artifact_format import ArtifactFormat

#: Aliases by which something serves.
PROTECTED = ("champion", "production", "prod")


class Version(Protocol):
    """One model version of a registry."""

    @property
    def model(self) -> str:
        """The registered model."""

    @property
    def version(self) -> str:
        """Its number."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases that point at it."""

    @property
    def stage(self) -> str:
        """The legacy stage."""

    @property
    def run_id(self) -> str:
        """The run it came from."""


class Inventory(Protocol):
    """A registry that is looked through."""

    def versions(self) -> Iterable[Version]:
        """Return every version."""

    def fetch(self, model: str, version: str, into: Path) -> Path:
        """Download a version."""

    def signed(self, run_id: str) -> bool:
        """Say whether a run keeps a model signature."""

    def open_to_anybody(self) -> bool:
        """Say whether the server answers without a login."""

    def server_version(self) -> str | None:
        """Return the version of the server's software."""


@dataclass(frozen=True, slots=True)
class Row:
    """One version and its verdict: ALLOWED, REFUSED or UNREADABLE."""

    model: str
    version: str
    verdict: str
    why: tuple[str, ...]
    formats: tuple[str, ...]
    aliases: tuple[str, ...]
    signed: bool | None
    notes: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """Return the row as JSON data."""
        return {
            "model": self.model,
            "version": self.version,
            "verdict": self.verdict,
            "why": list(self.why),
            "formats": list(self.formats),
            "aliases": list(self.aliases),
            "signed": self.signed,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found in a whole registry. `server` lists what stands open there."""

    rows: tuple[Row, ...]
    server: tuple[Mapping[str, str], ...] = field(default=())

    @property
    def refused(self) -> bool:
        """Say whether anything is not as it should be."""
        return any(row.verdict == "REFUSED" for row in self.rows) or bool(self.server)

    @property
    def unsure(self) -> bool:
        """Say whether anything could not be told."""
        return any(row.verdict == "UNREADABLE" for row in self.rows)

    def to_document(self) -> dict[str, Any]:
        """Return the survey as JSON data."""
        return {
            "versions": [row.to_document() for row in self.rows],
            "server": [dict(problem) for problem in self.server],
        }


def survey(
    inventory: Inventory,
    weaknesses: Sequence[Mapping[str, str]] = (),
    tell: Callable[[Row], None] | None = None,
) -> Survey:
    """Judge every version and the server itself. *weaknesses* are weaknesses of the software."""
    rows = []
    for version in inventory.versions():
        row = _row(inventory, version)
        rows.append(row)
        if tell:
            tell(row)
    return Survey(tuple(rows), tuple(_server(inventory, weaknesses)))


def judge(folder: Path) -> tuple[bool, tuple[str, ...], dict[str, Any]]:
    """Return whether a model folder is on the allow-list, why not, and the facts."""
    try:
        facts = artifacts.facts(folder)
    except ValueError as error:
        return False, (str(error),), {"files": [], "refusals": []}
    evidence = Evidence("artifact-format", facts["manifestDigest"], facts)
    result = ArtifactFormat().judge({"artifact-format": evidence})
    if result.verdict is Verdict.PASSED:
        return True, (), facts
    reasons = tuple(
        f"{refusal['file']}: found {refusal['found']}, expected {refusal['expected']}"
        for refusal in facts["refusals"]
    )
    return False, reasons or (result.message,), facts


def _row(inventory: Inventory, version: Version) -> Row:
    try:
        with tempfile.TemporaryDirectory(prefix="airlock-survey-") as scratch:
            good, why, facts = judge(inventory.fetch(version.model, version.version, Path(scratch)))
        signed: bool | None = inventory.signed(version.run_id)
        verdict = "ALLOWED" if good else "REFUSED"
    except (AirlockError, OSError) as error:
        verdict, why, facts, signed = "UNREADABLE", (str(error),), {"files": []}, None
    return Row(
        model=version.model,
        version=version.version,
        verdict=verdict,
        why=why,
        formats=tuple(sorted({file["format"] for file in facts["files"]})),
        aliases=version.aliases,
        signed=signed,
        notes=tuple(_notes(version, signed)),
    )


def _notes(version: Version, signed: bool | None) -> Iterator[str]:
    if signed is False:
        yield "no model signature"
    if version.stage not in ("None", ""):
        yield f"stage {version.stage} is set, which no alias protection covers"
    for alias in version.aliases:
        folded = alias.casefold().strip()
        if folded in PROTECTED and alias not in PROTECTED:
            yield f"alias {alias!r} looks like {folded}"


def _server(
    inventory: Inventory, weaknesses: Sequence[Mapping[str, str]]
) -> Iterator[Mapping[str, str]]:
    if inventory.open_to_anybody():
        yield {
            "rule": "open-authentication",
            "what": "the server answers readers who have not logged in",
            "nextStep": "Start it behind the guard: mlflow server --app-name airlock.",
        }
    running = inventory.server_version()
    for weakness in weaknesses:
        if running and _older(running, weakness["fixed"]):
            yield {
                "rule": weakness["id"],
                "what": f"MLflow {running}: {weakness['what']} "
                f"({weakness['id']}, {weakness['source']})",
                "nextStep": f"Upgrade to {weakness['fixed']} or newer.",
            }


def _older(running: str, fixed: str) -> bool:
    """Say whether a version is older than the one that fixed something."""

    def parts(text: str) -> tuple[int, ...]:
        numbers = [part for part in text.replace("-", ".").split(".") if part.isdecimal()]
        return tuple(int(number) for number in numbers[:3])

    return bool(fixed) and bool(parts(running)) and parts(running) < parts(fixed)
