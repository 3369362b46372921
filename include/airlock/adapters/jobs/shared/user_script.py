"""Import a user's script by its path, and say where in the user's own code an error arose."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType


def load(path: Path) -> ModuleType:
    """Run the script as a module; files beside it can be imported by their bare names."""
    # Last, so that a file named like a library (types.py) does not take its place.
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"airlock_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def place(error: BaseException, folder: Path) -> str:
    """Return " at train.py:12": the innermost frame that lies in *folder*, or nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f" at {Path(error.filename).name}:{error.lineno}"
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def describe(error: BaseException, folder: Path) -> str:
    """Return the error in one bounded line, with its place."""
    text = " ".join(str(error).split())[:500]
    return (
        f"{type(error).__name__}: {text}{place(error, folder)}"
        if text
        else (f"{type(error).__name__}{place(error, folder)}")
    )
