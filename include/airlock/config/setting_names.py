"""What can be set: every name, how its value has to look, and what it is for.

The table is all there is: `airlock.config.settings` refuses any other name, and the reference page
is held against it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Setting:
    """One environment variable: how it is read, what it is for, what it is when absent."""

    name: str
    expected: str
    accepts: Callable[[str], bool]
    purpose: str
    default: str = "not set"
    secret: bool = False


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


def _are_folders(value: str) -> bool:
    return all(path.startswith("/") for path in value.split(":"))


def _is_commit(value: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{7,64}", value) is not None


def _is_id(value: str) -> bool:
    return re.fullmatch(r"[0-9]{1,18}", value) is not None


def _is_count(value: str) -> bool:
    return re.fullmatch(r"0|[1-9][0-9]{0,8}", value) is not None


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


def _is_queue(value: str) -> bool:
    return value in ("airlock", "train")


def _is_revert(value: str) -> bool:
    return value in ("off", "alias")


def _is_bot_token(value: str) -> bool:
    return re.fullmatch(r"xoxb-[!-~]{3,}", value) is not None


def _is_app_token(value: str) -> bool:
    return re.fullmatch(r"xapp-[!-~]{3,}", value) is not None


def _is_signing(value: str) -> bool:
    return re.fullmatch(r"[!-+\--~]{16,}( *, *[!-+\--~]{16,})?", value) is not None


def _is_slack_id(value: str) -> bool:
    return re.fullmatch(r"[A-Z][A-Z0-9]{2,30}", value) is not None


def _is_connection(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", value) is not None


def _is_mail(value: str) -> bool:
    return re.fullmatch(r"[^@\s,]+@[^@\s,]+( *, *[^@\s,]+@[^@\s,]+)*", value) is not None


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
    Setting(
        "AIRLOCK_OWN_DAGS",
        "absolute paths of folders, by colons",
        _are_folders,
        "folders of DAGs of your own, beside `dags` in the root",
    ),
    Setting(
        "AIRLOCK_HANDOVER",
        _PATH,
        _is_path,
        "folder where training leaves models for the tasks that register them",
        "`work` in the home",
    ),
    Setting(
        "AIRLOCK_KEEP_WORK_DAYS",
        "a whole number of days, 0 for ever",
        _is_count,
        "how long the folders a stage worked in, and copies of models, are kept after their use",
        "14",
    ),
    Setting(
        "AIRLOCK_DISK_RESERVE_MB",
        "a whole number of megabytes",
        _is_count,
        "with less than this free no new work begins; decisions and the log go on",
        "1000",
    ),
    Setting(
        "AIRLOCK_QUEUE",
        "airlock or train",
        _is_queue,
        "the queue this worker takes tasks from, where there are queues",
    ),
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
        "AIRLOCK_OWNER_DATABASE_URL",
        f"{_POSTGRES}, or sqlite:///file",
        _is_database,
        "Airlock's own database as its owner: for `airlock person enrol --first`, no process's",
        "the database of `airlock up`",
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
    Setting(
        "AIRLOCK_EVIDENCE",
        _PATH,
        _is_path,
        "folder of the files of evidence, by digest",
        "`evidence` in the home",
    ),
    Setting(
        "AIRLOCK_EVIDENCE_BUCKET",
        "an address such as s3://bucket/prefix",
        _is_bucket,
        "bucket for the files of evidence, instead of that folder",
    ),
    Setting("AIRLOCK_MODEL_SIGNING_KEY", _PATH, _is_path, "private key that signs trained models"),
    Setting(
        "AIRLOCK_MODEL_KEYS",
        _PATH,
        _is_path,
        "folder of the public keys of models",
        "`model-keys` in the home",
    ),
    Setting("AIRLOCK_GATE_SIGNING_KEY", _PATH, _is_path, "private key that signs gate results"),
    Setting(
        "AIRLOCK_GATE_KEYS",
        _PATH,
        _is_path,
        "folder of the public keys of gates",
        "`gate-keys` in the home",
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
    Setting(
        "AIRLOCK_PUBLIC_URL",
        "an address such as https://airflow.example.org",
        _is_http,
        "where people's browsers reach Airflow, for links in messages",
        "AIRLOCK_AIRFLOW_URL",
    ),
    Setting(
        "AIRLOCK_MLFLOW_PUBLIC_URL",
        "an address such as https://mlflow.example.org",
        _is_http,
        "where people's browsers reach MLflow, for links on the page of a release",
        "MLFLOW_TRACKING_URI",
    ),
    Setting(
        "AIRLOCK_SLACK_BOT_TOKEN",
        "a bot token, xoxb-...",
        _is_bot_token,
        "the Slack app's token; with it Airlock speaks in Slack",
        secret=True,
    ),
    Setting(
        "AIRLOCK_SLACK_SIGNING_SECRET",
        "a signing secret, or the new and the old one by a comma",
        _is_signing,
        "what Slack signs its requests with; without it none is taken by HTTP",
        secret=True,
    ),
    Setting(
        "AIRLOCK_SLACK_APP_TOKEN",
        "an app-level token, xapp-...",
        _is_app_token,
        "for Socket Mode, where Slack cannot reach Airflow",
        secret=True,
    ),
    Setting(
        "AIRLOCK_SLACK_CONNECTION",
        "the id of a connection in Airflow",
        _is_connection,
        "a connection of Airflow that holds those three, in their place",
    ),
    Setting("AIRLOCK_SLACK_TEAM_ID", "an id such as T0123ABCD", _is_slack_id, "the workspace"),
    Setting("AIRLOCK_SLACK_APP_ID", "an id such as A0123ABCD", _is_slack_id, "the Slack app"),
    Setting(
        "AIRLOCK_SLACK_CHANNEL",
        "an id such as C0123ABCD",
        _is_slack_id,
        "the channel where releases are shown",
    ),
    Setting(
        "AIRLOCK_SLACK_API_URL",
        "an address such as https://slack.com/api/",
        _is_http,
        "Slack's Web API",
        "https://slack.com/api/",
    ),
    Setting(
        "AIRLOCK_ALERT_MAIL",
        "e-mail addresses, by commas",
        _is_mail,
        "who hears by e-mail, through Airflow's SMTP connection, when Slack takes no messages",
    ),
)
