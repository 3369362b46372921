"""People who are enrolled for every role they hold, as two people would have done it.

Only where a test is not about enrolling: it goes round who may propose and confirm, and round
nothing else. Every event is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from airlock.domain.approval.policy import Rulebook
from airlock.domain.people.actors import Actor, Channel, Person
from airlock.domain.people.enrolment import Nomination, SeenAccount, Standing
from airlock.ports import Store, UnitOfWork
from airlock.services.people import accounts, recognition
from airlock.services.people.enrolment import Scene, write_confirmation, write_proposal

WHY = "the test needs it"
FIRST = Actor("registrar-a", "Registrar A", frozenset(), Channel.API)
SECOND = Actor("registrar-b", "Registrar B", frozenset(), Channel.API)


class _Open(Scene):
    """A scene in which everybody may enrol."""

    def may_enrol(self, name: str) -> bool:
        """Say yes."""
        return True


def seen_account(name: str, **values: str) -> SeenAccount:
    """Return the account of a test person; *values* change what it is recognised by."""
    return SeenAccount.of("test", name, **{"password": "first", **values})


def persons(folks: Mapping[str, str]) -> Iterator[Person]:
    """Return people from names and the role of each."""
    return (Person(name, name.title(), frozenset({role})) for name, role in folks.items())


def enrol(store: Store, rulebook: Rulebook, folks: Iterable[Person]) -> None:
    """Keep these people, see their accounts, and enrol them for each role they hold."""
    with store.begin() as unit:
        stored = {person.id: person for person in unit.people()}
        roles = _enrolled_roles(unit)
        incomplete = [
            person
            for person in folks
            if not person.same_account(stored.get(person.id))
            or (person.active and person.claimed & rulebook.roles - roles[person.id])
        ]
        for person in incomplete:
            if not person.same_account(stored.get(person.id)):
                recognition.keep(unit, person, stored.get(person.id))
            if unit.account(person.id) is None:
                accounts.observe(unit, person.id, seen_account(person.id))
        for person in incomplete:
            if person.active:
                _enrol(unit, rulebook, person, roles[person.id])
        if incomplete:
            unit.commit()


def _enrolled_roles(unit: UnitOfWork) -> defaultdict[str, set[str]]:
    """Return person -> roles that are proposed or confirmed, all in one query."""
    roles: defaultdict[str, set[str]] = defaultdict(set)
    for enrolment in unit.enrolments():
        if enrolment.state in (Standing.PROPOSED, Standing.ACTIVE):
            roles[enrolment.person].add(enrolment.role)
    return roles


def _enrol(unit: UnitOfWork, rulebook: Rulebook, person: Person, enrolled: set[str]) -> None:
    scene = _Open.of(unit, rulebook)
    for role in sorted(person.claimed & rulebook.roles - enrolled):
        proposal = write_proposal(scene, FIRST, Nomination(person.id, role, WHY))
        write_confirmation(scene, SECOND, proposal.id, WHY)
