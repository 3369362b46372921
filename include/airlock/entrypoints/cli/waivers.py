"""The options that tie an approval to conditions: words from a command line, read here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from airlock.domain.errors import Invalid
from airlock.entrypoints.cli.delegation import end_of, local
from airlock.entrypoints.presentation.printed_commands import example_time

Share = Annotated[
    float | None, typer.Option(help="At most this share of the traffic, such as 0.25.")
]
Segments = Annotated[list[str] | None, typer.Option(help="Only this segment; may be repeated.")]
Until = Annotated[str, typer.Option(help="Good until then; 2026-12-01 is to the end of that day.")]
Findings = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHO:DAY:WHAT", help="To be mended: ana:2030-01-31:explain it; may be repeated."
    ),
]


def conditions(
    share: float | None, segments: list[str], until: str, findings: list[str]
) -> dict[str, Any]:
    """Return the conditions as the REST API takes them, only those that were given.

    Raises:
        Invalid: if one of them cannot be read.
    """
    if share is not None and not 0 < share <= 1:
        raise Invalid(
            f"a share of the traffic is above 0 and at most 1, found {share:g}",
            next_step="A quarter is 0.25.",
        )
    body = {
        "maxTrafficShare": share,
        "segments": segments,
        "expiresAt": end_of(until).isoformat() if until else None,
        "findings": [_finding(text) for text in findings],
    }
    return {name: value for name, value in body.items() if value not in (None, [])}


def sentences(body: dict[str, Any]) -> list[str]:
    """Describe the conditions, with each end on the reader's own clock."""
    lines = []
    if "expiresAt" in body:
        lines.append(f"The approval is good until {local(body['expiresAt'])}.")
    for finding in body.get("findings", ()):
        due = local(finding["due"])
        lines.append(f"To be mended by {finding['owner']} until {due}: {finding['text']}")
    return lines


def _finding(text: str) -> dict[str, str]:
    owner, _, rest = text.partition(":")
    day, _, description = rest.partition(":")
    if not (owner.strip() and day.strip() and description.strip()):
        raise Invalid(
            f"{text!r} is not a finding: who mends it, by what day, and what",
            next_step=f"Write it as ana:{example_time(30)[:10]}:explain the age effect.",
        )
    due = end_of(day)
    return {"owner": owner.strip(), "due": due.isoformat(), "text": description.strip()}
