"""The single source: every process of the platform, with command, environment and probe.

`airlock up` runs these, `airlock status` probes these, and `tests/unit/test_compose.py`
holds docker-compose.yml against these. Rules:

* nobody gets a database URL it does not need: the API server, the delivery process and the one for
  Slack are deciders (and alone are told the signing key), the scheduler and its tasks are workers,
  the DAG processor has no URL of Airlock's database at all;
* what Slack gave us is told to the API server, which answers clicks, and to the process `slack`,
  which is there only if something of Slack is set; the delivery process knows that there is a chat;
* the MLflow server is guarded and holds public keys; only the delivery process writes permits;
* every server listens on `Site.bind` only;
* commands are bare tool names; the launcher adds the folder of the virtual environment.

PostgreSQL is not here: `postgres.py` says how it is started.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from airlock_platform.paths import Site

#: The account of Airflow's tasks at the MLflow server.
MLFLOW_WORKER = "airlock-worker"
PROTECTED = "AIRLOCK_PROTECTED_ALIASES"
SLACK = "AIRLOCK_SLACK_"
#: With these somebody could speak as the app, or to us as Slack.
SLACK_SECRETS = tuple(f"{SLACK}{name}" for name in ("BOT_TOKEN", "SIGNING_SECRET", "APP_TOKEN"))
#: What can be set of the disk.
DISK = ("AIRLOCK_KEEP_WORK_DAYS", "AIRLOCK_DISK_RESERVE_MB")
_LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"


@dataclass(frozen=True)
class Probe:
    """How to find out that a process really works, not only runs."""

    kind: Literal["http", "postgres", "process"]
    target: str = ""
    #: For JSON answers: a dotted path and the value it must have.
    expect: tuple[str, str] | None = None


@dataclass(frozen=True)
class Component:
    """One process of the platform."""

    name: str
    title: str
    command: tuple[str, ...]
    environment: dict[str, str]
    probe: Probe
    address: str = ""
    #: Ports it listens on, each with the variable that moves it.
    ports: tuple[tuple[int, str], ...] = ()
    stop_signal: Literal["TERM", "INT"] = "TERM"
    #: Seconds it gets to stop by itself.
    grace: int = 20
    #: Operating system user it runs as; empty means the caller.
    user: str = ""
    #: Whether code of the checkout runs in it.
    ours: bool = True


def components(site: Site) -> tuple[Component, ...]:
    """Return the processes of *site* in starting order; they stop in reverse."""
    parts = tuple(make(site) for make in _MAKERS)
    return (*parts, _slack(site)) if site.slack else parts


def airflow_environment(site: Site) -> dict[str, str]:
    """Return the settings every Airflow process needs, without the URL of Airlock's database."""
    return {
        "AIRFLOW_HOME": f"{site.home}/airflow",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{site.root}/dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{site.root}/plugins",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        # Airflow sets these rights itself, whatever the umask is; the defaults let everybody read.
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        # A release waits for days inside a running DAG run: 16 of them would block retraining.
        "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "1000",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        ),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{site.airflow_url}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": site.secrets["fernet_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": site.secrets["jwt_secret"],
        "AIRFLOW__API__SECRET_KEY": site.secrets["api_secret_key"],
        "AIRFLOW__API__BASE_URL": site.public_url or site.airflow_url,
        "AIRFLOW__API__INSTANCE_NAME": "Airlock",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": site.urls["airflow_app"],
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": _bundles(site),
        # The default of 300 s makes a new pipeline file invisible for five minutes.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "15",
        # The default of 5 s holds a worker slot for 5 s after each task and widens the wake race.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # A task waits a minute for the API server instead of a few seconds: it may be starting.
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
        # The default, 1 s, is most of what a short task waits for; it costs some idle CPU.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": site.bind,
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(site.health_port),
        # The default of 5 in 40 s locks out a demo in which ten people log in from one machine.
        "AIRFLOW__FAB__AUTH_RATE_LIMIT": "60 per minute",
        # A working day; and where it is set, a session knows when its owner logged in.
        "AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES": "720",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_ANALYTICS": "false",
        "PYTHONPATH": f"{site.root}/include",
        # setproctitle must not overwrite the environment: leftovers are recognised by it.
        "SPT_NOENV": "1",
    }


def _bundles(site: Site) -> str:
    folders = {"airlock": f"{site.root}/dags"}
    folders |= {f"extra-{number}": path for number, path in enumerate(site.own_dags, start=1)}
    entries = [
        {"name": name, "classpath": _LOCAL_BUNDLE, "kwargs": {"path": path}}
        for name, path in folders.items()
    ]
    return json.dumps(entries)


def airlock_environment(site: Site) -> dict[str, str]:
    """Return the environment of every process with Airlock code: addresses, no rights."""
    environment = {
        "AIRLOCK_ROOT": site.root,
        "AIRLOCK_HOME": site.home,
        "AIRLOCK_CONFIG_DIR": site.config_dir,
        "AIRLOCK_DATA_DIR": site.data_dir,
        "AIRLOCK_TRUSTED_KEYS": f"{site.home}/keys",
        "AIRLOCK_AIRFLOW_URL": site.airflow_url,
        "AIRLOCK_PUBLIC_URL": site.public_url or site.airflow_url,
        "AIRLOCK_MLFLOW_PUBLIC_URL": site.mlflow_public_url or site.mlflow_url,
        "MLFLOW_TRACKING_URI": site.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "False",
    }
    if site.service_user_id:
        environment["AIRLOCK_SERVICE_USER_ID"] = site.service_user_id
    return environment | site.disk


def decider_environment(site: Site) -> dict[str, str]:
    """Return the additional environment of a deciding process."""
    return {
        "AIRLOCK_DATABASE_URL": site.urls["airlock_decider"],
        "AIRLOCK_SIGNING_KEY": site.signing_key,
    }


def operator_environment(site: Site) -> dict[str, str]:
    """Return the environment of the delivery process and of an operator's command."""
    return {
        **airlock_environment(site),
        **decider_environment(site),
        "AIRLOCK_ALERT_MAIL": site.alert_mail,
        "AIRLOCK_SERVICE_PASSWORD_FILE": site.service_password_file,
        "AIRLOCK_GUARD_DATABASE_URL": site.urls["airlock_guard"],
        "AIRLOCK_DETECTOR_REVERT": site.detector_revert,
    }


def worker_environment(site: Site) -> dict[str, str]:
    """Return the environment of tasks: they hold no key that signs grants."""
    return {
        **airlock_environment(site),
        "AIRLOCK_DATABASE_URL": site.urls["airlock_worker"],
        "MLFLOW_TRACKING_USERNAME": MLFLOW_WORKER,
        "MLFLOW_TRACKING_PASSWORD": site.secrets["mlflow_worker"],
        "AIRLOCK_MODEL_SIGNING_KEY": site.model_signing_key,
        "AIRLOCK_GATE_SIGNING_KEY": site.gate_signing_key,
    }


def role_environments(site: Site) -> dict[str, dict[str, str]]:
    """Return the environment of a command in each role, by the role's name."""
    return {"operator": operator_environment(site), "worker": worker_environment(site)}


def _mlflow(site: Site) -> Component:
    hosts = dict.fromkeys((site.mlflow_host, *site.mlflow_names))
    allowed = [f"{host}{port}" for host in hosts for port in ("", f":{site.mlflow_port}")]
    return Component(
        name="mlflow",
        title="MLflow",
        command=(
            *("mlflow", "server", "--host", site.bind, "--port", str(site.mlflow_port)),
            *("--app-name", "airlock", "--registry-store-uri", "airlock://backend"),
            *("--workers", "1", "--serve-artifacts"),
        ),
        environment={
            # By environment, because a URL on the command line shows its password in `ps`.
            "MLFLOW_BACKEND_STORE_URI": site.urls["mlflow_app"],
            "MLFLOW_ARTIFACTS_DESTINATION": f"airlock+file://{site.home}/mlflow/artifacts",
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(allowed),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_ENABLE_AI_GATEWAY": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            # What the guard is told: public keys only, and which programs may log in.
            "AIRLOCK_TRUSTED_KEYS": f"{site.home}/keys",
            "AIRLOCK_MLFLOW_ACCOUNTS": f"{MLFLOW_WORKER}:{site.secrets['mlflow_worker']}",
            "PYTHONPATH": f"{site.root}/include",
        }
        | ({PROTECTED: site.protected_aliases} if site.protected_aliases else {}),
        # The guard's own: MLflow's /health answers OK even when the database is gone.
        probe=Probe("http", f"{_here(site.mlflow_port)}/airlock/health", ("status", "healthy")),
        address=site.mlflow_url,
        ports=((site.mlflow_port, "AIRLOCK_MLFLOW_PORT"),),
    )


def _api_server(site: Site) -> Component:
    return Component(
        name="api-server",
        title="Airflow API server, with Airlock's page and REST API",
        command=(
            *("airflow", "api-server", "--host", site.bind),
            *("--port", str(site.airflow_port), "--workers", "1"),
        ),
        environment=airflow_environment(site)
        | airlock_environment(site)
        | decider_environment(site)
        | {name: value for name, value in site.slack.items() if name != f"{SLACK}APP_TOKEN"},
        probe=_monitor(_here(site.airflow_port), "metadatabase"),
        address=site.airflow_url,
        ports=((site.airflow_port, "AIRLOCK_AIRFLOW_PORT"),),
    )


def _scheduler(site: Site) -> Component:
    return Component(
        name="scheduler",
        title="Airflow scheduler and its workers",
        # The API server reads the same log folder, so nobody needs the open log port 8793.
        command=("airflow", "scheduler", "--skip-serve-logs"),
        environment=airflow_environment(site) | worker_environment(site),
        probe=Probe("http", f"{_here(site.health_port)}/health"),
        address=f"{_here(site.health_port)}/health",
        ports=((site.health_port, "AIRLOCK_AIRFLOW_PORT"),),
        grace=30,
    )


def _dag_processor(site: Site) -> Component:
    return Component(
        name="dag-processor",
        title="Airflow DAG processor",
        command=("airflow", "dag-processor"),
        environment=airflow_environment(site) | airlock_environment(site),
        probe=_monitor(site.airflow_url, "dag_processor"),
    )


def _triggerer(site: Site) -> Component:
    """Return the process of tasks that defer themselves. Airlock's own never do; other DAGs may."""
    return Component(
        name="triggerer",
        title="Airflow triggerer, for deferred tasks of other DAGs",
        command=("airflow", "triggerer", "--skip-serve-logs"),
        environment=airflow_environment(site) | airlock_environment(site),
        probe=_monitor(site.airflow_url, "triggerer"),
    )


def _deliver(site: Site) -> Component:
    return Component(
        name="deliver",
        title="Airlock delivery: the outbox and the wake-up of Airflow",
        command=("airlock", "deliver"),
        environment=operator_environment(site)
        | {name: value for name, value in site.slack.items() if name not in SLACK_SECRETS}
        | {"PYTHONPATH": f"{site.root}/include"},
        probe=Probe("process"),
    )


def _slack(site: Site) -> Component:
    """Return the process that speaks in Slack; it knows Airflow only to read its connection."""
    airflow = airflow_environment(site) if site.slack.get(f"{SLACK}CONNECTION") else {}
    return Component(
        name="slack",
        title="Airlock in Slack: messages out, and Socket Mode in",
        command=("airlock", "slack"),
        environment=airflow
        | airlock_environment(site)
        | decider_environment(site)
        | site.slack
        | {"AIRLOCK_ALERT_MAIL": site.alert_mail, "PYTHONPATH": f"{site.root}/include"},
        probe=Probe("process"),
    )


def _monitor(airflow: str, part: str) -> Probe:
    return Probe("http", f"{airflow}/api/v2/monitor/health", (f"{part}.status", "healthy"))


def _here(port: int) -> str:
    """Return a server's address as seen from beside it, where its probe runs."""
    return f"http://127.0.0.1:{port}"


_MAKERS: tuple[Callable[[Site], Component], ...] = (
    _mlflow,
    _api_server,
    _scheduler,
    _dag_processor,
    _triggerer,
    _deliver,
)
