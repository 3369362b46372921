"""A no is final: rejected bytes come back only with a reference to the rejection.

Rules:
* The same bytes are the same model, environment and artifact digest. Another version number, run,
  requester, policy or code changes nothing about them.
* Whoever asks again names the newest rejection of these bytes, and says why.
* The reference is part of the event that opens the release; everybody who votes can see it.
* The decider checks it again before a release is approved, and when bytes change under a release.
"""

from __future__ import annotations

from collections.abc import Sequence

from airlock.domain.approval.release import Subject
from airlock.domain.digest import short
from airlock.domain.errors import Refused

#: (release, artifact digest) of every rejected release of a line, the newest first.
Rejections = Sequence[tuple[str, str]]


class RejectedBefore(Refused):
    """These bytes were rejected, and the request does not say so."""


def check_reference(subject: Subject, named: str, rejections: Rejections) -> None:
    """Refuse bytes that were rejected unless *named* is their newest rejection.

    Raises:
        RejectedBefore: naming the rejection.
        Refused: if *named* is no rejection of this model at all.
    """
    same = [release for release, digest in rejections if digest == subject.artifact_digest]
    place = f"{subject.model} in {subject.environment}"
    if same and named != same[0]:
        instead = f", which {named} is not" if named else ""
        raise RejectedBefore(
            f"version {subject.version} of {subject.model} is, byte for byte "
            f"({short(subject.artifact_digest)}), what was rejected for {subject.environment} as "
            f"release {same[0]}: a no is final, and it comes back only with a reference to that "
            f"rejection{instead}",
            next_step="Change the model; or ask again and say why: "
            f'`airlock release request --after-rejection {same[0]} --why "..."`.',
        )
    if named and named not in {release for release, _ in rejections}:
        raise Refused(
            f"release {named} is no rejection of {place}",
            next_step=f"`airlock release list --state REJECTED --model {subject.model}` lists "
            "them.",
        )
