"""What a judgement of one release depends on, read in one statement.

Rules:
* PostgreSQL shows a statement what was committed when the statement began. Read after the lock of
  the release, all of it is as of after the lock: rights, evidence and the clock.
* The lock itself is a statement of its own. What one statement reads beside a row it has to wait
  for would be older than the lock.
* Texts people wrote are not here; where they matter they are read where they are kept.

Each table comes as one JSON array of rows, its bytes in hexadecimal, alike on both databases.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import (
    ScalarSelect,
    Select,
    Text,
    bindparam,
    cast,
    exists,
    func,
    null,
    select,
)

from airlock.adapters.sql_store.people.duty_tables import break_glass, delegation, finding
from airlock.adapters.sql_store.people.people import EVERYBODY, People
from airlock.adapters.sql_store.proposals.tables import run
from airlock.adapters.sql_store.releases.runs import candidate_from, evidence_from
from airlock.adapters.sql_store.tables import (
    candidate,
    configuration,
    evidence,
    gate_result,
    line,
    release,
    run_evidence,
)
from airlock.domain.approval.release import Release, State
from airlock.domain.people.separation_of_duties import CHANGER
from airlock.ports import Facts, Line, Run

#: The columns of a run.
_RUN = tuple(field.name for field in fields(Run))


class FactsReader(People):
    """Reading them."""

    def facts(self, of: Release) -> Facts:
        """Read what a judgement of this release depends on; after a lock: as of after the lock."""
        subject = of.subject
        parameters = {"origin": of.origin, "since": of.opened_at}
        parameters |= {"model": subject.model, "environment": subject.environment, "of": of.id}
        row = self._connection.execute(_everything(self._is_sqlite), parameters).one()
        bodies = [bytes.fromhex(body) for (body,) in _rows(row.evidence)]
        self._may_be_named_later = bool(row.named_later)
        lines, runs = [Line(*values) for values in _rows(row.lines)], _rows(row.run)
        return Facts(
            now=self._see(row.clock),
            people=self._people_from(_rows(row.people)),
            candidate=candidate_from(row.candidate) if row.candidate is not None else None,
            evidence=evidence_from(bodies),
            attestations=dict(_rows(row.signed)),
            line=lines[0] if lines else Line(subject.model, subject.environment),
            run=Run(**dict(zip(_RUN, runs[0], strict=True))) if runs else None,
            lent=bool(row.lent),
            demanded=bool(row.demanded),
            rejected=bool(row.rejected),
            earlier=bool(row.earlier),
            raised=bool(row.raised),
            broken=bool(row.broken),
        )


def _rows(array: str | None) -> list[Any]:
    return json.loads(array) if array else []  # PostgreSQL: no rows, no array


@cache
def _everything(sqlite: bool) -> Select[Any]:
    digests = select(run_evidence.c.digest).where(run_evidence.c.origin == bindparam("origin"))
    hexed = func.hex(evidence.c.body) if sqlite else func.encode(evidence.c.body, "hex")
    of_run = run.c.origin == bindparam("origin")
    here = (line.c.model == bindparam("model"), line.c.environment == bindparam("environment"))
    document = select(candidate.c.document).where(candidate.c.origin == bindparam("origin"))
    lent = delegation.c.end > bindparam("since")
    signed = select(gate_result.c.key, gate_result.c.attestation).where(
        gate_result.c.origin == bindparam("origin"), gate_result.c.attestation != ""
    )
    demanded = finding.c.closed_at.is_(None) & (finding.c.model == bindparam("model"))
    same_line = (
        release.c.model == bindparam("model"),
        release.c.environment == bindparam("environment"),
    )
    refused = release.c.state == State.REJECTED.value
    before = release.c.opened_at < bindparam("since")
    return select(
        (null() if sqlite else func.clock_timestamp()).label("clock"),
        _array(EVERYBODY, sqlite).label("people"),
        document.scalar_subquery().label("candidate"),
        _array(select(hexed).where(evidence.c.digest.in_(digests)), sqlite).label("evidence"),
        _array(signed, sqlite).label("signed"),
        _array(select(line).where(*here), sqlite).label("lines"),
        _array(select(*(run.c[name] for name in _RUN)).where(of_run), sqlite).label("run"),
        exists().where(configuration.c.kind == CHANGER).label("named_later"),
        exists().where(lent).label("lent"),
        exists().where(demanded).label("demanded"),
        exists().where(*same_line, refused).label("rejected"),
        exists().where(*same_line, before).label("earlier"),
        exists().where(finding.c.release == bindparam("of")).label("raised"),
        exists().where(break_glass.c.model == bindparam("model")).label("broken"),
    )


def _array(query: Select[Any], sqlite: bool) -> ScalarSelect[Any]:
    """Return a query's rows as the text of one JSON array of arrays."""
    rows = query.subquery()
    if sqlite:
        return select(func.json_group_array(func.json_array(*rows.c))).scalar_subquery()
    whole = func.json_agg(func.json_build_array(*rows.c))
    return select(cast(whole, Text)).scalar_subquery()
