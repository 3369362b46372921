"""Evidence reproducibility: the same data, code, seed and libraries once more, and what came out.

The team's own code trains again (`run`); what it leaves is a model. That model is compared with the
candidate by code of Airlock's (`collect`), so every figure but the training's own is taken there.
With other code or other libraries than the candidate's nothing is trained: the answer would be
about something else. The facts then say what differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airlock.adapters.jobs import handover
from airlock.adapters.jobs.collection_context import Collected, Scene, TeamCode
from airlock.adapters.jobs.requests import TrainRequest
from airlock.adapters.jobs.shared.model_loading import MODEL_FILE
from airlock.artifacts import format_of
from airlock.artifacts.content import content_digest
from airlock.domain.digest import file_digest

GATE = "reproducibility"
_MODEL, _RESULT = "model", "training.json"


@dataclass(frozen=True, slots=True)
class Training:
    """What a second training says of itself."""

    train_rows: int
    seconds: float
    peak_mb: int


def run(team: TeamCode, out: Path) -> None:
    """Train again and leave the model in *out*."""
    again = team.lab.train(
        TrainRequest(
            name=team.recipe.name,
            data=team.rows,
            script=team.root / team.recipe.script,
            limits=team.limits(GATE),
        )
    )
    again.model.rename(out / _MODEL)
    handover.write(out / _RESULT, Training(again.rows, again.seconds, again.peak_mb))


def collect(scene: Scene) -> Collected:
    """Have it trained again, and compare."""
    candidate, now, data = scene.case.candidate, scene.code_of(scene.recipe), scene.rows
    facts: dict[str, Any] = {
        "artifactDigest": candidate.artifact_digest,
        "codeCommit": {"candidate": candidate.code_commit, "now": now.code_commit},
        "lockDigest": {"candidate": candidate.lock_digest, "now": now.lock_digest},
        "dataDigest": data.digest,
        "seed": data.seed,
    }
    if any(facts[name]["candidate"] != facts[name]["now"] for name in ("codeCommit", "lockDigest")):
        return Collected(facts)
    left = scene.outcome(GATE, run)
    models = {"candidate": scene.model, "again": left / _MODEL}
    extra = {side: str(folder.resolve()) for side, folder in models.items()}
    compared, _ = scene.lab.child("reproduce", scene.recipe.name, data, scene.limits(GATE), extra)
    training = handover.read(left / _RESULT, Training)
    facts |= compared | _model(models) | {"trainRows": training.train_rows}
    return Collected(facts | {"seconds": training.seconds, "peakMb": training.peak_mb})


def _model(models: dict[str, Path]) -> dict[str, Any]:
    """Return the digests of both model files: of their bytes, and of their content."""
    files = {side: folder / MODEL_FILE for side, folder in models.items()}
    bare = {side: file_digest(path) for side, path in files.items()}
    content = {side: content_digest(path, format_of(path)) for side, path in files.items()}
    return {
        "fileDigest": bare,
        "bytesEqual": bare["candidate"] == bare["again"],
        "contentDigest": content,
        "digestEqual": content["candidate"] == content["again"],
    }
