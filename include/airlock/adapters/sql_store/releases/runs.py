"""What pipeline runs produced: candidates, evidence, gate results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, select

from airlock.adapters.sql_store.base import Base
from airlock.adapters.sql_store.tables import candidate, evidence, gate_result, run_evidence
from airlock.domain.digest import canonical_json
from airlock.domain.errors import Conflict
from airlock.domain.evidence.attestation import GateKeys
from airlock.domain.gates import Evidence, GateResult
from airlock.ports import Candidate

_EVIDENCE = (
    select(evidence.c.body)
    .join(run_evidence, run_evidence.c.digest == evidence.c.digest)
    .where(run_evidence.c.origin == bindparam("of"))
)
_COMPARED = (
    select(candidate.c.document, evidence.c.body)
    .join(run_evidence, run_evidence.c.origin == candidate.c.origin)
    .join(evidence, evidence.c.digest == run_evidence.c.digest)
    .where(run_evidence.c.kind == "comparison")
    .order_by(candidate.c.origin)
)

_RESULTS = (
    select(gate_result).where(gate_result.c.origin == bindparam("of")).order_by(gate_result.c.key)
)


class Runs(Base):
    """Reading and writing by origin (`dag_id/run_id`)."""

    _gate_keys: GateKeys | None = None

    def put_candidate(self, new: Candidate) -> None:
        """Remember a run's candidate; the same origin may only repeat the same content."""
        document = canonical_json(asdict(new)).decode()
        first = {"origin": new.origin, "document": document}
        self._insert_once(candidate, first, on=("origin",))
        stored = self.candidate(new.origin)
        if stored != new:
            raise Conflict(
                f"run {new.origin} has already produced another candidate: version "
                f"{stored.version if stored else '?'}, not {new.version}",
                next_step="Start a new run instead of clearing this one.",
            )

    def candidate(self, origin: str) -> Candidate | None:
        """Return the candidate of a run."""
        row = self._row(candidate, origin=origin)
        return candidate_from(row["document"]) if row else None

    def put_evidence(self, origin: str, new: Evidence) -> None:
        """Keep evidence; the newest of a kind counts until the release is opened."""
        self._insert_once(evidence, {"digest": new.digest, "body": new.body}, on=("digest",))
        self._upsert(run_evidence, {"origin": origin, "kind": new.kind, "digest": new.digest})

    def evidence_of(self, origin: str) -> dict[str, Evidence]:
        """Return the evidence of a run by kind."""
        return evidence_from(self._connection.execute(_EVIDENCE, {"of": origin}).scalars())

    def compared(
        self, model: str, environment: str
    ) -> tuple[tuple[Candidate, Mapping[str, Any]], ...]:
        """Return every candidate of a line with the facts of its comparison."""
        # The documents are canonical JSON, so this finds them all; what else it finds is left out.
        rows = self._connection.execute(
            _COMPARED.where(candidate.c.document.contains(f'"model":"{model}"', autoescape=True))
        )
        pairs = ((candidate_from(document), json.loads(body)["facts"]) for document, body in rows)
        return tuple(
            (compared, facts)
            for compared, facts in pairs
            if (compared.model, compared.environment) == (model, environment)
        )

    def put_result(self, origin: str, result: GateResult, attestation: str = "") -> None:
        """Keep a gate result, signed or not; a later result of the same key replaces it."""
        document = canonical_json(result.to_document()).decode()
        values = {"key": result.key, "document": document, "attestation": attestation}
        self._upsert(gate_result, {"origin": origin, **values})

    def trust_gates(self, keys: GateKeys | None) -> None:
        """Let the store say who is trusted with which gate."""
        self._gate_keys = keys

    @property
    def gate_keys(self) -> GateKeys | None:
        """Who is trusted with which gate; None where nothing has to be signed."""
        return self._gate_keys

    def attestations_of(self, origin: str) -> dict[str, str]:
        """Return the signed results of a run by key, as envelopes."""
        query = select(gate_result.c.key, gate_result.c.attestation)
        rows = self._connection.execute(query.where(gate_result.c.origin == origin))
        return {key: envelope for key, envelope in rows if envelope}

    def results_of(self, origin: str) -> tuple[GateResult, ...]:
        """Return the gate results of a run in order of key."""
        rows = self._connection.execute(_RESULTS, {"of": origin}).mappings()
        return tuple(GateResult.from_document(json.loads(row["document"])) for row in rows)


def candidate_from(document: str) -> Candidate:
    """Return a candidate from its stored document."""
    fields = json.loads(document)
    return Candidate(**{**fields, "committers": tuple(fields.get("committers", ()))})


def evidence_from(bodies: Iterable[bytes]) -> dict[str, Evidence]:
    """Return evidence by kind, from the bytes stored."""
    documents = [json.loads(body) for body in bodies]
    return {
        body["kind"]: Evidence(body["kind"], body["artifactDigest"], body["facts"])
        for body in documents
    }
