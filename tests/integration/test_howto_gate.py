"""docs/howto/gate.md, word for word: a gate is added in the places it names and in no other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs/howto/gate.md").read_text()
TRY = """
import json, sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from airlock.adapters.jobs.collectors import COLLECTORS
from airlock.adapters.jobs.collection_context import Collected
from airlock.domain.gates import Evidence, run_gate
from airlock.gates import build
from airlock_airflow import GateOperator

model = Path(sys.argv[1])
facts = COLLECTORS["file-sizes"](SimpleNamespace(model=model)).facts
about = {"file-sizes": Evidence("file-sizes", "sha256:a", facts)}
empty = {"file-sizes": Evidence("file-sizes", "sha256:a", {"bytes": {}})}
task = GateOperator(task_id="size", gate={"gate": "largest-file", "maxMb": 50})
print(json.dumps({
    "small": run_gate(build({"gate": "largest-file", "maxMb": 0.001}), about).to_document(),
    "large": run_gate(build({"gate": "largest-file"}), about).to_document(),
    "empty": run_gate(build({"gate": "largest-file"}), empty).to_document(),
    "none": run_gate(build({"gate": "largest-file"}), {}).to_document(),
    "task": task.gate_key,
}))
"""


def block(heading: str) -> tuple[str, str]:
    """Return the file a heading names, and the first block of code below it."""
    found = re.search(
        rf"## {re.escape(heading)}[^\n]*`([^`]+)`\n.*?```\w+\n(.*?)```", PAGE, re.DOTALL
    )
    assert found, heading
    return found[1], found[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what runs, and do what the page says."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("include", "plugins"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for heading in ("1. The question", "3. The collector"):
        place, code = block(heading)
        (root / place).write_text(code)
    place, line = block("2. Its line in `GATES`:")
    add(root / place, line, "    Latency,\n", "    LargestFile,\n")
    init = root / "include/airlock/adapters/jobs/collectors/__init__.py"
    entry = re.search(r'`("file-sizes": file_sizes.collect,)`', PAGE)
    assert entry
    imported = "from airlock.adapters.jobs.collectors import file_sizes\n"
    add(init, imported, '    "latency": latency.collect,\n', f"    {entry[1]}\n")
    pipeline = root / "include/pipelines/doctor-visits.yaml"
    add(pipeline, "", "    - {gate: signature}\n", block_of_yaml())
    return root


def block_of_yaml() -> str:
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def add(file: Path, line: str, before: str, entry: str) -> None:
    """Write an import behind the first one of Airlock, and an entry before another."""
    text = file.read_text()
    assert before in text
    if line:
        first = re.search(r"^from airlock\.", text, re.MULTILINE)
        assert first
        text = f"{text[: first.start()]}{line}{text[first.start() :]}"
    file.write_text(text.replace(before, f"{entry}{before}", 1))


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{root / 'include'}:{root / 'plugins'}"}
    env |= {"AIRLOCK_ROOT": str(root)}
    return subprocess.run(
        [sys.executable, *command], cwd=root, env=env, capture_output=True, text=True, check=False
    )


def test_the_new_gate_is_judged_collected_and_wired(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(b"x" * 4096)
    done = run(checkout, "-c", TRY, str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert (found["small"]["verdict"], found["large"]["verdict"]) == ("FAILED", "PASSED")
    assert "model.skops has 0.00 MB, limit 100 MB, 1 files" in found["large"]["message"]
    assert (found["empty"]["verdict"], found["none"]["verdict"]) == ("ERRORED", "ERRORED")
    assert found["task"] == "largest-file"


def test_the_new_gates_options_are_checked_in_yaml(checkout: Path) -> None:
    check = ("-m", "airlock.entrypoints.main", "policy", "check")
    assert run(checkout, *check).returncode == 0
    pipeline = checkout / "include/pipelines/doctor-visits.yaml"
    good = pipeline.read_text()
    pipeline.write_text(good.replace("maxMb: 50", "maxMb: -1"))
    refused = run(checkout, *check)
    pipeline.write_text(good)
    assert refused.returncode != 0
    assert "maxMb" in refused.stdout + refused.stderr
