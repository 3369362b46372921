"""Every kind of proposal and who handles it; an explicit table, as that of the gates is."""

from __future__ import annotations

from collections.abc import Mapping

from airlock.domain.evidence.proposals import Kind
from airlock.services.proposals import (
    asking,
    candidates,
    evidence,
    promotion,
    requests,
    results,
    runs,
    waiting,
)
from airlock.services.proposals.handling import Handler

HANDLERS: Mapping[str, Handler] = {
    Kind.RUN: runs.start,
    Kind.EVIDENCE: evidence.submit,
    Kind.CANDIDATE: candidates.submit,
    Kind.RESULT: results.submit,
    Kind.RELEASE: requests.open_release,
    Kind.PARK: waiting.park,
    Kind.SWEEP: asking.sweep,
    Kind.DETECT: asking.detect,
    Kind.FAILURE: asking.failure,
    Kind.BEGIN: promotion.begin,
    Kind.FINISH: promotion.finish,
}
