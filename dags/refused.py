"""Shows every refused pipeline in Airflow's import errors: file, line, found, expected.

There is no DAG here. Airflow reads only files with that word and its own name in them.
"""

from __future__ import annotations

from airlock_airflow.loading import current

refused = current().pipelines.refused
if refused:
    raise ValueError("\n\n".join(str(error) for error in refused))
