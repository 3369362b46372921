"""What is known of the model, put in order for the card and the report."""

from __future__ import annotations

from typing import Any, NamedTuple

from airlock_evidence.dossier import Dossier
from airlock_evidence.gates import better
from airlock_evidence.words import NONE, number


class Metric(NamedTuple):
    """One metric of the candidate, the champion's, and the interval of the difference."""

    name: str
    better: str
    candidate: str
    champion: str
    difference: str


def metrics(dossier: Dossier) -> list[Metric]:
    """Return the metrics on the held-out rows."""
    facts = dossier.evidence_of("evaluation")
    champion = (facts.get("champion") or {}).get("metrics", {})
    compared = {
        comparison["metric"]: comparison
        for comparison in dossier.evidence_of("comparison").get("comparisons", [])
    }
    return [
        Metric(
            name,
            better(name),
            number(value),
            number(champion.get(name)),
            _difference(compared.get(name, {})),
        )
        for name, value in sorted(facts.get("candidate", {}).get("metrics", {}).items())
    ]


def _difference(row: dict[str, Any]) -> str:
    if not row:
        return NONE
    return (
        f"{row['difference']:+.4f}, {100 * row['confidence']:g} % one-sided bounds "
        f"{row['low']:+.4f} to {row['high']:+.4f} on {number(row['n'])} rows"
    )


def data(dossier: Dossier) -> dict[str, str]:
    """Return the recorded facts about the data."""
    subject, spec = dossier.release.subject, dossier.pipeline["spec"]
    profile = dossier.evidence_of("data-profile")
    declared = spec.get("data", {})
    evaluated = dossier.evidence_of("evaluation").get("rows")
    return {
        "Digest": str(subject["data_digest"]),
        "Source": str(declared.get("source") or "not declared"),
        "Window": _window(profile.get("window")),
        "Rows": number(profile.get("rows")),
        "Held-out rows measured on": number(evaluated),
        "Predicted column": str(declared.get("target") or "not declared"),
        "Ordered by": str(declared.get("timeColumn") or "no time column: a seeded sample"),
    }


def _window(window: Any) -> str:
    if isinstance(window, dict):
        description = ", ".join(f"{key} {value}" for key, value in sorted(window.items()) if value)
        return description or "all rows"
    return str(window) if window else "not recorded"


def intended_use(dossier: Dossier) -> str:
    """Return the declared intended use, or say that there is none."""
    metadata, spec = dossier.pipeline["metadata"], dossier.pipeline["spec"]
    declared = spec.get("intendedUse") or metadata.get("intendedUse") or metadata.get("description")
    return str(declared) if declared else "Not declared."


def risk(dossier: Dossier) -> dict[str, str]:
    """Return the declared facts the risk tier was computed from."""
    return {str(key): str(value) for key, value in dossier.pipeline["spec"]["risk"].items()}


def slices(dossier: Dossier) -> list[dict[str, Any]]:
    """Return the metrics measured by group of rows."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for line in dossier.evidence_of("evaluation").get("bounds", []):
        for group in line["slices"]:
            row = rows.setdefault((line["metric"], group["slice"]), _group(line, group))
            row["this version"] = group["value"]
    for line in dossier.evidence_of("comparison").get("comparisons", []):
        for group in line.get("slices", []):
            row = rows.setdefault((line["metric"], group["slice"]), _group(line, group))
            row |= {"this version": group["candidate"], "champion then": group["champion"]}
    return list(rows.values())


def _group(line: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    return {"group": group["slice"], "metric": line["metric"], "rows": group["n"]}


def unjudged(dossier: Dossier) -> list[str]:
    """Return the kinds of evidence no gate has judged: the log does not name their digests."""
    digests = dossier.release.gate_evidence
    return sorted(
        {
            str(document["kind"])
            for digest, document in dossier.evidence.items()
            if digest not in digests
        }
    )


def limits(dossier: Dossier) -> list[str]:
    """Say honestly what is not known."""
    return [
        *_unmeasured(dossier),
        *_open_ends(dossier),
        "What the model does in use is not measured here; only held-out rows were.",
    ]


def _unmeasured(dossier: Dossier) -> list[str]:
    gaps = []
    if not slices(dossier):
        gaps.append("No metrics by group of people or rows were measured.")
    if not any(metric.difference != NONE for metric in metrics(dossier)):
        gaps.append("There was no champion to compare with, or no interval was computed.")
    if not dossier.evidence_of("data-profile").get("window"):
        gaps.append("No data window is recorded.")
    kinds = ", ".join(unjudged(dossier))
    if kinds:
        gaps.append(f"Collected, but judged by no gate, so not named in the log: {kinds}.")
    return gaps


def _open_ends(dossier: Dossier) -> list[str]:
    release, gaps = dossier.release, []
    if not release.promotion:
        gaps.append(f"This version was not promoted by this release: it is {release.state}.")
    if release.unknown_authors:
        gaps.append(
            "Authors of the code whom nobody knows as users, so they could not be excluded from "
            f"voting: {', '.join(release.unknown_authors)}."
        )
    waived = [str(result["key"]) for result in release.gates if result["verdict"] == "WAIVED"]
    if waived:
        gaps.append(f"Gates that were waived: {', '.join(waived)}.")
    for finding in release.findings:
        state = f"closed by {finding['closedBy']}" if "closedBy" in finding else "open"
        gaps.append(
            f"Finding {finding['finding']} ({state}, due {finding['due'][:10]}): {finding['text']}"
        )
    return gaps
