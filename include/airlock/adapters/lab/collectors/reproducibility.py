"""Evidence reproducibility: the same data, code, seed and libraries once more, and what came out.

With other code or other libraries than the candidate's nothing is trained: the answer would be
about something else. The facts then say what differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airlock.adapters.lab.requests import TrainRequest
from airlock.adapters.lab.scene import Collected, Scene
from airlock.adapters.lab.trust import MODEL_FILE
from airlock.artifacts import format_of
from airlock.artifacts.content import content_digest
from airlock.domain.digest import file_digest


def collect(scene: Scene) -> Collected:
    """Train again in a clean process and compare."""
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
    limits = scene.limits("reproducibility")
    again = scene.lab.train(
        TrainRequest(
            name=scene.recipe.name,
            data=data,
            script=scene.root / scene.recipe.script,
            limits=limits,
        )
    )
    models = {"candidate": scene.model, "again": again.model}
    extra = {who: str(folder.resolve()) for who, folder in models.items()}
    found, _ = scene.lab.child("reproduce", scene.recipe.name, data, limits, extra)
    facts |= found | _model(models) | {"trainRows": again.rows, "seconds": again.seconds}
    return Collected(facts | {"peakMb": again.peak_mb})


def _model(models: dict[str, Path]) -> dict[str, Any]:
    """Return the digests of both model files: of their bytes, and of what they say."""
    files = {who: folder / MODEL_FILE for who, folder in models.items()}
    bare = {who: file_digest(path) for who, path in files.items()}
    said = {who: content_digest(path, format_of(path)) for who, path in files.items()}
    return {
        "fileDigest": bare,
        "bytesEqual": bare["candidate"] == bare["again"],
        "contentDigest": said,
        "digestEqual": said["candidate"] == said["again"],
    }
