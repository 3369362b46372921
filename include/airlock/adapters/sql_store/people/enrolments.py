"""The register of approvers, and the accounts of people as they were seen last (decider only)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from airlock.adapters.sql_store.people.duties import ACCESS
from airlock.adapters.sql_store.people.enrolment_tables import account, enrolment, look_alike
from airlock.adapters.sql_store.texts.texts import Texts
from airlock.domain.errors import Conflict, NotFound
from airlock.domain.log.erasable_texts import mark_commitment
from airlock.domain.people.enrolment import Enrolment, SeenAccount, Standing

_WORDS = ("proposed_why", "confirmed_why", "suspended_why", "ended_why")


class Enrolments(Texts):
    """Reading and writing them."""

    def put_enrolment(self, new: Enrolment) -> Enrolment:
        """Keep a new enrolment; return it as it is kept. Raises Conflict if one stands already."""
        stored = replace(
            new,
            proposed_why=self._commitment(new.proposed_by, new.proposed_why) or "",
            confirmed_why=self._commitment(new.confirmed_by, new.confirmed_why),
        )
        try:
            values = asdict(stored) | {"state": stored.state.value}
            self._connection.execute(insert(enrolment).values(**values))
        except IntegrityError as error:
            raise Conflict(
                f"{new.person} is proposed or enrolled as {new.role} already",
                next_step="`airlock person list` shows how it stands.",
            ) from error
        return stored

    def change_enrolment(self, changed: Enrolment) -> None:
        """Write the state of an enrolment, and who confirmed or ended it, when and why."""
        values = {
            "state": changed.state.value,
            "confirmed_by": changed.confirmed_by,
            "confirmed_at": changed.confirmed_at,
            "confirmed_why": self._commitment(changed.confirmed_by, changed.confirmed_why),
            "suspended_at": changed.suspended_at,
            "suspended_why": changed.suspended_why,
            "ended_at": changed.ended_at,
            "ended_by": changed.ended_by,
            "ended_why": self._commitment(changed.ended_by, changed.ended_why),
        }
        changing = update(enrolment).where(enrolment.c.id == changed.id)
        self._connection.execute(changing.values(**values))

    def _commitment(self, by: str | None, why: str | None) -> str | None:
        if not by or not why or by.startswith("system:"):
            return why
        return self._commit_to(ACCESS, by, why)

    def enrolment(self, enrolment_id: str) -> Enrolment:
        """Return one enrolment, locked. Raises NotFound."""
        query = select(enrolment).where(enrolment.c.id == enrolment_id).with_for_update()
        row = self._connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(
                f"there is no enrolment {enrolment_id!r}",
                next_step="`airlock person list` shows the enrolments with their ids.",
            )
        return _enrolment(row)

    def enrolments(
        self, *, person: str = "", state: str = "", batch: str = ""
    ) -> tuple[Enrolment, ...]:
        """Return enrolments in order of person, role and time; those asked for."""
        query = select(enrolment).order_by(
            enrolment.c.person, enrolment.c.role, enrolment.c.proposed_at, enrolment.c.id
        )
        for name, value in (("person", person), ("state", state), ("batch", batch)):
            if value:
                query = query.where(enrolment.c[name] == value)
        return tuple(_enrolment(row) for row in self._connection.execute(query).mappings())

    def account(self, person_id: str, *, lock: bool = False) -> SeenAccount | None:
        """Return the account of a person as it was seen last; locked if asked."""
        query = select(account).where(account.c.person == person_id)
        if lock:
            query = query.with_for_update()
        row = self._connection.execute(query).mappings().one_or_none()
        return _account(row) if row is not None else None

    def accounts(self) -> Mapping[str, SeenAccount]:
        """Return person -> account as it was seen last."""
        rows = self._connection.execute(select(account)).mappings()
        return {row["person"]: _account(row) for row in rows}

    def put_account(self, person_id: str, identity: SeenAccount, at: str) -> None:
        """Keep the account of a person as it is seen now."""
        values = {"issuer": identity.issuer, "subject": identity.subject, "marks": identity.marked}
        self._upsert(account, {"person": person_id, **values, "seen_at": at})

    def put_look_alike(self, name: str, why: str, at: str) -> bool:
        """Note that a user name was refused as a person; say whether that is new."""
        values = {"name": name[:300], "why": why, "refused_at": at}
        return self._insert_once(look_alike, values, on=("name",))

    def look_alikes(self) -> tuple[tuple[str, str, str], ...]:
        """Return (user name, why, when) of everybody refused, the newest first."""
        query = select(look_alike).order_by(look_alike.c.refused_at.desc())
        return tuple(
            (row["name"], row["why"], row["refused_at"])
            for row in self._connection.execute(query).mappings()
        )


def _enrolment(row: RowMapping) -> Enrolment:
    words = {
        name: mark_commitment(row[name]) for name in _WORDS if row[name]
    }  # committed to once, not again
    return Enrolment(**{**row, **words, "state": Standing(row["state"])})


def _account(row: Mapping[str, Any] | RowMapping) -> SeenAccount:
    return SeenAccount(row["issuer"], row["subject"], json.loads(row["marks"]))
