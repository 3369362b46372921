"""Who is asking, and may they.

Airflow's login is the identity. Roles are read from Airflow at the moment of the request and
recorded with their history, so a right taken away there is gone here with the next click; an
account that is not active any more loses its link to Slack in the same transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airlock.domain.audit import Event
from airlock.domain.clock import stamp
from airlock.domain.errors import Forbidden, NotFound
from airlock.domain.people import Actor, Channel, Person
from airlock.domain.policy import Rulebook
from airlock.ports import Store, UnitOfWork
from airlock.services import linking
from airlock.services.deciding import refusal_event


def recognise(
    store: Store,
    rulebook: Rulebook,
    user_id: str,
    name: str,
    airflow_roles: frozenset[str],
    channel: Channel,
) -> Actor:
    """Return the actor behind a signed-in Airflow user, and keep roles that changed."""
    roles = rulebook.roles_of_airflow(airflow_roles)
    with store.begin() as unit:
        known = {person.id: person for person in unit.people()}.get(user_id)
        person = Person(user_id, known.name if known else name or user_id, roles)
        if person != known:
            keep(unit, person, known)
            unit.commit()
    return Actor(user_id, person.name, roles, channel)


def keep_person(store: Store, person: Person) -> bool:
    """Record a person and the roles held now; say whether anything changed."""
    with store.begin() as unit:
        known = {one.id: one for one in unit.people()}.get(person.id)
        changed = person != known and keep(unit, person, known)
        unit.commit()
        return changed


def keep(unit: UnitOfWork, person: Person, known: Person | None) -> bool:
    """Write a person, and the event if rights changed; say whether anything did."""
    changed = unit.put_person(person)
    old, new = _rights(known), _rights(person)
    if changed and known and (known.roles - person.roles or not person.active):
        unit.post("duties", f"duties/{person.id}/{stamp(unit.now())}", {"person": person.id})
    if changed and old != new:
        unit.log(
            "access",
            Event(
                what="RightsChanged",
                who="system:airflow",
                roles=(),
                channel="system",
                resource=f"user/{person.id}",
                old=old,
                new=new,
                why="",
                policy="",
                data={"changedAt": changed},
            ),
        )
    if changed and not person.active:
        linking.lapse(unit, person.id)
    return bool(changed)


def rights_at(store: Store, person_id: str, at: datetime | None = None) -> dict[str, Any]:
    """Return what somebody could do at a moment, by default now, under the policy of that moment.

    Raises:
        NotFound: if Airlock did not know the person then.
    """
    with store.begin() as unit:
        moment = stamp(at or unit.now())
        active = unit.active_at(person_id, moment)
        if active is None:
            raise NotFound(
                f"Airlock did not know {person_id!r} at {moment}",
                next_step="People are known from their first login to Airflow on.",
            )
        roles = unit.roles_at(person_id, moment) if active else frozenset[str]()
        policy = unit.policy_at(moment)
        lent = [one.giver for one in unit.delegations(at=moment) if one.taker == person_id]
    able = Rulebook.from_document(policy).permissions(roles) if policy else frozenset[str]()
    return {
        "person": person_id,
        "at": moment,
        "active": active,
        "roles": sorted(roles),
        "permissions": sorted(able),
        "answersFor": sorted(lent) if active else [],
    }


def _rights(person: Person | None) -> dict[str, Any] | None:
    return {"roles": sorted(person.roles), "active": person.active} if person else None


def require(store: Store, rulebook: Rulebook, actor: Actor, permission: str) -> None:
    """Refuse unless one of the actor's roles has *permission*; a refusal is logged.

    Raises:
        Forbidden: naming the permission and the roles held.
    """
    if permission in rulebook.permissions(actor.roles):
        return
    roles = ", ".join(sorted(actor.roles)) or "no role"
    why = f"{actor.id} holds {roles}, which does not include {permission}"
    with store.begin() as unit:
        unit.log("access", refusal_event(actor, permission, why))
        unit.commit()
    raise Forbidden(why, next_step="Ask an administrator for a role that has this permission.")
