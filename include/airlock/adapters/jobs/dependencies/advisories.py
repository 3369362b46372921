"""Advisories in OSV format from a file, a folder or a zip; no network.

Rules (https://ossf.github.io/osv-schema):
* A version is affected if the record lists it, or if it lies in one of its ECOSYSTEM ranges: events
  are walked in order of version; `introduced` begins, `fixed` ends before, `last_affected` after
  itself; no version at or above every `limit` is looked at.
* Names are compared as packaging normalises them, versions as it orders them (PEP 440).
* A local label (2.5.1+cpu) is how a release was built, not another release: the public version is
  held against ranges and lists, besides a list's own local versions.
* Withdrawn records do not count. Records of other ecosystems are skipped.
* A record that cannot be read costs itself: it is set aside by name, and the gate decides how many
  may be. One that names a package which is asked for leaves that package unknown.
* A database without a record that can be read is refused.
* Its age is what it says itself (`asOf`), else that of its newest record; never that of the file,
  which git and copying make young.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airlock.domain.digest import file_digest, folder_manifest, manifest_digest
from airlock.domain.errors import Invalid

_STEP = "docs/reference/gates.md says what the database may look like and where to get one."
_LARGEST = 64 << 20
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that was set aside; *packages* are those it names, as far as that can be read."""

    id: str
    why: str
    packages: tuple[str, ...] = ()

    def to_facts(self) -> dict[str, Any]:
        """Return it for the evidence."""
        return {"id": self.id[:100], "why": self.why[:200], "packages": list(self.packages[:10])}


@dataclass(frozen=True, slots=True)
class Database:
    """Advisories for PyPI by the normalised name of the package."""

    digest: str
    as_of: datetime
    source: str
    complete: bool
    records: int
    by_name: dict[str, tuple[dict[str, Any], ...]]
    unreadable: tuple[Unreadable, ...] = ()

    def unknown(self, name: str, version: str) -> list[Unreadable]:
        """Return the records about a package that cannot be read, so that nobody can tell."""
        odd = [entry for entry in self.unreadable if name in entry.packages]
        for record in self.by_name.get(name, ()):
            try:
                _fixes(record, name, version)
            except _MALFORMED as error:
                odd.append(Unreadable(str(record["id"]), str(error), (name,)))
        return odd

    def affecting(self, name: str, version: str) -> list[dict[str, Any]]:
        """Return the advisories about one version: id, aliases, summary and fixing versions."""
        advisories = []
        for record in self.by_name.get(name, ()):
            try:
                fixes = _fixes(record, name, version)
            except _MALFORMED:
                continue  # `unknown` names it
            if fixes is not None:
                advisories.append(
                    {
                        "id": record["id"],
                        "aliases": sorted(str(alias) for alias in record.get("aliases") or ()),
                        "summary": str(record.get("summary") or "")[:200],
                        "fixedIn": fixes,
                    }
                )
        return advisories


def load(path: Path) -> Database:
    """Read a database.

    Raises:
        Invalid: if there is none, or nothing in it can be read.
    """
    if not path.exists():
        raise Invalid(f"there is no advisory database at {path}", next_step=_STEP)
    about: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    unreadable: list[Unreadable] = []
    try:
        for name, text in _documents(path):
            _read_document(name, text, about, records, unreadable)
        newest = max((_moment(record["modified"]) for record in records), default=None)
        as_of = _moment(about["asOf"]) if "asOf" in about else newest
    except (*_MALFORMED, OSError, zipfile.BadZipFile) as error:
        raise Invalid(
            f"the advisory database {path} is malformed: {error}", next_step=_STEP
        ) from error
    if not records or as_of is None:
        why = f": {unreadable[0].id}: {unreadable[0].why}" if unreadable else ""
        state = "is malformed" if unreadable else "has no records"
        raise Invalid(f"the advisory database {path} {state}{why}", next_step=_STEP)
    return Database(
        digest=file_digest(path) if path.is_file() else manifest_digest(folder_manifest(path)),
        as_of=as_of,
        source=str(about.get("source", ""))[:200],
        complete=about.get("complete") is True,
        records=len(records),
        by_name=_by_name(records),
        unreadable=tuple(unreadable),
    )


def _read_document(
    name: str,
    text: bytes,
    about: dict[str, Any],
    records: list[dict[str, Any]],
    unreadable: list[Unreadable],
) -> None:
    """Read one document; what cannot be read is set aside, by its id or its place."""
    try:
        opened = list(_opened(json.loads(text), about))
    except _MALFORMED as error:
        unreadable.append(Unreadable(name, str(error)))
        return
    for number, record in enumerate(opened):
        try:
            records.append(_checked(record, name))
        except _MALFORMED as error:
            identifier = record.get("id") if isinstance(record, dict) else None
            called = identifier if isinstance(identifier, str) else f"{name}[{number}]"
            unreadable.append(Unreadable(called, repr(error), _packages_in(record)))


