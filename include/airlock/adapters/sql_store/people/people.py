"""People with their role grants and history, and the registered configuration."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import func, insert, select, update

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.people.enrolment_tables import enrolment
from airlock.adapters.sql_store.tables import configuration, person, role_grant
from airlock.domain.approval.policy import Rulebook
from airlock.domain.clock import moment
from airlock.domain.digest import canonical_json, short
from airlock.domain.errors import Refused
from airlock.domain.people.actors import Person
from airlock.domain.people.enrolment import Standing
from airlock.domain.people.separation_of_duties import CHANGER, UNKNOWN, is_unknown


@dataclass(frozen=True)
class Registered:
    """A registered document as read once; nobody changes what it holds."""

    document: Mapping[str, Any]
    at: datetime
    changed_by: str

    @cached_property
    def rulebook(self) -> Rulebook:
        """The document as a rule book."""
        return Rulebook.from_document(self.document)


_CURRENT_GRANT = (role_grant.c.person == person.c.id) & role_grant.c.revoked_at.is_(None)
_CONFIRMED = (
    (enrolment.c.person == person.c.id)
    & (enrolment.c.role == role_grant.c.role)
    & (enrolment.c.state == Standing.ACTIVE.value)
)
_POLICIES = select(func.count()).where(configuration.c.kind == "policy").scalar_subquery()
#: Everybody with each role Airflow gives, what confirms it, and how many policies were registered:
#: the policies say which roles have to be confirmed.
EVERYBODY = (
    select(
        person.c.id,
        person.c.name,
        person.c.active,
        role_grant.c.role,
        enrolment.c.id.label("enrolment"),
        _POLICIES.label("policies"),
    )
    .select_from(person.outerjoin(role_grant, _CURRENT_GRANT).outerjoin(enrolment, _CONFIRMED))
    .order_by(person.c.id)
)
_ALL_POLICIES = select(configuration.c.document).where(configuration.c.kind == "policy")
#: Registered documents a process remembers; there are few, and each never changes.
MOST_DOCUMENTS = 500


class People(Base):
    """Who there is, and under which rules."""

    #: False once a decision has read that git named nobody later: then nothing is asked again.
    _may_be_named_later = True

    def people(self) -> tuple[Person, ...]:
        """Return everybody Airlock knows, with the roles that count now."""
        return self._people_from(self._connection.execute(EVERYBODY))

    def _people_from(self, rows: Iterable[Sequence[Any]]) -> tuple[Person, ...]:
        """Return people from rows of `EVERYBODY`."""
        loaded = list(rows)
        return people_from(loaded, self._deciding(int(loaded[0][5])) if loaded else frozenset())

    def _deciding(self, policies: int) -> frozenset[str] | None:
        """Return the roles that decide under any policy ever registered: once is for ever.

        *policies*: how many there are, so that what is remembered is not older. Without any every
        role decides (None).
        """
        if not policies:
            return None
        key = ("deciding", str(policies))
        if key not in self._documents:
            documents = self._connection.execute(_ALL_POLICIES).scalars()
            books = [Rulebook.from_document(json.loads(document)) for document in documents]
            self._documents[key] = frozenset().union(*(book.deciding_roles for book in books))
        deciding: frozenset[str] = self._documents[key]
        return deciding

    def put_person(self, new: Person) -> str:
        """Insert or update a person and the role grants; return when, or nothing if all is so."""
        stored = self._lock_person(new.id)
        if new.same_account(stored):
            return ""
        self._upsert(person, {"id": new.id, "name": new.name, "active": int(new.active)})
        now = self._stamp()
        roles = stored.roles if stored else frozenset[str]()
        for role in sorted(new.claimed - roles):
            grant = {"person": new.id, "role": role, "granted_at": now}
            self._connection.execute(insert(role_grant).values(**grant))
        for role in sorted(roles - new.claimed):
            current = (role_grant.c.person == new.id, role_grant.c.role == role)
            self._connection.execute(
                update(role_grant)
                .where(*current, role_grant.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
        return now

    def _lock_person(self, person_id: str) -> Person | None:
        locked = select(person).where(person.c.id == person_id).with_for_update()
        row = self._connection.execute(locked).mappings().one_or_none()
        if row is None:
            return None
        query = select(role_grant.c.role).where(
            role_grant.c.person == person_id, role_grant.c.revoked_at.is_(None)
        )
        roles = frozenset(role for (role,) in self._connection.execute(query))
        return Person(row["id"], row["name"], roles, bool(row["active"]))

    def register(
        self, kind: str, digest: str, document: Mapping[str, Any], changed_by: str = UNKNOWN
    ) -> bool:
        """Register a policy or pipeline (decider only); say whether it was new."""
        self._documents = {}  # not yet committed: nobody else may remember it
        return self._insert_once(
            configuration,
            {
                "kind": kind,
                "digest": digest,
                "document": canonical_json(document).decode(),
                "registered_at": self._stamp(),
                "changed_by": changed_by,
            },
            on=("kind", "digest"),
        )

    def is_registered(self, kind: str, digest: str) -> bool:
        """Say whether a policy or pipeline is registered."""
        return self._document(kind, digest) is not None

    def changed_by(self, kind: str, digest: str) -> str:
        """Return who last changed a registered document, as git names that person."""
        entry = self._document(kind, digest)
        if entry is None:
            return UNKNOWN
        return self._named_later(digest) if is_unknown(entry.changed_by) else entry.changed_by

    def _named_later(self, digest: str) -> str:
        """Return the author git named after the policy's registration, else the one noted then."""
        if self._may_be_named_later:
            rows = select(configuration.c.document).where(configuration.c.kind == CHANGER)
            rows = rows.order_by(configuration.c.registered_at)
            for named in map(json.loads, self._connection.execute(rows).scalars()):
                if named["policy"] == digest:
                    return str(named["changedBy"])
        entry = self._document("policy", digest)
        return entry.changed_by if entry else UNKNOWN

    def _document(self, kind: str, digest: str) -> Registered | None:
        entry: Registered | None = self._documents.get((kind, digest))
        if entry is not None:
            return entry
        row = self._row(configuration, kind=kind, digest=digest)
        if row is None:
            return None
        entry = Registered(
            json.loads(row["document"]), moment(row["registered_at"]), row["changed_by"]
        )
        if len(self._documents) >= MOST_DOCUMENTS:
            self._documents.clear()
        self._documents[kind, digest] = entry
        return entry

    def policy_at(self, at: str) -> Mapping[str, Any] | None:
        """Return the policy registered last before a moment, if any."""
        query = (
            select(configuration.c.document)
            .where(configuration.c.kind == "policy", configuration.c.registered_at <= at)
            .order_by(configuration.c.registered_at.desc())
        )
        document = self._connection.execute(query.limit(1)).scalar_one_or_none()
        return json.loads(document) if document else None

    def registered(self, kind: str, digest: str) -> tuple[Mapping[str, Any], datetime]:
        """Return a registered document and when it was registered."""
        entry = self._known_document(kind, digest)
        return entry.document, entry.at

    def rulebook(self, digest: str) -> Rulebook:
        """Return a registered rule book."""
        return self._known_document("policy", digest).rulebook

    def _known_document(self, kind: str, digest: str) -> Registered:
        entry = self._document(kind, digest)
        if entry is None:
            raise Refused(
                f"the {kind} with digest {short(digest)} is not registered: the deciding process "
                "has not accepted it",
                next_step="Run `airlock policy check`; the delivery process (`airlock deliver`) "
                "registers valid files within seconds, a pipeline once its owner has an account.",
            )
        return entry


def people_from(
    rows: Iterable[Sequence[Any]], deciding: Collection[str] | None
) -> tuple[Person, ...]:
    """Return people from rows of `EVERYBODY`; *deciding* roles (None: all) need a confirmation."""

    def counts(role: str, sure: bool) -> bool:
        return sure or (deciding is not None and role not in deciding)

    accounts: dict[str, tuple[str, bool]] = {}
    grants: dict[str, dict[str, bool]] = {}
    for person_id, name, active, role, enrolled, _ in rows:
        accounts[person_id] = (name, bool(active))
        grants.setdefault(person_id, {}).update({role: enrolled is not None} if role else {})
    return tuple(
        Person(
            person_id,
            name,
            frozenset(role for role, sure in grants[person_id].items() if counts(role, sure)),
            active,
            frozenset(role for role, sure in grants[person_id].items() if not counts(role, sure)),
            any(grants[person_id].values()),
        )
        for person_id, (name, active) in accounts.items()
    )
