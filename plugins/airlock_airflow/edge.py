"""Between Airlock and a task of Airflow: settings in, errors out.

Rules:
* A refusal or bad input fails the task at once; trying again would give the same answer.
* Whatever was unreachable, and every accident nobody foresaw, is retried as the DAG says.
* A task has the rights of a worker: it cannot vote and cannot sign.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airlock.domain.clock import spelled
from airlock.domain.errors import AirlockError, Refused, Unreachable
from airlock_airflow.queues import TRAIN

if TYPE_CHECKING:
    from airlock.bootstrap import Airlock
    from airlock.config.settings import Settings
    from airlock.domain.evidence.pipeline_spec import Recipe
    from airlock.domain.people.actors import Actor
    from airlock.services.pipeline.steps import Origin
    from airlock.services.pipeline.training_runtime import Bench


log = logging.getLogger(__name__)

#: Under this key a task that failed leaves its sentence, of at most so many characters.
WHY, MOST_WHY = "why", 900


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    from airlock.config.settings import Settings

    return Settings.from_environment(os.environ, Path.cwd())


@cache
def airlock() -> Airlock:
    """Return Airlock with the rights of a worker, made once per process.

    Raises:
        Refused: on the queue `train`, which has no credential to be a worker with.
    """
    from airlock import bootstrap

    if settings().queue == TRAIN:
        raise Refused(
            f"this task needs Airlock's database, and the queue {TRAIN} has no credential for it",
            next_step="Airlock's operators run on the queue airlock from the image's own DAG files "
            "only; docs/howto/production.md says how a DAG file gets there.",
        )
    return bootstrap.worker(settings())


@contextmanager
def translated(context: Mapping[str, Any]) -> Iterator[None]:
    """Turn Airlock's errors into what Airflow understands: fail now, or try again.

    Whatever a task fails with is left for the task `outcome`, which says it where people look.
    """
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    try:
        yield
    except Unreachable as error:
        raise AirflowException(_left(context, f"could not tell: {error_line(error)}")) from error
    except Refused as error:
        raise AirflowFailException(_left(context, f"refused: {error_line(error)}")) from error
    except AirlockError as error:
        raise AirflowFailException(_left(context, error_line(error))) from error
    except Exception as error:
        if not isinstance(error, AirflowException):
            _left(context, f"{type(error).__name__}: {error}")
        raise


def _left(context: Mapping[str, Any], why: str) -> str:
    """Leave a sentence for `outcome`; Airflow away now is no reason to fail otherwise."""
    try:
        context["ti"].xcom_push(key=WHY, value=why[:MOST_WHY])
    except Exception:
        log.warning("the reason of this failure could not be left for the task outcome")
    return why


def skip(why: str) -> NoReturn:
    """Skip the task: there is nothing for it to do."""
    from airflow.sdk.exceptions import AirflowSkipException

    raise AirflowSkipException(spelled(why))


def fail(context: Mapping[str, Any], why: str) -> NoReturn:
    """Fail the task for good: trying again would give the same answer."""
    from airflow.sdk.exceptions import AirflowFailException

    raise AirflowFailException(_left(context, spelled(why)))


def error_line(error: AirlockError) -> str:
    """Return an error as one line, with what to do about it."""
    return spelled(" ".join(f"{error.message}. {error.next_step}".split()).removesuffix(" ."))


def origin(context: Mapping[str, Any]) -> str:
    """Return what names this DAG run in Airlock."""
    run = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


def requester(context: Mapping[str, Any], owner: str) -> str:
    """Return who asks: whoever triggered the run, or the pipeline's owner if nobody did."""
    return getattr(context["dag_run"], "triggering_user_name", None) or owner


def actor(context: Mapping[str, Any]) -> Actor:
    """Return the task as an actor: never a person, so it can never vote."""
    from airlock.domain.people.actors import Actor, Channel

    run = context["dag_run"]
    return Actor.system(f"dag/{run.dag_id}", Channel.DAG)


@cache
def bench() -> Bench:
    """Return where models are trained and measured."""
    from airlock.bootstrap.workbench import bench_of

    return bench_of(airlock())


def _serving_commit(recipe: Recipe) -> str:
    """Return the commit of the version that serves: what was committed since is new work."""
    with airlock().store.begin() as unit:
        line = unit.line(recipe.name, recipe.environment)
        release = unit.get(line.release) if line.release else None
    return release.subject.code_commit.partition("+")[0] if release else ""


def training_bench(origin: str) -> Bench:
    """Return where a run's model is trained; it needs neither a database nor a key."""
    from airlock.bootstrap.workbench import training_bench

    return training_bench(settings(), origin)


def check_queue(queue: str) -> None:
    """Refuse a task that has reached the worker of another queue than its own.

    Raises:
        Refused: if this worker has a queue and it is not *queue*.
    """
    here = settings().queue
    if here is not None and here != queue:
        raise Refused(
            f"this task belongs to the queue {queue}, but a worker of {here} was given it",
            next_step="Find out who put it there: the broker's accounts keep the queues apart.",
        )


def code_of(recipe: Recipe) -> Origin:
    """Return which code and which libraries this run uses."""
    from airlock.adapters.git_code import authors, commit
    from airlock.domain.digest import file_digest
    from airlock.services.pipeline.steps import Origin

    root = settings().root
    return Origin(
        code_commit=commit(root, recipe.folder, settings().code_commit or ""),
        lock_digest=file_digest(root / "requirements.txt"),
        committers=authors(root, recipe.folder, _serving_commit(recipe)),
    )
