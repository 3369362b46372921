"""Evidence latency: how long predictions take, and the champion's in the same minutes."""

from __future__ import annotations

from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.requests import Champion, LatencyRequest
from airlock.gates.latency import BATCH_ROWS, calls


def collect(scene: Scene) -> Collected:
    """Time predictions on held-out rows; the champion only if it is to be compared with."""
    options = scene.options("latency")
    other = scene.champion if options.get("maxRatio") else None
    folder = scene.champion_model if other else None
    result = scene.lab.latency(
        LatencyRequest(
            name=scene.recipe.name,
            data=scene.rows,
            model=scene.model,
            limits=scene.limits("latency"),
            champion=Champion(folder, other.version) if other and folder else None,
            n=int(options.get("n") or calls(options.get("maxRatio"))),
            batch_rows=int(options.get("batchRows") or BATCH_ROWS),
        )
    )
    serves = scene.champion.version if scene.champion else None
    return Collected(result.facts | {"serves": serves}, {"times": result.times})
