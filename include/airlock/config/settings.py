"""The settings: everything Airlock takes from the environment, read once, in one place.

Rules:
* Only the names in `SETTINGS` exist. Another name that starts with AIRLOCK_ is refused with the
  nearest spelling, because a setting that is silently ignored protects nothing.
* All problems are reported together. A value that may hold a password is described, never shown.
* An empty value counts as not set, as docker compose writes it.
* Relative paths count from the working directory, defaults from the checkout or the home.

It opens no file and no connection; it does not know who needs which setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from airlock.config.problems import nearest, show
from airlock.domain.errors import Invalid

PREFIX = "AIRLOCK_"


@dataclass(frozen=True)
class Setting:
    """One environment variable: how it is read, what it is for, what it is when absent."""

    name: str
    expected: str
    accepts: Callable[[str], bool]
    purpose: str
    default: str = "not set"
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Values with passwords stay out of `repr`."""

    root: Path
    home: Path
    config_dir: Path
    data_dir: Path
    trusted_keys: Path
    signing_key: Path | None = None
    service_password_file: Path | None = None
    service_user_id: str | None = None
    database_url: str | None = field(default=None, repr=False)
    postgres_url: str | None = field(default=None, repr=False)
    mlflow_tracking_uri: str = field(repr=False)
    airflow_url: str = field(repr=False)
    airflow_port: int
    mlflow_port: int
    postgres_port: int
    code_commit: str | None = None
    checkpoints: Path
    checkpoint_bucket: str | None = None
    witness_url: str | None = None
    witness_key: str | None = None
    model_signing_key: Path | None = None
    model_keys: Path
    guard_database_url: str | None = field(default=None, repr=False)
    protected_aliases: str | None = None
    mlflow_accounts: str | None = field(default=None, repr=False)
    mlflow_proxies: str | None = None
    mlflow_proxy_header: str | None = None
    detector_revert: str = "off"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], cwd: Path) -> Settings:
        """Read the settings of a process that was started in *cwd*.

        Raises:
            SettingsError: naming every unknown name and every value of a wrong type.
        """
        given = {name: value for name, value in environ.items() if _is_ours(name) and value}
        wrong = [_unknown(name) for name in sorted(environ) if _is_ours(name) and not _known(name)]
        wrong += [_refused(one, given[one.name]) for one in SETTINGS if _is_wrong(one, given)]
        if wrong:
            raise SettingsError(wrong)
        return _settings(given, cwd)


