"""latency, footprint, reproducibility and serving-check on real rows, models and processes.

What passes reproducibility, and what fails it, is in test_seeded_runtime_defects.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from airlock.adapters.jobs.collection_context import Collected, Scene
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.adapters.jobs.programs.latency import summary
from airlock.adapters.jobs.statistics import block_bootstrap
from airlock.domain.errors import NotFound
from airlock.domain.gates import Evidence, Gate, Verdict, run_gate
from airlock.gates import Footprint, Latency, Reproducibility, ServingCheck
from tests.integration.runtime_kit import FEATURES, GOOD, Site, judged, with_candidate

pytestmark = pytest.mark.integration

GATES = (
    {"gate": "latency", "p95Ms": 5000, "n": 200},
    {"gate": "footprint", "maxSizeRatio": 1, "runs": 1},
    {"gate": "reproducibility"},
    {"gate": "serving-check", "requests": 40},
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def model(site: Site) -> Path:
    return site.trained(GOOD)


@pytest.fixture(scope="module")
def scene(site: Site, model: Path) -> Scene:
    """A candidate that is the champion once more."""
    return site.scene(model, GATES, champion=model)


def verdict(scene: Scene, gate: Gate, found: Collected) -> Verdict:
    kind = gate.needs[0]
    one = Evidence(kind, scene.case.candidate.artifact_digest, found.facts)
    return run_gate(gate, {kind: one}).verdict


def unreadable(site: Site, scene: Scene, model: Path, name: str) -> Scene:
    """The candidate with a model file that is none."""
    broken = site.changed(model, name)
    (broken / "model.skops").write_bytes(b"not a model")
    digest = site.known(broken)
    return with_candidate(scene, artifact_digest=digest)


def test_latency_is_measured_and_held_against_its_limits(scene: Scene) -> None:
    found = COLLECTORS["latency"](scene)
    assert (found.facts["n"], found.facts["batch"]["n"], found.facts["champion"]) == (
        200,
        200,
        None,
    )
    assert verdict(scene, Latency(5000, batch_p99_ms=5000), found) == "PASSED"
    assert verdict(scene, Latency(0.001), found) == "FAILED"
    assert verdict(scene, Latency(5000, batch_p50_ms=0.001), found) == "FAILED"
    assert verdict(scene, Latency(5000, n=300), found) == "ERRORED"
    times = pandas.read_parquet(found.files["times"]).groupby("kind")["nanoseconds"]
    assert times.count().to_dict() == {"single": 200, "batch": 200}
    p95 = numpy.percentile(times.get_group("single"), 95) / 1e6
    assert found.facts["p95Ms"] == pytest.approx(p95, abs=1e-4)


def test_what_is_no_model_errs(site: Site, scene: Scene, model: Path) -> None:
    broken = unreadable(site, scene, model, "broken")
    result = judged(broken, Latency(50))
    assert result.verdict is Verdict.ERRORED
    assert "model.skops" in result.message


def test_the_times_alone_give_the_same_facts_again() -> None:
    draw = numpy.random.default_rng(3)
    noise = draw.lognormal(sigma=0.3, size=4000)
    single = {"candidate": noise * 1.5e6, "champion": noise * 1e6}
    facts = summary(single, single, seed=5)
    assert facts == summary(single, single, seed=5)
    row = facts["ratio"]
    assert (row["n"], row["block"], row["confidence"]) == (4000, 50, 0.95)
    assert row["low"] <= row["ratio"] <= row["high"]
    # Timed in turns, the two share the noise, so that the ratio is exact in each resample.
    assert row["low"] == pytest.approx(1.5) == row["high"]


def test_noise_that_comes_in_waves_widens_the_bounds() -> None:
    draw = numpy.random.default_rng(4)

    def times(size: int) -> Any:
        """One slow or quick stretch of *size* calls after the other."""
        return numpy.repeat(draw.lognormal(sigma=0.6, size=4000 // size), size)

    width = {
        size: numpy.subtract(
            *[block_bootstrap.compare(times(size), times(size), 1)[b] for b in ("high", "low")]
        )
        for size in (1, 50)
    }
    assert width[50] > 2 * width[1]


def test_the_footprint_is_that_of_fresh_processes(scene: Scene, model: Path) -> None:
    found = COLLECTORS["footprint"](scene)
    size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    (run,) = found.facts["candidate"]["runs"]
    assert found.facts["candidate"]["sizeBytes"] == size
    assert found.facts["champion"]["version"] == "1"
    assert 0 < run["bareMb"] < run["loadedMb"] <= run["memoryMb"]
    generous = Footprint(size_mb=50, load_ms=60_000, memory_mb=2000, max_size_ratio=1, runs=1)
    assert verdict(scene, generous, found) == "PASSED"
    for strict in ({"size_mb": 0.001}, {"load_ms": 1}, {"memory_mb": 10}):
        assert verdict(scene, Footprint(**strict, runs=1), found) == "FAILED"  # type: ignore[arg-type]
    assert verdict(scene, Footprint(max_memory_ratio=1.5), found) == "ERRORED"  # one run, not five


def test_with_other_code_or_another_lock_nothing_is_trained(site: Site, scene: Scene) -> None:
    lab = replace(scene, lab=None)  # type: ignore[arg-type]  # nothing may be run
    lock = site.code / "requirements.txt"
    for path in (site.code / "model" / "train.py", lock):
        before = path.read_text()
        path.write_text(before + "\n")
        result = judged(lab, Reproducibility())
        path.write_text(before)
        assert result.verdict is Verdict.ERRORED
        assert "check that one out" in result.message
    unknown = with_candidate(lab, lock_digest="")
    assert "not recorded" in judged(unknown, Reproducibility()).message


def test_the_serving_code_answers_as_evaluated_and_refuses_wrong_input(scene: Scene) -> None:
    found = COLLECTORS["serving-check"](scene)
    facts = found.facts
    assert (facts["requests"], facts["answered"], facts["loaded"]) == (40, 40, True)
    assert facts["maxDifference"] < 1e-12
    assert [one["name"] for one in facts["schema"]["declared"]] == [
        "AGEP",
        "SCHL",
        "RELP",
        "ESP",
        "MIG",
    ]
    assert {one["name"]: one["outcome"] for one in facts["wrongInputs"]} == {
        "missing column": "refused",
        "wrong type": "refused",
        "no rows": "refused",
        "unknown column": "refused",
        "nulls": "refused",
    }
    assert verdict(scene, ServingCheck(requests=40), found) == "PASSED"
    assert verdict(scene, ServingCheck(requests=41), found) == "ERRORED"


def test_a_model_the_serving_code_does_not_load_is_a_no(
    site: Site, scene: Scene, model: Path
) -> None:
    result = judged(unreadable(site, scene, model, "odd"), ServingCheck(requests=40))
    assert result.verdict is Verdict.FAILED
    assert "it cannot be served: work to be served is not loaded" in result.message


def test_a_model_that_kills_its_process_is_a_no(site: Site, scene: Scene, model: Path) -> None:
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = pandas.read_parquet(site.data.path)
    forged = HistGradientBoostingClassifier(max_iter=1).fit(table[FEATURES], table["employed"])
    nodes = forged._predictors[0][0].nodes
    nodes["left"] = nodes["right"] = 2**32 - 1  # far beyond the array
    broken = site.changed(model, "forged")
    skops.io.dump(forged, broken / "model.skops")
    one = with_candidate(scene, artifact_digest=site.known(broken))
    result = judged(one, ServingCheck(requests=40))
    assert result.verdict is Verdict.FAILED
    assert "ended by SIGSEGV without a result" in result.message


def test_without_an_evaluation_there_is_nothing_to_compare_with(scene: Scene) -> None:
    bare = replace(scene, case=replace(scene.case, facts={}), lab=None)  # type: ignore[arg-type]
    result = judged(bare, ServingCheck())
    assert result.verdict is Verdict.ERRORED
    assert "no evidence evaluation" in result.message
    lost = {"evaluation": {"predictionsDigest": "sha256:" + "0" * 64}}
    gone = replace(bare, case=replace(bare.case, facts=lost))
    assert "is not in" in judged(gone, ServingCheck()).message
    with pytest.raises(NotFound):
        bare.facts("evaluation")
