"""The collectors: one per kind of evidence that gates ask for after the candidate is registered.

To add one: its file with `collect(scene) -> Collected`, and its line here. One that has to run the
model team's own code does that in a function of its own, `run(team, out)`, with a line in
`TEAM_CODE`: it runs where no credential is, and `collect` reads what it left.

Each kind is needed by one gate alone, because every gate collects what it needs, unless it only
reads the artifact's bytes; evidence several gates share is made by the steps before
(`airlock.services.pipeline.steps`).
"""

from __future__ import annotations

from collections.abc import Callable

from airlock.adapters.jobs.collection_context import Collected, Run, Scene
from airlock.adapters.jobs.collectors import (
    coverage,
    dependencies,
    fairness,
    files,
    footprint,
    latency,
    leakage,
    model_card,
    reproducibility,
    serving,
    spread,
    static_analysis,
)

COLLECTORS: dict[str, Callable[[Scene], Collected]] = {
    "artifact-format": files.formats,
    "artifact-scan": files.scan,
    "artifact-signature": files.signature,
    "dependency-audit": dependencies.collect,
    "fairness": fairness.collect,
    "latency": latency.collect,
    "static-analysis": static_analysis.collect,
    "test-coverage": coverage.collect,
    "footprint": footprint.collect,
    "reproducibility": reproducibility.collect,
    "serving-check": serving.collect,
    "drift": spread.drift,
    "label-balance": spread.label_balance,
    "leakage": leakage.collect,
    "model-card": model_card.collect,
    "train-serving-skew": spread.train_serving_skew,
}

#: What runs the model team's own code, by kind of evidence. Such a gate says `runs_team_code`.
TEAM_CODE: dict[str, Run] = {
    "reproducibility": reproducibility.run,
    "test-coverage": coverage.run,
}
