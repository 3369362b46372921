"""Releases opened straight in a running platform's database, as a finished run leaves them.

The policy is the platform's own and the people are those of its login; only the training is
left out. Votes still go through the API server, which alone holds the signing key.
"""

from __future__ import annotations

import secrets

from airlock.adapters.sql_store import SqlStore
from airlock.config.load import load_rulebook
from airlock.domain.errors import NotFound
from airlock.testing import World, pipeline_document
from tests.airflow.harness import RunningPlatform


def open_release(platform: RunningPlatform, model: str) -> str:
    """Open a high-risk release of *model*, superseding an open one, and return its id."""
    options = platform.platform.options
    policy = load_rulebook(options.config_dir or options.root / "include").document
    pipeline = pipeline_document()
    pipeline["metadata"]["name"] = model
    world = World(
        SqlStore(platform.url("airlock_decider"), pooled=False),
        rulebook=policy,
        pipeline=pipeline,
        worker=SqlStore(platform.url("airlock_worker"), pooled=False),
    )
    run = f"manual__{secrets.token_hex(4)}"
    opened = world.request(world.measure(run), "supersede").release
    if opened is None:
        raise NotFound(f"no release of {model} was opened")
    return opened.id
