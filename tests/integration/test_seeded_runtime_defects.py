"""Defects that no metric shows, each seeded into a real model: the right gate finds it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from airlock.adapters.jobs.collection_context import Scene
from airlock.domain.gates import Evidence, Gate, GateResult, Verdict, run_gate
from airlock.gates import (
    ArtifactFormat,
    Footprint,
    Latency,
    MetricsThreshold,
    Reproducibility,
    ServingCheck,
)
from tests.integration.runtime_kit import FEATURES, GOOD, Site, judged

pytestmark = pytest.mark.integration

#: The same answers as GOOD, after so many steps that change nothing that no noise hides them.
SLOW = f"""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def train(rows, target, seed):
        idle = [StandardScaler(with_mean=False, with_std=False) for _ in range(5)]
        model = make_pipeline(*idle, LogisticRegression(max_iter=500))
        return model.fit(rows[{FEATURES}], rows[target])
"""

#: Draws its rows anew each time, whatever the seed says.
RESTLESS = f"""
    import numpy
    from sklearn.linear_model import LogisticRegression

    def train(rows, target, seed):
        some = rows.sample(frac=0.8, random_state=numpy.random.default_rng())
        return LogisticRegression(max_iter=500).fit(some[{FEATURES}], some[target])
"""

GATES: dict[str, Gate] = {
    "latency": Latency(5000, max_ratio=1.2),
    "footprint": Footprint(size_mb=1, memory_mb=1000, runs=1),
    "reproducibility": Reproducibility(bytes=True),
    "serving-check": ServingCheck(requests=20),
    "artifact-format": ArtifactFormat(),
}
#: What the evaluation the scene begins with has measured.
MEASURED = MetricsThreshold("roc_auc", 0.6)
OPTIONS = (
    {"gate": "latency", "p95Ms": 5000, "maxRatio": 1.2},
    {"gate": "footprint", "sizeMb": 1, "memoryMb": 1000, "runs": 1},
    {"gate": "reproducibility"},
    {"gate": "serving-check", "requests": 20},
)


def verdicts(scene: Scene, results: dict[str, GateResult]) -> dict[str, Verdict]:
    """Return what all gates say, the one on the evaluation included."""
    kind = "evaluation"
    about = scene.case.candidate.artifact_digest
    measured = run_gate(MEASURED, {kind: Evidence(kind, about, scene.case.facts[kind])})
    return {name: one.verdict for name, one in (results | {MEASURED.key: measured}).items()}


def all_but(*gates: str, among: Iterable[str] = GATES) -> dict[str, Verdict]:
    """Return that these gates fail and all others pass; none is at a loss."""
    return dict.fromkeys((*among, MEASURED.key), Verdict.PASSED) | dict.fromkeys(
        gates, Verdict.FAILED
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def champion(site: Site) -> Path:
    return site.trained(GOOD)


@pytest.fixture(scope="module")
def restless(site: Site) -> Path:
    return site.trained(RESTLESS)


def test_a_model_many_times_slower_is_caught_by_latency_alone(site: Site, champion: Path) -> None:
    scene = site.scene(site.trained(SLOW), OPTIONS, champion)
    found = {name: judged(scene, gate) for name, gate in GATES.items()}
    assert verdicts(scene, found) == all_but("latency"), found["latency"].message
    row = (found["latency"].details or {})["ratio"]
    assert row["n"] == 4000
    assert 1.2 < row["low"] <= row["ratio"] <= row["high"]
    again = found["reproducibility"].details or {}
    assert again["metrics"]["again"] == again["metrics"]["candidate"]
    assert again["predictions"] == {"differing": 0, "maxDifference": 0.0}
    # A skops file holds the hour and addresses: its bytes differ, what it says does not.
    assert (again["bytesEqual"], again["digestEqual"]) == (False, True)


def test_a_trainer_that_ignores_its_seed_is_caught_by_reproducibility_alone(
    site: Site, restless: Path
) -> None:
    site.write(RESTLESS)
    scene = site.scene(restless, (*OPTIONS[1:], {"gate": "latency", "p95Ms": 5000, "n": 200}))
    gates = GATES | {"latency": Latency(5000, n=200)}
    found = {name: judged(scene, gate) for name, gate in gates.items()}
    assert verdicts(scene, found) == all_but("reproducibility")
    assert "does train() use its seed everywhere?" in found["reproducibility"].message


def test_an_artifact_that_was_not_the_one_evaluated_is_caught_by_serving_check_alone(
    site: Site, restless: Path, champion: Path
) -> None:
    scene = site.scene(champion, OPTIONS, evaluated=restless)
    cheap = ("footprint", "serving-check", "artifact-format")
    found = {name: judged(scene, GATES[name]) for name in cheap}
    assert verdicts(scene, found) == all_but("serving-check", among=cheap)
    result = found["serving-check"]
    assert "20 of 20 answers differ from the evaluation's, by up to" in result.message
