"""One scanner over one folder and one control folder. Runs in the scanners' own environment.

A script of its own: called as `scan.py NAME FOLDER CONTROL RESULT`, it imports nothing of Airlock.
It reports how many files were read, what was found in which, and why a scan did not end well.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: files read, what was found, and why it did not end well
ScanResult = tuple[int, list[dict[str, str]], str]


def picklescan(folder: Path) -> ScanResult:
    """Look for names that pickles may not use; `strict` takes any unknown name as dangerous."""
    from picklescan.scanner import SafetyLevel, scan_directory_path

    result = scan_directory_path(str(folder), strict=True)
    bad = [
        f"{entry.module}.{entry.name}"
        for entry in result.globals
        if entry.safety == SafetyLevel.Dangerous
    ]
    findings = [{"file": "the folder", "what": name} for name in bad]
    if result.issues_count and not findings:
        findings = [{"file": "the folder", "what": f"{result.issues_count} issues"}]
    return result.scanned_files, findings, "a file could not be read" if result.scan_err else ""


def modelscan(folder: Path) -> ScanResult:
    """Look for unsafe operators in the formats it knows."""
    from modelscan.modelscan import ModelScan
    from modelscan.settings import DEFAULT_SETTINGS

    scan = ModelScan(settings=DEFAULT_SETTINGS)
    scan.scan(str(folder))
    findings = [
        {
            "file": str(issue.details.source),
            "what": f"{issue.details.module}.{issue.details.operator}",
        }
        for issue in scan.issues.all_issues
    ]
    return len(scan.scanned), findings, "; ".join(str(error) for error in scan.errors)[:400]


def fickling(folder: Path) -> ScanResult:
    """Decompile whatever is a pickle, and ask whether it is more than data."""
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import Pickled

    read, findings = 0, []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        pickled = _decompiled(Pickled, path)
        if pickled is None:
            continue
        read += 1
        verdict = check_safety(pickled)
        if verdict.severity > Severity.LIKELY_SAFE or pickled.has_invalid_opcode:
            findings.append({"file": path.name, "what": verdict.severity.name})
    return read, findings, ""


def _decompiled(pickles: Any, path: Path) -> Any:
    """Return the pickle in a file, also one that breaks off behind its first call; else None."""
    for whole in (True, False):
        try:
            with path.open("rb") as stream:
                decompiled = pickles.load(stream, fail_on_decode_error=whole)
        except Exception:  # noqa: S112 - not a pickle, which is no finding
            continue
        calls = any(op.name in ("REDUCE", "OBJ", "INST", "NEWOBJ", "BUILD") for op in decompiled)
        if whole or (calls and not _is_text(path)):
            return decompiled
    return None


def _is_text(path: Path) -> bool:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


SCANNERS = {"fickling": fickling, "modelscan": modelscan, "picklescan": picklescan}


def look(scanner: Any, folder: Path) -> dict[str, Any]:
    """Return one scan as data."""
    read, findings, why = scanner(folder)
    return {"read": read, "findings": findings[:100], "why": why}


if __name__ == "__main__":
    name, target, control, result = sys.argv[1:]
    chosen = SCANNERS[name]
    report: dict[str, Any] = {"version": version(name)}
    report |= {"target": look(chosen, Path(target)), "control": look(chosen, Path(control))}
    Path(result).write_text(json.dumps(report))
