"""Evidence leakage: what the features know that they should not."""

from __future__ import annotations

from airlock.adapters.jobs.collection_context import Collected, Scene


def collect(scene: Scene) -> Collected:
    """Look at the rows the candidate was made from."""
    facts, _ = scene.lab.child(
        "leakage",
        scene.recipe.name,
        scene.rows,
        scene.limits("leakage"),
        {
            "availableAt": scene.recipe.available_at,
            "entityColumn": scene.recipe.entity_column,
        },
    )
    return Collected(facts | {"data": scene.rows.digest})
