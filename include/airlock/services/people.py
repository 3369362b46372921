"""Who is asking, and may they.

Airflow's login is the identity. Roles are read from Airflow at the moment of the request and
recorded with their history, so a right taken away there is gone here with the next click.
"""

from __future__ import annotations

from airlock.domain.errors import Forbidden
from airlock.domain.people import Actor, Channel, Person
from airlock.domain.policy import Rulebook
from airlock.ports import Store
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
    keep_person(store, Person(user_id, name or user_id, roles))
    return Actor(user_id, name or user_id, roles, channel)


def keep_person(store: Store, person: Person) -> bool:
    """Record a person and the roles held now; say whether anything changed."""
    with store.begin() as unit:
        if person in unit.people() or not unit.put_person(person):
            return False
        unit.commit()
        return True


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
