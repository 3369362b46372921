"""Rebuilding every table anything is decided from, and comparing it with what is stored.

State is a fold over events (`airlock.domain.approval.release.apply`), so what a table says must be
what the log tells. A table of its own has a replay in a file beside this one and a line in
`REPLAYS`; which columns no replay compares, and why they cannot matter, is in ADR 0042.

Releases are read some hundreds at a time, with everything that belongs to them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from airlock.domain.log.stream_chains import Chains, Finding
from airlock.ports import Keyring
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.chat import ChatLinks, ChatTries
from airlock.services.audit.replays.comparing import CHANGING_NOTHING, Page, Replay, fold
from airlock.services.audit.replays.configuration import Configuration
from airlock.services.audit.replays.emergencies import Emergencies, Findings
from airlock.services.audit.replays.enrolments import Accounts, Enrolments, LookAlikes
from airlock.services.audit.replays.grants import Grants
from airlock.services.audit.replays.lines import Lines
from airlock.services.audit.replays.messages import Messages
from airlock.services.audit.replays.people import Delegations, People, Roles
from airlock.services.audit.replays.releases import Releases, Votes
from airlock.services.audit.replays.runs import Candidates, Evidence, GateResults, RunEvidence, Runs
from airlock.services.audit.replays.timers import Timers

#: Every table that is rebuilt.
REPLAYS: tuple[type[Replay], ...] = (
    Releases,
    Votes,
    Grants,
    Lines,
    Emergencies,
    Findings,
    Timers,
    Messages,
    Runs,
    Candidates,
    RunEvidence,
    Evidence,
    GateResults,
    People,
    Roles,
    Delegations,
    Enrolments,
    Accounts,
    LookAlikes,
    Configuration,
    ChatLinks,
    ChatTries,
)


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing the tables found, which releases there are, and how many grants."""

    findings: list[Finding]
    releases: frozenset[str]
    grants: int
    warnings: tuple[str, ...]


def compare_tables(unit: LogWork, keyring: Keyring) -> Compared:
    """Rebuild every table from the log and compare it."""
    findings: list[Finding] = []
    releases: set[str] = set()
    grants = 0
    replays = [replay(keyring) for replay in REPLAYS]
    for rows in unit.pages("release"):
        names = [str(row["id"]) for row in rows]
        steps = fold(unit.stream_entries(names, CHANGING_NOTHING), findings)
        page = Page(dict(zip(names, rows, strict=True)), steps)
        for replay in replays:
            findings += replay.page(unit, page)
        releases.update(names)
    for replay in replays:
        findings += replay.rest(unit)
        grants += replay.count if isinstance(replay, Grants) else 0
    return Compared(findings, frozenset(releases), grants, tuple(_untold(replays)))


def _untold(replays: Collection[Replay]) -> Iterator[str]:
    for replay in replays:
        if replay.untold:
            yield (
                f"{replay.untold} values of table {replay.table} are from before the log told of "
                "them; they were not compared"
            )


def without_release(chains: Chains, releases: Collection[str]) -> Iterator[Finding]:
    """Say which streams tell of a release that is in no table."""
    for name in sorted(chains.streams):
        if name.startswith("rel-") and name not in releases:
            yield Finding(f"stream {name}: its events are there but the release is gone")
