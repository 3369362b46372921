"""The readable documents of a bundle, made from what the signed log tells and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airlock_evidence import gates
from airlock_evidence.archive import MANIFEST, canonical, manifest, pretty, sha256
from airlock_evidence.card import card
from airlock_evidence.dossier import Dossier, read_dossier
from airlock_evidence.levels import needs
from airlock_evidence.readme import readme
from airlock_evidence.report import report
from airlock_evidence.told import Vote
from airlock_evidence.words import span

SUBJECT, VOTES, GATES = "subject.json", "votes.json", "gates.json"
OUTCOME, CARD, REPORT, README = "outcome.json", "model-card.md", "report.html", "README.txt"
#: The names of the program's files in a bundle.
PROGRAM = re.compile(
    r"verify\.py|airlock_evidence/[a-z0-9_]+\.py|airlock/((domain|gates)/)?[a-z0-9_]+\.py"
)
#: Programs of bundles from before the log said which program was handed out.
EARLIER = ("sha256:6b9fa45ed20825f38c198f2d496baaa9836c1dcef529a0b7bc6a353717b0f71b",)
NAMES = (SUBJECT, VOTES, GATES, OUTCOME, CARD, REPORT, README)


def complete(raw: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return a whole bundle: *raw* with its readable documents, the program and the manifest.

    Raises:
        Failed: if *raw* does not make sense.
    """
    files = {**raw, **readable(read_dossier(raw)), **code()}
    return {**files, MANIFEST: manifest(files)}


def readable(dossier: Dossier) -> dict[str, bytes]:
    """Return the documents people read."""
    release = dossier.release
    return {
        SUBJECT: pretty(
            {"subject": release.subject, "digest": release.digest, "location": release.location}
        ),
        VOTES: pretty(
            {"levels": _levels(dossier), "votes": [_vote(dossier, v) for v in release.votes]}
        ),
        GATES: pretty(
            {"about": release.gates_subject, "results": release.gates, "waivers": release.waivers}
        ),
        OUTCOME: pretty(_outcome(dossier)),
        CARD: card(dossier).encode(),
        REPORT: report(dossier).encode(),
        README: readme(dossier).encode(),
    }


def code() -> dict[str, bytes]:
    """Return this program, as it lies in a bundle, with the gates it judges by."""
    files = gates.code()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        name = path.name if path.name == "verify.py" else f"airlock_evidence/{path.name}"
        files[name] = path.read_bytes()
    return files


def program_digest(files: Mapping[str, bytes]) -> str:
    """Return one digest for the program among *files*."""
    parts = {name: sha256(data) for name, data in files.items() if PROGRAM.fullmatch(name)}
    return sha256(canonical(parts))


def judge_program(files: Mapping[str, bytes], signed: Any) -> tuple[str, str]:
    """Return the problem of the program among *files*, and a note about it.

    *signed*: its digest as the log has it. A bundle whose entry has none was handed out before the
    log said it: then it has this program, or an earlier one that is known.
    """
    own = code()
    here = {name: data for name, data in files.items() if PROGRAM.fullmatch(name)}
    other = sorted(name for name in {*here, *own} if here.get(name) != own.get(name))
    digests = {program_digest(own), *EARLIER} if signed is None else {signed}
    if program_digest(here) not in digests:
        return f"was replaced, so do not run it ({', '.join(other[:5]) or 'as this one is'})", ""
    return "", "the program in the bundle is that of another version of Airlock" if other else ""


def _levels(dossier: Dossier) -> list[dict[str, Any]]:
    release = dossier.release
    return [
        {
            "number": number,
            "name": level["name"],
            "needs": needs(level),
            "complete": number in release.complete,
        }
        for number, level in enumerate(dossier.levels, 1)
    ]


def _vote(dossier: Dossier, vote: Vote) -> dict[str, Any]:
    fields = asdict(vote)
    fields["roles"] = list(vote.roles)
    if vote.principal != vote.person:
        roles = dossier.rights.roles(vote.principal, vote.at)
        fields["roles_of_the_person_behind"] = sorted(roles or ())
    void = vote.round != dossier.release.round
    return {**fields, "time_to_decide": span(vote.opened_at, vote.at), "void": void}


def _outcome(dossier: Dossier) -> dict[str, Any]:
    release = dossier.release
    return {
        "release": release.id,
        "state": release.state,
        "why": release.why,
        "round": release.round,
        "requester": release.requester,
        "may_not_judge": release.excluded,
        "unknown_authors": release.unknown_authors,
        "tier": release.tier,
        "opened_at": release.opened_at,
        "voided": release.voided,
        "break_glass": release.emergency,
        "reviews": release.reviews,
        "grants_issued": release.grants,
        "grant_claims": {name: grant["claims"] for name, grant in dossier.grants.items()},
        "promotion": release.promotion,
        "rollbacks_allowed": release.rollbacks,
        "rollback": release.rollback,
        "findings": release.findings,
        "export": dict(dossier.export),
    }
