"""Grants: their signature, what the log says of their issue, and who has spent them."""

from __future__ import annotations

from collections.abc import Iterator

from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json
from airlock.domain.errors import AirlockError
from airlock.domain.grant import Grant, opened
from airlock.domain.log_chains import Finding
from airlock.ports import Keyring
from airlock.services.log_store import LogWork
from airlock.services.replays.comparing import Between, Page, Replay, Row, Step, since

#: Words of entries that tell of a new grant, and of its use.
ISSUED = ("GrantIssued", "RollbackGranted")
STARTED = ("PromotionStarted", "RollbackStarted")
DONE = ("ReleasePromoted", "ReleaseRolledBack")
#: Times, spelled as in entries, before and after all others.
_FIRST, _LAST = "0000-01-01T00:00:00.000000000Z", "9999-12-31T23:59:59.999999999Z"


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
            for step in page.told(name, *ISSUED)
        }
        for row in unit.rows(self.table, "release", list(page.rows)):
            self.count += 1
            name = row["release"]
            step = issued.pop((name, row["id"]), None)
            if step is None:
                yield self._of(row, "the grant is not one the log says was issued")
                continue
            yield from self._signed(row, step)
            yield from self._spent(row, page)
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
        if step.data["envelopeDigest"] != digest_json(row["envelope"]):
            yield self._of(row, "the grant is not the one the log says was issued")
        if stamp(grant.issued_at) != step.at:
            yield self._of(row, "says it was issued at another time than the log")
        yield from self.row(row["id"], _columns(grant), row)

    def _spent(self, row: Row, page: Page) -> Iterator[Finding]:
        """Compare who has spent it, and when, with the promotions that began and ended."""
        mine = [
            step
            for step in page.told(row["release"], *STARTED, *DONE)
            if step.data.get("grant") == row["id"]
        ]
        if not mine:
            yield from self.row(row["id"], {"spent_by": None, "spent_at": None}, row)
            return
        begun = [step for step in mine if step.what in STARTED]
        done = [step for step in mine if step.what in DONE]
        first = begun[-1].data.get("spentAt", since(begun[-1].at).first) if begun else _FIRST
        told = begun[-1].data.get("spentAt") if begun else None
        wanted = {
            "spent_by": (done or begun)[-1].data["attempt"],
            "spent_at": told or Between(first, done[-1].at if done else _LAST),
        }
        yield from self.row(row["id"], wanted, row)


def _columns(grant: Grant) -> Row:
    return {
        "id": grant.id,
        "release": grant.rolls_back or grant.release,
        "round": grant.round,
        "purpose": "rollback" if grant.rolls_back else "promotion",
        "issued_at": stamp(grant.issued_at),
    }
