"""Small helpers several test folders share."""

from __future__ import annotations

import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def short_folder(prefix: str) -> Path:
    """Create a folder with a short path which PostgreSQL's own user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix=f"airlock-{prefix}-", dir="/tmp"))
    folder.chmod(0o711)
    return folder
