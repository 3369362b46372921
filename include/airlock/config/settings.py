"""The settings: everything Airlock takes from the environment, read once, in one place.

Rules:
* Only the names in `SETTINGS` exist. Another name that starts with AIRLOCK_ is refused with the
  nearest spelling, because a setting that is silently ignored protects nothing.
* All problems are reported together. A value that may hold a password is described, never shown.
* An empty value counts as not set, as docker compose writes it.
* Relative paths count from the working directory, defaults from the checkout or the home.
* A value that may hold a password can be left in a file instead: NAME_FILE holds its path. Setting
  both is refused; an empty file counts as not set.

It opens no other file and no connection; it does not know who needs which setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airlock.config.problems import nearest, show
from airlock.config.setting_names import SETTINGS as SETTINGS
from airlock.config.setting_names import Setting
from airlock.domain.errors import Invalid

PREFIX = "AIRLOCK_"
#: Behind the name of a setting that may hold a password: the file that holds it.
FILE = "_FILE"
_FILE_LIMIT = 65536


@dataclass(frozen=True, kw_only=True)
class SlackSettings:
    """What there is of a Slack app; secrets stay out of `repr`."""

    bot_token: str = field(default="", repr=False)
    #: The new one first; the old one still counts while it is there.
    signing_secret: tuple[str, ...] = field(default=(), repr=False)
    app_token: str = field(default="", repr=False)
    team_id: str = ""
    app_id: str = ""
    channel: str = ""
    api_url: str = "https://slack.com/api/"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> SlackSettings | None:
        """Return the settings of Slack in the environment, or None if there are none."""
        if not any(name.startswith("AIRLOCK_SLACK_") for name in environ):
            return None
        secrets = environ.get("AIRLOCK_SLACK_SIGNING_SECRET", "").split(",")
        return cls(
            bot_token=environ.get("AIRLOCK_SLACK_BOT_TOKEN", ""),
            signing_secret=tuple(secret.strip() for secret in secrets if secret.strip()),
            app_token=environ.get("AIRLOCK_SLACK_APP_TOKEN", ""),
            team_id=environ.get("AIRLOCK_SLACK_TEAM_ID", ""),
            app_id=environ.get("AIRLOCK_SLACK_APP_ID", ""),
            channel=environ.get("AIRLOCK_SLACK_CHANNEL", ""),
            api_url=environ.get("AIRLOCK_SLACK_API_URL", "https://slack.com/api/").rstrip("/")
            + "/",
        )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Values with passwords stay out of `repr`."""

    root: Path
    home: Path
    config_dir: Path
    data_dir: Path
    #: Folders of DAGs beside those of the root.
    own_dags: tuple[str, ...] = ()
    #: Where training leaves models for the tasks that register them.
    handover: Path
    trusted_keys: Path
    signing_key: Path | None = None
    service_password_file: Path | None = None
    service_user_id: str | None = None
    database_url: str | None = field(default=None, repr=False)
    owner_database_url: str | None = field(default=None, repr=False)
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
    evidence: Path
    evidence_bucket: str | None = None
    model_signing_key: Path | None = None
    model_keys: Path
    gate_signing_key: Path | None = None
    gate_keys: Path
    guard_database_url: str | None = field(default=None, repr=False)
    protected_aliases: str | None = None
    mlflow_accounts: str | None = field(default=None, repr=False)
    mlflow_proxies: str | None = None
    mlflow_proxy_header: str | None = None
    detector_revert: str = "off"
    #: Days for which what a stage worked with is kept; 0: for ever.
    keep_work_days: int = 14
    #: Megabytes that have to be free for new work to begin.
    disk_reserve_mb: int = 1000
    #: The queue this process takes tasks from, where tasks are kept apart by queues.
    queue: str | None = None
    public_url: str = field(default="", repr=False)
    mlflow_public_url: str = field(default="", repr=False)
    slack: SlackSettings | None = None
    slack_connection: str | None = None
    alert_mail: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], cwd: Path) -> Settings:
        """Read the settings of a process that was started in *cwd*.

        Raises:
            SettingsError: naming every unknown name and every value of a wrong type.
        """
        ours = {name: value for name, value in environ.items() if _is_ours(name) and value}
        wrong = [
            _unknown(name) for name in sorted(environ) if _is_ours(name) and not _is_known(name)
        ]
        values, unread = _from_files(ours, cwd)
        wrong += unread
        wrong += [
            _refused(setting, values[setting.name])
            for setting in SETTINGS
            if _is_wrong(setting, values)
        ]
        if wrong:
            raise SettingsError(wrong)
        return _settings(values, cwd)


