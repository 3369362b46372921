"""Which queue a task runs on: said by its class and its DAG file, never by the DAG.

Where tasks run in Celery workers, the workers of `airlock` hold Airlock's credentials and those of
`train` hold none. Rules:

* Airlock's own operators run on `airlock`, but only from the DAG files that come with the image
  (Airflow's DAGs folder): a worker runs a whole DAG file to get at one task of it.
* What runs the model team's own code in a child, the steps of `TEAM_CODE`, runs on `train`.
* Everything else runs on `train`, whatever queue the DAG says.

This is applied when a DAG file is read, by the process that reads it; hostile code in that file can
undo it there. What holds then is that the workers of `airlock` have no other DAG files, that each
queue has an account of its own at the broker, and that steps look again when they run
(`edge.check_queue`). An executor without queues takes no notice of any of this.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

AIRLOCK, TRAIN = "airlock", "train"
#: The steps of a pipeline that run the model team's own code: suite, training, tests.
TEAM_CODE = frozenset({"validate", "train", "collect"})
_PACKAGE = "airlock_airflow."


def task_policy(task: Any) -> None:
    """Set the queue of a task; Airflow calls this for every task of every DAG file it reads."""
    task.queue = queue_of(task)


def queue_of(task: Any) -> str:
    """Return the queue a task belongs to."""
    operator = getattr(task, "operator_class", type(task))  # a mapped task has it as an attribute
    if not _is_airlocks(operator) or not _is_of_the_image(task):
        return TRAIN
    return TRAIN if _step(task) in TEAM_CODE else AIRLOCK


def _is_airlocks(operator: Any) -> bool:
    """Return whether a class is one of Airlock's own; a class derived from one is not."""
    name, home = getattr(operator, "__qualname__", ""), getattr(operator, "__module__", "")
    if not home.startswith(_PACKAGE):
        return False
    return getattr(sys.modules.get(home), name, None) is operator


def _is_of_the_image(task: Any) -> bool:
    from airflow.configuration import conf

    dag = task.get_dag()
    if dag is None or not dag.fileloc:
        return False
    return (
        Path(dag.fileloc).resolve().is_relative_to(Path(conf.get("core", "dags_folder")).resolve())
    )


def _step(task: Any) -> str:
    """Return which step of a pipeline a task is; empty for everything else."""
    if hasattr(task, "partial_kwargs"):
        return str(task.partial_kwargs.get("step", ""))
    return str(getattr(task, "step", ""))
