"""Would these bytes run code if somebody unpickled them? Read with pickletools, never loaded.

It finds a pickle at the very start of a file, also one that breaks off later: the code of a pickle
runs as soon as it is reached. It does not find pickles further inside; each format's own reader
accepts no bytes it does not understand.
"""

from __future__ import annotations

import pickletools
import re
from typing import IO

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*( [A-Za-z_][A-Za-z0-9_.]*)?")
_START = re.compile(rb"\A\x80[\x00-\x05]")
#: Opcodes that fetch something by its name.
_NAMING = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_MOST_OPCODES = 100_000


def looks_pickled(head: bytes) -> bool:
    """Say whether the first bytes are those of a pickle of protocol 2 or newer."""
    return _START.match(head) is not None


def runs_as_pickle(stream: IO[bytes]) -> bool:
    """Say whether unpickling *stream* would fetch something by a name."""
    names = 0
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number > _MOST_OPCODES:
                return True  # a hundred thousand good opcodes in a row are no accident
            if opcode.name in ("GLOBAL", "INST"):
                if _NAME.fullmatch(str(argument)):
                    return True
            elif opcode.name in _NAMING and (opcode.name != "STACK_GLOBAL" or names >= 2):
                return True
            names += isinstance(argument, str) and _NAME.fullmatch(argument) is not None
    except (ValueError, IndexError, OverflowError, UnicodeError, MemoryError, OSError):
        return False
    return False
