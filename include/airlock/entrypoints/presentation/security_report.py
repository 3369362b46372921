"""The reports of `airlock security`: as rows, as sentences, as SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from airlock import artifacts
from airlock.domain.gates import Evidence, Verdict
from airlock.entrypoints.presentation.terminal import settings
from airlock.gates.artifact_scan import ArtifactScan
from airlock.services.registry.survey import Row, Survey, judge

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def scanned(place: Path, *, scanners: bool, work: Path) -> dict[str, Any]:
    """Return the report on a file or a model folder, with the verdict."""
    if not place.is_dir() or place.is_symlink():
        return _one_file(place)
    good, why, facts = judge(place)
    report = {
        "verdict": "ALLOWED" if good else "REFUSED",
        "files": facts["files"],
        "why": list(why),
        "requirements": facts.get("requirements", []),
        "scanners": [],
    }
    if scanners and facts["files"]:
        report |= _with_scanners(place, work, facts, report)
    return report


def _one_file(place: Path) -> dict[str, Any]:
    kind = artifacts.kind_of(place, place.name)
    good = kind.format in artifacts.MODEL_FORMATS or kind.format in artifacts.SIDE_FORMATS
    return {
        "verdict": "ALLOWED" if good and not kind.refusal else "REFUSED",
        "files": [
            {"path": place.name, "format": kind.format, "size": place.lstat().st_size, "digest": ""}
        ],
        "why": [kind.refusal.sentence()] if kind.refusal else [],
        "requirements": list(kind.requirements),
        "scanners": [],
    }


def _with_scanners(
    place: Path, work: Path, facts: Mapping[str, Any], report: Mapping[str, Any]
) -> dict[str, Any]:
    from airlock.adapters.jobs import Lab

    scan = Lab(work / "lab", tools=settings().home / "tools").scan(place)
    digest = facts["manifestDigest"]
    evidence = {
        kind: Evidence(kind, digest, content)
        for kind, content in (("artifact-format", facts), ("artifact-scan", scan))
    }
    result = ArtifactScan().judge(evidence)
    verdict = report["verdict"]
    if result.verdict is Verdict.FAILED:
        verdict = "REFUSED"
    elif result.verdict is Verdict.ERRORED and verdict == "ALLOWED":
        verdict = "COULD_NOT_TELL"
    reasons = [] if result.verdict is Verdict.PASSED else [result.message]
    return {"scanners": scan["scanners"], "verdict": verdict, "why": [*report["why"], *reasons]}


def known_weaknesses() -> Sequence[Mapping[str, str]]:
    """Return the published weaknesses of MLflow we know of, each with its source and date."""
    text = (
        files("airlock.entrypoints.presentation")
        .joinpath("known_weaknesses.json")
        .read_text("utf-8")
    )
    weaknesses: list[Mapping[str, str]] = json.loads(text)["mlflow"]
    return weaknesses


def cells(row: Row) -> tuple[object, ...]:
    """Return a row of the table for people."""
    signed = {True: "yes", False: "no", None: None}[row.signed]
    why = "; ".join((*row.why[:2], *row.notes))
    formats, aliases = ", ".join(row.formats), ", ".join(row.aliases)
    return row.model, row.version, row.verdict, formats, aliases, signed, why


def summary(survey: Survey) -> str:
    """Return the last line for people."""
    counts = {name: 0 for name in ("ALLOWED", "REFUSED", "UNREADABLE")}
    for row in survey.rows:
        counts[row.verdict] += 1
    totals = ", ".join(f"{count} {name.lower()}" for name, count in counts.items())
    return f"{len(survey.rows)} versions: {totals}; {len(survey.server)} findings about the server."


def sarif(survey: Survey) -> dict[str, Any]:
    """Return the survey in SARIF 2.1.0."""
    results = [_result(row) for row in survey.rows if row.verdict != "ALLOWED" or row.notes]
    results += [
        {"ruleId": finding["rule"], "level": "error", "message": {"text": finding["what"]}}
        for finding in survey.server
    ]
    rules = sorted({str(result["ruleId"]) for result in results})
    driver = {
        "name": "airlock security audit",
        "rules": [{"id": rule, "shortDescription": {"text": rule}} for rule in rules],
    }
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _result(row: Row) -> dict[str, Any]:
    rule, level = {
        "REFUSED": ("artifact-format", "error"),
        "UNREADABLE": ("unreadable", "warning"),
    }.get(row.verdict, ("hygiene", "note"))
    text = "; ".join((*row.why, *row.notes))
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": f"{row.model} version {row.version}: {text}"},
        "locations": [
            {
                "logicalLocations": [
                    {"fullyQualifiedName": f"models:/{row.model}/{row.version}", "kind": "resource"}
                ]
            }
        ],
    }
