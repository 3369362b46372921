"""How fast a model folder is digested, in GB/s, against `sha256sum` on the same files.

One large file and many small ones, both read from the page cache: what is measured is the hash and
what Airlock adds to it, not the disk.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airlock.domain.digest import folder_manifest, manifest_digest

LARGE = 512 << 20
SMALL, COUNT = 256 << 10, 400
REPEATS = 5
#: At most this share slower than the system's own program.
GOAL = 0.8


def run() -> list[dict[str, Any]]:
    """Return one row for each kind of folder."""
    with tempfile.TemporaryDirectory(prefix="airlock-digest-") as place:
        large, small = Path(place, "large"), Path(place, "small")
        large.mkdir()
        small.mkdir()
        block = os.urandom(1 << 20)
        with (large / "model.bin").open("wb") as stream:
            for _ in range(LARGE >> 20):
                stream.write(block)
        for number in range(COUNT):
            (small / f"{number:04}.bin").write_bytes(os.urandom(SMALL))
        return [
            _row("digest of one file of 512 MB", large, LARGE),
            _row(f"digest of {COUNT} files of 256 KB", small, SMALL * COUNT),
        ]


def _row(name: str, folder: Path, size: int) -> dict[str, Any]:
    files = sorted(str(path) for path in folder.iterdir())

    def peer() -> None:
        subprocess.run(["sha256sum", *files], check=True, capture_output=True)

    def ours() -> None:
        manifest_digest(folder_manifest(folder))

    peer_speed, our_speed = _speed(peer, size), _speed(ours, size)
    return {
        "name": f"{name} (peer: sha256sum)",
        "unit": "GB/s",
        "ours": round(our_speed, 2),
        "peer": round(peer_speed, 2),
        "ratio": round(our_speed / peer_speed, 2),
        "goal": f">= {GOAL:g} of sha256sum",
        "met": our_speed >= GOAL * peer_speed,
        "n": REPEATS,
    }


def _speed(work: Callable[[], None], size: int) -> float:
    """Return gigabytes a second, the median of several runs after one that warms up."""
    work()
    took = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return size / statistics.median(took) / 1e9
