"""A release's steps as one script without Airflow: `python -m tests.bench.plain_release`.

Same code, same lab, same registry, same database; no scheduler, no task processes. It stops where
a person has to answer.
"""

from __future__ import annotations

import sys

from airlock import bootstrap
from airlock.adapters.git_code import commit
from airlock.bootstrap.workbench import Workbench
from airlock.domain.digest import file_digest
from airlock.domain.people import Actor, Channel
from airlock.domain.recipe import Recipe
from airlock.gates import build
from airlock.services import evidence, requesting, running


def main(pipeline: str, run: str) -> None:
    """Run every step and ask for the release."""
    airlock = bootstrap.worker()
    found = airlock.pipelines.get(pipeline)
    if found is None:
        raise SystemExit(f"no pipeline {pipeline}")
    settings, store, recipe = airlock.settings, airlock.store, Recipe(found.document)
    scratch = settings.home / "work"
    bench = Workbench(
        settings.root, scratch, airlock.data, airlock.lab, airlock.registry, airlock.files
    )
    job = running.Job(origin=f"{pipeline}/{run}", recipe=recipe, requester=recipe.owner)
    code = running.Origin(
        code_commit=commit(settings.root, recipe.folder, settings.code_commit or ""),
        lock_digest=file_digest(settings.root / "requirements.txt"),
    )
    pinned = running.pin(store, bench, job, airlock.rulebook.digest)
    checked = running.validate(store, bench, job, pinned)
    trained = running.train(bench, job, pinned)
    measured = running.evaluate(store, bench, job, pinned, trained)
    files = {"data-docs": checked["docs"], "evidence": measured["predictions"]}
    running.register(store, bench, job, code, pinned, trained, files)
    for gate in recipe.gates:
        evidence.examine(store, bench, job.origin, build(gate), airlock.gate_signer)
    actor = Actor.system("script", Channel.DAG)
    opened = requesting.request_release(
        store, airlock.rulebook.digest, job.origin, recipe.when_open, actor
    )
    sys.stdout.write(f"{opened.release.id if opened.release else opened.outcome}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
