"""One DAG for each valid pipeline in include/pipelines. A refused one never stops the others."""

from __future__ import annotations

from airflow.sdk import DAG, get_parsing_context

from airlock_airflow.loading import current

loaded = current()
requested = get_parsing_context().dag_id  # a task that starts builds only its own DAG

for config in loaded.pipelines.valid:
    if requested in (None, config.name):
        dag: DAG = loaded.build(config)
        globals()[config.name] = dag
