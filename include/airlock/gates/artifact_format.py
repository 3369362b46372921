"""artifact-format: is every file of the artifact in a format that cannot run code when loaded?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from airlock.domain.gates import Evidence, GateResult, Verdict

#: What a model may be made of, by content. Pickle and whatever contains it is not here.
SAFE_MODEL_FORMATS = ("skops",)
#: What may lie beside the model.
SAFE_SIDE_FORMATS = ("mlmodel", "conda-env", "python-env", "requirements", "json")


@dataclass(frozen=True)
class ArtifactFormat:
    """Every file is on the allow-list, judged by its content and never by its name."""

    name: ClassVar[str] = "artifact-format"
    needs: ClassVar[tuple[str, ...]] = ("artifact-format",)

    allowed: tuple[str, ...] = SAFE_MODEL_FORMATS

    def __post_init__(self) -> None:
        unknown = sorted(set(self.allowed) - set(SAFE_MODEL_FORMATS))
        if unknown or not self.allowed:
            raise ValueError(
                f"allowed must name some of {', '.join(SAFE_MODEL_FORMATS)}, found "
                f"{', '.join(unknown) or 'nothing'}"
            )

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Refuse any file whose format is not on the list, and an artifact without a model."""
        source = evidence["artifact-format"]
        files = source.facts["files"]
        good = {*self.allowed, *SAFE_SIDE_FORMATS}
        bad = [f"{file['path']} ({file['format']})" for file in files if file["format"] not in good]
        bad += [path for path in source.facts["unknown"] if not any(path in text for text in bad)]
        models = [file for file in files if file["format"] in self.allowed]
        if not files or source.facts["manifestDigest"] != source.artifact_digest:
            raise ValueError("the files listed are not those of the artifact")
        if not models:
            bad.append(f"no model file in {' or '.join(self.allowed)}")
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if bad else Verdict.PASSED,
            measured=float(len(files) - len(bad)),
            threshold=float(len(files)),
            n=len(files),
            unit="files",
            evidence=(source.digest,),
            message=f"not allowed: {'; '.join(bad)}"
            if bad
            else f"{len(files)} files, model format {models[0]['format']}, nothing can run code",
        )
