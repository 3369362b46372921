"""From a proposal as handed in to its answer. Whatever it is, there is one, and nothing else stops.

Rules:
* What lies outside (Airflow, git, the registry) is asked before any transaction, so that a peer
  that hangs holds no lock.
* The effect and its answer are one transaction wherever that is possible; a handler that is called
  again for the same proposal gives the same answer.
* A proposal nobody can read or handle is answered with a refusal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airlock.domain import errors
from airlock.domain.errors import AirlockError, Invalid, Refused, Unreachable
from airlock.domain.evidence.proposals import MOST_BYTES
from airlock.domain.promotion.promotion import Underway
from airlock.ports import (
    ArtifactSource,
    CodeSource,
    RulesInForce,
    RunRecord,
    RunSource,
    Store,
    UnitOfWork,
)
from airlock.ports.promotions import Promotions
from airlock.services.proposals.body import Body

log = logging.getLogger("airlock.proposals")

#: Writes the answer beside the effect, and commits both.
Finish = Callable[[UnitOfWork, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What claims are compared with. No task can write any of it.

    *promotions*: the decider's own side of a promotion, where this process can promote. *room*
    raises Unreachable while the disk has no room for new work.
    """

    runs: RunSource
    code: CodeSource
    artifacts: ArtifactSource
    rules: RulesInForce
    promotions: Promotions | None = None
    room: Callable[[], object] = bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A proposal that can be read, by a run that there is and that is not over."""

    origin: str
    body: Body
    record: RunRecord


Handler = Callable[[Store, Sources, Claim, Finish], Mapping[str, Any]]


class Handling:
    """Answers proposals, of every kind there is a handler for."""

    def __init__(self, store: Store, sources: Sources) -> None:
        """*store*: with the rights of a decider."""
        self.store, self.sources = store, sources

    def answer(self, kind: str, origin: str, text: str, finish: Finish) -> dict[str, Any]:
        """Return the answer: `{"done": ...}`, or `{"refused": ...}` with the reason.

        *finish* has been called if the answer was written with the effect already.
        """
        try:
            handler = self._handler(kind)
            claim = Claim(origin, Body(kind, parsed(text)), self._running(origin))
            return {"done": handler(self.store, self.sources, claim, finish)}
        except AirlockError as refusal:
            return refused(refusal)
        except Exception as error:
            log.exception("a proposal %s of %r could not be handled", kind, origin)
            return refused(
                Invalid(
                    f"the proposal {kind[:40]!r} could not be handled: {type(error).__name__}",
                    next_step="It was set aside; the log of the delivery process says more.",
                )
            )

    def _handler(self, kind: str) -> Handler:
        from airlock.services.proposals.kinds import HANDLERS  # they import this module

        if kind not in HANDLERS:
            kinds = ", ".join(sorted(HANDLERS))
            raise Invalid(f"there is no kind of proposal {kind[:40]!r}; there are: {kinds}")
        return HANDLERS[kind]

    def _running(self, origin: str) -> RunRecord:
        record = self.sources.runs.run(origin)
        if record is None:
            raise Refused(
                f"Airflow has no run {origin[:200]!r}, so it can propose nothing",
                next_step="Only the tasks of a run propose, and for no run but their own.",
            )
        if record.is_over:
            raise Refused(
                f"run {origin} is over ({record.state}), so it can propose nothing",
                next_step="Start a new run.",
            )
        return record


def parsed(text: str) -> Mapping[str, Any]:
    """Return the body of a proposal. Raises Invalid unless it is one JSON object."""

    def unknown(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise Invalid(f"a proposal has at most {MOST_BYTES} bytes")
    try:
        document = json.loads(text, parse_constant=unknown)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the proposal is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise Invalid(f"the proposal is {type(document).__name__}, not an object")
    return document


def refused(error: AirlockError) -> dict[str, Any]:
    """Return a refusal as an answer, under the name of its error class.

    A promotion under way is over in two minutes, so its task is to ask again: `Unreachable`.
    """
    error_type: type = Unreachable
    if not isinstance(error, Underway):
        error_type = next(kind for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
    fields = {"message": error.message, "nextStep": error.next_step}
    return {"refused": {"error": error_type.__name__, **fields}}


def opened(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the result of an answer, or raise its refusal."""
    if "done" in answer:
        result: Mapping[str, Any] = answer["done"]
        return result
    refusal = answer["refused"]
    kind = getattr(errors, str(refusal["error"]), None)
    wrong = not (isinstance(kind, type) and issubclass(kind, AirlockError))
    error_type: type[AirlockError] = Unreachable if wrong or kind is None else kind
    raise error_type(str(refusal["message"]), next_step=str(refusal["nextStep"]))


class DirectProposals:
    """Proposals within one process: the same handlers, called directly."""

    def __init__(self, handling: Handling) -> None:
        """Answer with *handling*."""
        self._handling = handling

    def submit(self, kind: str, origin: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Propose something, as JSON like everywhere; return the answer or raise the refusal."""
        answer = self._handling.answer(kind, origin, json.dumps(body), _commit)
        document: Mapping[str, Any] = json.loads(json.dumps(answer))
        return opened(document)


def _commit(unit: UnitOfWork, _answer: Mapping[str, Any]) -> None:
    unit.commit()