class SettingsError(Invalid):
    """The environment is refused. Says everything that is wrong with it at once."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        text = "\n".join(["the environment is refused:", *(f"  {one}" for one in problems)])
        advice = "Mend these variables; docs/reference/configuration.md lists them all."
        super().__init__(text, next_step=advice)


def _settings(given: Mapping[str, str], cwd: Path) -> Settings:
    def path(name: str, default: Path) -> Path:
        return cwd / given[name] if name in given else default

    def file(name: str) -> Path | None:
        return cwd / given[name] if name in given else None

    root = path("AIRLOCK_ROOT", cwd)
    home = path("AIRLOCK_HOME", root / ".airlock")
    airflow = int(given.get("AIRLOCK_AIRFLOW_PORT", "8080"))
    mlflow = int(given.get("AIRLOCK_MLFLOW_PORT", "5000"))
    return Settings(
        root=root,
        home=home,
        config_dir=path("AIRLOCK_CONFIG_DIR", root / "include"),
        data_dir=path("AIRLOCK_DATA_DIR", home / "data"),
        trusted_keys=path("AIRLOCK_TRUSTED_KEYS", home / "keys"),
        signing_key=file("AIRLOCK_SIGNING_KEY"),
        service_password_file=file("AIRLOCK_SERVICE_PASSWORD_FILE"),
        service_user_id=given.get("AIRLOCK_SERVICE_USER_ID"),
        database_url=given.get("AIRLOCK_DATABASE_URL"),
        postgres_url=given.get("AIRLOCK_POSTGRES_URL"),
        mlflow_tracking_uri=given.get("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow}"),
        airflow_url=given.get("AIRLOCK_AIRFLOW_URL", f"http://127.0.0.1:{airflow}").rstrip("/"),
        airflow_port=airflow,
        mlflow_port=mlflow,
        postgres_port=int(given.get("AIRLOCK_POSTGRES_PORT", "5433")),
        code_commit=given.get("AIRLOCK_CODE_COMMIT"),
        checkpoints=path("AIRLOCK_CHECKPOINTS", home / "checkpoints"),
        checkpoint_bucket=given.get("AIRLOCK_CHECKPOINT_BUCKET"),
        witness_url=given.get("AIRLOCK_WITNESS_URL"),
        witness_key=given.get("AIRLOCK_WITNESS_KEY"),
        model_signing_key=file("AIRLOCK_MODEL_SIGNING_KEY"),
        model_keys=path("AIRLOCK_MODEL_KEYS", home / "model-keys"),
        guard_database_url=given.get("AIRLOCK_GUARD_DATABASE_URL"),
        protected_aliases=given.get("AIRLOCK_PROTECTED_ALIASES"),
        mlflow_accounts=given.get("AIRLOCK_MLFLOW_ACCOUNTS"),
        mlflow_proxies=given.get("AIRLOCK_MLFLOW_PROXIES"),
        mlflow_proxy_header=given.get("AIRLOCK_MLFLOW_PROXY_HEADER"),
        detector_revert=given.get("AIRLOCK_DETECTOR_REVERT", "off"),
    )


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX) or name in _NAMES


def _known(name: str) -> bool:
    return name in _NAMES


def _is_wrong(setting: Setting, given: Mapping[str, str]) -> bool:
    return setting.name in given and not setting.accepts(given[setting.name])


def _unknown(name: str) -> str:
    near = nearest(name, _NAMES)
    hint = f'Did you mean "{near}"?' if near else "There is nothing of that name."
    return f"{name}: expected a known setting; found an unknown name. {hint}"


def _refused(setting: Setting, value: str) -> str:
    found = "something else (not shown, it may hold a password)" if setting.secret else show(value)
    return f"{setting.name}: expected {setting.expected}; found {found}."


def _is_path(value: str) -> bool:
    return value.isprintable() and value == value.strip()


def _is_port(value: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,4}", value) is not None and int(value) <= 65535


def _is_database(value: str) -> bool:
    return value.startswith("sqlite://") or _is_postgres(value)


def _is_postgres(value: str) -> bool:
    return value.startswith("postgresql+psycopg://") and _has_host(value)


def _is_http(value: str) -> bool:
    return _scheme(value) in ("http", "https") and _has_host(value)


def _is_commit(value: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{7,64}", value) is not None


def _is_id(value: str) -> bool:
    return re.fullmatch(r"[0-9]{1,18}", value) is not None


def _is_bucket(value: str) -> bool:
    return re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[!-~]*)?", value) is not None


def _is_vkey(value: str) -> bool:
    return re.fullmatch(r"[^ +]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", value) is not None


def _is_aliases(value: str) -> bool:
    return re.fullmatch(r"[a-z0-9_-]+( *, *[a-z0-9_-]+)*", value) is not None


def _is_accounts(value: str) -> bool:
    return re.fullmatch(r"[^:,\s]+:[^,\s]{16,}( *, *[^:,\s]+:[^,\s]{16,})*", value) is not None


def _is_networks(value: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F.:/]+( *, *[0-9a-fA-F.:/]+)*", value) is not None


def _is_header(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9-]+", value) is not None


def _is_revert(value: str) -> bool:
    return value in ("off", "alias")


def _has_host(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _scheme(value: str) -> str:
    return value.partition("://")[0].lower()


_PATH = "a path"
_PORT = "a port from 1 to 65535"
_POSTGRES = "an address such as postgresql+psycopg://user:password@host:5432/database"

#: Every setting there is. docs/reference/configuration.md describes each; a test insists.
SETTINGS: tuple[Setting, ...] = (
    Setting("AIRLOCK_ROOT", _PATH, _is_path, "the checkout", "the working directory"),
    Setting("AIRLOCK_HOME", _PATH, _is_path, "run-time state", "`.airlock` in the root"),
    Setting("AIRLOCK_CONFIG_DIR", _PATH, _is_path, "the YAML files", "`include` in the root"),
    Setting("AIRLOCK_DATA_DIR", _PATH, _is_path, "pinned data", "`data` in the home"),
    Setting("AIRLOCK_TRUSTED_KEYS", _PATH, _is_path, "folder of public keys", "`keys` in the home"),
    Setting("AIRLOCK_SIGNING_KEY", _PATH, _is_path, "private key file; the decider's alone"),
    Setting("AIRLOCK_SERVICE_PASSWORD_FILE", _PATH, _is_path, "password of `airlock-service`"),
    Setting("AIRLOCK_SERVICE_USER_ID", "a number", _is_id, "Airflow's id of `airlock-service`"),
    Setting(
        "AIRLOCK_DATABASE_URL",
        f"{_POSTGRES}, or sqlite:///file",
        _is_database,
        "Airlock's own database, in the role this process has",
        secret=True,
    ),
    Setting(
        "AIRLOCK_POSTGRES_URL",
        _POSTGRES,
        _is_postgres,
        "an external server's administrator; then no embedded PostgreSQL is started",
        secret=True,
    ),
    Setting(
        "MLFLOW_TRACKING_URI",
        "an address such as http://127.0.0.1:5000",
        _is_http,
        "the MLflow server",
        "the local one on AIRLOCK_MLFLOW_PORT",
        secret=True,
    ),
    Setting(
        "AIRLOCK_AIRFLOW_URL",
        "an address such as http://127.0.0.1:8080",
        _is_http,
        "Airflow's API server",
        "the local one on AIRLOCK_AIRFLOW_PORT",
        secret=True,
    ),
    Setting("AIRLOCK_AIRFLOW_PORT", _PORT, _is_port, "Airflow's API server", "8080"),
    Setting("AIRLOCK_MLFLOW_PORT", _PORT, _is_port, "the MLflow server", "5000"),
    Setting("AIRLOCK_POSTGRES_PORT", _PORT, _is_port, "the embedded PostgreSQL", "5433"),
    Setting(
        "AIRLOCK_CODE_COMMIT",
        "a git commit of 7 to 64 hex digits",
        _is_commit,
        "the commit, in an image without git",
        "what git says",
    ),
    Setting(
        "AIRLOCK_CHECKPOINTS",
        _PATH,
        _is_path,
        "folder where the log's checkpoints are kept",
        "`checkpoints` in the home",
    ),
    Setting(
        "AIRLOCK_CHECKPOINT_BUCKET",
        "an address such as s3://bucket/prefix",
        _is_bucket,
        "bucket with Object Lock where the log's checkpoints are kept as well",
    ),
    Setting(
        "AIRLOCK_WITNESS_URL",
        "an address such as http://witness:8090",
        _is_http,
        "a witness that cosigns the log's checkpoints",
        secret=True,
    ),
    Setting(
        "AIRLOCK_WITNESS_KEY",
        "a key as `airlock witness` prints it: name+id+key",
        _is_vkey,
        "the public key of that witness",
    ),
    Setting("AIRLOCK_MODEL_SIGNING_KEY", _PATH, _is_path, "private key that signs trained models"),
    Setting(
        "AIRLOCK_MODEL_KEYS",
        _PATH,
        _is_path,
        "folder of the public keys of models",
        "`model-keys` in the home",
    ),
    Setting(
        "AIRLOCK_GUARD_DATABASE_URL",
        _POSTGRES,
        _is_postgres,
        "MLflow's database in the role that writes permits; the delivery process's alone",
        secret=True,
    ),
    Setting(
        "AIRLOCK_PROTECTED_ALIASES",
        "aliases in small letters, by commas",
        _is_aliases,
        "aliases in MLflow that move by grants alone",
        "champion, production, prod",
    ),
    Setting(
        "AIRLOCK_MLFLOW_ACCOUNTS",
        "name:secret, by commas, each secret 16 characters or more",
        _is_accounts,
        "programs that may log in to MLflow; read by its guard alone",
        secret=True,
    ),
    Setting(
        "AIRLOCK_MLFLOW_PROXIES",
        "addresses or networks, by commas",
        _is_networks,
        "proxies whose word for who somebody is MLflow's guard takes",
    ),
    Setting(
        "AIRLOCK_MLFLOW_PROXY_HEADER",
        "the name of a header",
        _is_header,
        "where those proxies say it",
        "x-forwarded-user",
    ),
    Setting(
        "AIRLOCK_DETECTOR_REVERT",
        "off or alias",
        _is_revert,
        "whether an alias that was moved behind the guard is set back",
        "off",
    ),
)

_NAMES = frozenset(setting.name for setting in SETTINGS)
