from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from airlock.config.settings import SETTINGS, Settings, SettingsError, SlackSettings

pytestmark = pytest.mark.unit

HERE = Path("/srv/checkout")
URL = "postgresql+psycopg://worker:s3cret@127.0.0.1:5433/airlock"


def read(**environ: str) -> Settings:
    return Settings.from_environment(environ, HERE)


def test_defaults_come_from_the_working_directory() -> None:
    settings = read(PATH="/bin", HOME="/root")
    assert settings.root == HERE
    assert settings.home == HERE / ".airlock"
    assert settings.config_dir == HERE / "include"
    assert settings.data_dir == HERE / ".airlock/data"
    assert settings.trusted_keys == HERE / ".airlock/keys"
    assert settings.airflow_url == "http://127.0.0.1:8080"
    assert settings.mlflow_tracking_uri == "http://127.0.0.1:5000"
    assert settings.postgres_port == 5433
    assert settings.signing_key is settings.database_url is settings.code_commit is None


def test_what_is_given_wins_and_moves_the_defaults_below_it() -> None:
    settings = read(
        AIRLOCK_ROOT="/app", AIRLOCK_HOME="state", AIRLOCK_AIRFLOW_PORT="18080",
        AIRLOCK_DATABASE_URL=URL, AIRLOCK_SIGNING_KEY="/run/secrets/key.pem",
        AIRLOCK_SERVICE_USER_ID="12", AIRLOCK_CODE_COMMIT="a" * 40,
        AIRLOCK_SERVICE_PASSWORD_FILE="pw", MLFLOW_TRACKING_URI="http://mlflow:5000",
    )  # fmt: skip
    assert settings.config_dir == Path("/app/include")
    assert settings.home == HERE / "state"
    assert settings.data_dir == HERE / "state/data"
    assert settings.airflow_url == "http://127.0.0.1:18080"
    assert settings.database_url == URL
    assert settings.signing_key == Path("/run/secrets/key.pem")
    assert settings.service_password_file == HERE / "pw"
    assert settings.service_user_id == "12"
    assert settings.mlflow_tracking_uri == "http://mlflow:5000"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AIRLOCK_HOM", "AIRLOCK_HOME"),
        ("airlock_home", "AIRLOCK_HOME"),
        ("AIRLOCK_DATABASE_URI", "AIRLOCK_DATABASE_URL"),
        ("AIRLOCK_SIGNINGKEY", "AIRLOCK_SIGNING_KEY"),
        ("AIRLOCK_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(SettingsError, match=f'{name}: .*Did you mean "{nearest}"') as caught:
        read(**{name: "x"})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AIRLOCK_AIRFLOW_PORT", "http", 'a port from 1 to 65535; found the text "http"'),
        ("AIRLOCK_MLFLOW_PORT", "0", "a port from 1 to 65535"),
        ("AIRLOCK_POSTGRES_PORT", "65536", "a port from 1 to 65535"),
        ("AIRLOCK_POSTGRES_PORT", "٣", "a port from 1 to 65535"),
        ("AIRLOCK_CODE_COMMIT", "main", "a git commit of 7 to 64 hex digits"),
        ("AIRLOCK_SERVICE_USER_ID", "airlock-service", "a number"),
        ("AIRLOCK_DATABASE_URL", "postgresql://u:p@h/d", "postgresql+psycopg://"),
        ("AIRLOCK_DATABASE_URL", "postgresql+psycopg:///d", "postgresql+psycopg://"),
        ("AIRLOCK_POSTGRES_URL", "sqlite:///x", "postgresql+psycopg://"),
        ("AIRLOCK_AIRFLOW_URL", "localhost:8080", "http://127.0.0.1:8080"),
        ("MLFLOW_TRACKING_URI", "file:///mlruns", "http://127.0.0.1:5000"),
        ("MLFLOW_TRACKING_URI", "http://h:port", "http://127.0.0.1:5000"),
        ("AIRLOCK_HOME", "a\nb", "a path"),
    ],
)
def test_a_wrong_type_is_refused_by_name(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}: expected ")
    assert words in problem


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read(AIRLOCK_PORT="1", AIRLOCK_AIRFLOW_PORT="x", AIRLOCK_CODE_COMMIT="y")
    assert len(caught.value.problems) == 3


def test_no_password_is_ever_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        read(AIRLOCK_DATABASE_URL="postgres://worker:s3cret@h/d", MLFLOW_TRACKING_URI="s3cret")
    assert "s3cret" not in str(caught.value)
    settings = read(AIRLOCK_DATABASE_URL=URL, AIRLOCK_AIRFLOW_URL="http://u:s3cret@h")
    assert "s3cret" not in repr(settings)


def test_an_empty_value_counts_as_not_set() -> None:
    assert read(AIRLOCK_SIGNING_KEY="", AIRLOCK_AIRFLOW_PORT="") == read()


def test_settings_are_frozen_and_each_has_a_field() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().root = Path("/")  # type: ignore[misc]
    fields = {field.name for field in dataclasses.fields(Settings)}
    slack = {f"slack_{field.name}" for field in dataclasses.fields(SlackSettings)}
    names = {setting.name.removeprefix("AIRLOCK_").lower() for setting in SETTINGS}
    assert fields - {"slack"} | slack == names


def test_slack_is_configured_as_soon_as_anything_of_it_is_set() -> None:
    assert read().slack is None
    slack = read(AIRLOCK_SLACK_SIGNING_SECRET="n" * 16 + " , " + "o" * 16).slack
    assert slack is not None
    assert slack.signing_secret == ("n" * 16, "o" * 16)
    assert "nnnn" not in repr(slack)


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    assert read(AIRLOCK_DATABASE_URL_FILE=str(file)).database_url == URL
    file.write_text("\n")
    assert read(AIRLOCK_DATABASE_URL_FILE=str(file)).database_url is None
    slack = tmp_path / "token"
    slack.write_text("")
    assert read(AIRLOCK_SLACK_BOT_TOKEN_FILE=str(slack)).slack is None


def test_a_secret_in_a_file_is_checked_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("mysql://root:s3cret@db/x")
    with pytest.raises(
        SettingsError, match=r"AIRLOCK_DATABASE_URL: expected .*not shown"
    ) as caught:
        read(AIRLOCK_DATABASE_URL_FILE=str(file))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (None, r"cannot be read \(FileNotFoundError\)"),
        (b"\xff\xfe", r"cannot be read \(UnicodeDecodeError\)"),
        (b"x" * 70_000, "longer than 65536"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, write: bytes | None, words: str
) -> None:
    file = tmp_path / "url"
    if write is not None:
        file.write_bytes(write)
    with pytest.raises(SettingsError, match=f"AIRLOCK_DATABASE_URL_FILE: .*{words}"):
        read(AIRLOCK_DATABASE_URL_FILE=str(file))


def test_a_secret_and_its_file_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(URL)
    with pytest.raises(SettingsError, match="found both"):
        read(AIRLOCK_DATABASE_URL_FILE=str(file), AIRLOCK_DATABASE_URL=URL)


def test_only_secrets_have_files() -> None:
    with pytest.raises(SettingsError, match="AIRLOCK_ROOT_FILE"):
        read(AIRLOCK_ROOT_FILE="/x")
