"""How many candidates have tried on the same rows: over each store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airlock.domain.digest import digest_bytes
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.domain.gates import Evidence
from airlock.services.pipeline import comparison_budget
from airlock.testing import World

YEAR = {"from": "2025-01-01", "to": "2025-12-31"}


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


def comparison(champion: str | None = "3", which: str = "a", **over: Any) -> dict[str, Any]:
    found = {"champion": champion, "comparisons": [], "rows": 1000, "period": None}
    return {**found, "rowsDigest": digest_bytes(which.encode()), **over}


def tried(world: World, run: str, facts: dict[str, Any], **changes: Any) -> str:
    """Register a candidate that was compared; return its origin."""
    origin = world.measure(run)
    with world.store.begin() as unit:
        candidate = unit.candidate(origin)
        assert candidate is not None
        if changes:
            origin = f"other/{run}"
            candidate = replace(candidate, origin=origin, **changes)
            unit.put_candidate(candidate)
        unit.put_evidence(origin, Evidence("comparison", candidate.artifact_digest, facts))
        unit.commit()
    return origin


def number(world: World, facts: dict[str, Any], origin: str = "x/mine", bytes_: str = "m") -> Any:
    recipe, artifact = Recipe(world.pipeline), digest_bytes(bytes_.encode())
    found = comparison_budget.numbered(world.worker, recipe, origin, artifact, facts)
    assert {key: found[key] for key in facts} == facts
    return found["attempt"], found["earlier"]


def test_the_first_candidate_is_the_first_attempt(world: World) -> None:
    assert number(world, comparison()) == (1, [])
    assert number(world, comparison(champion=None)) == (1, [])


def test_every_candidate_against_the_same_champion_on_the_same_rows_counts(world: World) -> None:
    origins = [tried(world, f"run-{i}", comparison()) for i in range(3)]
    assert number(world, comparison()) == (4, origins)
    assert number(world, comparison(), origin=origins[0]) == (3, origins[1:])


def test_another_champion_line_or_no_champion_does_not_count(world: World) -> None:
    tried(world, "run-1", comparison(champion="2"))
    tried(world, "run-2", comparison(champion=None))
    tried(world, "run-3", comparison(), model="another")
    tried(world, "run-4", comparison(), environment="staging")
    assert number(world, comparison()) == (1, [])


def test_the_same_bytes_measured_again_are_the_same_attempt(world: World) -> None:
    first = tried(world, "run-1", comparison())
    again = tried(world, "run-2", comparison())
    with world.store.begin() as unit:
        candidate = unit.candidate(first)
        assert candidate is not None
        copy = replace(candidate, origin="other/copy")
        unit.put_candidate(copy)
        unit.put_evidence(copy.origin, Evidence("comparison", copy.artifact_digest, comparison()))
        unit.commit()
    assert number(world, comparison())[0] == 3
    facts = comparison_budget.numbered(
        world.worker, Recipe(world.pipeline), "x/mine", candidate.artifact_digest, comparison()
    )
    assert (facts["attempt"], facts["earlier"]) == (2, [again])


@pytest.mark.parametrize(
    ("mine", "counts"),
    [
        ({"period": YEAR}, True),
        ({"period": {"from": "2025-06-01", "to": "2026-02-28"}}, True),
        ({"period": {"from": "2025-10-01", "to": "2026-09-30"}}, False),
        ({"period": {"from": "2026-01-01", "to": "2026-12-31"}}, False),
        ({"rows": 1999}, True),
        ({"rows": 2000}, False),
    ],
)
def test_fresh_rows_start_anew(world: World, mine: dict[str, Any], counts: bool) -> None:
    tried(world, "run-1", comparison(period=YEAR))
    assert number(world, comparison(which="b", **mine))[0] == 1 + counts
    assert number(world, comparison(**mine))[0] == 2  # the very same rows are never fresh
