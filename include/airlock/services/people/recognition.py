"""Who is asking, and may they.

Airflow's login is the identity. Roles are read from Airflow at the moment of the request and
recorded with their history, so a right taken away there is gone here with the next click; an
account that is not active any more loses its link to Slack in the same transaction. What Airflow
says of a role that decides counts with an active enrolment alone
(`airlock.domain.people.enrolment`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airlock.domain.approval.policy import Rulebook
from airlock.domain.clock import stamp
from airlock.domain.errors import Forbidden, NotFound
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Channel, Person
from airlock.domain.people.enrolment import SeenAccount
from airlock.ports import Store, UnitOfWork
from airlock.services.approvals.decide import refusal_event
from airlock.services.people import accounts, slack_links


def recognise(
    store: Store,
    rulebook: Rulebook,
    user_id: str,
    name: str,
    airflow_roles: frozenset[str],
    channel: Channel,
    identity: SeenAccount | None = None,
) -> Actor:
    """Return the actor behind a signed-in Airflow user, and keep roles and accounts that changed.

    Raises:
        LookAlike: if the user name looks like that of somebody known.
    """
    roles = rulebook.roles_of_airflow(airflow_roles)
    with store.begin() as unit:
        everybody = {person.id: person for person in unit.people()}
        stored = everybody.get(user_id)
        if stored is None and (refusal := accounts.admit(unit, user_id, everybody.values())):
            unit.commit()
            raise refusal
        person = Person(user_id, stored.name if stored else name or user_id, roles)
        changed = not person.same_account(stored) and keep(unit, person, stored)
        changed = accounts.observe(unit, user_id, identity) or changed
        if changed or stored is None:
            stored = _named(unit, user_id)
            unit.commit()
    return stored.acting(channel)


def _named(unit: UnitOfWork, person_id: str) -> Person:
    """Return a person as known now, after what this transaction has written."""
    return {person.id: person for person in unit.people()}[person_id]


def keep_person(store: Store, person: Person) -> bool:
    """Record a person and the roles held now; say whether anything changed."""
    with store.begin() as unit:
        stored = {p.id: p for p in unit.people()}.get(person.id)
        changed = not person.same_account(stored) and keep(unit, person, stored)
        unit.commit()
        return changed


def keep(unit: UnitOfWork, person: Person, before: Person | None) -> bool:
    """Write a person, and the event if rights changed; say whether anything did."""
    changed = unit.put_person(person)
    old, new = _rights(before), _rights(person)
    if changed and before and (before.claimed - person.claimed or not person.active):
        unit.post("duties", f"duties/{person.id}/{stamp(unit.now())}", {"person": person.id})
    if changed and old != new:
        unit.log(
            "access",
            Event(
                type="RightsChanged",
                actor_id="system:airflow",
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
        slack_links.lapse(unit, person.id)
    return bool(changed)


def rights_at(store: Store, person_id: str, at: datetime | None = None) -> dict[str, Any]:
    """Return a person's permissions at a moment, by default now, under the policy of that moment.

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
        held_roles = unit.roles_at(person_id, moment) if active else frozenset[str]()
        policy = unit.policy_at(moment)
        sure = {o.role for o in unit.enrolments(person=person_id) if o.active_at(moment)}
        lent = [
            delegation.giver
            for delegation in unit.delegations(at=moment)
            if delegation.taker == person_id
        ]
    book = Rulebook.from_document(policy) if policy else None
    unconfirmed = held_roles & book.deciding_roles - sure if book else held_roles
    roles = held_roles - unconfirmed
    able = book.permissions(roles, unconfirmed) if book else frozenset[str]()
    return {
        "person": person_id,
        "at": moment,
        "active": active,
        "roles": sorted(roles),
        "unconfirmed": sorted(unconfirmed),
        "permissions": sorted(able),
        "answersFor": sorted(lent) if active else [],
    }


def _rights(person: Person | None) -> dict[str, Any] | None:
    return {"roles": sorted(person.claimed), "active": person.active} if person else None


def require(store: Store, rulebook: Rulebook, actor: Actor, permission: str) -> None:
    """Refuse unless one of the actor's roles has *permission*; a refusal is logged.

    Raises:
        Forbidden: naming the permission and the roles held.
    """
    if rulebook.allows(actor, permission):
        return
    why = f"{actor.id} holds {actor.holds}, which does not include {permission}"
    with store.begin() as unit:
        unit.log("access", refusal_event(actor, permission, why))
        unit.commit()
    step = "Ask an administrator for a role that has this permission."
    if permission in rulebook.permissions(actor.unconfirmed | actor.roles):
        step = "Two people have to enrol you for that role: the page Approvers shows who may."
    raise Forbidden(why, next_step=step)
