"""Airlock in Airflow: its app under /airlock, and the page "Releases" in the navigation.

Airflow runs this file in every component, so it imports nothing heavy and builds nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from airlock_airflow.links import EvidenceLink, ReleaseLink
from airlock_airflow.mounting import MountedApp, build


class AirlockPlugin(AirflowPlugin):
    """Mounts the app, adds the views and the links of tasks."""

    name = "airlock"
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": MountedApp(build), "url_prefix": "/airlock", "name": "Airlock"}
    ]
    operator_extra_links: ClassVar[list[Any]] = [EvidenceLink(), ReleaseLink()]
    external_views: ClassVar[list[Any]] = [
        {
            "name": "Releases",
            "href": "/airlock/releases",
            "destination": "nav",
            "url_route": "releases",
            "nav_top_level": True,
        },
        {
            "name": "Release",
            "href": "/airlock/releases?dag={DAG_ID}&run={RUN_ID}",
            "destination": "dag_run",
            "url_route": "release-of-run",
        },
        {
            "name": "Release",
            "href": "/airlock/releases?dag={DAG_ID}&run={RUN_ID}",
            "destination": "task_instance",
            "url_route": "release-of-task",
        },
    ]
