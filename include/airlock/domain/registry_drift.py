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
class Sighting:
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
    subject: str
    old: str | None
    new: str | None
    why: str
    model: str = ""
    alias: str = ""
    release: str = ""

    @property
    def id(self) -> str:
        """Return the name of the finding."""
        parts = [self.kind.value, self.subject, self.old, self.new]
        return f"drift-{digest_json(parts).removeprefix('sha256:')[:12]}"

    def to_document(self) -> dict[str, Any]:
        """Return the finding as a document."""
        fields = asdict(self) | {"kind": self.kind.value}
        return {"id": self.id, "kind": fields.pop("kind"), "thing": fields.pop("subject"), **fields}


def compare(
    served: Iterable[Served],
    sightings: Iterable[Sighting],
    protected: Collection[str],
    spent: Mapping[str, Spent],
) -> list[Drift]:
    """Compare the aliases; *spent* says of the grants there whether Airlock has spent them."""
    there = {(sighting.model, sighting.alias): sighting for sighting in sightings}
    drifts: list[Drift] = []
    for line in served:
        if line.alias in protected:
            drifts += _line(line, there.pop((line.model, line.alias), None), spent)
    for alias in there.values():
        drifts += _unknown(alias, spent)
    return drifts


def compare_spent(there: Iterable[SpentThere], spent: Mapping[str, Spent]) -> list[Drift]:
    """Return the grants that were spent there but never here."""
    return [
        Drift(
            kind=Kind.GRANT,
            subject=entry.grant,
            old=None,
            new=entry.version,
            why=f"the guard has {entry.grant} as spent for version {entry.version} of "
            f"{entry.model}, but Airlock never spent it",
            model=entry.model,
            alias=entry.alias,
        )
        for entry in there
        if spent.get(entry.grant, Spent.NEVER) is Spent.NEVER
    ]


def compare_permits(there: Iterable[Permit], issued: Mapping[str, Permit]) -> list[Drift]:
    """Return the permits there that no grant explains; *issued*: those of the grants made here."""
    drifts = []
    for permit in there:
        expected = issued.get(permit.grant)
        if expected is not None and replace(permit, ended=expected.ended) == expected:
            continue
        moves = f"version {permit.version} of {permit.model} to {permit.alias}"
        lacks = "the log tells of no such grant" if expected is None else "its grant says otherwise"
        why = f"MLflow's database has a permit {permit.grant} that moves {moves}, and {lacks}"
        drifts.append(
            Drift(
                kind=Kind.PERMIT,
                subject=permit.grant,
                old=None if expected is None else expected.version,
                new=permit.version,
                why=why,
                model=permit.model,
                alias=permit.alias,
            )
        )
    return drifts


def answer(line: Served, resolved: str | None) -> Drift | None:
    """Compare the version that an ordinary client gets, where the guard found nothing wrong."""
    if resolved == line.version:
        return None
    why = f"clients are told {resolved or 'nothing'}, though the alias points at {line.version}"
    return _of(line, Kind.DIFFERS, line.version, resolved, why)


def weigh(line: Served, digest: str | None) -> Drift | None:
    """Compare the bytes that lie there now."""
    if digest == line.digest:
        return None
    now = short(digest) if digest else "gone"
    why = f"the files of version {line.version} are {now}, but {short(line.digest)} was released"
    return _of(line, Kind.BYTES, line.digest, digest, why)


def unhashed(line: Served, why: str) -> Drift:
    """Return the finding that the bytes of a version cannot be compared."""
    reason = f"the files of version {line.version} of {line.model} cannot be hashed: {why}"
    return _of(line, Kind.UNHASHED, line.digest, None, reason)


def blind(why: str) -> Drift:
    """Return the finding that nothing could be compared."""
    return Drift(kind=Kind.BLIND, subject="mlflow", old=None, new=None, why=why)


def _line(line: Served, sighting: Sighting | None, spent: Mapping[str, Spent]) -> Iterator[Drift]:
    name = f"{line.alias} of {line.model}"
    if sighting is None:
        why = f"{name} was released as version {line.version} and is not there any more"
        yield _of(line, Kind.GONE, line.version, None, why)
    elif sighting.version != line.version:
        state = _ahead(sighting, spent, line.sequence)
        if state is Spent.NEVER:
            why = f"{name} points at version {sighting.version}, released is version {line.version}"
            yield _of(line, Kind.MOVED, line.version, sighting.version, why)
        elif state is Spent.BEFORE:
            yield _of(line, Kind.UNFINISHED, line.version, sighting.version, _unfinished(sighting))
    elif sighting.location != line.location:
        why = f"version {line.version} of {line.model} is read from another place than was approved"
        yield _of(line, Kind.LOCATION, line.location, sighting.location, why)
    elif sighting.problem:
        yield _of(line, Kind.UNBACKED, line.version, sighting.version, sighting.problem)


def _unknown(sighting: Sighting, spent: Mapping[str, Spent]) -> Iterator[Drift]:
    subject, state = f"{sighting.model}@{sighting.alias}", _ahead(sighting, spent, 0)
    target = {"model": sighting.model, "alias": sighting.alias}
    if state is Spent.BEFORE:
        yield Drift(
            kind=Kind.UNFINISHED,
            subject=subject,
            old=None,
            new=sighting.version,
            why=_unfinished(sighting),
            **target,
        )
    elif state is Spent.NEVER:
        why = f"{sighting.alias} of {sighting.model} points at version {sighting.version}, and "
        why += "Airlock has released nothing there"
        yield Drift(
            kind=Kind.UNKNOWN, subject=subject, old=None, new=sighting.version, why=why, **target
        )


def _ahead(sighting: Sighting, spent: Mapping[str, Spent], sequence: int) -> Spent:
    """Return whether a grant that its line does not record yet has moved the alias."""
    if (
        sighting.grant is None
        or sighting.released != sighting.version
        or (sighting.sequence or 0) <= sequence
    ):
        return Spent.NEVER
    return spent.get(sighting.grant, Spent.NEVER)


def _unfinished(sighting: Sighting) -> str:
    return (
        f"grant {sighting.grant} has moved {sighting.alias} of {sighting.model} to version "
        f"{sighting.version}, but "
        "the promotion is not finished yet: the delivery process does it when it can"
    )


def _of(line: Served, kind: Kind, old: str | None, new: str | None, why: str) -> Drift:
    return Drift(
        kind=kind,
        subject=f"{line.model}@{line.alias}",
        old=old,
        new=new,
        why=why,
        model=line.model,
        alias=line.alias,
        release=line.release,
    )
