"""The accounts of people, as Airflow shows them, and what follows when one changes.

Rules:
* Each account is kept as it was seen last: who vouches for it, its id there, and marks of password,
  e-mail and user name. That it was seen, and each change, is in the stream `access`.
* A change suspends every active enrolment that was made for another account than the one seen now,
  in the transaction that keeps what was seen: nothing decides in between.
* A user name that looks like that of somebody known is no person; that it was refused is in the log
  once, with both names.
* The row of the account is locked first, by whoever keeps it and by whoever confirms an enrolment,
  so of a change and a confirmation at the same moment the second sees the first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from airlock.domain.clock import stamp
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Person
from airlock.domain.people.enrolment import SeenAccount, Standing
from airlock.domain.people.lookalikes import LookAlike, check_name
from airlock.ports import UnitOfWork

STREAM = "access"
#: The kind of messages that tell whoever answers for the platform of a change among people.
NOTICE = "people"
_AIRFLOW = Actor.system("airflow")


def observe(unit: UnitOfWork, person_id: str, identity: SeenAccount | None) -> bool:
    """Store the account as it is now, and suspend enrolments of another; return whether it is new.

    The person exists already. *identity*: None where Airflow's login does not say.
    """
    if identity is None:
        return False
    before = unit.account(person_id)
    if before == identity:
        return False
    at = stamp(unit.now())
    unit.put_account(person_id, identity, at)
    changes = before.changes(identity) if before else ()
    data = {"person": person_id, "issuer": identity.issuer, "subject": identity.subject}
    data |= {"marks": identity.marked, "seenAt": at, "changes": ", ".join(changes)}
    event_type, why = "AccountSeen", ""
    if before is not None:
        event_type, why = "AccountChanged", f"{person_id} has {' and '.join(changes)} in Airflow"
    unit.log(STREAM, Event.by(_AIRFLOW, event_type, f"user/{person_id}", data, why))
    for enrolment in unit.enrolments(person=person_id, state=Standing.ACTIVE.value):
        _suspend(unit, enrolment.id, identity, at)
    return True


def _suspend(unit: UnitOfWork, enrolment_id: str, identity: SeenAccount, at: str) -> None:
    enrolment = unit.enrolment(enrolment_id)  # locked, afresh
    changes = enrolment.account.changes(identity)
    if enrolment.state is not Standing.ACTIVE or not changes:
        return
    difference = " and ".join(changes)
    person = enrolment.person
    why = f"{person} has {difference} in Airflow since {person} was enrolled as {enrolment.role}"
    unit.change_enrolment(
        replace(enrolment, state=Standing.SUSPENDED, suspended_at=at, suspended_why=why)
    )
    data = {"enrolment": enrolment.id, "person": enrolment.person, "role": enrolment.role}
    data |= {"changes": ", ".join(changes), "suspendedAt": at}
    by = Event.by(_AIRFLOW, "ApproverSuspended", f"enrolment/{enrolment.id}", data, why)
    unit.log(STREAM, by)
    text = f"{why}. Two people who may enrol approvers have to enrol {enrolment.person} again."
    unit.post(
        NOTICE, f"enrolment/{enrolment.id}/suspended", {"person": enrolment.person, "text": text}
    )
    unit.post("duties", f"duties/{enrolment.id}/suspended", {"person": enrolment.person})


def admit(unit: UnitOfWork, name: str, people: Collection[Person]) -> LookAlike | None:
    """Return why a new user name is no person, with the event if that is new; None: it may be.

    Compared are people who are active, or were ever proposed as approvers.
    """
    enrolled = {enrolment.person for enrolment in unit.enrolments()}
    others = {person.id for person in people if person.active or person.id in enrolled} - {name}
    try:
        check_name(name, others)
    except LookAlike as refusal:
        at = stamp(unit.now())
        if unit.put_look_alike(name, refusal.message, at):
            data = {"name": name, "refusedAt": at}
            event = Event.by(_AIRFLOW, "LookAlikeRefused", "user", data, refusal.message)
            unit.log(STREAM, event)
            unit.post(NOTICE, f"look-alike/{at}", {"person": "", "text": refusal.message})
        return refusal
    return None
