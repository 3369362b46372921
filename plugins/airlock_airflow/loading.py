"""The pipelines and policies on disk, for DAG files: light imports, no database, no secrets.

The DAG processor parses without any right on Airlock's database; what it shows is checked again
by whoever decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from airlock.config.load import PipelineConfig, Pipelines, load_pipelines, load_rulebook
from airlock.domain.approval.policy import Rulebook
from airlock_airflow import edge

if TYPE_CHECKING:
    from airflow.sdk import DAG


@dataclass(frozen=True)
class Loaded:
    """What the files say now."""

    pipelines: Pipelines

    @cached_property
    def rulebook(self) -> Rulebook:
        """The rule book; there is one whenever there is a valid pipeline."""
        return Rulebook.from_document(load_rulebook(edge.settings().config_dir).document)

    def build(self, config: PipelineConfig) -> DAG:
        """Return the DAG of one valid pipeline."""
        from airlock_airflow.pipeline import build

        return build(config, self.rulebook)


def current() -> Loaded:
    """Read the files."""
    settings = edge.settings()
    return Loaded(load_pipelines(settings.config_dir, settings.root))
