"""What tasks may propose, and where the log keeps what the decider made of it.

A task changes nothing. It proposes; the decider compares every claim with a source no task can
write, writes in its own name, and answers. What it wrote about one run is one stream of the log.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

#: So many bytes a proposal may have; evidence is far below that.
MOST_BYTES = 2 * 1024 * 1024
#: So many proposals may wait for their answer at once.
MOST_PENDING = 500


class Kind(StrEnum):
    """The kinds of proposals."""

    RUN = "run"
    EVIDENCE = "evidence"
    CANDIDATE = "candidate"
    RESULT = "result"
    RELEASE = "release"
    PARK = "park"
    SWEEP = "sweep"
    DETECT = "detect"
    FAILURE = "failure"
    BEGIN = "promotion-begin"
    FINISH = "promotion-finish"


class RunEvent(StrEnum):
    """What the stream of a run tells."""

    STARTED = "RunStarted"
    EVIDENCE = "EvidenceSubmitted"
    CANDIDATE = "CandidateSubmitted"
    RESULT = "GateJudged"


def run_stream(origin: str) -> str:
    """Return the name of the log's stream about one run."""
    return f"run-{hashlib.sha256(origin.encode()).hexdigest()[:16]}"
