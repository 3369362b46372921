"""Airflow's name for cluster policies: it is read by every component, from the plugins folder."""

import sys

from airlock_airflow.preloading import preload
from airlock_airflow.queues import task_policy

__all__ = ["task_policy"]

preload(sys.argv[1:])
