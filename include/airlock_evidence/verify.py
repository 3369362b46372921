"""Check the evidence bundle this file came in: `python3 verify.py [BUNDLE] [--keys DIR]`.

Without BUNDLE it checks the folder it lies in. Nothing has to be installed (Python 3.9 or newer),
nothing is sent anywhere. Exit code: 0 it holds, 1 it does not, 2 wrong use, 3 could not tell.
"""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True  # a folder that is checked stays as it is
_HERE = os.path.dirname(os.path.abspath(__file__))
if _HERE not in sys.path:
    sys.path.append(_HERE)


def _main() -> int:
    from airlock_evidence.command import main

    return main(sys.argv[1:], _HERE)


if __name__ == "__main__":
    sys.exit(_main())
