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

from airlock.domain.approval.policy import Rulebook
from airlock.domain.people.actors import Person
from airlock.ports import Account, Store, UnitOfWork
from airlock.services.people.accounts import admit, observe
from airlock.services.people.recognition import keep


def sync(store: Store, rulebook: Rulebook, accounts: Sequence[Account]) -> list[str]:
    """Bring the people in step with *all* accounts there are; return who changed."""
    with store.begin() as unit:
        people = {person.id: person for person in unit.people()}
        admitted = _admitted(unit, people, accounts)
        current = {
            account.user: Person(
                account.user,
                account.name or account.user,
                rulebook.roles_of_airflow(account.roles),
                account.active,
            )
            for account in admitted
        }
        gone = [
            replace(person, active=False) for person in people.values() if person.id not in current
        ]
        new = [
            person
            for person in (*current.values(), *gone)
            if not person.same_account(people.get(person.id))
        ]
        changed = {person.id for person in new if keep(unit, person, people.get(person.id))}
        identities = unit.accounts()
        changed |= {
            account.user
            for account in admitted
            if account.identity != identities.get(account.user)
            and observe(unit, account.user, account.identity)
        }
        unit.commit()
    return sorted(changed)


def _admitted(
    unit: UnitOfWork, existing: Mapping[str, Person], accounts: Sequence[Account]
) -> list[Account]:
    """Return the accounts that are people; of two new ones that look alike, the plain one."""
    people = dict(existing)
    admitted = [account for account in accounts if account.user in existing]
    strangers = [account for account in accounts if account.user not in existing]
    for account in sorted(
        strangers, key=lambda account: (not account.user.isascii(), account.user)
    ):
        if admit(unit, account.user, people.values()) is None:
            people[account.user] = Person(account.user, account.name, frozenset())
            admitted.append(account)
    return admitted
