"""The files beside a release's evidence that people may look at: plots and the model card.

Rules:
* The kind of a file follows from its name, by this table; what is not in it is never shown.
* Only files that the evidence about the release's own bytes names are shown, by their digest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airlock.domain.digest import is_digest, short
from airlock.domain.errors import Refused
from airlock.domain.gates import Evidence

PLOT, CARD = "plot", "model card"
#: How a name ends -> what the file is, and its media type.
_KINDS = {".svg": (PLOT, "image/svg+xml"), "model_card.html": (CARD, "text/html; charset=utf-8")}


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file people may look at. *caption* is empty where nobody wrote one."""

    name: str
    digest: str
    kind: str
    media_type: str
    caption: str = ""


def files_of(evidence: Iterable[Evidence], artifact_digest: str) -> tuple[EvidenceFile, ...]:
    """Return the files of the evidence about an artifact that may be shown, by name."""
    files = [
        file
        for entry in evidence
        if entry.artifact_digest == artifact_digest
        for file in _files(entry)
    ]
    return tuple(sorted(files, key=lambda file: (file.kind, file.name)))


def _files(evidence: Evidence) -> list[EvidenceFile]:
    files, captions = evidence.facts.get("files"), evidence.facts.get("captions")
    captions = captions if isinstance(captions, dict) else {}
    entries = []
    for name, digest in files.items() if isinstance(files, dict) else ():
        kind = next((kind for end, kind in _KINDS.items() if str(name).endswith(end)), None)
        if kind and isinstance(digest, str) and is_digest(digest):
            entries.append(EvidenceFile(str(name), digest, *kind, str(captions.get(name, ""))))
    return entries


def check_size(digest: str, size: int, most: int) -> None:
    """Refuse a file that is larger than *most* bytes.

    Raises:
        Refused: naming the file and the limit.
    """
    if size > most:
        raise Refused(
            f"the evidence {short(digest)} is larger than {most >> 20} MB, so it is not shown",
            next_step="Look at it among the files of the release's run in MLflow.",
        )
