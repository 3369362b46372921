"""Fakes that keep the promises of the real adapters, and a small world to test in.

    world = World(store)                      # registered policy, pipeline and people
    release_id = world.open("run-1")          # measured, gates open, level 1 waits
    world.approve(release_id, "lena")

The fakes are real implementations in memory; the contract tests run on them and on the real ones.
"""

from __future__ import annotations

from airlock.testing.documents import PEOPLE, RULEBOOK, pipeline_document
from airlock.testing.fakes import (
    FakeAirflow,
    FakeArtifacts,
    FakeClock,
    FakeCode,
    FakeKeys,
    FakeRegistry,
    FakeRules,
    FakeRuns,
    FakeWatch,
)
from airlock.testing.world import World

__all__ = [
    "PEOPLE",
    "RULEBOOK",
    "FakeAirflow",
    "FakeArtifacts",
    "FakeClock",
    "FakeCode",
    "FakeKeys",
    "FakeRegistry",
    "FakeRules",
    "FakeRuns",
    "FakeWatch",
    "World",
    "pipeline_document",
]
