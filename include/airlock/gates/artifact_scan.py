"""artifact-scan: did every scanner run, and did none of them find anything?

Scanners are lists of what is known to be bad, and each of them has been evaded. So they decide
nothing alone: they can only say no to what the allow-list (artifact-format) has accepted. For each
of them only an explicit "clean" counts, or "nothing to read" where the allow-list knows every file
to be of a format that scanner does not read. A scanner that is missing, crashed, or did not find
the harmless control pickle it was given in the same run leaves the gate ERRORED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airlock.domain.gates import Evidence, GateResult, Limit, Verdict
from airlock.gates.artifact_format import ArtifactFormat
from airlock.gates.inputs import count, text

#: Every scanner there is a runner for.
SCANNERS = ("fickling", "modelscan", "picklescan")


@dataclass(frozen=True)
class ArtifactScan:
    """None of *scanners* found anything, and each of them is shown to have worked."""

    name: ClassVar[str] = "artifact-scan"
    needs: ClassVar[tuple[str, ...]] = ("artifact-format", "artifact-scan")
    limit: ClassVar[Limit] = "at least"

    scanners: tuple[str, ...] = SCANNERS

    def __post_init__(self) -> None:
        unknown = sorted(set(self.scanners) - set(SCANNERS))
        if unknown or not self.scanners:
            raise ValueError(
                f"scanners must name some of {', '.join(SCANNERS)}, found "
                f"{', '.join(unknown) or 'nothing'}"
            )

    @property
    def key(self) -> str:
        """The gate's name: a pipeline has one."""
        return self.name

    def judge(self, evidence: Mapping[str, Evidence]) -> GateResult:
        """Fail on any finding of a scanner; error where a scanner did not do its work."""
        source = evidence["artifact-scan"]
        formats = evidence["artifact-format"]
        about = source.artifact_digest
        if {source.facts["manifestDigest"], formats.facts["manifestDigest"]} != {about}:
            raise ValueError("the files scanned are not those of the artifact")
        formats_allowed = (
            ArtifactFormat().judge({"artifact-format": formats}).verdict is Verdict.PASSED
        )
        ran = {scanner["name"]: scanner for scanner in source.facts["scanners"]}
        reports = {name: _read_report(ran.get(name), formats_allowed) for name in self.scanners}
        findings = [text for verdict, text in reports.values() if verdict is Verdict.FAILED]
        silent = [text for verdict, text in reports.values() if verdict is Verdict.ERRORED]
        verdict = Verdict.FAILED if findings else Verdict.ERRORED if silent else Verdict.PASSED
        return GateResult(
            gate=self.name,
            key=self.key,
            verdict=verdict,
            measured=float(len(reports) - len(findings) - len(silent)),
            threshold=float(len(reports)),
            n=len(reports),
            unit="scanners",
            evidence=(formats.digest, source.digest),
            message="; ".join(findings + silent or [text for _, text in reports.values()]),
        )


def _read_report(report: Mapping[str, Any] | None, formats_allowed: bool) -> tuple[Verdict, str]:
    """Return the verdict on one scanner's report, and its sentence."""
    if report is None:
        return Verdict.ERRORED, "a scanner did not run"
    scanner = f"{report['name']} {report['version']}"
    if report["status"] == "found":
        first = report["findings"][0] if report["findings"] else {"file": "?", "what": "something"}
        return Verdict.FAILED, f"{scanner} found {first['what']} in {first['file']}"
    if report["control"] != "found" or report["status"] not in ("clean", "nothing"):
        return (
            Verdict.ERRORED,
            f"{scanner} could not tell: {report['why'] or 'it missed the control'}",
        )
    text(report["version"], "the version of a scanner")
    if count(report["read"], "the files read") and report["status"] == "clean":
        return Verdict.PASSED, f"{scanner} read {report['read']} files and found nothing"
    if formats_allowed:
        return Verdict.PASSED, f"{scanner} reads none of these formats"
    return Verdict.ERRORED, f"{scanner} read nothing, and not every file is of a format on the list"
