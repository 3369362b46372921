"""Registering policies and pipelines (the decider does this).

A release can only be opened under documents the deciding process itself has read from its own
files, so a worker cannot bring a weaker policy along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airlock.domain.approval.policy import Rulebook
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json
from airlock.domain.log.audit import Event
from airlock.domain.people.separation_of_duties import CHANGER, UNKNOWN, is_unknown
from airlock.ports import Store, UnitOfWork
from airlock.services.approvals.invalidation import void_stale

#: The stream of everything that concerns policies and pipelines.
STREAM = "configuration"


def register(
    store: Store,
    rulebook: Mapping[str, Any],
    pipelines: Iterable[Mapping[str, Any]],
    changed_by: str = UNKNOWN,
) -> list[str]:
    """Register the documents in force; return the digests that were new.

    Releases that are open under other documents are voided: nobody has approved them under these.
    """
    pipelines = list(pipelines)
    new = keep(store, rulebook, pipelines, changed_by)
    void_stale(store, rulebook, pipelines)
    return new


def keep(
    store: Store,
    rulebook: Mapping[str, Any],
    pipelines: Iterable[Mapping[str, Any]],
    changed_by: str = UNKNOWN,
) -> list[str]:
    """Register the documents in force, and leave the open releases as they are.

    *changed_by*: who last changed the policy, as git names that person. A policy that was read
    before it was committed gets its author's name when there is one, with an event of its own.
    """
    new: list[str] = []
    with store.begin() as unit:
        documents = [("policy", rulebook), *(("pipeline", pipeline) for pipeline in pipelines)]
        for kind, document in documents:
            digest = digest_json(document)
            changer = changed_by if kind == "policy" else UNKNOWN
            if unit.register(kind, digest, document, changer):
                at = stamp(unit.registered(kind, digest)[1])
                unit.log(STREAM, _event(kind, digest, document, changer, at))
                new.append(digest)
            elif kind == "policy" and not is_unknown(changer):
                _name_later(unit, digest, changer)
        unit.commit()
    return new


def _name_later(unit: UnitOfWork, policy: str, changer: str) -> None:
    """Note who changed a policy that was read before it was committed."""
    if is_unknown(unit.changed_by("policy", policy)):
        named = {"metadata": {"name": "rulebook"}, "policy": policy, "changedBy": changer}
        digest = digest_json(named)
        unit.register(CHANGER, digest, named, changer)
        at = stamp(unit.registered(CHANGER, digest)[1])
        unit.log(STREAM, _event(CHANGER, digest, named, changer, at))


def without_owner(store: Store, pipelines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return pipeline -> owner, for each whose owner is no active person in Airlock."""
    with store.begin() as unit:
        active = {person.id for person in unit.people() if person.active}
    owners = {
        pipeline["metadata"]["name"]: str(pipeline["metadata"].get("owner", ""))
        for pipeline in pipelines
    }
    return {name: owner for name, owner in owners.items() if owner not in active}


def rulebook(store: Store, digest: str) -> Rulebook:
    """Return a registered rule book."""
    with store.begin() as unit:
        return unit.rulebook(digest)


def _event(kind: str, digest: str, document: Mapping[str, Any], changed_by: str, at: str) -> Event:
    name = document["metadata"]["name"] if kind == "pipeline" else "rulebook"
    return Event(
        type="Registered",
        actor_id="system:decider",
        roles=(),
        channel="system",
        resource=f"{kind}/{name}",
        old=None,
        new={"digest": digest},
        why="",
        policy=digest if kind == "policy" else "",
        data={"kind": kind, "changedBy": changed_by, "registeredAt": at},
    )
