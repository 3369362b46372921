"""Evidence fairness: how the groups of each protected attribute are treated."""

from __future__ import annotations

from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.requests import FairnessRequest, Slice
from airlock.domain.errors import Refused
from airlock.gates.fairness import Fairness


def collect(scene: Scene) -> Collected:
    """Measure every group on the held-out rows."""
    recipe, options = scene.recipe, scene.options("fairness")
    if not recipe.protected:
        raise Refused(
            f"the pipeline {recipe.name} declares no protected attribute",
            next_step="Name the columns in spec.data.protectedAttributes, or leave the gate out.",
        )
    if recipe.task != "classification":
        raise Refused(
            f"the pipeline {recipe.name} predicts a number, and groups are compared by decisions",
            next_step="Use metrics-threshold with sliceThreshold instead.",
        )
    request = FairnessRequest(
        name=recipe.name,
        data=scene.rows,
        model=scene.model,
        limits=scene.limits("fairness"),
        attributes=tuple(Slice(*attribute) for attribute in recipe.protected),
        confidence=float(options.get("confidence", Fairness.confidence)),
        minimum_rows=int(options.get("minimumRows", Fairness.minimum_rows)),
    )
    return Collected(scene.lab.fairness(request))
