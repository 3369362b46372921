"""Child: say which distributions its interpreter has installed, and what they say about licences.

Started by its path: it reads the environment models are trained in, which need not be the parent's.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any


def main() -> dict[str, Any]:
    """Return name, version and licence of everything installed; the first of a name counts."""
    by_name: dict[str, dict[str, Any]] = {}
    for distribution in importlib.metadata.distributions():
        about = distribution.metadata
        name = about["Name"]
        expression, text, classifiers = (
            about.get_all(field) or [] for field in ("License-Expression", "License", "Classifier")
        )
        by_name.setdefault(
            str(name),
            {
                "name": str(name),
                "version": str(distribution.version),
                "expression": "".join(expression[:1]),
                "license": "".join(text[:1])[:4000],
                "classifiers": [
                    classifier for classifier in classifiers if classifier.startswith("License ::")
                ],
            },
        )
    return {"python": platform.python_version(), "distributions": list(by_name.values())}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(main()), "utf-8")
