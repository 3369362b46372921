"""artifact-format: is every file of the artifact in a format that cannot run code when loaded?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.artifact_formats import MODEL_FORMATS, SIDE_FORMATS
from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import names

#: What a model may be made of, by content. Pickle and whatever contains it is not here.
SAFE_MODEL_FORMATS = MODEL_FORMATS
#: What may lie beside the model.
SAFE_SIDE_FORMATS = SIDE_FORMATS
#: Modules MLflow may be told to load a model with; any other one is code of somebody's choice.
SAFE_LOADERS = tuple(
    f"mlflow.{flavor}" for flavor in ("sklearn", "xgboost", "lightgbm", "onnx", "catboost")
)
#: How many refusals a message names.
_NAMED = 5


@dataclass(frozen=True)
class ArtifactFormat:
    """Every file is on the allow-list, judged by its content and never by its name."""

    name: ClassVar[str] = "artifact-format"
    needs: ClassVar[tuple[str, ...]] = ("artifact-format",)
    limit: ClassVar[Limit] = "at least"

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
        """Refuse what could run code: an unknown file, a foreign loader, code beside the model."""
        source = evidence["artifact-format"]
        files = source.facts["files"]
        if not files or source.facts["manifestDigest"] != source.artifact_digest:
            raise ValueError("the files listed are not those of the artifact")
        names(files, "path", "the path of a file")
        bad = self._not_allowed(source.facts)
        good = len(files) - sum(file["format"] not in self._formats for file in files)
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.FAILED if bad else Verdict.PASSED,
            measured=float(good),
            threshold=float(len(files)),
            n=len(files),
            unit="files",
            evidence=(source.digest,),
            message=f"not allowed: {'; '.join(bad)}"
            if bad
            else f"{len(files)} files, model format {self._used_formats(source.facts)}, "
            "nothing can run code",
        )

    @property
    def _formats(self) -> frozenset[str]:
        return frozenset({*self.allowed, *SAFE_SIDE_FORMATS})

    def _not_allowed(self, facts: Mapping[str, Any]) -> list[str]:
        files = {file["path"]: file["format"] for file in facts["files"]}
        why = [
            f"{refusal['file']}: found {refusal['found']}, expected {refusal['expected']}"
            for refusal in facts.get("refusals", ())
        ]
        bad = why[:_NAMED] + ([f"{len(why) - _NAMED} more"] if len(why) > _NAMED else [])
        bad += [f"{path} ({kind})" for path, kind in files.items() if kind not in self._formats]
        bad += [path for path in facts["unknown"] if files.get(path, "mlmodel") in self._formats]
        if not set(files.values()) & set(self.allowed):
            bad.append(f"no model file in {' or '.join(self.allowed)}")
        if files.get("MLmodel") != "mlmodel":
            bad.append("no readable MLmodel")
        if facts["loaderModule"] not in SAFE_LOADERS:
            bad.append(f"loader_module {facts['loaderModule']}")
        if facts["code"] is not None:
            bad.append(f"code beside the model: {facts['code']}")
        return bad

    def _used_formats(self, facts: Mapping[str, Any]) -> str:
        return " and ".join(sorted({f["format"] for f in facts["files"]} & set(self.allowed)))
