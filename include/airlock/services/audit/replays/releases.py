"""Releases and their votes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from airlock.domain.approval.release import Release, Vote
from airlock.domain.log.stream_chains import Finding
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Json, Page, Replay, Row


class Releases(Replay):
    """Every column; `seq` and `head` are compared where the chains are."""

    table = "release"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        del unit
        for name, row in page.rows.items():
            release = page.release(name)
            if release is None:
                yield self.finding(name, "the release is there but its first event is not")
            else:
                yield from self.row(name, _release(release), row)


def _release(release: Release) -> Row:
    same = ("id", "origin", "location", "requester", "attempt_of", "opened_at", "level", "round")
    emergency, lease, back = release.emergency, release.lease, release.rollback
    return {
        **{name: getattr(release, name) for name in (*same, "level_opened_at", "why")},
        "model": release.subject.model,
        "environment": release.subject.environment,
        "state": release.state.value,
        "tier": release.tier.value,
        "subject": Json(release.subject.to_document()),
        "waivers": Json([waiver.to_document() for waiver in release.waivers]),
        "emergency": (
            Json({**asdict(emergency), "people": list(emergency.people)}) if emergency else None
        ),
        "lease": Json(asdict(lease)) if lease else None,
        "rollback": Json(asdict(back)) if back else None,
    }


class Votes(Replay):
    """Every column."""

    table = "vote"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        expected = {
            (name, vote.round, vote.person): _vote(name, vote)
            for name in page.rows
            for release in [page.release(name)]
            for vote in (release.votes if release else ())
        }
        rows = unit.rows(self.table, "release", list(page.rows))
        yield from self.compare(
            expected, rows, lambda row: (row["release"], row["round"], row["person"])
        )

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare what belongs to no release."""
        yield from self.strays(unit)


def _vote(release: str, vote: Vote) -> Row:
    same = ("person", "level", "reason", "round", "channel", "at", "behind")
    return {
        **{name: getattr(vote, name) for name in same},
        "release": release,
        "decision": vote.decision.value,
        "capacity": vote.capacity.value,
        "conditions": Json(vote.conditions.to_document()),
    }
