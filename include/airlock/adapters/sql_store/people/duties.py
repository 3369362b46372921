"""Delegations, findings of conditional approvals, and emergencies."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from airlock.adapters.sql_store.keyset import fields, rows_of
from airlock.adapters.sql_store.people.duty_tables import break_glass, delegation, finding
from airlock.adapters.sql_store.texts.texts import Texts
from airlock.domain.approval.approval_conditions import Finding
from airlock.domain.approval.break_glass import Broken, Unreviewed
from airlock.domain.errors import NotFound, Refused
from airlock.domain.people.delegation import Delegation
from airlock.ports import Page

log = logging.getLogger("airlock.store")

#: The stream in which delegations are told.
ACCESS = "access"


class Duties(Texts):
    """Reading and writing them (writing: decider only)."""

    def put_delegation(self, new: Delegation) -> None:
        """Keep a new delegation."""
        reason = self._commit_to(ACCESS, new.giver, new.reason)
        self._connection.execute(insert(delegation).values(**asdict(new) | {"reason": reason}))

    def delegation(self, delegation_id: str) -> Delegation:
        """Return one delegation. Raises NotFound."""
        row = self._row(delegation, id=delegation_id)
        if row is None:
            raise NotFound(f"there is no delegation {delegation_id!r}")
        return Delegation(**row)

    def delegations(self, *, at: str = "", person: str = "") -> tuple[Delegation, ...]:
        """Return delegations in order of their start: those in force *at*, those of *person*."""
        query = select(delegation).order_by(delegation.c.start, delegation.c.id)
        if at:
            standing = or_(delegation.c.revoked_at.is_(None), delegation.c.revoked_at > at)
            query = query.where(delegation.c.start <= at, delegation.c.end > at, standing)
        if person:
            query = query.where(or_(delegation.c.giver == person, delegation.c.taker == person))
        return tuple(Delegation(**row) for row in self._connection.execute(query).mappings())

    def delegation_page(
        self, *, giver: str = "", taker: str = "", without: str = "", after: str = "", limit: int
    ) -> Page[Delegation]:
        """Return a page of delegations, the one that begins last first.

        *giver* and *taker*: those from and those to somebody, with both: from or to; *without*:
        those that somebody has no part in.
        """
        query = select(delegation)
        sides = [delegation.c.giver == giver] * bool(giver)
        sides += [delegation.c.taker == taker] * bool(taker)
        if sides:
            query = query.where(or_(*sides))
        if without:
            query = query.where(delegation.c.giver != without, delegation.c.taker != without)
        order = (delegation.c.start, delegation.c.id)
        rows, _, onward = rows_of(
            self._connection, query, order, after=after, limit=limit, descending=True
        )
        return Page(tuple(Delegation(**fields(delegation, row)) for row in rows), onward)

    def finding_page(
        self, *, model: str = "", closed: bool | None = None, after: str = "", limit: int
    ) -> Page[Finding]:
        """Return a page of findings, the most urgent first; *closed* ones alone: the last first."""
        query, order = select(finding), (finding.c.due, finding.c.id)
        if model:
            query = query.where(finding.c.model == model)
        if closed is not None:
            mended = finding.c.closed_at.is_not(None)
            query = query.where(mended if closed else ~mended)
        if closed:
            order = (finding.c.closed_at, finding.c.id)
        rows, _, onward = rows_of(
            self._connection, query, order, after=after, limit=limit, descending=bool(closed)
        )
        return Page(tuple(Finding(**fields(finding, row)) for row in rows), onward)

    def count_findings(self) -> int:
        """Return the number of open findings."""
        query = select(func.count()).select_from(finding).where(finding.c.closed_at.is_(None))
        return int(self._connection.execute(query).scalar_one())

    def revoke_delegation(self, delegation_id: str, at: str) -> None:
        """End a delegation early."""
        ending = update(delegation).where(delegation.c.id == delegation_id)
        open_still = ending.where(delegation.c.revoked_at.is_(None))
        self._connection.execute(open_still.values(revoked_at=at))

    def put_finding(self, new: Finding) -> None:
        """Keep a new finding."""
        text = self._commit_to(new.release, new.raised_by, new.text)
        self._connection.execute(insert(finding).values(**asdict(new) | {"text": text}))

    def finding(self, finding_id: str) -> Finding:
        """Return one finding. Raises NotFound."""
        row = self._row(finding, id=finding_id)
        if row is None:
            raise NotFound(f"there is no finding {finding_id!r}")
        return Finding(**row)

    def findings(self, model: str = "", *, release: str = "") -> tuple[Finding, ...]:
        """Return the findings of a model or of a release, the most urgent first."""
        query = select(finding).order_by(finding.c.due, finding.c.id)
        if model:
            query = query.where(finding.c.model == model)
        if release:
            query = query.where(finding.c.release == release)
        return tuple(Finding(**row) for row in self._connection.execute(query).mappings())

    def close_finding(self, finding_id: str, by: str, at: str) -> None:
        """Mark a finding as mended."""
        closing = update(finding).where(finding.c.id == finding_id, finding.c.closed_at.is_(None))
        self._connection.execute(closing.values(closed_by=by, closed_at=at))

    def put_broken(self, new: Broken) -> None:
        """Keep a broken glass; the database refuses a second one not yet reviewed."""
        values = {**asdict(new), "people": json.dumps(list(new.people))}
        try:
            self._connection.execute(insert(break_glass).values(**values))
        except IntegrityError as error:
            raise Unreviewed(
                f"the glass was broken for {new.model} before and nobody has reviewed that yet",
                next_step="Have an uninvolved person review it first.",
            ) from error

    def broken(self, *, model: str = "", release: str = "") -> tuple[Broken, ...]:
        """Return the broken glasses of a model or of a release, oldest first.

        Where all are asked for, a damaged row is said aloud and left out.

        Raises:
            Refused: if a row of that model or release is damaged.
        """
        query = select(break_glass).order_by(break_glass.c.broken_at)
        if model:
            query = query.where(break_glass.c.model == model)
        if release:
            query = query.where(break_glass.c.release == release)
        uses = []
        for row in self._connection.execute(query).mappings():
            try:
                uses.append(Broken(**{**row, "people": tuple(json.loads(row["people"]))}))
            except (TypeError, ValueError) as error:
                if model or release:
                    raise Refused(
                        f"the row of an emergency of {row['release']} is damaged and cannot be "
                        "read",
                        next_step="`airlock audit verify` says what was changed.",
                    ) from error
                log.error("an emergency of %s cannot be read: %r", row["release"], error)
        return tuple(uses)

    def review_broken(self, use: Broken, by: str, at: str) -> None:
        """Mark a broken glass as reviewed."""
        reviewing = update(break_glass).where(
            break_glass.c.release == use.release,
            break_glass.c.round == use.round,
            break_glass.c.reviewed_at.is_(None),
        )
        self._connection.execute(reviewing.values(reviewed_by=by, reviewed_at=at))
