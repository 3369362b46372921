"""Keeping Airlock's list of people in step with who may log in to Airflow.

Rules:
* A release needs to know who could approve it before anybody has clicked, and a right taken away
  in Airflow has to be gone here even if that person never comes back.
* Somebody who is no longer listed, or not active, is kept but not active: history stays readable.
* Only roles held directly count; a role of a group makes nobody an approver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airlock.domain.people import Person
from airlock.domain.policy import Rulebook
from airlock.ports import Account, Store
from airlock.services.people import keep


def sync(store: Store, rulebook: Rulebook, accounts: Sequence[Account]) -> list[str]:
    """Bring the people in step with *all* accounts there are; return who changed."""
    wanted = {
        one.user: Person(
            one.user, one.name or one.user, rulebook.roles_of_airflow(one.roles), one.active
        )
        for one in accounts
    }
    with store.begin() as work:
        known = {person.id: person for person in work.people()}
        gone = [replace(one, active=False) for one in known.values() if one.id not in wanted]
        new = [one for one in (*wanted.values(), *gone) if known.get(one.id) != one]
        changed = sorted(one.id for one in new if keep(work, one, known.get(one.id)))
        work.commit()
    return changed
