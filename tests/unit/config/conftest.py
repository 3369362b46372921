"""A small checkout to spoil: valid policies, one valid pipeline, its script and its data."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from airlock.config.load import Pipelines, load_pipelines, load_rulebook
from airlock.config.problems import ConfigurationError, Problem

ROOT = Path(__file__).parents[3]

PIPELINE = """\
apiVersion: airlock/v1
kind: ModelPipeline
metadata: {name: churn, owner: ana}
spec:
  sourceCode:
    path: include/models/churn
  trainingScript: train.py
  triggers:
    cron: "0 2 * * *"
  data:
    source: include/models/churn/data.parquet
    target: churned
    holdout: 0.25
  risk:
    customerImpact: direct
    automatedDecision: true
    personalData: true
  environment: production
  stages:
    - name: train
      resources: {cpu: 1, memoryMb: 1024}
    - name: evaluate
      metricsThreshold:
        roc_auc: 0.74
        latencyMs: 150
  gates:
    - gate: data-validation
    - gate: artifact-format
    - gate: performance-regression
      metric: roc_auc
      margin: 0.005
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout in a temporary folder."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "include"

    def policy(self, name: str) -> Path:
        return self.config / "policies" / f"{name}.yaml"

    def pipeline(self, name: str = "churn") -> Path:
        return self.config / "pipelines" / f"{name}.yaml"

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert text.count(old) >= 1, f"{old!r} is not in {path.name}"
        path.write_text(text.replace(old, new, 1))

    def load(self) -> Pipelines:
        return load_pipelines(self.config)

    def problems(self) -> list[Problem]:
        """What is wrong with the pipelines, the churn pipeline edited first."""
        return [problem for error in self.load().refused for problem in error.problems]

    def policy_problems(self) -> list[Problem]:
        with pytest.raises(ConfigurationError) as caught:
            load_rulebook(self.config)
        return list(caught.value.problems)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    shutil.copytree(ROOT / "include/policies", tmp_path / "include/policies")
    model = tmp_path / "include/models/churn"
    model.mkdir(parents=True)
    (model / "train.py").write_text("raise AssertionError('reading YAML runs no code')\n")
    (model / "data.parquet").write_bytes(b"PAR1")
    example = Checkout(tmp_path)
    example.pipeline().parent.mkdir()
    example.pipeline().write_text(PIPELINE)
    return example
