"""The guard's pure rules: names, places, tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airlock.domain.errors import Invalid, Unauthenticated
from airlock.domain.people.access_token import VALID, issue, read
from airlock.testing.fakes import FakeKeys
from airlock_mlflow.naming import Aliases, is_reserved_tag
from airlock_mlflow.places import ancestors, below, place_of, spellings
from airlock_mlflow.settings import from_environment

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ENVIRONMENT = {
    "MLFLOW_BACKEND_STORE_URI": "sqlite:///x",
    "MLFLOW_ARTIFACTS_DESTINATION": "airlock+file:///x",
    "AIRLOCK_TRUSTED_KEYS": "/keys",
}


def test_an_empty_environment_guards_nothing_and_is_refused() -> None:
    with pytest.raises(Invalid, match="is not set"):
        from_environment({})


def test_an_empty_list_of_aliases_is_the_default_never_none() -> None:
    for aliases in ("", " ", ",", " , "):
        settings = from_environment(ENVIRONMENT | {"AIRLOCK_PROTECTED_ALIASES": aliases})
        assert settings.protected == {"champion", "production", "prod"}


@pytest.mark.parametrize("alias", ["challenger", "staging", "champions", "prod2x", "v_1", "A-b"])
def test_ordinary_aliases_are_free(alias: str) -> None:
    assert Aliases().problem(alias) == ""
    assert not Aliases().is_protected(alias)


@pytest.mark.parametrize(
    "alias", ["Champion", "champion\n", "\uff43hampion", "champ1on", "pr0d", "p-r-o-d", "prod "]
)
def test_look_alikes_are_nobodys(alias: str) -> None:
    assert Aliases().problem(alias)
    assert not Aliases().is_protected(alias)


@pytest.mark.parametrize("alias", ["\u0441hampion", "modell\u00e4", "a b", "", "a/b"])
def test_aliases_are_plain_ascii(alias: str) -> None:
    assert Aliases().problem(alias)


def test_reserved_tags_are_recognised_however_they_are_spelled() -> None:
    for key in ("airlock.x", "AIRLOCK.x", " airlock.x", "\u200bairlock.x", "\uff41irlock.x"):
        assert is_reserved_tag(key), key
    for key in ("airlocked", "my.airlock.x", "team"):
        assert not is_reserved_tag(key), key


@pytest.mark.parametrize(
    "location",
    [
        *("", "s3://b/x", "mlflow-artifacts:", "mlflow-artifacts:/", "mlflow-artifacts://h/1/x"),
        *("mlflow-artifacts:/1/../2", "mlflow-artifacts:/1//2", "mlflow-artifacts:/1/./2"),
        *("mlflow-artifacts:/1/%2e%2e/2", "mlflow-artifacts:/1/x?y", "mlflow-artifacts:/1/x#y"),
        *("mlflow-artifacts:/../1", "file:///x", "runs:/x/y", "mlflow-artifacts:/1/x\\y"),
        "mlflow-artifacts:/.",
    ],
)
def test_a_location_with_two_spellings_is_no_place(location: str) -> None:
    assert place_of(location) is None


def test_a_servers_location_is_a_place() -> None:
    assert place_of("mlflow-artifacts:/1/models/m-1/artifacts") == "1/models/m-1/artifacts"


@pytest.mark.parametrize(
    "path",
    [
        *("1/m/f", "1//m/f", "./1/m/f", "1/./m/f", "1/x/../m/f", "1/m%2ff", "1/%6d/f", "/1/m/f"),
        *("1/%256d/f", "1\\m\\f", "1/m/x/..\\f", "../1/m/f", "x/..//../1/m/f"),
    ],
)
def test_every_spelling_of_a_path_is_found(path: str) -> None:
    assert "1/m/f" in spellings(path)


def test_a_backslash_in_a_name_leads_nowhere_else_alone() -> None:
    assert "1/m/..\\f" in spellings("1/m/..\\f")


def test_what_is_above_a_place() -> None:
    assert ancestors("") == []
    assert ancestors("1/m/f") == ["1", "1/m", "1/m/f"]


def test_only_what_is_below_the_store_is_in_it() -> None:
    root = "airlock+file:///s"
    assert below(root, root) == ""
    assert below(f"{root}/1/t", root) == "1/t"
    for other in ("airlock+file:///", "airlock+file:///sx", f"{root}/../x", f"{root}/%2e%2e/x"):
        assert below(other, root) is None


def test_a_token_is_believed_from_a_trusted_key_and_in_its_time_alone() -> None:
    keys = FakeKeys()
    token = issue("ana", frozenset({"audit:read"}), NOW, keys.key_id, keys.sign)
    claims = read(token, keys.verify, NOW)
    assert (claims.person, claims.permissions) == ("ana", {"audit:read"})
    for at in (NOW - timedelta(minutes=6), NOW + VALID):
        with pytest.raises(Unauthenticated, match="was valid from"):
            read(token, keys.verify, at)
    for broken in ("", "a.b", token[:-2], f"x{token}", token.replace(".", "..")):
        with pytest.raises(Unauthenticated):
            read(broken, keys.verify, NOW)
    with pytest.raises(Unauthenticated, match="trusted key"):
        read(token, lambda *_: False, NOW)
