"""The processes of the platform: who is told what."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from airlock.config.settings import SETTINGS
from airlock.domain.errors import Invalid
from airlock_platform.components import Component, components
from airlock_platform.databases.server import ROLE_DATABASE, Server, external_server
from airlock_platform.paths import Site
from airlock_platform.people import LOOK, PEOPLE, ROLES
from airlock_platform.platform import Options

SERVER = Server("127.0.0.1", 5433, {role: f"pw-{role}" for role in ROLE_DATABASE})
SITE = Site(
    root="/r",
    home="/h",
    config_dir="/r/include",
    data_dir="/h/data",
    urls=SERVER.urls(),
    secrets={"fernet_key": "f", "jwt_secret": "j", "api_secret_key": "a", "mlflow_worker": "w-w"},
    service_user_id="7",
)


SLACK = {
    **{"AIRLOCK_SLACK_BOT_TOKEN": "xoxb-tell", "AIRLOCK_SLACK_SIGNING_SECRET": "signs-it"},
    **{"AIRLOCK_SLACK_APP_TOKEN": "xapp-open", "AIRLOCK_SLACK_CHANNEL": "C0001"},
}
WITH_SLACK = dataclasses.replace(SITE, slack=SLACK, alert_mail="ops@example.org")


def part(name: str, site: Site = SITE) -> Component:
    return next(part for part in components(site) if part.name == name)


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("mlflow", {"mlflow_app"}),
        ("api-server", {"airflow_app", "airlock_decider"}),
        ("scheduler", {"airflow_app", "airlock_worker"}),
        ("dag-processor", {"airflow_app"}),
        ("triggerer", {"airflow_app"}),
        ("deliver", {"airlock_decider", "airlock_guard"}),
    ],
)
def test_each_process_knows_the_passwords_it_needs_and_no_other(name: str, roles: set[str]) -> None:
    values = " ".join(part(name).environment.values())
    assert {role for role in ROLE_DATABASE if f"pw-{role}" in values} == roles


def test_only_deciders_are_told_the_signing_key() -> None:
    having = {
        component.name
        for component in components(SITE)
        if "AIRLOCK_SIGNING_KEY" in component.environment
    }
    assert having == {"api-server", "deliver"}


def test_without_slack_there_is_no_process_for_it_and_nobody_is_told() -> None:
    assert "slack" not in {component.name for component in components(SITE)}
    names = {name for component in components(SITE) for name in component.environment}
    assert not {name for name in names if name.startswith("AIRLOCK_SLACK_")}


def test_with_slack_its_process_is_a_decider_that_knows_no_airflow() -> None:
    slack = part("slack", WITH_SLACK)
    assert slack.command == ("airlock", "slack")
    values = " ".join(slack.environment.values())
    assert {role for role in ROLE_DATABASE if f"pw-{role}" in values} == {"airlock_decider"}
    assert not {name for name in slack.environment if name.startswith("AIRFLOW")}
    assert slack.environment["AIRLOCK_SIGNING_KEY"] == "/h/secrets/signing.pem"


def test_only_for_a_connection_the_process_for_slack_is_told_airflows_settings() -> None:
    site = dataclasses.replace(SITE, slack={"AIRLOCK_SLACK_CONNECTION": "slack_airlock"})
    environment = part("slack", site).environment
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == SERVER.url("airflow_app")
    assert environment["AIRFLOW__CORE__FERNET_KEY"] == "f"
    assert not {name for name in part("deliver", site).environment if name.startswith("AIRFLOW")}


@pytest.mark.parametrize(
    ("secret", "having"),
    [
        ("xoxb-tell", {"api-server", "slack"}),
        ("signs-it", {"api-server", "slack"}),
        ("xapp-open", {"slack"}),
        ("C0001", {"api-server", "deliver", "slack"}),
        ("ops@example.org", {"deliver", "slack"}),
    ],
)
def test_who_is_told_what_of_slack(secret: str, having: set[str]) -> None:
    parts = components(WITH_SLACK)
    assert {
        component.name for component in parts if secret in component.environment.values()
    } == having
    assert secret not in " ".join(word for component in parts for word in component.command)


def test_the_secrets_of_slack_are_not_shown() -> None:
    text = repr(WITH_SLACK) + repr(Options(Path("/r"), Path("/h"), Path("/b"), slack=SLACK))
    assert not [value for value in SLACK.values() if value in text]


def test_links_lead_to_the_address_people_use() -> None:
    site = dataclasses.replace(SITE, public_url="https://airflow.example.org")
    for name in ("api-server", "scheduler", "deliver"):
        environment = part(name, site).environment
        assert environment["AIRLOCK_PUBLIC_URL"] == "https://airflow.example.org"
        assert environment["AIRLOCK_AIRFLOW_URL"] == "http://127.0.0.1:8080"


def test_the_mlflow_server_is_guarded_and_can_sign_nothing() -> None:
    mlflow = part("mlflow")
    assert ("--app-name", "airlock") in zip(mlflow.command, mlflow.command[1:], strict=False)
    assert "airlock://backend" in mlflow.command
    assert "AIRLOCK_SIGNING_KEY" not in mlflow.environment
    assert mlflow.environment["AIRLOCK_TRUSTED_KEYS"] == "/h/keys"


def test_only_the_worker_and_the_guard_are_told_the_workers_login() -> None:
    having = {
        component.name
        for component in components(SITE)
        if "w-w" in " ".join(component.environment.values())
    }
    assert having == {"mlflow", "scheduler"}


def test_no_password_is_on_a_command_line() -> None:
    for component in components(SITE):
        assert "pw-" not in " ".join(component.command)


def test_every_airlock_variable_is_one_the_settings_know() -> None:
    setting_names = {setting.name for setting in SETTINGS}
    for component in (*components(SITE), *components(WITH_SLACK)):
        assert {
            name for name in component.environment if name.startswith("AIRLOCK_")
        } <= setting_names


def test_two_platforms_share_no_port() -> None:
    other = dataclasses.replace(SITE, airflow_port=9080, mlflow_port=6000)
    first = {port for component in components(SITE) for port, _ in component.ports}
    second = {port for component in components(other) for port, _ in component.ports}
    assert len(first) == 3
    assert not first & second


def test_the_scheduler_opens_no_port_for_logs() -> None:
    assert "--skip-serve-logs" in part("scheduler").command


def test_urls_quote_what_needs_quoting_and_hide_passwords() -> None:
    server = Server("db", 5432, {"airlock_owner": "a/b@c"})
    assert server.url("airlock_owner") == (
        "postgresql+psycopg://airlock_owner:a%2Fb%40c@db:5432/airlock"
    )
    assert server.dsn("airlock_owner", "x") == "postgresql://airlock_owner:a%2Fb%40c@db:5432/x"
    assert "a/b@c" not in repr(server)
    assert "pw-" not in repr(server)


def test_an_external_server_keeps_its_options() -> None:
    server = external_server(
        "postgresql+psycopg://root%40x:s%2Fx@db.example:6000/main?sslmode=require",
        {"mlflow_app": "m"},
    )
    assert server.external
    assert server.url("mlflow_app") == (
        "postgresql+psycopg2://mlflow_app:m@db.example:6000/mlflow?sslmode=require"
    )
    assert server.dsn(server.admin, server.admin_database) == (
        "postgresql://root%40x:s%2Fx@db.example:6000/main?sslmode=require"
    )


@pytest.mark.parametrize("url", ["mysql://a@b/c", "postgresql:///x", "postgresql://host/x", "x"])
def test_an_external_url_without_user_or_host_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="AIRLOCK_POSTGRES_URL"):
        external_server(url, {})


def test_no_role_may_change_a_task_instance() -> None:
    for name, rights in ROLES.items():
        changing = {(action, resource) for action, resource in rights if action != "can_read"}
        assert not [
            resource
            for action, resource in changing
            if resource == "Task Instances" and action != "menu_access"
        ], name


def test_only_the_service_may_answer_a_waiting_task() -> None:
    assert [name for name, rights in ROLES.items() if ("can_edit", "HITL Detail") in rights] == [
        "airlock_service"
    ]


def test_every_role_may_look_and_sees_the_navigation() -> None:
    for rights in ROLES.values():
        assert set(LOOK) <= set(rights)
    assert ("can_read", "Plugins") in LOOK


def test_the_people_of_the_demo_are_complete() -> None:
    roles = [role for *_, role in PEOPLE]
    assert len({user for user, *_ in PEOPLE}) == len(PEOPLE) == 10
    assert {role: roles.count(role) for role in set(roles)} == {
        "developer": 1,
        "algorithm_lead": 2,
        "compliance_officer": 1,
        "risk_committee": 3,
        "security_auditor": 1,
        "Admin": 1,
        "viewer": 1,
    }
    assert set(roles) - {"Admin"} <= set(ROLES)
