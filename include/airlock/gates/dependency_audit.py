"""dependency-audit: is anything the environment is made of known to be vulnerable, or not allowed?

Rules:
* No package looked at, no advisory to hold it against, or a list that is too old: ERRORED.
* An advisory that cannot be read costs itself: at most the share `max_unreadable` of the list, each
  counted and named. One that names a package of the environment leaves the gate ERRORED.
* Every advisory that applies is FAILED, unless it is named in `ignore`; those are shown as well.
* Every installed distribution has a licence all of whose parts are on the allow-list, in one of
  the alternatives it offers. One nobody can read is not allowed; a person may name the exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import count, flag, text

#: Permissive licences, and those that ask something only of changes to the library itself.
LICENSES = (
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "HPND", "ISC", "MIT"),
    *(
        "MIT-0",
        "MIT-CMU",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "ZPL-2.1",
        "Zlib",
        "LicenseRef-BSD",
    ),
    *("LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only"),
    *("LGPL-3.0-or-later", "LicenseRef-LGPL", "MPL-2.0"),
)
_NAMED = 5


@dataclass(frozen=True)
class DependencyAudit:
    """Nothing known to be vulnerable by a list not older than *max_age_days*, licences allowed."""

    name: ClassVar[str] = "dependency-audit"
    needs: ClassVar[tuple[str, ...]] = ("dependency-audit",)
    limit: ClassVar[Limit] = "at most"

    database: str = "include/advisories"
    max_age_days: int = 30
    ignore: tuple[str, ...] = ()
    allowed_licenses: tuple[str, ...] = LICENSES
    license_exceptions: tuple[str, ...] = ()
    max_unreadable: float = 0.01

    def __post_init__(self) -> None:
        if self.max_age_days < 1:
            raise ValueError(f"max_age_days must be 1 or more, found {self.max_age_days}")
        if not self.database.strip():
            raise ValueError("database must name a file or a folder, found nothing")
        if not 0 <= self.max_unreadable <= 1:
            raise ValueError(f"max_unreadable must be from 0 to 1, found {self.max_unreadable}")
        if not self.allowed_licenses:
            raise ValueError("allowed_licenses must name at least one licence, found nothing")

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Name what is vulnerable and what is not allowed."""
        source = evidence["dependency-audit"]
        facts = source.facts
        known = self._usable(facts)
        open_, ignored = self._split(facts["vulnerable"])
        foreign, excepted = self._foreign(facts["packages"])
        wrong = [_vulnerable(open_)] if open_ else []
        wrong += [_licences(foreign)] if foreign else []
        audited = len(facts["packages"])
        good = f"{audited} packages against {known}: none known to be vulnerable, licences allowed"
        notes = [f"ignored: {', '.join(sorted({one['id'] for one in ignored}))}"] if ignored else []
        notes += [f"licences excepted: {', '.join(excepted)}"] if excepted else []
        unclear = self._unclear(facts)
        notes += [] if unclear else _set_aside(facts["database"])
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if wrong else Verdict.ERRORED if unclear else Verdict.PASSED,
            message="; ".join([*(wrong or ([] if unclear else [good])), *unclear, *notes]),
            measured=float(len({one["package"] for one in open_}) + len(foreign)),
            threshold=0.0,
            n=audited,
            unit="packages",
            evidence=(source.digest,),
            details={
                "vulnerable": open_,
                "ignored": ignored,
                "ignoredInVain": sorted(set(self.ignore) - _names(ignored)),
                "licences": foreign,
                "excepted": excepted,
                "database": facts["database"],
                "unreadable": list(facts["unreadable"]),
                "differs": _differs(facts["packages"]),
                "lockDigest": facts["lockDigest"],
                "sbomDigest": facts["sbomDigest"],
            },
        )

    def _usable(self, facts: Mapping[str, Any]) -> str:
        """Return what was audited against, if it can be relied on."""
        if not facts["candidateLockDigest"] or facts["lockDigest"] != facts["candidateLockDigest"]:
            raise ValueError("the lock on disk is not the one the candidate was registered with")
        where = [place for one in facts["packages"] for place in one["where"]]
        for place in ("locked", "installed"):
            if facts[place] < 1 or where.count(place) != facts[place]:
                raise ValueError(f"{where.count(place)} of {facts[place]} {place} packages audited")
        for one in facts["packages"]:
            text(one["name"], "the name of a package")
            text(one["version"], f"the version of {one['name']}")
        database = facts["database"]
        for what in (facts["sbomDigest"], database["digest"]):
            text(what, "a digest")
        flag(database["complete"], "whether the list is complete")
        day, age = text(database["asOf"], "asOf")[:10], count(database["ageDays"], "ageDays")
        if database["records"] < 1:
            raise ValueError("the advisory database has no records")
        if age > self.max_age_days:
            raise ValueError(
                f"the advisories are of {day}, {age} days old, expected at most "
                f"{self.max_age_days}; even so {len(facts['vulnerable'])} apply"
            )
        part = "" if database["complete"] else ", not complete"
        return f"{database['records']:,} advisories of {day} ({age} days old{part})"

    def _unclear(self, facts: Mapping[str, Any]) -> list[str]:
        """Return why nobody can tell whether everything known was looked at."""
        database, odd = facts["database"], facts["unreadable"]
        words = [
            f"the advisory {one['id']} on {one['package']} cannot be read: {one['why']}"
            for one in odd[:_NAMED]
        ]
        count = int(database["unreadable"])
        if not count >= 0 or (count and not database["unreadableIds"]):
            raise ValueError(f"{count} advisories cannot be read, and nobody says which")
        if count > self.max_unreadable * (count + database["records"]):
            words.append(
                f"{count:,} advisories cannot be read, more than {self.max_unreadable:.1%}: "
                f"{', '.join(database['unreadableIds'][:_NAMED])}"
            )
        return words

    def _split(self, found: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return what is open, and what is ignored by one of its names."""
        named = set(self.ignore)
        ignored = [one for one in found if named & {one["id"], *one["aliases"]}]
        return [one for one in found if one not in ignored], ignored

    def _foreign(self, packages: list[Any]) -> tuple[list[Any], list[str]]:
        """Return the installed packages whose licence is not allowed, and those excepted."""
        bad = [
            {"package": one["name"], "version": one["version"], "licence": one["licence"]}
            for one in packages
            if "installed" in one["where"] and not self._allows(one["alternatives"])
        ]
        excepted = sorted({one["package"] for one in bad} & set(self.license_exceptions))
        return [one for one in bad if one["package"] not in excepted], excepted

    def _allows(self, alternatives: list[list[str]]) -> bool:
        """Say whether every part of one alternative is allowed; an exception only grants more."""
        allowed = set(self.allowed_licenses)
        return any(
            bool(together)
            and all(one in allowed or one.partition(" WITH ")[0] in allowed for one in together)
            for together in alternatives
        )


def _set_aside(database: Mapping[str, Any]) -> list[str]:
    if not (count := database["unreadable"]):
        return []
    return [f"{count:,} advisories set aside: {', '.join(database['unreadableIds'][:_NAMED])}"]


def _names(found: list[Any]) -> set[str]:
    return {name for one in found for name in (one["id"], *one["aliases"])}


def _vulnerable(found: list[Any]) -> str:
    first = [
        f"{one['package']} {one['version']} ({one['id']}, "
        + (f"fixed in {one['fixedIn'][0]})" if one["fixedIn"] else "no fix known)")
        for one in found[:_NAMED]
    ]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"known to be vulnerable: {', '.join(first)}{more}"


def _licences(foreign: list[Any]) -> str:
    first = [f"{one['package']} ({one['licence'] or 'none stated'})" for one in foreign[:_NAMED]]
    more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
    return f"licence not allowed or not readable: {', '.join(first)}{more}"


def _differs(packages: list[Any]) -> list[str]:
    """Return the packages that are installed in another version than the lock says."""
    locked = {one["name"] for one in packages if one["where"] == ["locked"]}
    other = {one["name"] for one in packages if one["where"] == ["installed"]}
    return sorted(locked & other)
