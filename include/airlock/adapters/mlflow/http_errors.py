"""How MLflow's client is asked and how its answers are read: errors, filters, metrics.

The rule: MLflow down, slow or answering 5xx is Unreachable (retry); its "no" is Refused (do not).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from airlock.domain.errors import AirlockError, Invalid, NotFound, Refused, Unreachable

_EXISTS = "RESOURCE_ALREADY_EXISTS"


@contextlib.contextmanager
def translated(action: str, uri: str) -> Iterator[None]:
    """Turn whatever MLflow's client raises into one of our errors, in one sentence."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except AirlockError:
        raise
    except MlflowException as error:
        raise _error(action, uri, error.get_http_status_code(), str(error)) from error
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 503
        raise _error(action, uri, status, str(error)) from error
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise _error(action, uri, 503, str(error)) from error
    except ValueError as error:  # the client reads whatever answers, such as a proxy's page
        raise _error(action, uri, 503, f"its answer cannot be read: {error}") from error


def _error(action: str, uri: str, status: int, text: str) -> AirlockError:
    reason = " ".join(text.split())[:400]
    if status >= 500 or status in (408, 429):
        return Unreachable(
            f"MLflow at {uri} did not answer while {action}: {reason}",
            next_step="see that MLflow runs (airlock status), then run it again; it resumes",
        )
    kind = NotFound if status == 404 else Refused
    return kind(f"MLflow refused {action}: {reason}")


def unless_there(create: Callable[[], Any]) -> None:
    """Create something that another run may have created a moment ago."""
    from mlflow.exceptions import MlflowException

    try:
        create()
    except MlflowException as error:
        if error.error_code != _EXISTS:
            raise


def plain(text: str) -> str:
    """Return *text* if it can stand in a search filter, which has no way to escape quotes."""
    if any(char in text for char in "'\"`\\"):
        raise Invalid(f"{text!r} may not hold quotes or backslashes: it is searched for in MLflow")
    return text


def as_metrics(values: Mapping[str, float]) -> Sequence[Any]:
    """Return *values* as MLflow's metrics, as of now."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(key, float(value), now, 0) for key, value in values.items()]
