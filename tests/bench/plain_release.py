"""A release's steps as one script without Airflow: `python -m tests.bench.plain_release`.

Same code, same lab, same registry, same database; no scheduler, no task processes, and no decider
to ask: it has its rights. It stops where a person has to answer.
"""

from __future__ import annotations

import sys

from airlock import bootstrap
from airlock.adapters.git_code import commit
from airlock.bootstrap.proposals import local_sources
from airlock.bootstrap.workbench import Workbench
from airlock.domain.digest import file_digest
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.gates import build
from airlock.services.approvals import open_release
from airlock.services.pipeline import collect_and_judge, steps
from airlock.services.proposals import DirectProposals, Handling


def main(pipeline: str, run: str) -> None:
    """Run every step and ask for the release."""
    airlock = bootstrap.worker()
    definition = airlock.pipelines.get(pipeline)
    if definition is None:
        raise SystemExit(f"no pipeline {pipeline}")
    settings, store, recipe = airlock.settings, airlock.store, Recipe(definition.document)
    scratch = settings.home / "work"
    bench = Workbench(
        settings.root, scratch, airlock.data, airlock.lab, airlock.registry, airlock.files
    )
    job = steps.Job(origin=f"{pipeline}/{run}", recipe=recipe, requester=recipe.owner)
    code = steps.Origin(
        code_commit=commit(settings.root, recipe.folder, settings.code_commit or ""),
        lock_digest=file_digest(settings.root / "requirements.txt"),
    )
    proposals = DirectProposals(Handling(store, local_sources(airlock)))
    pinned = steps.pin(store, proposals, bench, job, airlock.rulebook.digest)
    checked = steps.validate(bench, job, pinned)
    trained = steps.train(bench, job, pinned)
    measured = steps.evaluate(store, proposals, bench, job, pinned, trained)
    files = {"evidence": measured["predictions"]}
    steps.register(store, proposals, bench, job, code, pinned, checked, trained, files)
    for gate in recipe.gates:
        signer = airlock.gate_signer
        collect_and_judge.examine(store, proposals, bench, job.origin, build(gate), signer)
    opened = open_release.propose(proposals, job.origin, airlock.rulebook.digest)
    sys.stdout.write(f"{opened.release or opened.outcome}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
