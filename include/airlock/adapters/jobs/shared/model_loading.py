"""Load a model with our own list of trusted types, never with the model's.

skops builds only types it knows or is told to trust. MLflow takes that list from the model's own
MLmodel file, so a model could trust itself; `mlflow.pyfunc.load_model` also runs a loader module
and code the model names. Neither is used here: the file name, the format and the list are ours
(`airlock.artifacts.skops_file`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airlock import artifacts
from airlock.adapters.jobs.errors import ModelUnsafe
from airlock.artifacts.skops_file import OWN_TYPES

#: The one file of a model folder that is loaded.
MODEL_FILE = "model.skops"
#: Beyond skops' own defaults.
TRUSTED_TYPES = OWN_TYPES


def load_model(folder: Path, name: str) -> Any:
    """Return the estimator in *folder*.

    Raises:
        ModelUnsafe: if it is not a skops file, or holds a type we do not trust.
    """
    import skops.io

    path = folder / MODEL_FILE
    if not path.is_file() or path.is_symlink():
        names = ", ".join(sorted(child.name for child in folder.iterdir())) or "nothing"
        raise ModelUnsafe(f"model {name}: expected a file {MODEL_FILE}, found {names}")
    kind = artifacts.kind_of(path, MODEL_FILE)
    if kind.refusal is not None or kind.format != "skops":
        reason = kind.refusal.sentence() if kind.refusal else f"{MODEL_FILE} is {kind.format}"
        raise ModelUnsafe(
            f"model {name}: {reason}", next_step="save it with skops, as the lab does"
        )
    try:
        refuse_untrusted(skops.io.get_untrusted_types(file=path), name)
        return skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except ModelUnsafe:
        raise
    except Exception as error:
        raise ModelUnsafe(
            f"model {name}: {MODEL_FILE} does not load: {type(error).__name__}: {error}"
        ) from error


def refuse_untrusted(types: list[str], name: str) -> None:
    """Refuse any type that is on neither skops' list nor ours."""
    unknown = sorted(set(types) - set(TRUSTED_TYPES))
    if unknown:
        raise ModelUnsafe(
            f"model {name} holds types that are not trusted: {', '.join(unknown)}",
            next_step="use scikit-learn estimators without own functions or classes, "
            "or have the type reviewed and added to artifacts/skops_file.py",
        )
