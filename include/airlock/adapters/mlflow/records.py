"""What goes into the registry for one candidate, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRecord:
    """What a pipeline run hands to the registry. `folder` is the saved model."""

    model: str
    origin: str
    requester: str
    folder: Path
    artifact_digest: str
    source: str
    data_digest: str
    code_commit: str
    lock_digest: str
    pipeline_digest: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def tags(self) -> dict[str, str]:
        """Return the tags of the run, the model and the version."""
        return {
            "airlock.origin": self.origin,
            "airlock.requester": self.requester,
            "airlock.artifact_digest": self.artifact_digest,
            "airlock.data_digest": self.data_digest,
            "airlock.code_commit": self.code_commit,
            "airlock.lock_digest": self.lock_digest,
            "airlock.pipeline_digest": self.pipeline_digest,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredCandidate:
    """A version as registered. `created` is false if the origin had recorded it before.

    `artifact_digest` is taken from the bytes MLflow serves. A retry that trained again gets the
    version of the first attempt, and with it another digest than its own: this one counts.
    """

    model: str
    version: str
    run_id: str
    model_id: str
    location: str
    artifact_digest: str
    created: bool
