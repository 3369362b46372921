"""The model card, generated from what is known: Markdown, every value escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from airlock_evidence import facts
from airlock_evidence.dossier import Dossier
from airlock_evidence.words import number, when


def card(dossier: Dossier) -> str:
    """Return the model card."""
    release, subject = dossier.release, dossier.release.subject
    metadata = dossier.pipeline["metadata"]
    lines = [
        f"# {_text(subject['model'])}, version {_text(subject['version'])}",
        "",
        "Generated from the evidence of this release. Nobody has written or edited it.",
        "",
        *_pairs(
            [
                ("Release", f"{release.id}, {release.state}"),
                ("Environment", subject["environment"]),
                ("Risk tier", release.tier),
                ("Owner", metadata.get("owner", "not declared")),
                ("Requested by", f"{release.requester}, {when(release.opened_at)}"),
                ("Artifact", subject["artifact_digest"]),
                ("Code", subject["code_commit"]),
                ("Pipeline", subject["pipeline_digest"]),
                ("Policy", subject["policy_digest"]),
            ]
        ),
        "",
        "## Intended use",
        "",
        _text(facts.intended_use(dossier)),
        "",
        "Declared facts about the use:",
        "",
        *_pairs(facts.risk(dossier).items()),
        "",
        "## Data",
        "",
        *_pairs(facts.data(dossier).items()),
        "",
        *_measured(dossier),
        *_slices(dossier),
        *_gates(dossier),
        *_approvals(dossier),
        "## Limits",
        "",
        *(f"* {_text(limit)}" for limit in facts.limits(dossier)),
    ]
    return "\n".join(lines) + "\n"


def _measured(dossier: Dossier) -> list[str]:
    rows = [
        [metric.name, metric.better, metric.candidate, metric.champion, metric.difference]
        for metric in facts.metrics(dossier)
    ]
    head = ["metric", "better", "this version", "champion then", "difference"]
    return ["## Metrics on held-out rows", "", *_table(head, rows), ""]


def _slices(dossier: Dossier) -> list[str]:
    slices = facts.slices(dossier)
    if not slices:
        return []
    columns = sorted({str(key) for row in slices for key in row})
    rows = [[number(row.get(column)) for column in columns] for row in slices]
    return ["## Metrics by group", "", *_table(columns, rows), ""]


def _gates(dossier: Dossier) -> list[str]:
    rows = [
        [result["key"], result["verdict"], result["message"]] for result in dossier.release.gates
    ]
    return ["## Gates", "", *_table(["gate", "verdict", "found"], rows), ""]


def _approvals(dossier: Dossier) -> list[str]:
    release = dossier.release
    rows = [
        [vote.level, vote.name, vote.person, vote.behind or "", vote.decision, when(vote.at)]
        for vote in release.votes_now()
    ]
    head = ["level", "name", "person", "for", "answer", "when"]
    return ["## Approvals", "", *_table(head, rows), ""]


def _pairs(pairs: Iterable[Any]) -> list[str]:
    return [f"* {_text(name)}: {_text(value)}" for name, value in pairs]


def _table(head: list[str], rows: list[list[Any]]) -> list[str]:
    if not rows:
        return ["None."]
    ruler = ["---"] * len(head)
    return [f"| {' | '.join(_text(cell) for cell in row)} |" for row in (head, ruler, *rows)]


def _text(value: Any) -> str:
    """Return text that cannot become Markdown or HTML of its own."""
    flat = " ".join(str(value).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return flat if flat == "---" else re.sub(r"([\\`*\[\]|])", r"\\\1", flat)
