"""What the guard is told, all of it by the environment of the MLflow server, read once.

The database is MLflow's own backend store: the guard's tables stand beside MLflow's, because an
alias and the grant that moves it change in one transaction. It has to be given by
`MLFLOW_BACKEND_STORE_URI`, because on a command line everybody on the machine reads its password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from airlock.domain.errors import Invalid
from airlock.domain.promotion.grant import PROTECTED

#: What `mlflow server` tells its workers, and what an operator tells `mlflow server`.
DATABASE = ("_MLFLOW_SERVER_FILE_STORE", "MLFLOW_BACKEND_STORE_URI")
DESTINATION = ("_MLFLOW_SERVER_ARTIFACT_DESTINATION", "MLFLOW_ARTIFACTS_DESTINATION")
KEYS = "AIRLOCK_TRUSTED_KEYS"
ALIASES = "AIRLOCK_PROTECTED_ALIASES"
ACCOUNTS = "AIRLOCK_MLFLOW_ACCOUNTS"
PROXIES = "AIRLOCK_MLFLOW_PROXIES"
PROXY_HEADER = "AIRLOCK_MLFLOW_PROXY_HEADER"


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """The guard of one server. `accounts` are programs: name -> secret."""

    database: str = field(repr=False)
    destination: str
    keys: Path
    protected: frozenset[str] = PROTECTED
    accounts: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    proxy_header: str = "x-forwarded-user"


def from_environment(environ: Mapping[str, str] = os.environ) -> GuardSettings:
    """Read the guard's settings.

    Raises:
        Invalid: naming the variable that is missing or wrong.
    """
    aliases = _items(environ.get(ALIASES, ""))
    return GuardSettings(
        database=_need(environ, DATABASE, "the database MLflow and its guard share"),
        destination=_need(environ, DESTINATION, "where MLflow keeps files"),
        keys=Path(_need(environ, (KEYS,), "the folder of public keys grants are checked with")),
        protected=frozenset(aliases) or PROTECTED,
        accounts=dict(_account(account) for account in _items(environ.get(ACCOUNTS, ""))),
        proxies=tuple(_network(network) for network in _items(environ.get(PROXIES, ""))),
        proxy_header=environ.get(PROXY_HEADER, "x-forwarded-user").strip().lower(),
    )


def _items(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _need(environ: Mapping[str, str], names: tuple[str, ...], purpose: str) -> str:
    for name in names:
        if environ.get(name):
            return environ[name]
    raise Invalid(
        f"{names[-1]} is not set: it names {purpose}, and without it the guard cannot guard",
        next_step="Set it in the environment of the MLflow server; `airlock up` does.",
    )


def _account(text: str) -> tuple[str, str]:
    name, _, secret = text.partition(":")
    if not name or len(secret) < 16:
        raise Invalid(
            f"{ACCOUNTS} has an entry that is not name:secret with at least 16 characters",
            next_step="Write it as airlock-worker:SECRET, entries separated by commas.",
        )
    return name, secret


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise Invalid(f"{PROXIES} has {text!r}, which is no address or network") from error
