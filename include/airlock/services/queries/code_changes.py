"""What a release's code changes against the code of the champion it was compared with."""

from __future__ import annotations

from dataclasses import dataclass

from airlock.domain.approval.release import Release, State
from airlock.domain.errors import Refused
from airlock.domain.evidence.pipeline_spec import Recipe
from airlock.ports import CodeChange, CodeSource, Store, UnitOfWork

DIRTY = "+dirty"
_SERVED = (State.PROMOTED, State.PROMOTING, State.APPROVED, State.ROLLED_BACK, State.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class CodeComparison:
    """The code of a release beside the champion's.

    *champion*: the version compared with, empty for a first release; *unknown*: why nobody can
    say what changed; *uncommitted*: whose code held changes that are in no commit, so that no
    diff shows them: "candidate", "champion".
    """

    champion: str
    before: str
    after: str
    uncommitted: tuple[str, ...] = ()
    change: CodeChange | None = None
    unknown: str = ""


def compare(store: Store, code: CodeSource, release_id: str) -> CodeComparison:
    """Return what changed in the code of a release since its champion.

    Raises:
        NotFound: if there is no such release.
    """
    with store.begin() as unit:
        release = unit.get(release_id)
        document, _ = unit.registered("pipeline", release.subject.pipeline_digest)
        champion = _champion(unit, release)
        served = _release_of(unit, release, champion) if champion else None
    after = release.subject.code_commit
    if not champion:
        return CodeComparison("", "", after, _uncommitted(candidate=after))
    if served is None:
        unknown = f"no release of version {champion} is known, so nobody can say what its code was"
        return CodeComparison(champion, "", after, _uncommitted(candidate=after), unknown=unknown)
    before = served.subject.code_commit
    uncommitted = _uncommitted(candidate=after, champion=before)
    try:
        change = code.change(Recipe(document).folder, _commit(before), _commit(after))
    except Refused as error:
        return CodeComparison(champion, before, after, uncommitted, unknown=error.message)
    return CodeComparison(champion, before, after, uncommitted, change)


def _champion(unit: UnitOfWork, release: Release) -> str:
    evaluation = unit.evidence_of(release.origin).get("evaluation")
    champion = evaluation.facts.get("champion") if evaluation else None
    return str(champion["version"]) if champion else ""


def _release_of(unit: UnitOfWork, release: Release, version: str) -> Release | None:
    """Return the release a version went out with."""
    after = ""
    while True:
        page = unit.page(states=_SERVED, model=release.subject.model, after=after)
        for served in page.releases:
            if served.subject.version == version:
                return served
        if not page.next:
            return None
        after = page.next


def _commit(code: str) -> str:
    return code.partition("+")[0]


def _uncommitted(**codes: str) -> tuple[str, ...]:
    return tuple(name for name, code in codes.items() if DIRTY in code)
