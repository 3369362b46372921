"""What people wrote: beside the log, under the commitments that stand in it.

Texts are collected and written in one statement when the transaction commits. The same text by the
same person is one text within a transaction, so a vote and its event share a commitment.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, update

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.bulk import among, insert_new
from airlock.adapters.sql_store.tables import answered
from airlock.adapters.sql_store.texts.tables import audit_text
from airlock.domain.approval.release import Release, Story
from airlock.domain.log.audit import Event
from airlock.domain.log.erasable_texts import (
    ALTERED,
    ERASED,
    SALT_BYTES,
    Commitment,
    commit,
    is_commitment,
    swapped,
)
from airlock.domain.people.actors import SYSTEM

#: Commitments in one statement, at most.
MANY = 10_000
_THERE = select(audit_text.c.commitment, audit_text.c.salt, audit_text.c.text).where(
    audit_text.c.text.is_not(None)
)
_OF_STREAM = _THERE.where(audit_text.c.stream == bindparam("of"))


class Texts(Base):
    """Committing to texts, reading them and erasing them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin with no text."""
        super().__init__(*arguments, **options)
        self._committed: dict[tuple[str, str, str], Commitment] = {}
        self._unwritten: list[dict[str, Any]] = []

    def texts(self, stream: str) -> dict[str, tuple[bytes, str]]:
        """Return commitment -> (salt, text) for the entries of a stream; erased ones are absent."""
        self._write_texts()
        return self._read_texts(_OF_STREAM, of=stream)

    def texts_of(self, commitments: Iterable[str]) -> dict[str, tuple[bytes, str]]:
        """Return commitment -> (salt, text); those that were erased are absent."""
        self._write_texts()
        texts: dict[str, tuple[bytes, str]] = {}
        rest = iter(sorted(set(commitments)))
        while some := list(islice(rest, MANY)):
            chosen = among(self._connection, audit_text.c.commitment, some)
            texts |= self._read_texts(_THERE.where(chosen))
        return texts

    def owners_of(self, commitments: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return commitment -> (stream, person), for texts that were erased as well."""
        names = (audit_text.c.commitment, audit_text.c.stream, audit_text.c.person)
        chosen = among(self._connection, audit_text.c.commitment, sorted(set(commitments)))
        rows = self._connection.execute(select(*names).where(chosen))
        return {commitment: (stream, person) for commitment, stream, person in rows}

    def resolve_texts(self, texts: Iterable[str]) -> dict[str, str]:
        """Return commitment -> what a reader sees, for the commitments among *texts*."""
        commitments = {text for text in texts if is_commitment(text)}
        stored = self.texts_of(commitments) if commitments else {}
        return {
            commitment: _words(commitment, stored.get(commitment)) for commitment in commitments
        }

    def erase_texts(self, person_id: str) -> tuple[str, ...]:
        """Erase every text a person wrote and every trace of it; return the commitments."""
        written = (audit_text.c.person == person_id, audit_text.c.text.is_not(None))
        query = select(audit_text.c.commitment).where(*written).order_by(audit_text.c.commitment)
        commitments = tuple(self._connection.scalars(query.with_for_update()))
        gone = {"salt": None, "text": None, "erased_at": self._stamp()}
        self._connection.execute(update(audit_text).where(*written).values(**gone))
        # The digest of a request is taken over its reason: it could be guessed from it.
        sent = answered.c.key.startswith(f"{person_id}/", autoescape=True)
        self._connection.execute(delete(answered).where(sent))
        return commitments

    def _read_texts(self, query: Select[Any], **parameters: str) -> dict[str, tuple[bytes, str]]:
        rows = self._connection.execute(query, parameters)
        return {commitment: (_bytes(salt), str(text)) for commitment, salt, text in rows}

    def _commit_to(self, stream: str, person: str, text: str) -> str:
        """Return the commitment to a text, which is kept; what is one already stays as it is."""
        if not text or isinstance(text, Commitment):
            return text
        key = (stream, person, text)
        if key not in self._committed:
            salt = secrets.token_bytes(SALT_BYTES)
            commitment = self._committed[key] = commit(salt, text)
            row = {"commitment": str(commitment), "stream": stream, "person": person}
            self._unwritten.append({**row, "salt": salt, "text": text})
        return self._committed[key]

    def _sealed(self, stream: str, event: Event) -> Event:
        """Return an event with commitments in place of what a person wrote."""
        author = event.author or event.actor_id
        if author.startswith(SYSTEM):
            return event

        def swap(text: str) -> str:
            return self._commit_to(stream, author, text)

        return replace(event, why=swap(event.why), data=swapped(event.data, swap))

    def _sealed_story(self, story: Story, new: Release) -> tuple[list[Event], Release]:
        """Return the events of a story, sealed, and its release as it is then kept."""
        events = [self._sealed(new.id, event) for event in story.events]
        if all(sealed is other for sealed, other in zip(events, story.events, strict=True)):
            return events, new  # told by a machine
        return events, story.retold(events) or new

    def _write_texts(self) -> None:
        insert_new(self._connection, audit_text, self._unwritten)
        self._unwritten = []


def _words(commitment: str, text: tuple[bytes, str] | None) -> str:
    if text is None:
        return ERASED
    return text[1] if commit(*text) == commitment else ALTERED


def _bytes(value: bytes | str) -> bytes:
    # SQLite keeps whatever type somebody wrote; an edited salt must be found, not crash.
    return value.encode() if isinstance(value, str) else bytes(value)
