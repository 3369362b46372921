"""What a pipeline is checked against besides itself: the checkout and the policies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationInfo

from airlock.config.approval import ApprovalSpec
from airlock.config.problems import show
from airlock.config.risk import RiskSpec
from airlock.config.schemas import Trouble, refuse


@dataclass(frozen=True)
class PipelineContext:
    """The checkout's root and the policies; without a policy nothing about it is checked."""

    root: Path
    approval: ApprovalSpec | None = None
    risk: RiskSpec | None = None


def context_of(info: ValidationInfo) -> PipelineContext | None:
    """Return the context a validator runs in, if there is one."""
    return info.context if isinstance(info.context, PipelineContext) else None


def relative(path: str) -> str:
    """Return a path as it is digested: `./x/` is `x`."""
    return PurePosixPath(path).as_posix() if path else path


def inside(base: Path, value: str, *, folder: bool = False, exists: bool = True) -> None:
    """Refuse a path that is absolute, climbs out of *base*, hides, or must be there and is not."""
    kind = "a folder" if folder else "a file"
    parts = Path(value).parts
    hidden = any(part.startswith(".") for part in parts)
    if not parts or Path(value).is_absolute() or hidden or not value.isprintable():
        refuse(
            Trouble(
                (), f"a relative path to {kind}, nothing in it starting with a dot", show(value)
            )
        )
    try:
        path = (base / value).resolve()
        there = path.is_dir() if folder else path.is_file()
        stays = path.is_relative_to(base.resolve())
    except (OSError, RuntimeError) as error:  # too long a name, a circle of links
        refuse(Trouble((), f"a path to {kind}", f"{show(value)} ({error})"))
    if not stays:
        refuse(Trouble((), f"a path that stays inside {base}", f"a link out of it, to {path}"))
    if exists and not there:
        refuse(Trouble((), f"{kind} that exists", f"{show(value)}; nothing is at {path}"))
