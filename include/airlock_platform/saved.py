"""What `airlock up` writes down of a platform, so that later commands find it from any shell.

`<home>/platform.json` holds the settings the platform was started with, and for each role what a
process of that role is told. There are passwords in it: its mode is 0600.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from airlock.domain.errors import Invalid
from airlock_platform.components import DISK, SLACK, role_environments
from airlock_platform.platform import Options, Platform
from airlock_platform.secrets import write_private

#: The ports of a platform, by the variable that says them.
PORTS = ("AIRLOCK_AIRFLOW_PORT", "AIRLOCK_MLFLOW_PORT", "AIRLOCK_POSTGRES_PORT")
#: What else of the caller's environment describes a platform.
_SETTINGS = (
    "AIRLOCK_POSTGRES_URL",
    "AIRLOCK_PROTECTED_ALIASES",
    "AIRLOCK_DETECTOR_REVERT",
    "AIRLOCK_PUBLIC_URL",
    "AIRLOCK_MLFLOW_PUBLIC_URL",
    "AIRLOCK_ALERT_MAIL",
    *DISK,
)


@dataclass(frozen=True)
class Saved:
    """One platform as it was last started. *home*: where its folder was then."""

    home: str
    settings: Mapping[str, str]
    roles: Mapping[str, Mapping[str, str]]


def save(platform: Platform, environment: Mapping[str, str]) -> None:
    """Write a platform down; *environment*: that of the command that starts it."""
    options = platform.options
    saved = Saved(
        home=str(options.home),
        settings=_settings(options, environment),
        roles=role_environments(platform.site()),
    )
    write_private(_file(options.home), json.dumps(asdict(saved), indent=1))


def load(home: Path) -> Saved | None:
    """Return the platform saved in a home, None if there is none.

    Raises:
        Invalid: if it belongs to another user of this machine, or is broken.
    """
    file = _file(home)
    try:
        return Saved(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        owner = _owner(home)
        raise Invalid(
            f"the platform in {home} belongs to the user {owner} of this machine",
            next_step=f"Run the command as {owner}, or use `airlock login` as one of its people.",
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise Invalid(
            f"{file} cannot be read: {error}", next_step="`airlock up` writes it anew; remove it."
        ) from None


def _settings(options: Options, environment: Mapping[str, str]) -> dict[str, str]:
    settings = {name: environment[name] for name in _SETTINGS if environment.get(name)}
    ports = (options.airflow_port, options.mlflow_port, options.postgres_port)
    return {
        **settings,
        **{name: value for name, value in options.slack.items() if name.startswith(SLACK)},
        **dict(zip(PORTS, map(str, ports), strict=True)),
        "AIRLOCK_ROOT": str(options.root),
        "AIRLOCK_CONFIG_DIR": str(options.config_dir or options.root / "include"),
        "AIRLOCK_DATA_DIR": str(options.data_dir or options.home / "data"),
        "AIRLOCK_OWN_DAGS": ":".join(options.own_dags),
    }


def _file(home: Path) -> Path:
    return home / "platform.json"


def _owner(home: Path) -> str:
    try:
        return home.owner()
    except (OSError, KeyError):
        return "somebody else"
