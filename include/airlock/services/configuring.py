"""Registering policies and pipelines (the decider does this).

A release can only be opened under documents the deciding process itself has read from its own
files, so a worker cannot bring a weaker policy along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airlock.domain.audit import Event
from airlock.domain.digest import digest_json
from airlock.domain.duties import UNKNOWN
from airlock.domain.policy import Rulebook
from airlock.ports import Store
from airlock.services.voiding import void_stale

#: The stream of everything that concerns policies and pipelines.
STREAM = "configuration"


def register(
    store: Store,
    rulebook: Mapping[str, Any],
    pipelines: Iterable[Mapping[str, Any]],
    changed_by: str = UNKNOWN,
) -> list[str]:
    """Register the documents in force; return the digests that were new.

    *changed_by*: who last changed the policy, as git names that person. Releases that are open
    under other documents are voided: nobody has approved them under these.
    """
    new: list[str] = []
    pipelines = list(pipelines)
    with store.begin() as unit:
        wanted = [("policy", rulebook), *(("pipeline", pipeline) for pipeline in pipelines)]
        for kind, document in wanted:
            digest = digest_json(document)
            changer = changed_by if kind == "policy" else UNKNOWN
            if unit.register(kind, digest, document, changer):
                unit.log(STREAM, _event(kind, digest, document, changer))
                new.append(digest)
        unit.commit()
    void_stale(store, rulebook, pipelines)
    return new


def without_owner(store: Store, pipelines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return pipeline -> owner, for each whose owner is no active person Airlock knows."""
    with store.begin() as unit:
        known = {person.id for person in unit.people() if person.active}
    owners = {one["metadata"]["name"]: str(one["metadata"].get("owner", "")) for one in pipelines}
    return {name: owner for name, owner in owners.items() if owner not in known}


def rulebook(store: Store, digest: str) -> Rulebook:
    """Return a registered rule book."""
    with store.begin() as unit:
        return unit.rulebook(digest)


def _event(kind: str, digest: str, document: Mapping[str, Any], changed_by: str) -> Event:
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
        data={"kind": kind, "changedBy": changed_by},
    )
