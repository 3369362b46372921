"""The texts in a release: which they are, and the release with them in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from airlock.domain.approval.release import Release, Vote


def texts_in(release: Release) -> Iterator[str]:
    """Return everything in a release that a person may have written."""
    yield release.why
    for vote in release.votes:
        yield vote.reason
        for demand in vote.conditions.findings:
            yield demand.text
    for waiver in release.waivers:
        yield waiver.reason


def read_out(release: Release, texts: Mapping[str, str]) -> Release:
    """Return a release with texts in place of their commitments."""
    votes = tuple(_read_out(vote, texts) for vote in release.votes)
    waivers = tuple(
        replace(waiver, reason=texts.get(waiver.reason, waiver.reason))
        for waiver in release.waivers
    )
    why = texts.get(release.why, release.why)
    return replace(release, why=why, votes=votes, waivers=waivers)


def _read_out(vote: Vote, texts: Mapping[str, str]) -> Vote:
    demands = tuple(
        replace(finding, text=texts.get(finding.text, finding.text))
        for finding in vote.conditions.findings
    )
    conditions = replace(vote.conditions, findings=demands)
    return replace(vote, reason=texts.get(vote.reason, vote.reason), conditions=conditions)
