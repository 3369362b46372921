"""Evidence latency: how long one prediction takes."""

from __future__ import annotations

from airlock.adapters.lab.requests import LatencyRequest
from airlock.adapters.lab.scene import Collected, Scene


def collect(scene: Scene) -> Collected:
    """Time single-row predictions on held-out rows."""
    request = LatencyRequest(
        name=scene.recipe.name,
        data=scene.rows,
        model=scene.model,
        limits=scene.limits("latency"),
    )
    return Collected(scene.lab.latency(request))
