"""Airflow's name for cluster policies: it is read by every component, from the plugins folder."""

from airlock_airflow.queues import task_policy as task_policy