def _packages_in(record: Any) -> tuple[str, ...]:
    """Return the packages a record names, however odd the rest of it is."""
    from packaging.utils import canonicalize_name

    affected = record.get("affected") if isinstance(record, dict) else None
    names = []
    for part in affected if isinstance(affected, list) else []:
        package = part.get("package") if isinstance(part, dict) else None
        name = package.get("name") if isinstance(package, dict) else None
        if isinstance(name, str):
            names.append(canonicalize_name(name))
    return tuple(dict.fromkeys(names))


def _documents(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield str(file.relative_to(path)), file.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".json"):
                    if member.file_size > _LARGEST:
                        raise ValueError(f"{member.filename} has {member.file_size:,} bytes")
                    yield member.filename, archive.read(member)
    else:
        yield path.name, path.read_bytes()


def _opened(document: Any, about: dict[str, Any]) -> Iterator[Any]:
    """Yield the records of one document: a record, a list, or a list with words about it."""
    if isinstance(document, list):
        yield from document
    elif isinstance(document, dict) and "id" in document:
        yield document
    elif isinstance(document, dict) and ("vulns" in document or "asOf" in document):
        about |= {key: value for key, value in document.items() if key != "vulns"}
        yield from document.get("vulns", ())
    else:
        raise ValueError("found neither a record, nor a list of records, nor vulns")


def _checked(record: Any, name: str) -> dict[str, Any]:
    """Return a record that has what is needed; its ranges are read when they are asked for."""
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise ValueError(f"{name} holds a record without an id")
    _moment(record["modified"])
    for affected in record.get("affected", ()):
        package = affected.get("package", {"ecosystem": "", "name": ""})
        if not isinstance(package["ecosystem"], str) or not isinstance(package["name"], str):
            raise ValueError(f"{record['id']} names no package")
    return record


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _by_name(records: list[dict[str, Any]]) -> dict[str, tuple[dict[str, Any], ...]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if not record.get("withdrawn"):
            for name in {name for name, _ in _ours(record)}:
                grouped.setdefault(name, []).append(record)
    return {name: tuple(ours) for name, ours in grouped.items()}


def _ours(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a record says of packages of PyPI, by their normalised names."""
    from packaging.utils import canonicalize_name

    for affected in record.get("affected", ()):
        package = affected.get("package")
        if package and package["ecosystem"].partition(":")[0] == "PyPI":
            yield canonicalize_name(package["name"]), affected


def _fixes(record: dict[str, Any], name: str, version: str) -> list[str] | None:
    """Return the versions that fix it, oldest first; None if this version is not affected.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: if the record is malformed.
    """
    hit, fixes = False, []
    for package, affected in _ours(record):
        if package != name:
            continue
        ranges = [part for part in affected.get("ranges", ()) if part["type"] != "GIT"]
        inside = [part for part in ranges if in_range(version, part["events"])]
        listed = _listed(version, affected.get("versions", ()))
        if not ranges and not affected.get("versions"):
            raise ValueError("it names neither versions nor a range of them")
        events = [event for part in inside for event in part["events"]]
        fixes += [event["fixed"] for event in events if "fixed" in event]
        hit = hit or bool(inside) or listed
    return _later(fixes, version) if hit else None


def in_range(version: str, events: list[dict[str, str]]) -> bool:
    """Say whether a version lies in a range, as the OSV schema's evaluation does."""
    from packaging.version import Version

    here = Version(Version(version).public)
    if not any("introduced" in event for event in events):
        raise ValueError("a range must have an event introduced")
    limits = [event["limit"] for event in events if "limit" in event]
    if limits and "*" not in limits and not any(here < Version(limit) for limit in limits):
        return False
    affected = False
    for kind, at in sorted(_moves(events), key=lambda move: (move[1] is not None, move[1] or here)):
        if kind == "introduced" and (at is None or here >= at):
            affected = True
        elif (kind == "fixed" and here >= at) or (kind == "last" and here > at):
            affected = False
    return affected


def _moves(events: list[dict[str, str]]) -> Iterator[tuple[str, Any]]:
    """Yield each event but limits; the version None lies before all versions."""
    from packaging.version import Version

    kinds = {"introduced": "introduced", "fixed": "fixed", "last_affected": "last"}
    for event in events:
        named = [key for key in event if key in kinds]
        if "limit" in event:
            continue
        if len(event) != 1 or not named:
            raise ValueError(f"an event must be one of {', '.join(kinds)}, found {event}")
        at = event[named[0]]
        yield kinds[named[0]], None if named[0] == "introduced" and at == "0" else Version(at)


def _listed(version: str, versions: Any) -> bool:
    from packaging.version import InvalidVersion, Version

    same = {Version(version), Version(Version(version).public)}
    for spelling in versions:
        try:
            if spelling == version or Version(spelling) in same:
                return True
        except InvalidVersion:
            continue  # old spellings PEP 440 does not know; the same text would have been equal
    return False


def _later(fixes: list[str], version: str) -> list[str]:
    from packaging.version import Version

    return [str(fix) for fix in sorted({Version(text) for text in fixes}) if fix > Version(version)]
