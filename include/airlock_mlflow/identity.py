"""Who is at the door.

* A person: an access token Airlock issued, as a bearer token or as the password beside the name.
  The second way is what browsers and `MLFLOW_TRACKING_USERNAME`/`_PASSWORD` can do.
* A program: one of the accounts the operator configured, with its secret.
* Somebody a proxy has logged in: its header counts only from the configured addresses.

Nobody is let in without one of these. The name decides who is blamed, never what may be moved:
that is the grant's business.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from airlock.domain.errors import Unauthenticated
from airlock_mlflow.caller import Caller
from airlock_mlflow.guard import Guard

_HOW = "Log in with your Airlock name and a token from `airlock mlflow-token` as the password."


def identify(guard: Guard, scope: dict[str, Any]) -> Caller:
    """Return the sender of a request.

    Raises:
        Unauthenticated: saying what was missing or wrong.
    """
    source = str((scope.get("client") or ("",))[0])
    request = f"{scope['method']} {scope['path']}"
    kind, _, value = _header(scope["headers"], b"authorization").partition(" ")
    if kind.lower() == "bearer":
        return _person(guard, "", value.strip(), source, request)
    if kind.lower() == "basic":
        name, secret = _basic(value.strip())
        expected = guard.settings.accounts.get(name)
        if expected is None:
            return _person(guard, name, secret, source, request)
        if hmac.compare_digest(expected.encode(), secret.encode()):
            return Caller(name, source, request, program=True)
        raise Unauthenticated(f"that is not the secret of {name}", next_step=_HOW)
    name = _by_proxy(guard, scope["headers"], source)
    if name:
        return Caller(name, source, request)
    raise Unauthenticated("nobody is logged in", next_step=_HOW)


def _person(guard: Guard, name: str, token: str, source: str, request: str) -> Caller:
    claims = guard.open_token(token)
    if name and name != claims.person:
        raise Unauthenticated(f"the token is {claims.person}'s, not that of the name beside it")
    return Caller(claims.person, source, request, claims.permissions)


def _basic(value: str) -> tuple[str, str]:
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise Unauthenticated("the login is not readable", next_step=_HOW) from error
    return name, secret


def _by_proxy(guard: Guard, headers: Iterable[tuple[bytes, bytes]], source: str) -> str:
    if not guard.settings.proxies:
        return ""
    try:
        address = ip_address(source)
    except ValueError:
        return ""
    if not any(address in network for network in guard.settings.proxies):
        return ""
    name = _header(headers, guard.settings.proxy_header.encode())
    return name if name.isprintable() and len(name) <= 100 else ""


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the one header of a name; several of it count as none, because they disagree."""
    values = [value for key, value in headers if key.lower() == name]
    return values[0].decode("latin-1").strip() if len(values) == 1 else ""
