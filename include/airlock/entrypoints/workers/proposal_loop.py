"""Answering what tasks propose: a thread of the delivery process, woken as soon as one does.

Rules:
* No proposal stops another: what cannot be handled is answered with a refusal, and what is slow
  (the registry hashing a large model) takes one thread of several.
* A process that dies leaves its proposals to be taken again; a third one is the last.
* The wake-up of whoever waits is sent after the answer is kept: if it is lost, they look.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airlock.domain.clock import stamp
from airlock.domain.errors import AirlockError, Invalid
from airlock.ports import PendingProposal, UnitOfWork, Waiting
from airlock.services.proposals.handling import Handling, refused

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("airlock.proposals")

THREADS = 4
#: Seconds for which a proposal is one thread's; hashing a model may take them.
CLAIM_S = 300.0
LAST_ATTEMPT = 3
POLL_S = 1.0
#: Answers are kept for whoever waits for them, and no longer.
RETENTION = timedelta(hours=1)
_TIDY_S = 60.0


class ProposalLoop:
    """Takes proposals in the order they came and answers them, several at once."""

    def __init__(self, handling: Handling, waiting: Waiting, threads: int = THREADS) -> None:
        """Answer with *handling*; *waiting* says when to look."""
        self._handling, self._store, self._waiting = handling, handling.store, waiting
        self._free = threading.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, "proposal")
        self._tidy_at, self._last_error = 0.0, ""

    def run(self, stop: threading.Event) -> None:
        """Answer until *stop* is set, whatever happens."""
        while not stop.is_set():
            if not self._step():
                self._waiting.wait(POLL_S)
        self._pool.shutdown(wait=True)
        self._waiting.close()

    def _step(self) -> bool:
        """Hand the next proposal to a thread; say whether there was one."""
        if not self._free.acquire(timeout=POLL_S):
            return True
        pending = self._guarded(self._next)
        if pending is None:
            self._free.release()
            self._guarded(self._tidy)
            return False
        self._pool.submit(self._answer, pending)
        return True

    def _guarded(self, act: Callable[[], PendingProposal | None]) -> PendingProposal | None:
        """Call *act*; log an absent database once, and let no error end the loop."""
        try:
            proposal = act()
        except AirlockError as error:
            if error.message != self._last_error:
                log.warning("%s", error.message)
            self._last_error = error.message
            return None
        except Exception:
            log.exception("no proposal could be taken")
            return None
        self._last_error = ""
        return proposal

    def drain(self) -> int:
        """Answer what is there now, one after the other; return how many that were."""
        count = 0
        while (pending := self._next()) is not None:
            self.answer(pending)
            count += 1
        return count

    def _next(self) -> PendingProposal | None:
        with self._store.begin() as unit:
            proposal = unit.claim_proposal(CLAIM_S)
            if proposal is not None:
                unit.commit()
        return proposal

    def _answer(self, pending: PendingProposal) -> None:
        try:
            self.answer(pending)
        except Exception as error:
            log.warning("proposal %d is left for the next turn: %s", pending.id, error)
        finally:
            self._free.release()

    def answer(self, pending: PendingProposal) -> None:
        """Answer one proposal, and wake whoever waits for it.

        Raises:
            Unreachable: if the answer could not be kept; it is taken again later.
        """
        written: list[bool] = []

        def finish(unit: UnitOfWork, answer: Mapping[str, Any]) -> None:
            unit.answer_proposal(pending.id, json.dumps({"done": answer}))
            unit.commit()
            written.append(True)

        if pending.attempts > LAST_ATTEMPT:
            answer = refused(Invalid("this proposal ended the process that handled it, repeatedly"))
        else:
            request = (pending.kind, pending.origin, pending.body)
            answer = self._handling.answer(*request, finish)
        if not written:
            with self._store.begin() as unit:
                unit.answer_proposal(pending.id, json.dumps(answer))
                unit.commit()
        self._wake(pending)

    def _wake(self, pending: PendingProposal) -> None:
        try:
            with self._store.begin() as unit:
                unit.wake_proposer(pending.id)
                unit.commit()
        except Exception as error:
            log.warning("nobody was woken for proposal %d: %s", pending.id, error)

    def _tidy(self) -> None:
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + _TIDY_S
        with self._store.begin() as unit:
            if unit.forget_proposals(stamp(unit.now() - RETENTION)):
                unit.commit()
