"""Enrolling approvers: proposed by one, confirmed by another (the decider does this).

Rules are in `airlock.domain.people.enrolment`; here they are asked inside the transaction, with the
rights of that moment, and what follows is written with its event in the stream `access`. Refusals
are events too. The first people are enrolled by `first`, with the database owner's credential.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from airlock.domain.approval.policy import Rulebook
from airlock.domain.approval.voting import check_reason
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_bytes
from airlock.domain.errors import AirlockError, Conflict, Forbidden, NotFound
from airlock.domain.log.audit import Event
from airlock.domain.people.actors import Actor, Person
from airlock.domain.people.enrolment import (
    ENROL,
    OWNER,
    Enrolment,
    Nomination,
    Standing,
    check_confirmation,
    check_ending,
    check_first,
    check_proposal,
    read_file,
)
from airlock.domain.people.lookalikes import check_name
from airlock.ports import Store, UnitOfWork
from airlock.services.approvals.decide import refusal_event
from airlock.services.idempotency import Once
from airlock.services.people.accounts import STREAM

_OWNER = Actor.system(OWNER.removeprefix("system:"))
_REFUSED = "enrolment"


@dataclass(frozen=True, slots=True)
class Scene:
    """What one transaction looks at: everybody, and what the policy says of roles."""

    unit: UnitOfWork
    rulebook: Rulebook
    people: Mapping[str, Person]

    @classmethod
    def of(cls, unit: UnitOfWork, rulebook: Rulebook) -> Scene:
        """Look at everybody in this transaction."""
        return cls(unit, rulebook, {person.id: person for person in unit.people()})

    def may_enrol(self, name: str) -> bool:
        """Say whether somebody may propose and confirm now; the owner's credential once did."""
        person = self.people.get(name)
        able = person is not None and person.active and person.enrolled
        return able and person is not None and ENROL in self.rulebook.permissions(person.roles)

    def require(self, actor: Actor) -> None:
        """Refuse whoever may not enrol in this transaction.

        Raises:
            Forbidden: saying what is missing.
        """
        if not self.may_enrol(actor.id):
            names = ", ".join(sorted(self.rulebook.enrolling_roles)) or "no role"
            raise Forbidden(
                f"{actor.id} may not enrol approvers: that needs {ENROL}, which {names} gives to "
                "whoever is enrolled for it",
                next_step="Ask somebody `airlock person list` shows as enrolled for such a role. "
                "If there is nobody yet, with the owner's credential: "
                '`airlock person enrol NAME --role ROLE --reason "..." --first`.',
            )


def propose(
    store: Store,
    rulebook: Rulebook,
    actor: Actor,
    person: str,
    role: str,
    reason: str,
    key: str = "",
) -> Enrolment:
    """Propose *person* for *role*; the same *key* does it once.

    Raises:
        Refused: (one of its kinds) with the rule that said no; the attempt is in the log.
    """
    once = Once.of("enrol", actor, key, person=person, role=role, reason=reason)

    def make(scene: Scene) -> list[Enrolment]:
        scene.require(actor)
        return [write_proposal(scene, actor, Nomination(person, role, reason))]

    return _run_once(store, rulebook, actor, once, make)[0]


def import_file(
    store: Store, rulebook: Rulebook, actor: Actor, text: str, key: str = ""
) -> tuple[str, list[Enrolment]]:
    """Propose everybody a CSV file names; all or nobody. Return the file's digest with them."""
    batch = digest_bytes(text.encode())
    once = Once.of("enrol-file", actor, key, file=batch)

    def make(scene: Scene) -> list[Enrolment]:
        scene.require(actor)
        if any(
            enrolment.state is Standing.PROPOSED for enrolment in scene.unit.enrolments(batch=batch)
        ):
            raise Conflict(
                f"the file {batch} is proposed already",
                next_step="Another person confirms it: "
                '`airlock person confirm --file FILE --as ANOTHER --reason "..."`.',
            )
        return [write_proposal(scene, actor, nomination, batch) for nomination in read_file(text)]

    return batch, _run_once(store, rulebook, actor, once, make)


def confirm(
    store: Store, rulebook: Rulebook, actor: Actor, enrolment_id: str, reason: str, key: str = ""
) -> Enrolment:
    """Confirm a proposal, as another person than who proposed it."""
    once = Once.of("confirm-enrolment", actor, key, enrolment=enrolment_id, reason=reason)

    def make(scene: Scene) -> list[Enrolment]:
        scene.require(actor)
        return [write_confirmation(scene, actor, enrolment_id, reason)]

    return _run_once(store, rulebook, actor, once, make)[0]


