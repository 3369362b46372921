"""docker-compose.yml describes the platform `airlock up` runs: one source, two forms.

compose_spec.json is the schema of the Compose specification as shipped in the PyPI package
docker-compose 1.29.2 (Apache-2.0). No container engine runs these tests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from airlock.config.settings import SETTINGS
from airlock.entrypoints.demo import compose_jobs
from airlock_platform.components import SLACK, Component, components
from airlock_platform.databases.server import Server
from airlock_platform.paths import Site
from airlock_platform.secrets import DATABASE_ROLES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
JOBS = {"init-databases", "init-airflow"}
#: A container for one command at a time, with the owner's credential.
OPERATOR = "operator"
#: What carries tasks, and what runs them: `make up` has the scheduler run them itself.
STORES = {"postgres", "redis"}
WORKERS = {"worker-airlock": "airlock", "worker-train": "train"}
HOME = "/opt/airlock/.airlock"
DEFAULTED = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def settled(value: object) -> str:
    """Return a compose value with defaults filled in."""
    return DEFAULTED.sub(r"\2", str(value))


def site() -> Site:
    """Return the platform as the containers see it."""
    server = Server("postgres", 5432, dict.fromkeys(DATABASE_ROLES, "secret"))
    return Site(
        root="/opt/airlock",
        home=HOME,
        config_dir="/opt/airlock/include",
        data_dir=f"{HOME}/data",
        urls=server.urls(),
        secrets=dict.fromkeys(("fernet_key", "jwt_secret", "api_secret_key", "mlflow_worker"), ""),
        bind="0.0.0.0",
        airflow_host="api-server",
        mlflow_host="mlflow",
        public_url="http://localhost:8080",
        mlflow_public_url="http://localhost:5000",
        service_user_id="1",
        own_dags=("/opt/airlock/own-dags",),
        slack=dict.fromkeys(SLACK_NAMES, ""),
    )


#: As many as there are settings of Slack; empty counts as not set.
SLACK_NAMES = [setting.name for setting in SETTINGS if setting.name.startswith(SLACK)]
PARTS = components(site())
PLAIN = {part.name: part.environment for part in PARTS}
#: Who may hold which secret. Every file of `secrets:` has its line, and nobody else mounts it.
HOLDERS: dict[str, set[str]] = {
    # Airflow's
    "airflow_database_url": {
        *("init-airflow", "api-server", "scheduler", "dag-processor", "triggerer")
    },
    "jwt_secret": {"api-server", "scheduler"},
    "fernet_key": {"api-server", "scheduler", "triggerer"},
    "api_secret_key": {"api-server"},
    "admin_password": {"init-airflow"},
    "service_password": {"init-airflow", "deliver"},
    # PostgreSQL's
    "postgres_password": {"postgres"},
    "postgres_admin_url": {"init-databases"},
    **{f"password_{role}": {"init-databases"} for role in DATABASE_ROLES},
    # Airlock's
    "airlock_decider_url": {"api-server", "deliver", "slack"},
    "airlock_guard_url": {"deliver"},
    "airlock_worker_url": {"worker-airlock"},
    "airlock_owner_url": {"operator"},
    # MLflow's
    "mlflow_database_url": {"mlflow"},
    "mlflow_accounts": {"mlflow"},
    "mlflow_worker_account": {"worker-airlock"},
    # The broker's: an account per process
    "redis_acl": {"redis"},
    "redis_scheduler_url": {"scheduler"},
    "redis_airlock_url": {"worker-airlock"},
    "redis_train_url": {"worker-train"},
    # Slack's
    "slack_bot_token": {"api-server", "slack"},
    "slack_signing_secret": {"api-server", "slack"},
    "slack_app_token": {"slack"},
}
#: Who mounts which volume, and who may write it ("rw"). Keys lie in volumes: a job makes them.
VOLUMES: dict[str, dict[str, str]] = {
    # signing.pem, which signs grants
    "secrets": {"init-databases": "rw", "api-server": "ro", "deliver": "ro", "slack": "ro"},
    # model-signing.pem and gate-signing.pem
    "training": {"init-databases": "rw", "worker-airlock": "ro"},
    "handover": {"worker-train": "rw", "worker-airlock": "ro"},
    "data": {"worker-airlock": "rw", "worker-train": "ro", "api-server": "ro"},
    "evidence": {"worker-airlock": "rw", "api-server": "ro"},
    "checkpoints": {"deliver": "rw", "api-server": "ro"},
    "airlock-logs": {"worker-airlock": "rw", "api-server": "ro"},
    "train-logs": {"worker-train": "rw", "api-server": "ro"},
}
#: What a container of `train` can reach by name.
TRAIN_REACHES = {"redis", "api-server", "worker-train"}


def ids(part: Component) -> str:
    return part.name


def test_it_is_valid_by_the_compose_schema() -> None:
    schema = json.loads((HERE / "compose_spec.json").read_text())
    jsonschema.Draft201909Validator(schema).validate(COMPOSE)


def test_the_schema_test_can_fail() -> None:
    schema = json.loads((HERE / "compose_spec.json").read_text())
    broken = {"services": {"mlflow": {"image": "x", "comand": "y"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft201909Validator(schema).validate(broken)


def test_there_are_exactly_the_processes_of_up_and_the_workers() -> None:
    assert set(SERVICES) == (
        {part.name for part in PARTS} | STORES | JOBS | WORKERS.keys() | {OPERATOR}
    )


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_commands_are_the_same(part: Component) -> None:
    prefix = ("python", "-m", "airlock.entrypoints.demo.compose_jobs", "run")
    command = tuple(SERVICES[part.name]["command"])
    assert command == ((*prefix, *part.command) if part.name == "mlflow" else part.command)


#: What Airflow is told otherwise where tasks have workers and the image is read-only.
QUEUES = {
    "AIRFLOW_HOME": "/tmp/airflow",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": "16",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{HOME}/airflow/logs",
    "AIRFLOW__LOGGING__LOG_FILENAME_TEMPLATE": COMPOSE["x-airflow-environment"][
        "AIRFLOW__LOGGING__LOG_FILENAME_TEMPLATE"
    ],
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "21600",
}
AIRFLOW_SECRETS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "airflow_database_url",
    "AIRFLOW__CORE__FERNET_KEY": "fernet_key",
    "AIRFLOW__API_AUTH__JWT_SECRET": "jwt_secret",
    "AIRFLOW__API__SECRET_KEY": "api_secret_key",
}
#: What the worker of `airlock` has in the place of the scheduler, which runs tasks in `make up`.
TASKS_ONLY = {
    "AIRLOCK_DATABASE_URL",
    "AIRLOCK_MODEL_SIGNING_KEY",
    "AIRLOCK_GATE_SIGNING_KEY",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
}
SECRET_SETTINGS = {setting.name for setting in SETTINGS if setting.secret}


def plain(environment: dict[str, Any]) -> dict[str, str]:
    """Return an environment without what is read from files, and without Celery's own options."""
    return {
        name: settled(value)
        for name, value in environment.items()
        if not name.endswith("_CMD")
        and not name.endswith("_FILE")
        and not name.startswith("AIRFLOW__CELERY")
    }


