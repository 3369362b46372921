"""Releases opened straight in a running platform's database, as a finished run leaves them.

The policy is the platform's own and the people are those of its login; only the training is
left out. `answer` decides as the API server does, with its database role and its key, so that a
decision can also be made while the API server is down.
"""

from __future__ import annotations

import secrets
from typing import Any

from airlock.adapters.keys.ed25519 import FileSigner
from airlock.adapters.sql_store import SqlStore
from airlock.config.load import load_rulebook
from airlock.domain.approval.release import Release
from airlock.domain.errors import NotFound
from airlock.services.proposals import Sources
from airlock.services.queries import releases
from airlock.testing import World, pipeline_document
from tests.airflow.harness import RunningPlatform

LOW = {"customerImpact": "none", "automatedDecision": False, "personalData": False}
HIGH = {"customerImpact": "direct", "automatedDecision": True, "personalData": True}


class Releases:
    """Opens releases, one line for each name, and answers them."""

    def __init__(self, platform: RunningPlatform) -> None:
        options = platform.platform.options
        self.decider = SqlStore(platform.url("airlock_decider"), pooled=False)
        self.worker = SqlStore(platform.url("airlock_worker"), pooled=False)
        self._signer = FileSigner(platform.home / "secrets/signing.pem")
        self._gates = FileSigner(platform.home / "training/gate-signing.pem")
        self._policy = load_rulebook(options.config_dir or options.root / "include").document

    def open(self, model: str, risk: dict[str, Any] = LOW) -> str:
        """Open a release of *model*, superseding an open one, and return its id."""
        world = self._world(model, risk)
        run = f"manual__{secrets.token_hex(4)}"
        opened = world.request(world.measure(run), "supersede").release
        if opened is None:
            raise NotFound(f"no release of {model} was opened")
        return opened.id

    def sources(self) -> Sources:
        """Return what proposals are held against."""
        return self._world("asked", LOW).sources()

    def answer(self, release_id: str, user: str, risk: dict[str, Any] = LOW) -> Release:
        """Approve at the open level as *user*; *risk*: with which it was opened."""
        model = releases.outcome(self.decider, release_id).subject.model
        return self._world(model, risk).approve(release_id, user)

    def state(self, release_id: str) -> str:
        """Return the state of a release."""
        return releases.outcome(self.decider, release_id).state.value

    def _world(self, model: str, risk: dict[str, Any]) -> World:
        pipeline = pipeline_document()
        pipeline["metadata"]["name"] = model
        pipeline["spec"]["risk"] = risk
        return World(
            self.decider,
            self._signer,
            rulebook=self._policy,
            pipeline=pipeline,
            worker=self.worker,
            gate_signer=self._gates,
        )


def open_release(platform: RunningPlatform, model: str) -> str:
    """Open a high-risk release of *model* and return its id."""
    return Releases(platform).open(model, HIGH)


def states(platform: RunningPlatform, dag: str, task: str = "level_1") -> dict[str, Any]:
    """Return run -> (state, tries) of one task over all runs of a DAG."""
    rows = platform.airflow.get(f"dags/{dag}/dagRuns/~/taskInstances", task_id=task, limit=500)
    return {row["dag_run_id"]: (row["state"], row["try_number"]) for row in rows["task_instances"]}
