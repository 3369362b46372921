"""Where the statement and the bytes come from. None of these places is trusted.

`FromAirlock` and `FromFile` give the signed statement; `FromMlflow` and `FromFolder` give bytes.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from airlock.domain.errors import Invalid, NotFound, Refused, Unauthenticated, Unreachable
from airlock.domain.promotion.grant import Grant

_LIMIT = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class StatementSource(Protocol):
    """Where the signed statement comes from."""

    def statement(self, model: str, environment: str) -> str:
        """Return the statement's text."""


class BytesSource(Protocol):
    """Where the model's files come from."""

    def fetch(self, grant: Grant, into: Path) -> Path:
        """Put the files below *into* and return their folder."""


@dataclass(frozen=True)
class FromAirlock:
    """Asks the running Airlock, with the token of a user who may read releases."""

    url: str
    token: str = field(repr=False)
    transport: httpx.BaseTransport | None = field(default=None, repr=False)

    def statement(self, model: str, environment: str) -> str:
        """Return what Airlock states now.

        Raises:
            Unreachable: if it does not answer; what serves already may go on serving.
        """
        for name in (model, environment):
            if not _NAME.fullmatch(name):
                raise Invalid(f"{name!r} is not the name of a model or an environment")
        path = f"{self.url.rstrip('/')}/airlock/api/v1/released/{model}/{environment}"
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        try:
            with httpx.Client(transport=self.transport, timeout=30) as client:
                answer = client.get(path, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(str(error)) from error
        if answer.is_success and len(answer.content) <= _LIMIT:
            return _statement_in(answer)
        raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> Exception:
        status, detail = answer.status_code, _detail(answer)
        if status == 401:
            return Unauthenticated(
                "Airlock does not know this token",
                next_step="Get a new one from Airflow: POST /auth/token, with release:read.",
            )
        if status == 404:
            return NotFound(detail)
        if status >= 500 or answer.is_success:
            return self._unreachable(detail)
        return Refused(detail)

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            f"{self.url} does not say what is released: {why}",
            next_step="Try again, or load from a statement kept in a file.",
        )


def _statement_in(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["statement"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable("what answered is not Airlock", next_step="Check the address.") from error


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"it answered {answer.status_code}"


@dataclass(frozen=True)
class FromFile:
    """Reads a statement kept in a file: for places that cannot reach Airlock."""

    path: Path | str

    def statement(self, model: str, environment: str) -> str:
        """Return the file's text."""
        file = Path(self.path)
        try:
            if file.stat().st_size > _LIMIT:
                raise Invalid(f"{file} is too long to be a statement")
            return file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(
                f"{file} cannot be read as a statement: {error}",
                next_step="Write it with `airlock security released MODEL ENVIRONMENT -o FILE`.",
            ) from error


@dataclass(frozen=True)
class FromMlflow:
    """Downloads the version's files from an MLflow server; whatever it serves is checked."""

    tracking_uri: str = field(repr=False)

    def fetch(self, grant: Grant, into: Path) -> Path:
        """Download the files."""
        from airlock.adapters.mlflow import MlflowRegistry

        return MlflowRegistry(self.tracking_uri).download(grant.model, grant.version, into)


@dataclass(frozen=True)
class FromFolder:
    """Copies the files from a folder on this machine."""

    path: Path | str

    def fetch(self, grant: Grant, into: Path) -> Path:
        """Copy the files; links are copied as links, and refused later."""
        source = Path(self.path)
        if not source.is_dir():
            raise NotFound(f"{source} is no folder with the files of {grant.model}")
        copy = into / "files"
        shutil.copytree(source, copy, symlinks=True)
        return copy
