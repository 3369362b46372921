"""The texts in a release: which they are, and the release with them in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from airlock.domain.release import Release, Vote


def texts_in(release: Release) -> Iterator[str]:
    """Return everything in a release that a person may have written."""
    yield release.why
    for vote in release.votes:
        yield vote.reason
        for demand in vote.conditions.findings:
            yield demand.text
    for waiver in release.waivers:
        yield waiver.reason


def read_out(release: Release, said: Mapping[str, str]) -> Release:
    """Return a release with texts in place of their commitments."""
    votes = tuple(_read_out(vote, said) for vote in release.votes)
    waivers = tuple(
        replace(one, reason=said.get(one.reason, one.reason)) for one in release.waivers
    )
    why = said.get(release.why, release.why)
    return replace(release, why=why, votes=votes, waivers=waivers)


def _read_out(vote: Vote, said: Mapping[str, str]) -> Vote:
    demands = tuple(
        replace(one, text=said.get(one.text, one.text)) for one in vote.conditions.findings
    )
    conditions = replace(vote.conditions, findings=demands)
    return replace(vote, reason=said.get(vote.reason, vote.reason), conditions=conditions)
