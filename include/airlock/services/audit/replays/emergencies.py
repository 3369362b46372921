"""Emergencies and their reviews, and the findings of conditional approvals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airlock.domain.approval.break_glass import REVIEW
from airlock.domain.clock import moment, stamp
from airlock.domain.log.stream_chains import Finding
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import Either, Json, Page, Replay, Step


class Emergencies(Replay):
    """Every column of those that led to an approval; others leave no row."""

    table = "break_glass"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        expected: dict[Any, dict[str, Any]] = {}
        for name in page.rows:
            newest = None
            for step in page.steps_with(name, "ReleaseApproved", "GlassReviewed"):
                if step.event_type == "GlassReviewed" and newest is not None:
                    newest |= {"reviewed_by": step.content["who"]["id"], "reviewed_at": step.at}
                elif step.event_type == "ReleaseApproved" and step.data.get("emergency"):
                    newest = _broken(name, step)
                    if newest is not None:
                        expected[name, newest["round"]] = newest
        rows = unit.rows(self.table, "release", list(page.rows))
        yield from self.compare(expected, rows, lambda row: (row["release"], row["round"]))

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare what belongs to no release."""
        yield from self.strays(unit)


def _broken(name: str, step: Step) -> dict[str, Any] | None:
    release = step.after
    if release is None or release.emergency is None:
        return None
    return {
        "release": name,
        "round": release.round,
        "model": release.subject.model,
        "incident": release.emergency.incident,
        "people": Json(list(release.emergency.people)),
        "broken_at": step.at,
        "review_due": stamp(moment(step.at) + REVIEW),
        "reviewed_by": None,
        "reviewed_at": None,
    }


class Findings(Replay):
    """Every column; who has raised one is in the vote that demanded it."""

    table = "finding"

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        expected: dict[Any, dict[str, Any]] = {}
        for name in page.rows:
            for step in page.steps_with(name, "FindingRaised", "FindingClosed"):
                if step.event_type == "FindingRaised":
                    expected[step.data["finding"]] = _raised(name, step)
                elif step.data["finding"] in expected:
                    closed = {"closed_at": step.at, "closed_by": step.content["who"]["id"]}
                    expected[step.data["finding"]] |= closed
        rows = unit.rows(self.table, "release", list(page.rows))
        yield from self.compare(expected, rows, lambda row: row["id"])

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare what belongs to no release."""
        yield from self.strays(unit)


def _raised(name: str, step: Step) -> dict[str, Any]:
    text, owner, due = step.content["why"], step.data["owner"], step.data["due"]
    release = step.before
    demanding = {
        vote.person
        for vote in (release.votes if release else ())
        for demand in vote.conditions.findings
        if (demand.text, demand.owner, demand.due) == (text, owner, due)
    }
    return {
        "id": step.data["finding"],
        "release": name,
        "model": release.subject.model if release else "",
        "text": text,
        "owner": owner,
        "due": due,
        "raised_by": Either(sorted(demanding)),
        "closed_at": None,
        "closed_by": None,
    }
