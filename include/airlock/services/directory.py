"""Keeping Airlock's list of people in step with who may log in to Airflow.

Rules:
* A release needs to know who could approve it before anybody has clicked, and a right taken away
  in Airflow has to be gone here even if that person never comes back.
* Somebody who is no longer listed, or not active, is kept but not active: history stays readable.
* Only roles held directly count; a role of a group makes nobody an approver.
* A changed account suspends what its person was enrolled for; a look-alike is no person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from airlock.domain.people import Person
from airlock.domain.policy import Rulebook
from airlock.ports import Account, Store, UnitOfWork
from airlock.services.accounts import admit, observe
from airlock.services.people import keep


def sync(store: Store, rulebook: Rulebook, accounts: Sequence[Account]) -> list[str]:
    """Bring the people in step with *all* accounts there are; return who changed."""
    with store.begin() as unit:
        known = {person.id: person for person in unit.people()}
        found = _admitted(unit, known, accounts)
        wanted = {
            one.user: Person(
                one.user, one.name or one.user, rulebook.roles_of_airflow(one.roles), one.active
            )
            for one in found
        }
        gone = [replace(one, active=False) for one in known.values() if one.id not in wanted]
        new = [one for one in (*wanted.values(), *gone) if not one.same_account(known.get(one.id))]
        changed = {one.id for one in new if keep(unit, one, known.get(one.id))}
        seen = unit.accounts()
        changed |= {
            one.user
            for one in found
            if one.identity != seen.get(one.user) and observe(unit, one.user, one.identity)
        }
        unit.commit()
    return sorted(changed)


def _admitted(
    unit: UnitOfWork, known: Mapping[str, Person], accounts: Sequence[Account]
) -> list[Account]:
    """Return the accounts that are people; of two new ones that look alike, the plain one."""
    people = dict(known)
    found = [one for one in accounts if one.user in known]
    strangers = [one for one in accounts if one.user not in known]
    for one in sorted(strangers, key=lambda one: (not one.user.isascii(), one.user)):
        if admit(unit, one.user, people.values()) is None:
            people[one.user] = Person(one.user, one.name, frozenset())
            found.append(one)
    return found
