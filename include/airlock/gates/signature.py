"""signature: are these the very files that were signed when the model was trained?

An OpenSSF model signature (https://github.com/sigstore/model-transparency) over every file of the
folder, `.git*` files included, made right after training and verified before a release is asked
for. It says who trained, not that the model is good, and it has no end: the grant has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.inputs import text


@dataclass(frozen=True)
class Signature:
    """The signature verifies with a trusted key, over all files and no others."""

    name: ClassVar[str] = "signature"
    needs: ClassVar[tuple[str, ...]] = ("artifact-signature",)
    limit: ClassVar[Limit] = "at least"

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Refuse what is unsigned or does not verify."""
        source = evidence[self.needs[0]]
        facts = source.facts
        if facts["manifestDigest"] != source.artifact_digest or not facts["files"] > 0:
            raise ValueError("the files verified are not those of the artifact")
        if ignored := list(facts["ignoredPaths"]):
            raise ValueError(f"the signature leaves out {', '.join(ignored)}")
        status = facts["status"]
        if status not in ("verified", "unsigned", "refused"):
            raise ValueError(f"verification ended as {status}: {facts['why']}")
        good = status == "verified" and facts["keyId"] != ""
        if good:
            text(facts["keyId"], "the key")
            text(facts["signatureDigest"], "the signature's digest")
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=Verdict.PASSED if good else Verdict.FAILED,
            measured=float(facts["files"]) if good else 0.0,
            threshold=float(facts["files"]),
            n=facts["files"],
            unit="files",
            evidence=(source.digest,),
            message=f"{facts['files']} files signed by the key {facts['keyId']}"
            if good
            else f"{status}: {facts['why']}",
        )
