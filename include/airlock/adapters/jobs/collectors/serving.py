"""Evidence serving-check: the exact artifact, loaded and asked as a serving host would.

The child is the serving code's own (`airlock.serving.probe`), started by name: the lab may not
know it, and a loader of the lab's own would prove nothing about the one that serves.
"""

from __future__ import annotations

from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.errors import ChildCrashed
from airlock.gates.serving_check import REQUESTS

PROBE = "airlock.serving.probe"


def collect(scene: Scene) -> Collected:
    """Send held-out rows and wrong input; compare with the predictions of the evaluation."""
    name, data, limits = scene.recipe.name, scene.rows, scene.limits("serving-check")
    count = int(scene.options("serving-check").get("requests") or REQUESTS)
    digest = str(scene.facts("evaluation")["predictionsDigest"])
    extra = {
        "model": str(scene.model.resolve()),
        "artifactDigest": scene.case.candidate.artifact_digest,
        "requests": count,
        "predictions": str(scene.evidence_file(digest).resolve()),
    }
    try:
        result, _ = scene.lab.child("serving", name, data, limits, extra, PROBE)
    except ChildCrashed as error:  # no accident of ours: this is how it would serve
        result = {"loaded": False, "why": error.message, "requests": count, "heldOut": count}
    facts = {"artifactDigest": extra["artifactDigest"], "predictionsDigest": digest}
    return Collected(facts | result)
