"""Asking for the release of what a run has measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.ports import Store
from airlock.services.approvals import open_release as release_opening
from airlock.services.proposals import runs
from airlock.services.proposals.handling import Claim, Finish, Sources


def open_release(store: Store, sources: Sources, claim: Claim, finish: Finish) -> Mapping[str, Any]:
    """Open the release of a run, once; what happens to one that is open is the pipeline's say."""
    policy = claim.body.text("policy", 80)
    again = release_opening.Again(
        claim.body.optional("afterRejection", 40), claim.body.optional("reason", 10_000)
    )
    in_force = sources.rules.policy()
    with store.begin() as unit:
        run = runs.require_run(unit, claim.origin)
        document, _ = unit.registered("pipeline", run.pipeline)
        if unit.by_origin(claim.origin) is None:
            runs.registered(unit, "policy", policy)
            runs.check_policy(policy, in_force)
        when = Recipe(document).when_open
        opened = release_opening.open_in(unit, policy, claim.origin, when, runs.DECIDER, again)
        answer = {
            "outcome": opened.outcome,
            "release": opened.release.id if opened.release else None,
            "message": opened.message,
        }
        finish(unit, answer)
        return answer
