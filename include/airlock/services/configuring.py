"""Registering policies and pipelines (the decider does this).

A release can only be opened under documents the deciding process itself has read from its own
files, so a worker cannot bring a weaker policy along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airlock.domain.audit import Event
from airlock.domain.digest import digest_json
from airlock.domain.policy import Rulebook
from airlock.ports import Store

#: The stream of everything that concerns policies and pipelines.
STREAM = "configuration"


def register(
    store: Store, rulebook: Mapping[str, Any], pipelines: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Register the documents in force; return the digests that were new."""
    new: list[str] = []
    with store.begin() as unit:
        wanted = [("policy", rulebook), *(("pipeline", pipeline) for pipeline in pipelines)]
        for kind, document in wanted:
            digest = digest_json(document)
            if unit.register(kind, digest, document):
                unit.log(STREAM, _event(kind, digest, document))
                new.append(digest)
        unit.commit()
    return new


def rulebook(store: Store, digest: str) -> Rulebook:
    """Return a registered rule book."""
    with store.begin() as unit:
        return Rulebook.from_document(unit.registered("policy", digest)[0])


def _event(kind: str, digest: str, document: Mapping[str, Any]) -> Event:
    name = document["metadata"]["name"] if kind == "pipeline" else "rulebook"
    return Event(
        what="Registered",
        who="system:decider",
        roles=(),
        channel="system",
        resource=f"{kind}/{name}",
        old=None,
        new={"digest": digest},
        why="",
        policy=digest if kind == "policy" else "",
        data={"kind": kind},
    )
