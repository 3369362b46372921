"""Rebuilding every release from its events and comparing it, and its grant, with the tables.

State is a fold over events (`airlock.domain.release.apply`), so what a table says must be what the
log tells. Releases are read some hundreds at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

from airlock.domain.digest import digest_json
from airlock.domain.errors import AirlockError
from airlock.domain.grant import unseal
from airlock.domain.log_chains import Chains, Finding
from airlock.domain.log_tree import Stored
from airlock.domain.release import Release, apply
from airlock.ports import Keyring, StoredGrant
from airlock.services.log_store import LogWork

#: Words of release streams that move nothing; they are not replayed.
MOVING_NOTHING = frozenset({"VoteRefused", "WithdrawalRefused", "PromotionRefused", "GatesJudged"})


def compare_tables(
    unit: LogWork, keyring: Keyring, chains: Chains
) -> tuple[list[Finding], int, int]:
    """Rebuild every release from its events and compare it, and its grant, with the tables."""
    findings: list[Finding] = []
    releases: set[str] = set()
    grants = 0
    for page in unit.release_pages():
        names = [release.id for release in page]
        told = _replay(unit.told(names, MOVING_NOTHING))
        found = unit.grants_of(names)
        for stored in page:
            replayed, issued = told.get(stored.id, (None, None))
            findings += _compare(stored, replayed)
            findings += _grant(stored.id, found.get(stored.id), issued, keyring)
        releases.update(names)
        grants += len(found)
    for name in sorted(chains.streams):
        if name.startswith("rel-") and name not in releases:
            findings.append(Finding(f"stream {name}: its events are there but the release is gone"))
    return findings, len(releases), grants


def _replay(entries: Iterator[Stored]) -> dict[str, tuple[Release | None, str | None]]:
    told: dict[str, tuple[Release | None, str | None]] = {}
    for stream, _, what, body, _, _ in entries:
        release, grant = told.get(stream, (None, None))
        try:
            content = json.loads(body)
            release = apply(release, content)
            if what == "GrantIssued":
                grant = content["data"]["envelopeDigest"]
        except (AirlockError, KeyError, TypeError, ValueError):
            continue  # the chain names it; what is missing here shows as a difference
        told[stream] = (release, grant)
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


def _grant(
    name: str, stored: StoredGrant | None, issued: str | None, keyring: Keyring
) -> Iterator[Finding]:
    if stored is None:
        if issued is not None:
            yield Finding(f"stream {name}: a grant was issued, but it is gone")
        return
    try:
        grant = unseal(stored.envelope, keyring.verify)
    except AirlockError as error:
        yield Finding(f"stream {name}: {error.message}")
        return
    if grant.release != name:
        yield Finding(f"stream {name}: holds the grant of {grant.release}")
    if issued != digest_json(stored.envelope):
        yield Finding(f"stream {name}: the grant is not the one the log says was issued")
