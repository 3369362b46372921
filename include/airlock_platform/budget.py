"""Asking several at once, none for longer than a budget: one that hangs costs its own answer alone.

What has not ended by then is left to itself, in a thread that ends with the process, so that a
command ends in its time whatever its peers do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """What somebody answered, or why there is no answer."""

    value: Value | None
    problem: str = ""


def ask_all(
    questions: Mapping[str, Callable[[], Value]], seconds: float
) -> dict[str, Answer[Value]]:
    """Ask all at once and return an answer for each, after *seconds* at most; raises nothing."""
    answers: dict[str, Answer[Value]] = {}
    threads = {
        name: threading.Thread(target=_ask, args=(name, question, answers), daemon=True)
        for name, question in questions.items()
    }
    for thread in threads.values():
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads.values():
        thread.join(max(0.0, until - time.monotonic()))
    silent: Answer[Value] = Answer(None, f"it did not answer within {seconds:g} s")
    return {name: answers.get(name, silent) for name in questions}


def _ask(name: str, question: Callable[[], Value], answers: dict[str, Answer[Value]]) -> None:
    try:
        answers[name] = Answer(question())
    except Exception as error:
        answers[name] = Answer(None, str(error) or repr(error))
