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
    """Return what was measured on the held-out rows."""
    facts = dossier.evidence_of("evaluation")
    champion = (facts.get("champion") or {}).get("metrics", {})
    compared = {
        one["metric"]: one for one in dossier.evidence_of("comparison").get("comparisons", [])
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
    """Return what is known of the data."""
    subject, spec = dossier.told.subject, dossier.pipeline["spec"]
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
        said = ", ".join(f"{key} {value}" for key, value in sorted(window.items()) if value)
        return said or "all rows"
    return str(window) if window else "not recorded"


def intended_use(dossier: Dossier) -> str:
    """Return the declared intended use, or say that there is none."""
    metadata, spec = dossier.pipeline["metadata"], dossier.pipeline["spec"]
    found = spec.get("intendedUse") or metadata.get("intendedUse") or metadata.get("description")
    return str(found) if found else "Not declared."


def risk(dossier: Dossier) -> dict[str, str]:
    """Return the declared facts the risk tier was computed from."""
    return {str(key): str(value) for key, value in dossier.pipeline["spec"]["risk"].items()}


def slices(dossier: Dossier) -> list[dict[str, Any]]:
    """Return metrics by group of rows, where somebody measured them."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in dossier.evidence_of("evaluation").get("bounds", []):
        for one in line["slices"]:
            row = found.setdefault((line["metric"], one["slice"]), _group(line, one))
            row["this version"] = one["value"]
    for line in dossier.evidence_of("comparison").get("comparisons", []):
        for one in line.get("slices", []):
            row = found.setdefault((line["metric"], one["slice"]), _group(line, one))
            row |= {"this version": one["candidate"], "champion then": one["champion"]}
    return list(found.values())


def _group(line: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    return {"group": one["slice"], "metric": line["metric"], "rows": one["n"]}


def unjudged(dossier: Dossier) -> list[str]:
    """Return the kinds of evidence no gate has judged: the log does not name their digests."""
    judged = dossier.told.judged
    return sorted(
        {str(one["kind"]) for digest, one in dossier.evidence.items() if digest not in judged}
    )


def limits(dossier: Dossier) -> list[str]:
    """Say honestly what is not known."""
    return [
        *_unmeasured(dossier),
        *_open_ends(dossier),
        "What the model does in use is not measured here; only held-out rows were.",
    ]


def _unmeasured(dossier: Dossier) -> list[str]:
    found = []
    if not slices(dossier):
        found.append("No metrics by group of people or rows were measured.")
    if not any(one.difference != NONE for one in metrics(dossier)):
        found.append("There was no champion to compare with, or no interval was computed.")
    if not dossier.evidence_of("data-profile").get("window"):
        found.append("No data window is recorded.")
    kinds = ", ".join(unjudged(dossier))
    if kinds:
        found.append(f"Collected, but judged by no gate, so not named in the log: {kinds}.")
    return found


def _open_ends(dossier: Dossier) -> list[str]:
    told, found = dossier.told, []
    if not told.promotion:
        found.append(f"This version was not promoted by this release: it is {told.state}.")
    if told.unknown_authors:
        found.append(
            "Authors of the code whom nobody knows as users, so they could not be excluded from "
            f"voting: {', '.join(told.unknown_authors)}."
        )
    waived = [str(one["key"]) for one in told.gates if one["verdict"] == "WAIVED"]
    if waived:
        found.append(f"Gates that were waived: {', '.join(waived)}.")
    for one in told.findings:
        state = f"closed by {one['closedBy']}" if "closedBy" in one else "open"
        found.append(f"Finding {one['finding']} ({state}, due {one['due'][:10]}): {one['text']}")
    return found
