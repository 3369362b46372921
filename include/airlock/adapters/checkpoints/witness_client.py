"""Asks a witness for its cosignature: https://c2sp.org/tlog-witness."""

from __future__ import annotations

import base64
from collections.abc import Callable

import httpx

from airlock.adapters.http_budget import BudgetClient
from airlock.domain.errors import Invalid, Refused, Unreachable
from airlock.domain.log.checkpoint import (
    COSIGNATURE,
    Cosigner,
    NoteInvalid,
    open_cosignature,
    parse,
    read_vkey,
)
from airlock.domain.log.tree import KeptCheckpoint
from airlock.domain.log.witnessing import SIZE_TYPE
from airlock.services.audit.transparency_log import Copy

_PATIENCE = httpx.Timeout(10, connect=2)


class WitnessClient:
    """One witness, by its address and its key."""

    witness = True

    def __init__(
        self,
        url: str,
        key: str,
        verify: Callable[[bytes, bytes, bytes], bool],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """*key* is the witness's vkey, *verify* takes public key, signature and message.

        *transport* is for tests.

        Raises:
            Invalid: if the key is not one that cosigns.
        """
        self.witness_name, kind, self.public = read_vkey(key)
        if kind != COSIGNATURE:
            raise Invalid(f"the key of witness {self.witness_name} is not one for cosignatures")
        self.name = f"witness {self.witness_name}"
        public = self.public
        self.cosigner = Cosigner(public, lambda sig, message: verify(public, sig, message))
        self._http = BudgetClient(
            base_url=url, timeout=_PATIENCE, transport=transport, follow_redirects=False
        )

    def put(self, copy: Copy) -> str:
        """Have a checkpoint cosigned; return the cosignature line.

        Raises:
            Refused: if the witness has seen another history.
            Unreachable: if it does not answer, or not as this witness does.
        """
        answer = self._ask(copy, copy.after)
        remembered = _size(answer)
        if remembered is not None and remembered != copy.after and remembered <= copy.size:
            answer = self._ask(copy, remembered)
        if _contradicts(answer):
            raise Refused(
                f"{self.name} does not cosign the checkpoint of {copy.size} entries "
                f"({answer.status_code}): {answer.text.strip()[:200]}",
                next_step="The witness remembers another log: `airlock audit verify` against it.",
            )
        if answer.status_code != 200:
            raise Unreachable(
                f"{self.name} answered {answer.status_code}: {answer.text.strip()[:200]}",
                next_step="See that AIRLOCK_WITNESS_URL is a witness that knows this log.",
            )
        return self._checked(copy.note, answer.text)

    def _ask(self, copy: Copy, old: int) -> httpx.Response:
        proof = "".join(f"{base64.b64encode(node).decode()}\n" for node in copy.prove(old))
        body = f"old {old}\n{proof}\n{copy.note}"
        try:
            return self._http.post("/add-checkpoint", content=body.encode())
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.name} does not answer: {error}") from error

    def _checked(self, note: str, lines: str) -> str:
        """Return our witness's line, once its signature has been checked."""
        try:
            line = open_cosignature(note, lines, self.witness_name, self.cosigner)
        except NoteInvalid as error:
            raise Unreachable(f"{self.name} sent no valid cosignature: {error.message}") from error
        return line.text()

    def checkpoints(self) -> tuple[KeptCheckpoint, ...]:
        """Return the newest checkpoint the witness remembers of any log it knows.

        Raises:
            Unreachable: if it does not answer.
        """
        try:
            answer = self._http.get("/checkpoints").raise_for_status()
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.name} does not answer: {error}") from error
        notes = [part for part in answer.text.split("\x1e") if part]
        try:
            return tuple(KeptCheckpoint(self.name, parse(note)[0].size, note) for note in notes)
        except NoteInvalid as error:  # what is no checkpoint says nothing about the log
            raise Unreachable(f"{self.name} did not send checkpoints: {error.message}") from error


def _contradicts(answer: httpx.Response) -> bool:
    """Say whether a witness remembers something else: another size, or the proof does not hold."""
    return answer.status_code == 422 or _size(answer) is not None


def _size(answer: httpx.Response) -> int | None:
    kind = answer.headers.get("content-type", "")
    text = answer.text.strip()
    if answer.status_code != 409 or kind != SIZE_TYPE or not text.isdigit():
        return None
    return int(text)
