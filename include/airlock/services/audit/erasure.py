"""Erasing what a person wrote (the decider does this).

Rules:
* Gone are: every text the person wrote (reasons, findings, notes, with their salts), what could
  be guessed from (digests of requests), and the display name. Ids stay: they are pseudonyms.
* What was decided stays. No chain, proof or state changes, because the log holds commitments.
* The erasure is in the log: who asked for it, why, how many texts, and which commitments. So a
  text that is gone without an entry is found by `airlock audit verify`.

Not covered, because it is not Airlock's: the user in Airflow and notes on its runs, tags in MLflow,
authors in git, and copies exported before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from airlock.domain.approval.voting import check_reason
from airlock.domain.errors import NotFound
from airlock.domain.log.audit import Event
from airlock.domain.log.erasable_texts import ERASURE
from airlock.domain.people.actors import Actor
from airlock.ports import Store
from airlock.services.idempotency import Once

STREAM = "access"
#: Commitments in one entry, at most.
MANY = 500


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased."""

    person: str
    texts: int


def erase(store: Store, actor: Actor, person_id: str, reason: str, key: str = "") -> Erased:
    """Erase everything a person has written, and the display name. Asked again, erase the rest.

    The same *key* does it once.

    Raises:
        Invalid: without a reason.
        NotFound: if Airlock does not know the person.
    """
    check_reason(reason)
    once = Once.of("erase", actor, key, person=person_id, reason=reason)
    with store.begin() as unit:
        answered = once.answered(unit)
        if answered is not None:
            return Erased(person_id, int(answered))
        person = {person.id: person for person in unit.people()}.get(person_id)
        if person is None:
            raise NotFound(
                f"Airlock does not know {person_id!r}",
                next_step="Give the user name in Airflow, as `airlock audit list` shows it.",
            )
        gone = unit.erase_texts(person_id)
        unit.put_person(replace(person, name=person_id))
        for some in _parts(gone):
            unit.log(STREAM, _event(actor, person_id, some, reason))
        once.keep(unit, str(len(gone)))
        unit.commit()
    return Erased(person_id, len(gone))


def _parts(commitments: tuple[str, ...]) -> Iterator[list[str]]:
    rest = iter(commitments)
    yield list(islice(rest, MANY))  # the first entry is written even if there was no text
    while some := list(islice(rest, MANY)):
        yield some


def _event(actor: Actor, person_id: str, commitments: list[str], why: str) -> Event:
    data = {"person": person_id, "texts": len(commitments), "commitments": commitments}
    return Event.by(actor, ERASURE, f"user/{person_id}", data, why)