class SettingsError(Invalid):
    """The environment is refused. Says everything that is wrong with it at once."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        text = "\n".join(["the environment is refused:", *(f"  {problem}" for problem in problems)])
        advice = "Mend these variables; docs/reference/configuration.md lists them all."
        super().__init__(text, next_step=advice)


def _settings(values: Mapping[str, str], cwd: Path) -> Settings:
    def path(name: str, default: Path) -> Path:
        return cwd / values[name] if name in values else default

    def file(name: str) -> Path | None:
        return cwd / values[name] if name in values else None

    root = path("AIRLOCK_ROOT", cwd)
    home = path("AIRLOCK_HOME", root / ".airlock")
    airflow = int(values.get("AIRLOCK_AIRFLOW_PORT", "8080"))
    mlflow = int(values.get("AIRLOCK_MLFLOW_PORT", "5000"))
    return Settings(
        root=root,
        home=home,
        config_dir=path("AIRLOCK_CONFIG_DIR", root / "include"),
        data_dir=path("AIRLOCK_DATA_DIR", home / "data"),
        own_dags=tuple(filter(None, values.get("AIRLOCK_OWN_DAGS", "").split(":"))),
        handover=path("AIRLOCK_HANDOVER", home / "work"),
        trusted_keys=path("AIRLOCK_TRUSTED_KEYS", home / "keys"),
        keep_work_days=int(values.get("AIRLOCK_KEEP_WORK_DAYS", "14")),
        disk_reserve_mb=int(values.get("AIRLOCK_DISK_RESERVE_MB", "1000")),
        queue=values.get("AIRLOCK_QUEUE"),
        signing_key=file("AIRLOCK_SIGNING_KEY"),
        service_password_file=file("AIRLOCK_SERVICE_PASSWORD_FILE"),
        service_user_id=values.get("AIRLOCK_SERVICE_USER_ID"),
        database_url=values.get("AIRLOCK_DATABASE_URL"),
        owner_database_url=values.get("AIRLOCK_OWNER_DATABASE_URL"),
        postgres_url=values.get("AIRLOCK_POSTGRES_URL"),
        mlflow_tracking_uri=values.get("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow}"),
        airflow_url=values.get("AIRLOCK_AIRFLOW_URL", f"http://127.0.0.1:{airflow}").rstrip("/"),
        airflow_port=airflow,
        mlflow_port=mlflow,
        postgres_port=int(values.get("AIRLOCK_POSTGRES_PORT", "5433")),
        code_commit=values.get("AIRLOCK_CODE_COMMIT"),
        checkpoints=path("AIRLOCK_CHECKPOINTS", home / "checkpoints"),
        checkpoint_bucket=values.get("AIRLOCK_CHECKPOINT_BUCKET"),
        witness_url=values.get("AIRLOCK_WITNESS_URL"),
        witness_key=values.get("AIRLOCK_WITNESS_KEY"),
        evidence=path("AIRLOCK_EVIDENCE", home / "evidence"),
        evidence_bucket=values.get("AIRLOCK_EVIDENCE_BUCKET"),
        model_signing_key=file("AIRLOCK_MODEL_SIGNING_KEY"),
        model_keys=path("AIRLOCK_MODEL_KEYS", home / "model-keys"),
        gate_signing_key=file("AIRLOCK_GATE_SIGNING_KEY"),
        gate_keys=path("AIRLOCK_GATE_KEYS", home / "gate-keys"),
        guard_database_url=values.get("AIRLOCK_GUARD_DATABASE_URL"),
        protected_aliases=values.get("AIRLOCK_PROTECTED_ALIASES"),
        mlflow_accounts=values.get("AIRLOCK_MLFLOW_ACCOUNTS"),
        mlflow_proxies=values.get("AIRLOCK_MLFLOW_PROXIES"),
        mlflow_proxy_header=values.get("AIRLOCK_MLFLOW_PROXY_HEADER"),
        detector_revert=values.get("AIRLOCK_DETECTOR_REVERT", "off"),
        public_url=values.get(
            "AIRLOCK_PUBLIC_URL", values.get("AIRLOCK_AIRFLOW_URL", f"http://127.0.0.1:{airflow}")
        ).rstrip("/"),
        mlflow_public_url=values.get(
            "AIRLOCK_MLFLOW_PUBLIC_URL",
            values.get("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow}"),
        ).rstrip("/"),
        slack=SlackSettings.of(values),
        slack_connection=values.get("AIRLOCK_SLACK_CONNECTION"),
        alert_mail=values.get("AIRLOCK_ALERT_MAIL"),
    )


def _from_files(ours: Mapping[str, str], cwd: Path) -> tuple[dict[str, str], list[str]]:
    """Return the settings, those in files read, and the problems of the files."""
    values = {name: value for name, value in ours.items() if name not in FILE_NAMES}
    wrong = []
    for name in sorted(ours.keys() & FILE_NAMES.keys()):
        setting = FILE_NAMES[name]
        if setting in values:
            wrong.append(f"{name}: expected it or {setting}; found both.")
            continue
        value, problem = _read_value(cwd / ours[name])
        if problem:
            wrong.append(f"{name}: expected a file with {setting}; {problem}.")
        elif value:
            values[setting] = value
    return values, wrong


def _read_value(path: Path) -> tuple[str, str]:
    """Return what a file holds, without the space around it, and what is wrong with the file."""
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_FILE_LIMIT + 1)
    except (OSError, UnicodeDecodeError) as error:
        return "", f"{path} cannot be read ({type(error).__name__})"
    if len(text) > _FILE_LIMIT:
        return "", f"{path} is longer than {_FILE_LIMIT} characters"
    return text.strip(), ""


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX) or _is_known(name)


def _is_known(name: str) -> bool:
    return name in _NAMES or name in FILE_NAMES


def _is_wrong(setting: Setting, values: Mapping[str, str]) -> bool:
    return setting.name in values and not setting.accepts(values[setting.name])


def _unknown(name: str) -> str:
    near = nearest(name, _NAMES)
    hint = f'Did you mean "{near}"?' if near else "There is nothing of that name."
    return f"{name}: expected a known setting; found an unknown name. {hint}"


def _refused(setting: Setting, value: str) -> str:
    actual = "something else (not shown, it may hold a password)" if setting.secret else show(value)
    return f"{setting.name}: expected {setting.expected}; found {actual}."


_NAMES = frozenset(setting.name for setting in SETTINGS)
#: The settings that may lie in a file, by the name of the variable with its path.
FILE_NAMES = {f"{setting.name}{FILE}": setting.name for setting in SETTINGS if setting.secret}
