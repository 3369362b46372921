"""What the model registry says against what was released: pure comparison.

Rules:
* Airlock is right. What differs from it in the registry is a finding, with old and new value.
* A promotion under way is none: its grant was given here before the alias moved there.
* One finding per alias, the gravest: gone or moved, then its files' place, then its backing.
* A finding is named by what, where, old and new, so the same one has the same name everywhere.

An alias that the registry's guard does not protect is anybody's to move and is not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from airlock.domain.digest import digest_json, short


class Kind(StrEnum):
    """What is wrong."""

    MOVED = "alias-moved"
    GONE = "alias-gone"
    LOCATION = "location-moved"
    UNBACKED = "alias-unbacked"
    DIFFERS = "answers-differ"
    UNKNOWN = "unknown-alias"
    GRANT = "unknown-grant"
    PERMIT = "unknown-permit"
    UNFINISHED = "promotion-unfinished"
    BYTES = "bytes-changed"
    UNHASHED = "files-not-hashed"
    BLIND = "could-not-look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What Airlock released into one line; `sequence` is how often the line has moved."""

    model: str
    alias: str
    environment: str
    version: str
    release: str
    location: str
    digest: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A protected alias as it is in the registry, and the grant the guard says was spent last."""

    model: str
    alias: str
    version: str
    location: str
    problem: str
    grant: str | None = None
    released: str | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentThere:
    """A grant the guard has seen spent."""

    grant: str
    model: str
    alias: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A permit, by which the registry's database lets an alias move.

    *ended*: it was spent or revoked, so it moves nothing more.
    """

    grant: str
    model: str
    alias: str
    version: str
    sequence: int
    ended: bool = False


