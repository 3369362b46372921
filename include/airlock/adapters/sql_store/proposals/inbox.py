"""What tasks have proposed, as the decider takes and answers it; and the runs it knows."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import delete, func, select, update

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.proposals.tables import proposal, run
from airlock.domain.clock import stamp
from airlock.ports import PendingProposal, Run


class Inbox(Base):
    """Proposals and runs."""

    def claim_proposal(self, seconds: float) -> PendingProposal | None:
        """Take the oldest proposal nobody works on; nobody else gets it for some seconds."""
        now = self.now()
        free = proposal.c.claimed_until.is_(None) | (proposal.c.claimed_until < stamp(now))
        query = (
            select(proposal)
            .where(proposal.c.answered_at.is_(None), free)
            .order_by(proposal.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = self._connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        until, attempts = stamp(now + timedelta(seconds=seconds)), row["attempts"] + 1
        claim = update(proposal).where(proposal.c.id == row["id"])
        self._connection.execute(claim.values(claimed_until=until, attempts=attempts))
        return PendingProposal(row["id"], row["kind"], row["origin"], row["body"], attempts)

    def answer_proposal(self, proposal_id: int, answer: str) -> None:
        """Answer a proposal once; what it said is not kept beside what was made of it."""
        waiting = (proposal.c.id == proposal_id, proposal.c.answered_at.is_(None))
        values = {"answer": answer, "answered_at": self._stamp(), "body": ""}
        self._connection.execute(update(proposal).where(*waiting).values(**values))

    def wake_proposer(self, proposal_id: int) -> None:
        """Wake whoever waits for the answer; in a transaction of its own, for it may fail."""
        if not self._is_sqlite:
            self._connection.execute(select(func.pg_notify("airlock_answer", str(proposal_id))))

    def forget_proposals(self, answered_before: str) -> int:
        """Forget what was answered before a time; return how many that were."""
        old = proposal.c.answered_at < answered_before
        return self._connection.execute(delete(proposal).where(old)).rowcount

    def put_run(self, new: Run) -> None:
        """Keep a run, or what is newer of it."""
        self._upsert(run, asdict(new))

    def run(self, origin: str) -> Run | None:
        """Return a run."""
        row = self._row(run, origin=origin)
        return Run(**row) if row else None