def confirm_file(
    store: Store, rulebook: Rulebook, actor: Actor, batch: str, reason: str, key: str = ""
) -> list[Enrolment]:
    """Confirm everybody one file has proposed and nobody has ended since; all or nobody."""
    once = Once.of("confirm-file", actor, key, file=batch, reason=reason)

    def make(scene: Scene) -> list[Enrolment]:
        scene.require(actor)
        batch_enrolments = scene.unit.enrolments(batch=batch) if batch else ()
        waiting = [
            enrolment.id for enrolment in batch_enrolments if enrolment.state is Standing.PROPOSED
        ]
        if not waiting:
            raise NotFound(
                f"nobody waits for a confirmation by the file {batch}",
                next_step="The digest is that of the very file that was imported; "
                '`airlock person confirm --file FILE --reason "..."` computes it.',
            )
        return [
            write_confirmation(scene, actor, enrolment_id, reason)
            for enrolment_id in sorted(waiting)
        ]

    return _run_once(store, rulebook, actor, once, make)


def end(
    store: Store, rulebook: Rulebook, actor: Actor, enrolment_id: str, reason: str, key: str = ""
) -> Enrolment:
    """End an enrolment at once, as somebody who may enrol or as the person enrolled."""
    once = Once.of("end-enrolment", actor, key, enrolment=enrolment_id, reason=reason)

    def make(scene: Scene) -> list[Enrolment]:
        enrolment = scene.unit.enrolment(enrolment_id)
        check_ending(actor.id, enrolment, entitled=scene.may_enrol(actor.id))
        check_reason(reason)
        return [_ended(scene.unit, actor, enrolment, reason)]

    return _run_once(store, rulebook, actor, once, make)[0]


def first(store: Store, rulebook: Rulebook, person: str, role: str, reason: str) -> Enrolment:
    """Enrol somebody who may enrol others, with the database owner's credential in *store*.

    Raises:
        Conflict: if two people may do it themselves.
        Invalid: if the role may not enrol, or the person is not known.
    """

    def make(scene: Scene) -> list[Enrolment]:
        able = [name for name in scene.people if scene.may_enrol(name)]
        check_first(role, rulebook.enrolling_roles, able)
        nomination = Nomination(person, role, f"set up by the owner's credential: {reason}")
        return [write_proposal(scene, _OWNER, nomination)]

    return _run_once(store, rulebook, _OWNER, Once("", ""), make)[0]


def _run_once(
    store: Store,
    rulebook: Rulebook,
    actor: Actor,
    once: Once,
    make: Callable[[Scene], list[Enrolment]],
) -> list[Enrolment]:
    """Run *make* in one transaction, once per key; log a refusal before raising it."""
    refusal: AirlockError
    with store.begin() as unit:
        previous = once.answered(unit)
        if previous is not None:
            return [_read(unit, enrolment_id) for enrolment_id in previous.split()]
        try:
            results = make(Scene.of(unit, rulebook))
            once.keep(unit, " ".join(enrolment.id for enrolment in results))
            unit.commit()
        except AirlockError as error:
            refusal = error
        else:
            return [_worded(unit, enrolment) for enrolment in results]
    with store.begin() as unit:  # what was begun is undone
        unit.log(STREAM, refusal_event(actor, _REFUSED, refusal.message))
        unit.commit()
    raise refusal


def write_proposal(
    scene: Scene, actor: Actor, nomination: Nomination, batch: str = ""
) -> Enrolment:
    """Write a proposal with its event, after every check but whether *actor* may enrol."""
    unit, person = scene.unit, scene.people.get(nomination.person)
    account = unit.account(nomination.person, lock=True)
    check_reason(nomination.reason)
    roles = scene.rulebook.roles
    check_proposal(actor.id, person, nomination.person, nomination.role, roles, account is not None)
    if account is None:
        raise NotFound(f"the account of {nomination.person} was never seen")
    enrolled = {enrolment.person for enrolment in unit.enrolments()}
    others = (o.id for o in scene.people.values() if o.active or o.id in enrolled)
    check_name(nomination.person, set(others) - {nomination.person})
    _replace_suspended(unit, actor, nomination)
    at, by_owner = stamp(unit.now()), actor.id == OWNER
    new = Enrolment(
        id=f"enr-{secrets.token_hex(5)}",
        person=nomination.person,
        role=nomination.role,
        state=Standing.ACTIVE if by_owner else Standing.PROPOSED,
        issuer=account.issuer,
        subject=account.subject,
        marks=account.marked,
        proposed_by=actor.id,
        proposed_at=at,
        proposed_why=nomination.reason,
        batch=batch,
        confirmed_by=OWNER if by_owner else None,
        confirmed_at=at if by_owner else None,
        confirmed_why=nomination.reason if by_owner else None,
    )
    stored = unit.put_enrolment(new)
    data = {"enrolment": new.id, "person": new.person, "role": new.role, "batch": batch}
    data |= {"issuer": new.issuer, "subject": new.subject, "marks": new.marks}
    data |= {"proposedAt": at}
    place = f"enrolment/{new.id}"
    unit.log(STREAM, Event.by(actor, "ApproverProposed", place, data, nomination.reason))
    if by_owner:
        unit.log(STREAM, _confirmation(actor, new, nomination.reason, at))
    return stored


def _replace_suspended(unit: UnitOfWork, actor: Actor, nomination: Nomination) -> None:
    """End what the change of an account has suspended: the person is enrolled anew."""
    for enrolment in unit.enrolments(person=nomination.person, state=Standing.SUSPENDED.value):
        if enrolment.role == nomination.role:
            _ended(unit, actor, unit.enrolment(enrolment.id), "proposed again after the suspension")


