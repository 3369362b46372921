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
        """Name the vulnerable packages and the licences that are not allowed."""
        source = evidence["dependency-audit"]
        facts = source.facts
        advisories = self._usable(facts)
        open_, ignored = self._split(facts["vulnerable"])
        foreign, excepted = self._foreign(facts["packages"])
        wrong = [_vulnerable(open_)] if open_ else []
        wrong += [_licences(foreign)] if foreign else []
        audited = len(facts["packages"])
        good = f"{audited} packages against {advisories}: "
        good += "none known to be vulnerable, licences allowed"
        notes = (
            [f"ignored: {', '.join(sorted({advisory['id'] for advisory in ignored}))}"]
            if ignored
            else []
        )
        notes += [f"licences excepted: {', '.join(excepted)}"] if excepted else []
        unclear = self._unclear(facts)
        notes += [] if unclear else _set_aside(facts["database"])
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if wrong else Verdict.ERRORED if unclear else Verdict.PASSED,
            message="; ".join([*(wrong or ([] if unclear else [good])), *unclear, *notes]),
            measured=float(len({advisory["package"] for advisory in open_}) + len(foreign)),
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
        """Describe the advisories of the audit, if they are recent and complete enough."""
        if not facts["candidateLockDigest"] or facts["lockDigest"] != facts["candidateLockDigest"]:
            raise ValueError("the lock on disk is not the one the candidate was registered with")
        where = [place for package in facts["packages"] for place in package["where"]]
        for place in ("locked", "installed"):
            if facts[place] < 1 or where.count(place) != facts[place]:
                raise ValueError(f"{where.count(place)} of {facts[place]} {place} packages audited")
        for package in facts["packages"]:
            text(package["name"], "the name of a package")
            text(package["version"], f"the version of {package['name']}")
        database = facts["database"]
        for digest in (facts["sbomDigest"], database["digest"]):
            text(digest, "a digest")
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
        """Return the reasons why the audit may have missed known advisories."""
        database, odd = facts["database"], facts["unreadable"]
        words = [
            f"the advisory {advisory['id']} on {advisory['package']} cannot be read: "
            f"{advisory['why']}"
            for advisory in odd[:_NAMED]
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

    def _split(self, vulnerable: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return the open advisories, and those ignored by one of their names."""
        named = set(self.ignore)
        ignored = [
            advisory for advisory in vulnerable if named & {advisory["id"], *advisory["aliases"]}
        ]
        return [advisory for advisory in vulnerable if advisory not in ignored], ignored

    def _foreign(self, packages: list[Any]) -> tuple[list[Any], list[str]]:
        """Return the installed packages whose licence is not allowed, and those excepted."""
        bad = [
            {
                "package": package["name"],
                "version": package["version"],
                "licence": package["licence"],
            }
            for package in packages
            if "installed" in package["where"] and not self._allows(package["alternatives"])
        ]
        excepted = sorted({entry["package"] for entry in bad} & set(self.license_exceptions))
        return [entry for entry in bad if entry["package"] not in excepted], excepted

    def _allows(self, alternatives: list[list[str]]) -> bool:
        """Return whether all parts of an alternative are allowed; an exception only grants more."""
        allowed = set(self.allowed_licenses)
        return any(
            bool(together)
            and all(part in allowed or part.partition(" WITH ")[0] in allowed for part in together)
            for together in alternatives
        )


def _set_aside(database: Mapping[str, Any]) -> list[str]:
    if not (count := database["unreadable"]):
        return []
    return [f"{count:,} advisories set aside: {', '.join(database['unreadableIds'][:_NAMED])}"]


def _names(vulnerable: list[Any]) -> set[str]:
    return {name for advisory in vulnerable for name in (advisory["id"], *advisory["aliases"])}


def _vulnerable(vulnerable: list[Any]) -> str:
    first = [
        f"{advisory['package']} {advisory['version']} ({advisory['id']}, "
        + (f"fixed in {advisory['fixedIn'][0]})" if advisory["fixedIn"] else "no fix known)")
        for advisory in vulnerable[:_NAMED]
    ]
    more = f" and {len(vulnerable) - _NAMED} more" if len(vulnerable) > _NAMED else ""
    return f"known to be vulnerable: {', '.join(first)}{more}"


def _licences(foreign: list[Any]) -> str:
    first = [
        f"{entry['package']} ({entry['licence'] or 'none stated'})" for entry in foreign[:_NAMED]
    ]
    more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
    return f"licence not allowed or not readable: {', '.join(first)}{more}"


def _differs(packages: list[Any]) -> list[str]:
    """Return the packages that are installed in another version than the lock says."""
    locked = {package["name"] for package in packages if package["where"] == ["locked"]}
    other = {package["name"] for package in packages if package["where"] == ["installed"]}
    return sorted(locked & other)
