"""Run the scanners on a model folder, each in a child of its own, and report what each one said.

Rules:
* A scanner runs in an environment of its own (requirements-scanners.txt) and loads nothing.
* In the same process it is given a control: a pickle that names a shell command. One that does not
  find it is not believed to have looked.
* "clean" means: it read files and found nothing. "nothing": it ran well and read no file. Whatever
  else happens is "error" or "missing", with why.

They decide nothing: the artifact-scan gate does, and only after the allow-list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airlock.adapters.jobs import process
from airlock.adapters.jobs.requests import Limits
from airlock.domain.digest import folder_manifest, manifest_digest

SCANNERS = ("fickling", "modelscan", "picklescan")
LIMITS = Limits(seconds=300, memory_mb=4096, threads=1)
_RESULT_LIMIT = 16 << 20
_MOST = 20
#: Names a shell command that does nothing. Never loaded, only looked at.
CONTROL = b"cos\nsystem\n(S'true'\ntR."


def tool_python(tools: Path) -> Path:
    """Return the interpreter of the scanners' environment."""
    return tools / "scanners" / "bin" / "python"


def scan(model: Path, work: Path, tools: Path) -> dict[str, Any]:
    """Return the artifact-scan evidence of a model folder."""
    control = work / "control"
    control.mkdir()
    (control / "control.pkl").write_bytes(CONTROL)
    python = tool_python(tools)
    return {
        "manifestDigest": manifest_digest(folder_manifest(model)),
        "scanners": [_scan(name, model.resolve(), control, work, python) for name in SCANNERS],
    }


def _scan(name: str, model: Path, control: Path, work: Path, python: Path) -> dict[str, Any]:
    if not python.exists():
        why = f"there is no {python}; make scanners installs it"
        return _report(name, status="missing", why=why)
    place = work / name
    place.mkdir()
    # By path and isolated: the scanners' environment has none of Airlock's libraries.
    script = Path(__file__).with_name("programs") / "scan.py"
    result = place / "result.json"
    argv = [str(python), "-I", str(script), name, str(model), str(control), str(result)]
    environment = process.clean_environment(place, str(python), LIMITS, seed=0)
    ending = process.run(argv, environment, place / "log.txt", LIMITS)
    if ending.reason != "ended" or ending.code or not result.is_file():
        return _report(name, status="error", why=f"{ending.reason} with exit code {ending.code}")
    if result.stat().st_size > _RESULT_LIMIT:
        return _report(name, status="error", why="its report is too long")
    return _read_report(name, result)


def _read_report(name: str, result: Path) -> dict[str, Any]:
    try:
        report = json.loads(result.read_text("utf-8"))
        target, version = report["target"], str(report["version"])
        detections, read, why = target["findings"], int(target["read"]), str(target["why"])[:500]
        status = "found" if detections else "error" if why else "clean" if read else "nothing"
        control = "found" if report["control"]["findings"] else "missed"
        findings = [
            {"file": str(detection["file"])[:200], "what": str(detection["what"])[:200]}
            for detection in detections[:_MOST]
        ]
    except (ValueError, KeyError, TypeError) as error:
        return _report(name, status="error", why=f"its report cannot be read: {error!r}")
    return _report(name, version, status, why, control=control, read=read, findings=findings)


def _report(
    name: str, version: str = "", status: str = "error", why: str = "", **more: Any
) -> dict[str, Any]:
    blank = {"control": "", "read": 0, "findings": []}
    return {"name": name, "version": version, "status": status, "why": why} | blank | more
