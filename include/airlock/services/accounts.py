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

from airlock.domain.audit import Event
from airlock.domain.clock import stamp
from airlock.domain.enrolment import SeenAccount, Standing
from airlock.domain.lookalikes import LookAlike, check_name
from airlock.domain.people import Actor, Person
from airlock.ports import UnitOfWork

STREAM = "access"
#: The kind of messages that tell whoever answers for the platform of a change among people.
NOTICE = "people"
_AIRFLOW = Actor.system("airflow")


def observe(unit: UnitOfWork, person_id: str, seen: SeenAccount | None) -> bool:
    """Keep what is seen of an account; suspend what was enrolled for another. Say if it is new.

    The person is known already. *seen*: None where Airflow's login does not say.
    """
    if seen is None:
        return False
    before = unit.account(person_id)
    if before == seen:
        return False
    at = stamp(unit.now())
    unit.put_account(person_id, seen, at)
    changes = before.changes(seen) if before else ()
    data = {"person": person_id, "issuer": seen.issuer, "subject": seen.subject}
    data |= {"marks": seen.marked, "seenAt": at, "changes": ", ".join(changes)}
    what, why = "AccountSeen", ""
    if before is not None:
        what, why = "AccountChanged", f"{person_id} has {' and '.join(changes)} in Airflow"
    unit.log(STREAM, Event.by(_AIRFLOW, what, f"user/{person_id}", data, why))
    for one in unit.enrolments(person=person_id, state=Standing.ACTIVE.value):
        _suspend(unit, one.id, seen, at)
    return True


def _suspend(unit: UnitOfWork, enrolment_id: str, seen: SeenAccount, at: str) -> None:
    one = unit.enrolment(enrolment_id)  # locked, afresh
    changes = one.account.changes(seen)
    if one.state is not Standing.ACTIVE or not changes:
        return
    what = " and ".join(changes)
    why = f"{one.person} has {what} in Airflow since {one.person} was enrolled as {one.role}"
    unit.change_enrolment(
        replace(one, state=Standing.SUSPENDED, suspended_at=at, suspended_why=why)
    )
    data = {"enrolment": one.id, "person": one.person, "role": one.role}
    data |= {"changes": ", ".join(changes), "suspendedAt": at}
    by = Event.by(_AIRFLOW, "ApproverSuspended", f"enrolment/{one.id}", data, why)
    unit.log(STREAM, by)
    text = f"{why}. Two people who may enrol approvers have to enrol {one.person} again."
    unit.post(NOTICE, f"enrolment/{one.id}/suspended", {"person": one.person, "text": text})
    unit.post("duties", f"duties/{one.id}/suspended", {"person": one.person})


def admit(unit: UnitOfWork, name: str, people: Collection[Person]) -> LookAlike | None:
    """Return why a new user name is no person, with the event if that is new; None: it may be.

    Compared are people who are active, or were ever proposed as approvers.
    """
    enrolled = {one.person for one in unit.enrolments()}
    known = {one.id for one in people if one.active or one.id in enrolled} - {name}
    try:
        check_name(name, known)
    except LookAlike as refusal:
        at = stamp(unit.now())
        if unit.put_look_alike(name, refusal.message, at):
            data = {"name": name, "refusedAt": at}
            event = Event.by(_AIRFLOW, "LookAlikeRefused", "user", data, refusal.message)
            unit.log(STREAM, event)
            unit.post(NOTICE, f"look-alike/{at}", {"person": "", "text": refusal.message})
        return refusal
    return None
