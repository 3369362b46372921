"""Grants: their signature, what the log says of their issue, and who has spent them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json
from airlock.domain.errors import AirlockError
from airlock.domain.log.stream_chains import Finding
from airlock.domain.promotion.grant import Grant, opened
from airlock.ports import Keyring
from airlock.services.audit.log_store import LogWork
from airlock.services.audit.replays.comparing import (
    UNTOLD,
    Between,
    Either,
    Page,
    Replay,
    Row,
    Step,
    since,
)

#: Words of entries that tell of a new grant, and of its use.
ISSUED = ("GrantIssued", "RollbackGranted")
STARTED = ("PromotionStarted", "RollbackStarted")
COMPLETED = ("ReleasePromoted", "ReleaseRolledBack")
#: Words of entries that tell of an attempt whose grant was revoked unspent.
ENDED = ("PromotionEnded", "RollbackEnded")


class Grants(Replay):
    """Every column, those to roll back among them; what is in it is what was signed."""

    table = "release_grant"

    def __init__(self, keyring: Keyring) -> None:
        """Begin with none."""
        super().__init__(keyring)
        self.count = 0

    def page(self, unit: LogWork, page: Page) -> Iterator[Finding]:
        """Compare what belongs to some releases."""
        issued = {
            (name, step.data["grant"]): step
            for name in page.rows
            for step in page.steps_with(name, *ISSUED)
        }
        for row in unit.rows(self.table, "release", list(page.rows)):
            self.count += 1
            name = row["release"]
            step = issued.pop((name, row["id"]), None)
            if step is None:
                yield self._of(row, "the grant is not the one the log says was issued")
                continue
            yield from self._signed(row, step)
            yield from self._spent(row, page, step)
        for name, gone in issued:
            yield Finding(f"stream {name}: a grant was issued, but it is gone: {gone}")

    def rest(self, unit: LogWork) -> Iterator[Finding]:
        """Compare what belongs to no release."""
        yield from self.strays(unit)

    def _of(self, row: Row, why: str) -> Finding:
        return Finding(f"stream {row['release']}: grant {row['id']}: {why}")

    def _signed(self, row: Row, step: Step) -> Iterator[Finding]:
        """Compare what was signed with the log, and the columns with what was signed."""
        try:
            grant = opened(row["envelope"], self.keyring)
        except (AirlockError, KeyError, TypeError, ValueError) as error:
            yield self._of(row, getattr(error, "message", "") or f"is no grant: {error!r}")
            return
        owner = grant.rolls_back or grant.release
        if owner != row["release"]:
            yield self._of(row, f"is the grant of {owner}")
        if step.data["envelopeDigest"] != digest_json(row["envelope"]):
            yield self._of(row, "the grant is not the one the log says was issued")
        if stamp(grant.issued_at) != step.at:
            yield self._of(row, "says it was issued at another time than the log")
        columns = _columns(grant)
        if "purpose" not in step.data:  # the oldest rows got the column empty, and order nothing
            columns["issued_at"] = Either([columns["issued_at"], ""])
        yield from self.row(row["id"], columns, row)

    def _spent(self, row: Row, page: Page, issued: Step) -> Iterator[Finding]:
        """Compare how it ended with the attempts that began, moved the alias, or were ended."""
        words = (*STARTED, *COMPLETED, *ENDED)
        own_steps = [
            step
            for step in page.steps_with(row["release"], *words)
            if step.data.get("grant") == row["id"]
        ]
        completed = [step for step in own_steps if step.event_type in COMPLETED]
        begun = [step for step in own_steps if step.event_type in STARTED]
        expected: dict[str, Any] = {"spent_by": None, "spent_at": None, "revoked_at": None}
        if completed:
            spent_at = completed[-1].data.get("spentAt")
            expected["spent_by"] = completed[-1].data["attempt"]
            first = since((begun or completed)[-1].at).first
            expected["spent_at"] = spent_at or Between(first, completed[-1].at)
        elif any(step.event_type in ENDED for step in own_steps):
            ended = next(step for step in reversed(own_steps) if step.event_type in ENDED)
            expected["revoked_at"] = ended.data.get("revokedAt") or since(ended.at)
        elif "purpose" not in issued.data:  # before ADR 0040 it was spent when an attempt began
            attempts = {step.data["attempt"] for step in begun}
            expected["spent_by"] = Either([None, *sorted(attempts)])
            expected["spent_at"] = expected["revoked_at"] = UNTOLD
        yield from self.row(row["id"], expected, row)


def _columns(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "release": grant.rolls_back or grant.release,
        "round": grant.round,
        "purpose": "rollback" if grant.rolls_back else "promotion",
        "issued_at": stamp(grant.issued_at),
    }
