"""A threshold lowered since a gate last said no is shown to whoever approves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from airlock.domain.people.separation_of_duties import SHIPPED
from airlock.services.approvals import policy_registry
from airlock.services.queries import releases
from airlock.testing import RULEBOOK, World, pipeline_document

MakeWorld = Callable[..., World]
GATE = "metrics-threshold:roc_auc"


def asks(world: World, threshold: float, *more: dict[str, Any]) -> None:
    """Register a pipeline with another threshold, and use it from now on."""
    document = pipeline_document()
    document["spec"]["gates"][0]["threshold"] = threshold
    document["spec"]["gates"] += more
    policy_registry.register(world.store, world.rulebook.document, [document])
    world.pipeline = document


def shown(world: World, release_id: str) -> list[dict[str, Any]]:
    view = releases.show(world.store, world.keys, release_id, world.actor("lena"))
    found: list[dict[str, Any]] = view["changedSinceFailure"]
    return found


def failed(world: World, run: str) -> str:
    opened = world.request(world.measure(run, auc=0.65)).release
    assert opened is not None
    return opened.id


def test_nothing_is_shown_where_nothing_failed(world: World) -> None:
    world.open("first")
    asks(world, 0.5)
    opened = world.request(world.measure("second"), "supersede").release
    assert opened is not None
    assert shown(world, opened.id) == []


def test_a_lowered_threshold_is_shown_side_by_side(world: World) -> None:
    earlier = failed(world, "weak")
    assert shown(world, earlier) == []
    asks(world, 0.6)
    release_id = world.open("again", auc=0.65)
    assert shown(world, release_id) == [
        {
            "gate": GATE,
            "release": earlier,
            "verdict": "FAILED",
            "option": "threshold",
            "then": 0.7,
            "now": 0.6,
        }
    ]
    assert shown(world, earlier) == []


def test_it_is_still_shown_after_something_has_passed(world: World) -> None:
    earlier = failed(world, "weak")
    asks(world, 0.6)
    world.open("again", auc=0.65)
    opened = world.request(world.measure("third", auc=0.9), "supersede").release
    assert opened is not None
    assert [one["release"] for one in shown(world, opened.id)] == [earlier]


def test_the_newest_failure_counts(world: World) -> None:
    failed(world, "weak")
    asks(world, 0.69)
    newer = failed(world, "weaker")
    asks(world, 0.6)
    release_id = world.open("again", auc=0.65)
    found = [(one["release"], one["then"], one["now"]) for one in shown(world, release_id)]
    assert found == [(newer, 0.69, 0.6)]


def test_a_gate_that_is_gone_is_shown(make_world: MakeWorld) -> None:
    document = pipeline_document()
    document["spec"]["gates"].append({"gate": "latency", "p95Ms": 5.0})  # not measured: it errs
    world = make_world(pipeline=document)
    failed(world, "weak")
    asks(world, 0.6)
    found = {(one["gate"], one["now"]) for one in shown(world, world.open("again"))}
    assert found == {(GATE, 0.6), ("latency", "gone")}


def test_a_lighter_weight_is_shown(world: World) -> None:
    failed(world, "weak")
    lighter = copy.deepcopy(dict(RULEBOOK))
    table = dict.fromkeys(("high", "medium", "low"), "soft")
    lighter["approval"]["spec"]["enforcement"] = {"metrics-threshold": table}
    policy_registry.register(world.store, lighter, [world.pipeline], SHIPPED)
    world.rulebook = type(world.rulebook).from_document(lighter)
    found = [(one["option"], one["then"], one["now"]) for one in shown(world, world.open("again"))]
    assert found == [("weight", "hard", "soft")]
