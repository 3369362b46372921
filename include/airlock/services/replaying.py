"""Rebuilding every release from its events and comparing it, and its grants, with the tables.

State is a fold over events (`airlock.domain.release.apply`), so what a table says must be what the
log tells. Releases are read some hundreds at a time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from airlock.domain.clock import stamp
from airlock.domain.digest import digest_json
from airlock.domain.errors import AirlockError
from airlock.domain.grant import opened
from airlock.domain.log_chains import Chains, Finding
from airlock.domain.log_tree import Stored
from airlock.domain.release import Release, apply
from airlock.ports import Keyring, StoredGrant
from airlock.services.log_store import LogWork

#: Words of release streams that move nothing; they are not replayed.
MOVING_NOTHING = frozenset({"VoteRefused", "WithdrawalRefused", "PromotionRefused", "GatesJudged"})
#: Words of entries that tell of a new grant.
ISSUING = frozenset({"GrantIssued", "RollbackGranted"})
#: grant -> (digest of its envelope, when), as the log tells it
Issued = Mapping[str, tuple[str, str]]


def compare_tables(unit: LogWork, keyring: Keyring) -> tuple[list[Finding], dict[str, int]]:
    """Rebuild every release from its events and compare it, and its grants, with the tables.

    Returns what was found, and how many grants each release has.
    """
    findings: list[Finding] = []
    releases: dict[str, int] = {}
    for page in unit.release_pages():
        names = [release.id for release in page]
        told = _replay(unit.told(names, MOVING_NOTHING))
        found = unit.grants_of(names)
        for stored in page:
            replayed, issued = told.get(stored.id, (None, {}))
            findings += _compare(stored, replayed)
            findings += _grants(stored.id, found.get(stored.id, ()), issued, keyring)
        releases.update((name, len(found.get(name, ()))) for name in names)
    return findings, releases


def without_release(chains: Chains, releases: Collection[str]) -> Iterator[Finding]:
    """Say which streams tell of a release that is in no table."""
    for name in sorted(chains.streams):
        if name.startswith("rel-") and name not in releases:
            yield Finding(f"stream {name}: its events are there but the release is gone")


def _replay(entries: Iterator[Stored]) -> dict[str, tuple[Release | None, Issued]]:
    told: dict[str, tuple[Release | None, Issued]] = {}
    for stream, _, what, body, _, _ in entries:
        release, issued = told.get(stream, (None, {}))
        try:
            content = json.loads(body)
            release = apply(release, content)
            if what in ISSUING:
                data = content["data"]
                issued = {**issued, data["grant"]: (data["envelopeDigest"], content["at"])}
        except (AirlockError, KeyError, TypeError, ValueError):
            continue  # the chain names it; what is missing here shows as a difference
        told[stream] = (release, issued)
    return told


def _compare(stored: Release, replayed: Release | None) -> Iterator[Finding]:
    if replayed is None:
        yield Finding(f"stream {stored.id}: the release is there but its first event is not")
        return
    one, other = _comparable(stored), _comparable(replayed)
    if one != other:
        left, right = asdict(one), asdict(other)
        differing = ", ".join(key for key, value in left.items() if right[key] != value)
        yield Finding(f"stream {stored.id}: the table differs from the log in {differing}")


def _comparable(release: Release) -> Release:
    return replace(release, votes=tuple(sorted(release.votes, key=lambda v: (v.round, v.person))))


def _grants(
    name: str, kept: Sequence[StoredGrant], issued: Issued, keyring: Keyring
) -> Iterator[Finding]:
    """Check every grant of a release, for promotion and for rollback, against its events."""
    for stored in kept:
        yield from _grant(name, stored, issued.get(stored.grant_id), keyring)
    for gone in issued.keys() - {stored.grant_id for stored in kept}:
        yield Finding(f"stream {name}: a grant was issued, but it is gone: {gone}")


def _grant(
    name: str, stored: StoredGrant, issued: tuple[str, str] | None, keyring: Keyring
) -> Iterator[Finding]:
    try:
        grant = opened(stored.envelope, keyring)
    except AirlockError as error:
        yield Finding(f"stream {name}: {error.message}")
        return
    told = f"stream {name}: grant {stored.grant_id}"
    owner = grant.rolls_back or grant.release
    if owner != name:
        yield Finding(f"{told} is the grant of {owner}")
    if issued is None or issued[0] != digest_json(stored.envelope):
        yield Finding(f"{told}: the grant is not the one the log says was issued")
    elif stamp(grant.issued_at) != issued[1]:
        yield Finding(f"{told} says it was issued at another time than the log")
