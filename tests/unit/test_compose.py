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

from airlock.adapters.embedded.components import SLACK, Component, components
from airlock.adapters.embedded.secrets import DATABASE_ROLES
from airlock.adapters.embedded.server import Server
from airlock.adapters.embedded.site import Site
from airlock.config.settings import SETTINGS
from airlock.entrypoints import container

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
JOBS = {"init-databases", "init-airflow"}
HOME = "/opt/airlock/.airlock"
REQUIRED = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")
DEFAULTED = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def settled(value: object) -> str:
    """Return a compose value with its required variables as ${NAME} and defaults filled in."""
    return DEFAULTED.sub(r"\2", REQUIRED.sub(r"${\1}", str(value)))


def site() -> Site:
    """Return the platform as the containers see it."""
    server = Server("postgres", 5432, {role: f"_{role}_" for role in DATABASE_ROLES})
    urls = {
        role: url.replace(f":_{role}_@", f":${{{role.upper()}_PASSWORD}}@")
        for role, url in server.urls().items()
    }
    return Site(
        root="/opt/airlock",
        home=HOME,
        config_dir="/opt/airlock/include",
        data_dir=f"{HOME}/data",
        urls=urls,
        secrets={
            "fernet_key": "${AIRFLOW_FERNET_KEY}",
            "jwt_secret": "${AIRFLOW_JWT_SECRET}",
            "api_secret_key": "${AIRFLOW_API_SECRET_KEY}",
            "mlflow_worker": "${MLFLOW_WORKER_PASSWORD}",
        },
        bind="0.0.0.0",
        airflow_host="api-server",
        mlflow_host="mlflow",
        public_url="http://localhost:8080",
        service_user_id="1",
        slack=dict.fromkeys(SLACK_NAMES, ""),
    )


#: As many as there are settings of Slack; empty counts as not set.
SLACK_NAMES = [setting.name for setting in SETTINGS if setting.name.startswith(SLACK)]
PARTS = components(site())


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


def test_there_are_exactly_the_processes_of_up() -> None:
    assert set(SERVICES) == {part.name for part in PARTS} | {"postgres"} | JOBS


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_commands_are_the_same(part: Component) -> None:
    assert tuple(SERVICES[part.name]["command"]) == part.command


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_environments_are_the_same(part: Component) -> None:
    found = {name: settled(value) for name, value in SERVICES[part.name]["environment"].items()}
    assert found == part.environment


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_probes_are_the_same(part: Component) -> None:
    if part.probe.kind == "process":
        assert "healthcheck" not in SERVICES[part.name]
        return
    module = ["CMD", "python", "-m", "airlock.adapters.embedded.probe"]
    expected = [*module, part.probe.kind, part.probe.target, *(part.probe.expect or ())]
    assert SERVICES[part.name]["healthcheck"]["test"] == expected


@pytest.mark.parametrize("part", PARTS, ids=ids)
def test_they_stop_the_same_way(part: Component) -> None:
    service = SERVICES[part.name]
    assert service["stop_signal"] == f"SIG{part.stop_signal}"
    assert service["stop_grace_period"] == f"{part.grace}s"
    assert service["restart"] == "unless-stopped"


def test_every_secret_is_required_and_explained() -> None:
    names = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
    optional = {name for name, _ in DEFAULTED.findall(TEXT)}
    assert optional == {
        *("CODE_COMMIT", "AIRLOCK_SERVICE_USER_ID", "AIRLOCK_DETECTOR_REVERT"),
        *("AIRLOCK_PUBLIC_URL", "AIRLOCK_ALERT_MAIL", *SLACK_NAMES),
    }
    assert names - optional == {name for (name,) in (m.groups() for m in REQUIRED.finditer(TEXT))}
    head = TEXT.partition("\nx-image:")[0]
    assert {name for name in names - optional if name not in head} == set()


def test_no_value_that_looks_like_a_secret_is_written_down() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if name.endswith(("PASSWORD", "SECRET", "SECRET_KEY", "FERNET_KEY", "TOKEN", "_URL_")):
                assert REQUIRED.fullmatch(str(value)) or settled(value) == "", name
            if "://" in str(value) and "@" in str(value):
                assert REQUIRED.search(str(value)), name


def test_only_deciders_and_the_job_that_makes_it_reach_the_signing_key() -> None:
    having = {
        name
        for name, service in SERVICES.items()
        if any(volume.startswith("secrets:") for volume in service.get("volumes", []))
    }
    assert having == {"api-server", "deliver", "slack", "init-databases"}


def test_slack_starts_only_when_it_is_asked_for() -> None:
    asked = {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one}
    assert asked == {"slack": ["slack"]}


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:5000:5000", "127.0.0.1:8080:8080"]


def test_volumes_are_named_and_all_are_used() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    used = {mount.partition(":")[0] for mount in mounts}
    assert used == set(COMPOSE["volumes"])


def test_the_jobs_get_what_they_ask_for() -> None:
    given = SERVICES["init-databases"]["environment"]
    asked = {container.password_name(role) for role in DATABASE_ROLES}
    asked |= {container.ADMIN_URL, container.SERVICE_PASSWORD, "AIRLOCK_HOME"}
    assert set(given) == asked
    given = SERVICES["init-airflow"]["environment"]
    asked = {container.ADMIN_PASSWORD, container.SERVICE_PASSWORD, "AIRLOCK_SERVICE_USER_ID"}
    assert asked <= set(given)
    assert {SERVICES[name]["command"][-1] for name in JOBS} == set(container.JOBS)


def test_everything_waits_for_what_it_needs() -> None:
    for part in PARTS:
        needs = set(SERVICES[part.name]["depends_on"])
        assert needs == ({"init-databases"} if part.name == "mlflow" else JOBS)


def test_services_run_one_image_without_rights() -> None:
    for name, service in SERVICES.items():
        if name != "postgres":
            assert service["build"]["dockerfile"] == "deploy/Dockerfile"
            assert service["cap_drop"] == ["ALL"]
            assert service["init"] is True


def test_the_image_is_built_from_the_hashed_requirements_without_root() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.txt" in text
    assert text.rstrip().endswith("USER airlock")
    copied = re.findall(r"^COPY (.+) \./\S*$", text, flags=re.M)
    ignored = (ROOT / ".dockerignore").read_text().split()
    for path in " ".join(copied).split():
        assert f"!{path}" in ignored, path