class Spent(StrEnum):
    """Whether a grant that moved an alias is Airlock's, and since when it should be finished."""

    NEVER = "never"
    JUST_NOW = "just now"
    BEFORE = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that is not as released."""

    kind: Kind
    thing: str
    old: str | None
    new: str | None
    why: str
    model: str = ""
    alias: str = ""
    release: str = ""

    @property
    def id(self) -> str:
        """Return the name of the finding."""
        parts = [self.kind.value, self.thing, self.old, self.new]
        return f"drift-{digest_json(parts).removeprefix('sha256:')[:12]}"

    def told(self) -> dict[str, Any]:
        """Return the finding as a document."""
        return {"id": self.id, **asdict(self), "kind": self.kind.value}


def compare(
    served: Iterable[Served],
    seen: Iterable[Seen],
    protected: Collection[str],
    spent: Mapping[str, Spent],
) -> list[Drift]:
    """Compare the aliases; *spent* says of the grants there whether Airlock has spent them."""
    there = {(one.model, one.alias): one for one in seen}
    found: list[Drift] = []
    for line in served:
        if line.alias in protected:
            found += _line(line, there.pop((line.model, line.alias), None), spent)
    for alias in there.values():
        found += _unknown(alias, spent)
    return found


def compare_spent(there: Iterable[SpentThere], spent: Mapping[str, Spent]) -> list[Drift]:
    """Return the grants that were spent there but never here."""
    return [
        Drift(
            kind=Kind.GRANT,
            thing=one.grant,
            old=None,
            new=one.version,
            why=f"the guard has {one.grant} as spent for version {one.version} of {one.model}, but "
            "Airlock never spent it",
            model=one.model,
            alias=one.alias,
        )
        for one in there
        if spent.get(one.grant, Spent.NEVER) is Spent.NEVER
    ]


def compare_permits(there: Iterable[Permit], given: Mapping[str, Permit]) -> list[Drift]:
    """Return the permits there that no grant explains; *given*: those of the grants given here."""
    found = []
    for permit in there:
        told = given.get(permit.grant)
        if told is not None and replace(permit, ended=told.ended) == told:
            continue
        moves = f"version {permit.version} of {permit.model} to {permit.alias}"
        lacks = "the log tells of no such grant" if told is None else "its grant says otherwise"
        why = f"MLflow's database has a permit {permit.grant} that moves {moves}, and {lacks}"
        found.append(
            Drift(
                kind=Kind.PERMIT,
                thing=permit.grant,
                old=None if told is None else told.version,
                new=permit.version,
                why=why,
                model=permit.model,
                alias=permit.alias,
            )
        )
    return found


def answer(line: Served, given: str | None) -> Drift | None:
    """Compare what an ordinary client is told, where the guard found nothing wrong."""
    if given == line.version:
        return None
    why = f"clients are told {given or 'nothing'}, though the alias points at {line.version}"
    return _of(line, Kind.DIFFERS, line.version, given, why)


def weigh(line: Served, digest: str | None) -> Drift | None:
    """Compare the bytes that lie there now."""
    if digest == line.digest:
        return None
    now = short(digest) if digest else "gone"
    why = f"the files of version {line.version} are {now}, but {short(line.digest)} was released"
    return _of(line, Kind.BYTES, line.digest, digest, why)


def unhashed(line: Served, why: str) -> Drift:
    """Return the finding that the bytes of a version cannot be compared."""
    what = f"the files of version {line.version} of {line.model} cannot be hashed: {why}"
    return _of(line, Kind.UNHASHED, line.digest, None, what)


def blind(why: str) -> Drift:
    """Return the finding that nothing could be compared."""
    return Drift(kind=Kind.BLIND, thing="mlflow", old=None, new=None, why=why)


def _line(line: Served, seen: Seen | None, spent: Mapping[str, Spent]) -> Iterator[Drift]:
    what = f"{line.alias} of {line.model}"
    if seen is None:
        why = f"{what} was released as version {line.version} and is not there any more"
        yield _of(line, Kind.GONE, line.version, None, why)
    elif seen.version != line.version:
        state = _ahead(seen, spent, line.sequence)
        if state is Spent.NEVER:
            why = f"{what} points at version {seen.version}, released is version {line.version}"
            yield _of(line, Kind.MOVED, line.version, seen.version, why)
        elif state is Spent.BEFORE:
            yield _of(line, Kind.UNFINISHED, line.version, seen.version, _unfinished(seen))
    elif seen.location != line.location:
        why = f"version {line.version} of {line.model} is read from another place than was approved"
        yield _of(line, Kind.LOCATION, line.location, seen.location, why)
    elif seen.problem:
        yield _of(line, Kind.UNBACKED, line.version, seen.version, seen.problem)


def _unknown(seen: Seen, spent: Mapping[str, Spent]) -> Iterator[Drift]:
    thing, state = f"{seen.model}@{seen.alias}", _ahead(seen, spent, 0)
    whose = {"model": seen.model, "alias": seen.alias}
    if state is Spent.BEFORE:
        yield Drift(
            kind=Kind.UNFINISHED,
            thing=thing,
            old=None,
            new=seen.version,
            why=_unfinished(seen),
            **whose,
        )
    elif state is Spent.NEVER:
        why = f"{seen.alias} of {seen.model} points at version {seen.version}, and Airlock has "
        why += "released nothing there"
        yield Drift(kind=Kind.UNKNOWN, thing=thing, old=None, new=seen.version, why=why, **whose)


def _ahead(seen: Seen, spent: Mapping[str, Spent], sequence: int) -> Spent:
    """Say whether a grant of Airlock's that its line does not know of yet has moved the alias."""
    if seen.grant is None or seen.released != seen.version or (seen.sequence or 0) <= sequence:
        return Spent.NEVER
    return spent.get(seen.grant, Spent.NEVER)


def _unfinished(seen: Seen) -> str:
    return (
        f"grant {seen.grant} has moved {seen.alias} of {seen.model} to version {seen.version}, but "
        "the promotion is not finished yet: the delivery process does it when it can"
    )


def _of(line: Served, kind: Kind, old: str | None, new: str | None, why: str) -> Drift:
    return Drift(
        kind=kind,
        thing=f"{line.model}@{line.alias}",
        old=old,
        new=new,
        why=why,
        model=line.model,
        alias=line.alias,
        release=line.release,
    )
