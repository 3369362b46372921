"""How long Airflow needs to parse 200 pipelines, and that nothing heavy is imported for it.

Peer: one plain DAG file that builds 200 DAGs with the same number of EmptyOperators by hand, so
the ratio is what reading, checking and digesting YAML costs on top of Airflow itself.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = 200
GOAL_S = 5.0
REPEATS = 3
HEAVY = ("mlflow", "pandas", "great_expectations", "sklearn", "numpy", "skops")

_CHILD = """
import json, sys, time
begun = time.perf_counter()
from airflow.dag_processing.dagbag import DagBag
imported = time.perf_counter()
bag = DagBag(sys.argv[1])
done = time.perf_counter()
heavy = [name for name in sys.argv[3].split(",") if name in sys.modules]
tasks = sum(len(dag.tasks) for dag in bag.dags.values())
print(json.dumps({"seconds": done - imported, "dags": len(bag.dags), "tasks": tasks,
    "heavy": heavy, "errors": bag.import_errors}), file=open(sys.argv[2], "w"))
"""

_PLAIN = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for number in range({pipelines}):
    with DAG(dag_id=f"plain-{{number}}", schedule=None) as dag:
        before = None
        for task in range({tasks}):
            now = EmptyOperator(task_id=f"task_{{task}}")
            if before:
                before >> now
            before = now
    globals()[dag.dag_id] = dag
"""


def run() -> list[dict[str, Any]]:
    """Return one row."""
    with tempfile.TemporaryDirectory(prefix="airlock-parse-") as folder:
        scratch = Path(folder)
        ours = measure(scratch, ROOT / "dags", config(scratch))
        tasks = ours[0]["tasks"] // PIPELINES
        plain = scratch / "plain_dags.py"
        plain.write_text(_PLAIN.format(pipelines=PIPELINES, tasks=tasks))
        peer = measure(scratch, plain, ROOT / "include")
    our_time, peer_time = (
        statistics.median(parse["seconds"] for parse in parses) for parses in (ours, peer)
    )
    light = not any(parse["heavy"] for parse in ours)
    return [
        {
            "name": f"parse {PIPELINES} pipelines (peer: as many plain DAGs)",
            "unit": "s",
            "ours": round(our_time, 2),
            "peer": round(peer_time, 2),
            "ratio": round(our_time / peer_time, 2),
            "goal": f"< {GOAL_S:g} s, none of {', '.join(HEAVY)} imported",
            "met": our_time < GOAL_S and light and ours[0]["dags"] > PIPELINES,
            "n": REPEATS,
        }
    ]


def config(scratch: Path) -> Path:
    """Write a configuration with 200 pipelines and return its folder."""
    folder = scratch / "config"
    shutil.copytree(ROOT / "include" / "policies", folder / "policies")
    (folder / "pipelines").mkdir()
    text = (ROOT / "include" / "pipelines" / "employment.yaml").read_text()
    for number in range(PIPELINES):
        named = text.replace("name: employment", f"name: model-{number}")
        (folder / "pipelines" / f"model_{number}.yaml").write_text(named)
    return folder


def measure(scratch: Path, dags: Path, config_dir: Path) -> list[dict[str, Any]]:
    """Parse a file or a folder in a fresh process, several times."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins",
        "AIRFLOW_HOME": str(scratch / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRLOCK_ROOT": str(ROOT),
        "AIRLOCK_CONFIG_DIR": str(config_dir),
    }
    results = []
    for number in range(REPEATS):
        result = scratch / f"result-{number}.json"
        command = [sys.executable, "-c", _CHILD, str(dags), str(result), ",".join(HEAVY)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
        results.append(json.loads(result.read_text()))
        if results[-1]["errors"]:
            raise RuntimeError(f"{dags} cannot be parsed: {results[-1]['errors']}")
    return results
