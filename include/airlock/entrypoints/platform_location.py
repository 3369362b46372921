"""Which platform a command means, and with what settings: from any folder and any shell.

Rules:
* `--home`, AIRLOCK_HOME and AIRLOCK_ROOT name it. Without them it is that of the checkout the
  command is run in, from any folder below; else that of the checkout the command itself is from.
* What `airlock up` wrote down counts for every name the environment does not set. A name that is
  set to nothing is not set: `AIRLOCK_ALERT_MAIL= airlock up` takes a setting away.
* The ports are where the platform is. Only `airlock up --move` moves it.
* A process that was given a database URL has its role and its settings; nothing is added.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from airlock.config.settings import Settings
from airlock.domain.errors import Invalid, Refused
from airlock_platform.saved import PORTS, Saved, load

#: What `--home` said, for the command that runs.
_CHOSEN: list[Path] = []

RoleName = Annotated[
    str,
    typer.Option(
        "--role",
        metavar="operator|worker",
        help="Run with what `airlock up` wrote down for this role on this machine.",
    ),
]


def choose(home: Path | None) -> None:
    """Mean the platform in *home*; None: whichever is found."""
    _CHOSEN[:] = [home.absolute()] if home else []


def settings(*, anywhere: bool = False) -> Settings:
    """Return the settings of this command; see `environment`."""
    return Settings.from_environment(environment(anywhere=anywhere), Path.cwd())


def environment(*, anywhere: bool = False, moving: bool = False) -> dict[str, str]:
    """Return the environment with the saved settings of the platform.

    *anywhere*: outside of any checkout, the platform of the command's own; *moving*: leave ports
    that are set as they are.
    """
    environ = dict(os.environ)
    if _CHOSEN:
        environ["AIRLOCK_HOME"] = str(_CHOSEN[0])
    if environ.get("AIRLOCK_DATABASE_URL"):
        return environ
    if not environ.get("AIRLOCK_ROOT") and not environ.get("AIRLOCK_HOME"):
        root = _checkout(Path.cwd(), anywhere=anywhere)
        if root is not None:
            environ["AIRLOCK_ROOT"] = str(root)
    saved = load(_home(environ))
    if saved is None:
        return environ
    ports = {name: saved.settings[name] for name in PORTS if not (moving and environ.get(name))}
    return _moved(saved, _home(environ)) | environ | ports


def check_ports(environ: Mapping[str, str]) -> None:
    """Refuse ports in the environment that are not where the platform is.

    Raises:
        Refused: naming both.
    """
    saved = load(_home(environ))
    settings = saved.settings if saved else environ
    other = [name for name in PORTS if environ.get(name) != settings.get(name)]
    if other:
        differs = ", ".join(f"{name} is {environ[name]} and was {settings[name]}" for name in other)
        raise Refused(
            f"this platform is on other ports than this shell says: {differs}",
            next_step="`airlock up --move` moves it there and restarts everything; to leave it "
            f"where it is, unset {' and '.join(other)}.",
        )


def take_role(role: str, allowed: tuple[str, ...]) -> None:
    """Become, in this process, what `airlock up` wrote down for a role.

    Without a name the environment has to say what this process may do, as in a container.

    Raises:
        Invalid: if the role is not for this command, or nothing was written down.
    """
    if not role and os.environ.get("AIRLOCK_DATABASE_URL"):
        return
    if role not in allowed:
        reason = f"it cannot run as {role!r}" if role else "no role was named"
        raise Invalid(
            f"this command needs the rights of the role {' or '.join(allowed)}, and {reason}",
            next_step=f"On the machine of `make up`, add `--role {allowed[0]}`.",
        )
    home = _home(environment(anywhere=True))
    saved = load(home)
    if saved is None:
        raise Invalid(
            f"nothing was written down for a role in {home}",
            next_step="Start the platform here with `make up`, or name its folder by `--home`.",
        )
    os.environ.update(saved.roles[role])


def _home(environ: Mapping[str, str]) -> Path:
    root = Path(environ.get("AIRLOCK_ROOT") or Path.cwd())
    return Path(environ.get("AIRLOCK_HOME") or root / ".airlock").absolute()


def _moved(saved: Saved, home: Path) -> dict[str, str]:
    """Return the settings; if the checkout was moved, with its new place."""
    old, settings = Path(saved.home), dict(saved.settings)
    inside = Path(settings["AIRLOCK_ROOT"]) == old.parent
    if old != home and inside:
        settings = {
            name: value.replace(str(old.parent), str(home.parent), 1)
            if value.startswith(str(old.parent))
            else value
            for name, value in settings.items()
        }
    return settings


def _checkout(cwd: Path, *, anywhere: bool) -> Path | None:
    own = Path(str(__file__)).resolve().parents[3]
    places: list[Path] = [cwd, *cwd.parents, *([own] if anywhere else [])]
    for folder in places:
        if (folder / "dags").is_dir() and (folder / "include" / "pipelines").is_dir():
            return folder
    return None
