"""Who may approve as what: Airlock's own register of approvers.

Rules:
* A role that decides counts for a person only if Airflow says so now and an active enrolment says
  so. What Airflow says alone gives no right to decide.
* An enrolment is proposed by one entitled person and confirmed by another, neither of them the
  person enrolled, each with a reason. Whoever proposed it is still entitled when it is confirmed.
* It names the account it was made for: issuer, subject, and marks of what may not change without
  anybody noticing (password, e-mail, user name). A changed account suspends every enrolment of its
  person; a suspended one counts for nothing until two people have enrolled the person anew.
* Ending takes one entitled person, or the person enrolled. It counts at once.
* A confirmation confirms the account that was proposed; one that has changed since is refused.
* The first entitled people are enrolled with the database owner's credential, as the log then
  says, while there are fewer than two who could do it themselves.

States: proposed -> active -> suspended -> ended, and from each of them to ended.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from airlock.domain.errors import Conflict, Forbidden, Invalid
from airlock.domain.people.actors import SYSTEM, Person

#: The right to propose and to confirm; never inherited, and without effect until enrolled for.
ENROL = "approver:enrol"
#: Who enrols with the owner's credential, as the log names it.
OWNER = f"{SYSTEM}owner"
#: How many who may enrol are enough for the owner's credential to be needed no more.
ENOUGH = 2
#: Lines of one file, at most.
MOST_LINES = 500
COLUMNS = ("person", "role", "reason")


class Standing(StrEnum):
    """How an enrolment stands."""

    PROPOSED = "proposed"  #: waits for a second person
    ACTIVE = "active"  #: counts, as long as Airflow says so too
    SUSPENDED = "suspended"  #: the account changed; counts for nothing
    ENDED = "ended"  #: over for good


@dataclass(frozen=True, slots=True)
class SeenAccount:
    """The account behind a user name: who vouches for it, its id there, and marks of the rest.

    *marks*: what -> digest of its value; only compared, never turned back.
    """

    issuer: str
    subject: str
    marks: Mapping[str, str] = field(default_factory=dict)

    def changes(self, now: SeenAccount) -> tuple[str, ...]:
        """Return in words what is different in *now*."""
        if (self.issuer, self.subject) != (now.issuer, now.subject):
            return ("another account of that name",)
        names = sorted({*self.marks, *now.marks})
        return tuple(f"a new {n}" for n in names if self.marks.get(n) != now.marks.get(n))

    @property
    def marked(self) -> str:
        """The marks as they are kept: JSON with sorted names."""
        return json.dumps(dict(self.marks), sort_keys=True)

    @classmethod
    def of(cls, issuer: str, subject: str, **values: str | None) -> SeenAccount:
        """Return an account with marks of *values*; `e_mail` becomes `e-mail`."""
        marks = {
            name.replace("__", " ").replace("_", "-"): mark(issuer, subject, name, value or "")
            for name, value in values.items()
        }
        return cls(issuer, subject, marks)


def mark(issuer: str, subject: str, name: str, value: str) -> str:
    """Return the digest of one value of one account."""
    text = json.dumps([issuer, subject, name, value])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """That *person* may act as *role*: by whom, why, for which account, and since when."""

    id: str
    person: str
    role: str
    state: Standing
    issuer: str
    subject: str
    marks: str
    proposed_by: str
    proposed_at: str
    proposed_why: str
    batch: str = ""
    confirmed_by: str | None = None
    confirmed_at: str | None = None
    confirmed_why: str | None = None
    suspended_at: str | None = None
    suspended_why: str | None = None
    ended_at: str | None = None
    ended_by: str | None = None
    ended_why: str | None = None

    @property
    def account(self) -> SeenAccount:
        """The account it was made for."""
        return SeenAccount(self.issuer, self.subject, json.loads(self.marks))

    def active_at(self, at: str) -> bool:
        """Return whether it counted at a moment."""
        over = min(end for end in (self.suspended_at, self.ended_at, "9") if end)
        return self.confirmed_at is not None and self.confirmed_at <= at < over


def check_proposal(
    actor: str, person: Person | None, name: str, role: str, roles: Collection[str], account: bool
) -> Person:
    """Return the person proposed, if *actor* may propose that person for *role*.

    *name*: of the person; *roles*: the roles of the policy; *account*: whether the account has been
    seen.

    Raises:
        Forbidden: if the actor is that person.
        Invalid: if the role or the person is not there.
        Conflict: if Airflow does not say the same.
    """
    if actor == name:
        raise Forbidden(
            f"{actor} cannot propose {name}: nobody enrols oneself",
            next_step="Ask another person who may enrol approvers.",
        )
    if role not in roles:
        raise Invalid(
            f"there is no role {role!r}; the policy has {', '.join(sorted(roles))}",
            next_step="Name one of these; include/policies/access.yaml defines them.",
        )
    if person is None or not person.active or not account:
        raise Invalid(
            f"Airlock knows no active account {name!r} in Airflow",
            next_step="Make the account in Airflow, wait ten seconds or let the person log in "
            "once, then try again. `airlock person list` shows whom Airlock knows.",
        )
    _check_airflow(person, role)
    return person


def _check_airflow(person: Person, role: str) -> None:
    if role not in person.claimed:
        claimed = ", ".join(sorted(person.claimed)) or "no role"
        raise Conflict(
            f"{person.id} holds {claimed} in Airflow, not {role}: both have to say so",
            next_step=f"Give {person.id} the role {role} in Airflow first.",
        )


def check_confirmation(
    actor: str,
    enrolment: Enrolment,
    person: Person | None,
    now: SeenAccount | None,
    *,
    entitled: bool,
) -> None:
    """Refuse a confirmation by the wrong person, or of an enrolment that changed since.

    *entitled*: whether whoever proposed it may still enrol; *now*: the account as it is.

    Raises:
        Forbidden: if the actor proposed it, or is the person enrolled.
        Conflict: if there is nothing to confirm, or the account is not the one proposed.
    """
    if enrolment.state is not Standing.PROPOSED:
        raise Conflict(
            f"the enrolment {enrolment.id} of {enrolment.person} as {enrolment.role} is "
            f"{enrolment.state}, not proposed",
            next_step="`airlock person list` shows what waits for a confirmation.",
        )
    if actor in (enrolment.person, enrolment.proposed_by):
        why = "is the person enrolled" if actor == enrolment.person else "proposed it"
        raise Forbidden(
            f"{actor} {why}, so another person has to confirm {enrolment.person} as "
            f"{enrolment.role}",
            next_step="Ask another person who may enrol approvers.",
        )
    again = f"End {enrolment.id}, then propose {enrolment.person} again."
    if not entitled:
        raise Conflict(
            f"{enrolment.proposed_by}, who proposed {enrolment.person} as {enrolment.role}, may "
            "not enrol any more",
            next_step=again,
        )
    changes = enrolment.account.changes(now) if now else ("no account any more",)
    if changes or person is None or not person.active:
        difference = ", ".join(changes) or "the account is not active"
        raise Conflict(
            f"the account of {enrolment.person} is not as it was proposed: {difference}",
            next_step=again,
        )
    _check_airflow(person, enrolment.role)


def check_ending(actor: str, enrolment: Enrolment, *, entitled: bool) -> None:
    """Refuse an ending by an unentitled person, or of an ended enrolment.

    Raises:
        Forbidden: if the actor neither may enrol nor is the person enrolled.
        Conflict: if it has ended.
    """
    if not entitled and actor != enrolment.person:
        raise Forbidden(
            f"{actor} may not end the enrolment of {enrolment.person}: that needs {ENROL}",
            next_step="Ask somebody who may enrol approvers.",
        )
    if enrolment.state is Standing.ENDED:
        raise Conflict(f"the enrolment {enrolment.id} ended at {enrolment.ended_at}")


def check_first(role: str, entitling: Collection[str], able: Collection[str]) -> None:
    """Refuse the owner's credential where it is not needed.

    *entitling*: the roles that may enrol; *able*: the people who may already.

    Raises:
        Invalid: if the role is none that may enrol.
        Conflict: if two people may do it themselves.
    """
    if role not in entitling:
        names = ", ".join(sorted(entitling)) or "none: no role of the policy has it"
        raise Invalid(
            f"--first enrols people who may enrol others, and {role!r} may not",
            next_step=f"Roles with {ENROL}: {names}. Two such people enrol everybody else.",
        )
    if len(able) >= ENOUGH:
        raise Conflict(
            f"{' and '.join(sorted(able))} may enrol people, so the owner's credential is not "
            "needed any more",
            next_step="One of them proposes: `airlock person enrol NAME --role ROLE "
            f'--as {min(able)} --reason "..."`; another confirms.',
        )


@dataclass(frozen=True, slots=True)
class Nomination:
    """One line of a file: who is to be enrolled as what, and why."""

    person: str
    role: str
    reason: str


def read_file(text: str) -> tuple[Nomination, ...]:
    """Return the lines of a CSV file with the columns person, role, reason.

    Raises:
        Invalid: naming the line.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        records = list(rows)
    except csv.Error as error:
        raise Invalid(f"the file is not CSV: {error}", next_step=_HOW) from error
    if tuple(rows.fieldnames or ()) != COLUMNS:
        names = ", ".join(map(str, rows.fieldnames or ()))[:100] or "an empty file"
        raise Invalid(f"the first line has to be person,role,reason, found {names}", next_step=_HOW)
    if not 0 < len(records) <= MOST_LINES:
        raise Invalid(f"a file enrols 1 to {MOST_LINES} people, found {len(records)} lines")
    nominations = []
    for number, row in enumerate(records, 2):
        values = [row.get(name) for name in COLUMNS]
        if None in row or not all(isinstance(value, str) and value.strip() for value in values):
            raise Invalid(f"line {number} needs a person, a role and a reason", next_step=_HOW)
        nominations.append(Nomination(*(str(value).strip() for value in values)))
    if len({(nomination.person, nomination.role) for nomination in nominations}) < len(nominations):
        raise Invalid("the file names somebody twice for one role")
    return tuple(nominations)


_HOW = "Write a line person,role,reason, then one line for each person, with commas."