def write_confirmation(scene: Scene, actor: Actor, enrolment_id: str, reason: str) -> Enrolment:
    """Write a confirmation with its event, after every check but whether *actor* may enrol."""
    unit = scene.unit
    enrolment = unit.enrolment(enrolment_id)
    person, account = scene.people.get(enrolment.person), unit.account(enrolment.person, lock=True)
    entitled = scene.may_enrol(enrolment.proposed_by)
    check_confirmation(actor.id, enrolment, person, account, entitled=entitled)
    check_reason(reason)
    at = stamp(unit.now())
    changed = replace(
        enrolment,
        state=Standing.ACTIVE,
        confirmed_by=actor.id,
        confirmed_at=at,
        confirmed_why=reason,
    )
    unit.change_enrolment(changed)
    unit.log(STREAM, _confirmation(actor, changed, reason, at))
    return changed


def _confirmation(actor: Actor, enrolment: Enrolment, reason: str, at: str) -> Event:
    data = {
        "enrolment": enrolment.id,
        "person": enrolment.person,
        "role": enrolment.role,
        "batch": enrolment.batch,
    }
    data |= {"proposedBy": enrolment.proposed_by, "confirmedAt": at}
    return Event.by(actor, "ApproverConfirmed", f"enrolment/{enrolment.id}", data, reason)


def _ended(unit: UnitOfWork, actor: Actor, enrolment: Enrolment, reason: str) -> Enrolment:
    at = stamp(unit.now())
    over = replace(
        enrolment, state=Standing.ENDED, ended_at=at, ended_by=actor.id, ended_why=reason
    )
    unit.change_enrolment(over)
    data = {
        "enrolment": enrolment.id,
        "person": enrolment.person,
        "role": enrolment.role,
        "endedAt": at,
    }
    data["was"] = enrolment.state.value
    unit.log(STREAM, Event.by(actor, "ApproverEnded", f"enrolment/{enrolment.id}", data, reason))
    unit.post("duties", f"duties/{enrolment.id}/ended", {"person": enrolment.person})
    return over


def _read(unit: UnitOfWork, enrolment_id: str) -> Enrolment:
    return _worded(unit, unit.enrolment(enrolment_id))


def _worded(unit: UnitOfWork, enrolment: Enrolment) -> Enrolment:
    """Return an enrolment with its reasons in place of the commitments to them."""
    return _with_words([enrolment], unit)[0]


_WORDS = ("proposed_why", "confirmed_why", "suspended_why", "ended_why")


def _with_words(stored: Sequence[Enrolment], unit: UnitOfWork) -> list[Enrolment]:
    texts = [text for enrolment in stored for name in _WORDS if (text := getattr(enrolment, name))]
    resolved = unit.resolve_texts(texts)
    return [
        replace(
            enrolment,
            **{n: resolved.get(getattr(enrolment, n), getattr(enrolment, n)) for n in _WORDS},
        )
        for enrolment in stored
    ]


def enrolments(store: Store, *, person: str = "", state: str = "") -> list[dict[str, Any]]:
    """Return enrolments as JSON data: all, those of one person, or those in one state."""
    with store.begin() as unit:
        worded = _with_words(unit.enrolments(person=person, state=state), unit)
    return [view(enrolment) for enrolment in worded]


def view(enrolment: Enrolment) -> dict[str, Any]:
    """Return an enrolment as JSON data, without the marks of its account."""
    hidden = ("issuer", "subject", "marks")
    return {name: value for name, value in asdict(enrolment).items() if name not in hidden}


def people(store: Store, rulebook: Rulebook) -> list[dict[str, Any]]:
    """Return all people as JSON data: roles that count, and enrolments not confirmed yet."""
    with store.begin() as unit:
        everybody, register = unit.people(), unit.enrolments()
    return [
        _person_view(person, register, rulebook)
        for person in sorted(everybody, key=lambda person: person.id)
    ]


def _person_view(
    person: Person, register: Iterable[Enrolment], rulebook: Rulebook
) -> dict[str, Any]:
    own = [
        enrolment
        for enrolment in register
        if enrolment.person == person.id and enrolment.state is not Standing.ENDED
    ]
    standing = {enrolment.role: enrolment for enrolment in own}
    return {
        "id": person.id,
        "name": person.name,
        "active": person.active,
        "roles": sorted(person.roles),
        "unconfirmed": sorted(person.unconfirmed),
        "mayEnrol": person.active and ENROL in rulebook.permissions(person.roles),
        "enrolments": [
            {"id": enrolment.id, "role": role, "state": enrolment.state.value}
            for role, enrolment in sorted(standing.items())
        ],
    }


def look_alikes(store: Store) -> list[dict[str, str]]:
    """Return every user name that was refused as a person, with the reason, newest first."""
    with store.begin() as unit:
        refusals = unit.look_alikes()
    return [{"name": name, "why": why, "refusedAt": at} for name, why, at in refusals]