def expected(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment that `make up` sets, without secrets and with queues."""
    from_files = AIRFLOW_SECRETS.keys() | SECRET_SETTINGS | {"MLFLOW_BACKEND_STORE_URI"}
    from_files |= {"AIRLOCK_SERVICE_PASSWORD_FILE"}
    public = {"MLFLOW_TRACKING_URI", "AIRLOCK_AIRFLOW_URL"}  # addresses without a password
    variables = {
        name: value for name, value in environment.items() if name not in from_files - public
    }
    if "AIRFLOW_HOME" in variables:
        variables |= QUEUES
    if "AIRLOCK_HOME" in variables:
        variables["AIRLOCK_HANDOVER"] = f"{HOME}/handover"
    return variables


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_environments_are_the_same_but_for_secrets_and_queues(part: Component) -> None:
    environment = expected(part.environment)
    if part.name == "scheduler":
        environment = {name: value for name, value in environment.items() if name not in TASKS_ONLY}
    assert plain(SERVICES[part.name]["environment"]) == environment


def test_the_worker_of_airlock_is_told_what_tasks_are_told() -> None:
    environment = expected(PLAIN["scheduler"]) | {"AIRLOCK_QUEUE": "airlock"}
    only_the_image = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])[:1]
    environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(only_the_image)
    del environment["MLFLOW_TRACKING_USERNAME"]
    del environment["MLFLOW_TRACKING_PASSWORD"]  # in a file
    assert plain(SERVICES["worker-airlock"]["environment"]) == environment


def test_the_worker_of_train_is_told_no_more_than_places() -> None:
    environment = expected(PLAIN["dag-processor"]) | {"AIRLOCK_QUEUE": "train"}
    assert plain(SERVICES["worker-train"]["environment"]) == environment


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_probes_are_the_same(part: Component) -> None:
    if part.probe.kind == "process":
        assert "healthcheck" not in SERVICES[part.name]
        return
    module = ["CMD", "python", "-m", "airlock_platform.processes.health_checks"]
    expected = [*module, part.probe.kind, part.probe.target, *(part.probe.expect or ())]
    assert SERVICES[part.name]["healthcheck"]["test"] == expected


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_they_stop_the_same_way(part: Component) -> None:
    service = SERVICES[part.name]
    assert service["stop_signal"] == f"SIG{part.stop_signal}"
    assert service["stop_grace_period"] == f"{part.grace}s"
    assert service["restart"] == "unless-stopped"


def mounted(service: dict[str, Any]) -> set[str]:
    secrets = service.get("secrets", [])
    return {secret if isinstance(secret, str) else secret["source"] for secret in secrets}


def test_each_secret_is_held_by_those_of_the_table_alone() -> None:
    holders = {
        secret: {name for name, service in SERVICES.items() if secret in mounted(service)}
        for secret in COMPOSE["secrets"]
    }
    assert holders == HOLDERS


def test_each_volume_of_the_table_is_mounted_and_written_by_those_of_the_table_alone() -> None:
    mounts: dict[str, dict[str, str]] = {name: {} for name in VOLUMES}
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source, _, rest = mount.partition(":")
            if source in VOLUMES:
                mounts[source][name] = "ro" if rest.endswith(":ro") else "rw"
    assert mounts == VOLUMES


def test_every_secret_is_a_file_that_the_script_makes() -> None:
    script = (ROOT / "deploy" / "make-secrets.sh").read_text()
    for name, secret in COMPOSE["secrets"].items():
        assert settled(secret["file"]) == f"./secrets/{name}"
    files = set(re.findall(r"^ *put \"?([a-z_$\{\}]+)", script, re.M))
    expanded = {
        *files,
        *(f"password_{role}" for role in DATABASE_ROLES if role in script),
        *(f"redis_{name}_url" for name in ("scheduler", "airlock", "train")),
        *(f"airlock_{role}_url" for role in ("owner", "decider", "worker")),
        *("slack_bot_token", "slack_signing_secret", "slack_app_token"),
    }
    assert set(COMPOSE["secrets"]) <= expanded


def test_what_is_read_from_files_is_mounted() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "/run/secrets/" in str(value):
                assert name.endswith(("_FILE", "_CMD"))
                assert str(value).rpartition("/")[2] in mounted(service), name


def test_no_environment_holds_a_secret_or_a_variable_that_could() -> None:
    optional = {name for name, _ in DEFAULTED.findall(TEXT)}
    public = {name for name in SLACK_NAMES if not name.endswith(("TOKEN", "SECRET"))}
    assert optional == {
        *("CODE_COMMIT", "AIRLOCK_SERVICE_USER_ID", "AIRLOCK_DETECTOR_REVERT"),
        *("AIRLOCK_PUBLIC_URL", "AIRLOCK_ALERT_MAIL", "AIRLOCK_SECRETS", "AIRLOCK_OWN_DAGS"),
        *("AIRLOCK_AIRFLOW_PORT", "AIRLOCK_MLFLOW_PORT", "AIRLOCK_MLFLOW_PUBLIC_URL", *public),
    }
    assert set(re.findall(r"\$\{([A-Z_]+)", TEXT)) == optional
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if name.endswith(("PASSWORD", "SECRET", "SECRET_KEY", "FERNET_KEY", "TOKEN", "_URL_")):
                assert settled(value) == "", name
            assert not ("://" in str(value) and "@" in str(value)), name


def test_a_worker_takes_from_its_own_queue() -> None:
    for name, queue in WORKERS.items():
        command = SERVICES[name]["command"]
        assert command[command.index("--queues") + 1] == queue
        assert SERVICES[name]["environment"]["AIRLOCK_QUEUE"] == queue
        keys = [v for k, v in SERVICES[name]["environment"].items() if "__UNACKED" in k]
        assert len(keys) == 3
        assert all(key.startswith(f"unacked-{queue}") for key in keys)


def test_no_result_is_kept_in_airflows_database() -> None:
    for name in (*WORKERS, "scheduler"):
        environment = SERVICES[name]["environment"]
        url = environment["AIRFLOW__CELERY__BROKER_URL_CMD"]
        assert url == environment["AIRFLOW__CELERY__RESULT_BACKEND_CMD"]
        assert url.startswith("cat /run/secrets/redis_")


def test_training_reaches_the_broker_and_the_api_server_alone() -> None:
    assert SERVICES["worker-train"]["networks"] == ["train"]
    assert COMPOSE["networks"]["train"] == {"internal": True}
    reached = {name for name, service in SERVICES.items() if "train" in service["networks"]}
    assert reached == TRAIN_REACHES


def test_networks_without_a_way_out_are_the_rule() -> None:
    open_ = {
        name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")
    }
    assert open_ == {"outside"}
    using = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert using == {"mlflow", "api-server", "deliver", "slack"}


def test_own_dag_files_are_where_there_is_no_credential() -> None:
    having = {
        name
        for name, service in SERVICES.items()
        if any("/opt/airlock/own-dags" in volume for volume in service.get("volumes", []))
    }
    assert having == {"dag-processor", "worker-train"}


def test_slack_starts_only_when_it_is_asked_for() -> None:
    profiles = {
        name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service
    }
    assert profiles == {"slack": ["slack"], OPERATOR: [OPERATOR]}


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert sorted(map(settled, ports)) == ["127.0.0.1:5000:5000", "127.0.0.1:8080:8080"]


def test_volumes_are_named_and_all_are_used() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    used = {mount.partition(":")[0] for mount in mounts if not mount.startswith("$")}
    assert used == set(COMPOSE["volumes"])


def test_the_jobs_get_what_they_ask_for() -> None:
    environment = SERVICES["init-databases"]["environment"]
    names = {compose_jobs.password_name(role) for role in DATABASE_ROLES}
    names |= {compose_jobs.ADMIN_URL}
    assert set(environment) == {f"{name}_FILE" for name in names} | {"AIRLOCK_HOME"}
    environment = SERVICES["init-airflow"]["environment"]
    names = {compose_jobs.ADMIN_PASSWORD, compose_jobs.SERVICE_PASSWORD}
    assert {f"{name}_FILE" for name in names} | {"AIRLOCK_SERVICE_USER_ID"} <= set(environment)
    assert {SERVICES[name]["command"][-1] for name in JOBS} == set(compose_jobs.JOBS)


def test_everything_waits_for_what_it_needs() -> None:
    for part in PARTS:
        needs = set(SERVICES[part.name]["depends_on"])
        more = {"redis"} if part.name == "scheduler" else set()
        assert needs == ({"init-databases"} if part.name == "mlflow" else JOBS | more)
    for name in WORKERS:
        assert set(SERVICES[name]["depends_on"]) == JOBS | {"redis", "api-server"}


def test_services_run_one_image_without_rights() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert "privileged" not in service
        assert ("cap_add" in service) == (name == "postgres")
        if name not in STORES:
            assert service["build"]["dockerfile"] == "deploy/Dockerfile"
            assert service["init"] is True
            assert "user" not in service  # the image's own, which is not root


def test_the_image_is_built_from_the_hashed_requirements_without_root() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert (
        "--no-deps --require-hashes \\\n        -r requirements.txt -r deploy/requirements.txt"
        in text
    )
    assert text.rstrip().endswith("USER airlock")
    copied = re.findall(r"^COPY (.+) \./\S*$", text, flags=re.M)
    ignored = (ROOT / ".dockerignore").read_text().split()
    for path in " ".join(copied).split():
        assert f"!{path}" in ignored, path
