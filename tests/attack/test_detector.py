"""The detector against a real guarded server whose database and files are changed behind it.

The server is shared with other tests, whose releases this Airlock knows nothing of: their findings
are looked past, and are what the detector has to say about a server with two masters.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.adapters.keys.ed25519 import FileKeyring
from airlock.adapters.mlflow import MlflowRegistry
from airlock.adapters.mlflow.drift_source import MlflowWatch
from airlock.adapters.sql_store import SqlStore
from airlock.domain.errors import Unreachable
from airlock.domain.promotion.grant import read_own
from airlock.domain.registry_drift import Drift
from airlock.services.audit import access_log
from airlock.services.registry import drift_log
from airlock.services.registry.drift import Detector, Round
from airlock.testing import pipeline_document
from tests.attack.guard_kit import WORKER, Site, free_port
from tests.attack.test_alias_attacks import API
from tests.attack.test_database_attacks import run
from tests.attack.test_revoked import GuardedWorld
from tests.attack.test_set_back import DROP, MOVE, ON_POSTGRES, ON_SQLITE, behind_the_guard, spoil
from tests.command import run_cli


class Registry:
    """The real registry, as the worker's account; the decider's permits are written on the way."""

    def __init__(self, site: Site) -> None:
        self._site, self._real = site, MlflowRegistry(site.url)

    def add(self, model: str, content: bytes) -> str:
        return self._site.candidate(model, content)

    def alias(self, model: str, alias: str) -> str | None:
        with self._site.as_(WORKER):
            return self._real.alias(model, alias)

    def set_alias(self, model: str, alias: str, version: str, envelope: str = "") -> None:
        if self._site.permits:
            self._site.permits(read_own(envelope))
        with self._site.as_(WORKER):
            self._real.set_alias(model, alias, version, envelope)

    def artifact_digest(self, model: str, version: str) -> str:
        with self._site.as_(WORKER):
            return self._real.artifact_digest(model, version)

    def location(self, model: str, version: str) -> str:
        with self._site.as_(WORKER):
            return self._real.location(model, version)


class Both:
    """An Airlock and a guarded server that agree about one release of one model."""

    def __init__(self, site: Site, store: SqlStore, trusted: Path) -> None:
        self.site, self.store, self.model = site, store, f"fraud-{uuid.uuid4().hex[:8]}"
        pipeline = pipeline_document()
        pipeline["metadata"]["name"] = self.model
        self.world = GuardedWorld(store, signer=site.signer, pipeline=pipeline)
        self.world.site = site
        self.world.registry = Registry(site)  # type: ignore[assignment]
        self.world.keys = FileKeyring(trusted)  # type: ignore[assignment]
        self.release = self.world.open("run-1")
        self.world.approve_all(self.release)
        self.good = self.world.promote(self.release).after
        self.evil = site.candidate(self.model, b"evil")
        self.watch = MlflowWatch(site.url, site.signer)
        self.detector = Detector(store, self.watch)

    def mine(self, found: Round) -> list[Drift]:
        return [one for one in found.drifts if one.model == self.model]

    def kinds(self, found: Round) -> list[str]:
        return [one.kind.value for one in self.mine(found)]

    def opened(self) -> list[str]:
        with self.store.begin() as unit:
            known = drift_log.opened(unit).values()
        return [one["kind"] for one in known if one["model"] == self.model]


@pytest.fixture
def both(site: Site, airlock_url: str) -> Iterator[Both]:
    store = SqlStore(airlock_url)
    yield Both(site, store, site.folder / "keys")
    store.close()


def test_a_governed_release_is_no_finding(both: Both) -> None:
    looked = both.detector.look()
    assert both.mine(looked) == []
    assert (looked.lines, looked.unprotected) == (1, 0)
    assert looked.aliases >= 1
    assert looked.grants >= 1
    assert both.detector.weigh() == Round(lines=1, hashed=1)


@pytest.mark.parametrize("change", [MOVE, DROP], ids=["alias-moved", "alias-gone"])
def test_an_edited_alias_is_found_by_one_round_and_set_back_when_told_so(
    both: Both, change: str
) -> None:
    denied = {"name": both.model, "alias": "champion", "version": both.evil}
    assert both.site.ask("POST", f"{API}/registered-models/alias", denied).status == 403
    behind_the_guard(both.site, change.format(both.evil, both.model))
    kind = "alias-moved" if change == MOVE else "alias-gone"
    (found,) = both.mine(both.detector.look())
    new = both.evil if change == MOVE else None
    assert (found.kind.value, found.old, found.new) == (kind, both.good, new)
    (event,) = [
        one
        for one in access_log.events(both.store, drift_log.STREAM)
        if one["data"]["id"] == found.id
    ]
    hint = event["data"]["attempts"][0]
    assert (hint["who"], hint["what"], hint["from"]) == ("ana", "set alias", "127.0.0.1")
    assert both.site.alias(both.model) is None  # nobody is served what was not released

    reverting = Detector(both.store, both.watch, revert=True)
    assert reverting.look().set_back == 1
    assert both.site.alias(both.model) == both.good
    assert both.mine(reverting.look()) == []
    assert both.opened() == []


@ON_POSTGRES
def test_what_the_backstop_let_through_is_found_by_what_clients_are_told(both: Both) -> None:
    """With the server's own password a release row can be forged: the guard then shows nothing."""
    run(
        both.site,
        "INSERT INTO airlock_releases VALUES (:m, 'champion', 99, :g, :v, 0, 'evil')",
        m=both.model,
        v=int(both.evil),
        g=f"grant-forged-{both.model}",
    )
    assert both.kinds(both.detector.look()) == ["alias-unbacked", "unknown-grant"]


@ON_SQLITE
def test_files_pointed_somewhere_else_are_found(both: Both) -> None:
    move = "UPDATE model_versions SET storage_location = 'mlflow-artifacts:/x' WHERE name = '{}'"
    behind_the_guard(both.site, f"{move.format(both.model)} AND version = {both.good}")
    (found,) = both.mine(both.detector.look())
    assert (found.kind.value, found.new) == ("location-moved", "mlflow-artifacts:/x")


@ON_SQLITE
def test_overwritten_bytes_on_the_disk_are_found_and_nothing_is_set_back_to_them(
    both: Both,
) -> None:
    spoil(both.site, both.model, both.good)
    assert both.mine(both.detector.look()) == []  # an alias is right, whatever it points at
    (found,) = both.detector.weigh().drifts
    assert (found.kind.value, found.subject) == ("bytes-changed", f"{both.model}@champion")
    assert found.old != found.new
    behind_the_guard(both.site, MOVE.format(both.evil, both.model))
    reverting = Detector(both.store, both.watch, revert=True)
    assert reverting.look().set_back == 0
    events = access_log.events(both.store, drift_log.STREAM)
    refused = [one["why"] for one in events if one["what"] == "AliasNotSetBack"]
    assert "somebody changed them" in refused[0]


def test_an_alias_of_a_model_nobody_released_is_found(both: Both) -> None:
    model = f"stray-{uuid.uuid4().hex[:8]}"
    version = both.site.candidate(model)
    insert = "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES"
    behind_the_guard(both.site, f"{insert} ('default', '{model}', 'prod', {version})")
    found = [one for one in both.detector.look().drifts if one.model == model]
    assert [(one.kind.value, one.new) for one in found] == [("unknown-alias", version)]


def test_a_server_without_a_guard_or_no_server_is_not_fine(both: Both, unguarded: str) -> None:
    nobody = MlflowWatch(f"http://127.0.0.1:{free_port()}", both.site.signer)
    with pytest.raises(Unreachable, match="could not be compared"):
        Detector(both.store, nobody).look()
    watch = MlflowWatch(unguarded, both.site.signer)
    with pytest.raises(Unreachable, match="has no guard"):
        Detector(both.store, watch).look()
    with pytest.raises(Unreachable, match="has no guard"):
        Detector(both.store, watch).weigh()


def test_a_key_the_guard_does_not_trust_is_not_fine_either(both: Both) -> None:
    from airlock.testing import FakeKeys

    with pytest.raises(Unreachable, match="not signed by a trusted key"):
        Detector(both.store, MlflowWatch(both.site.url, FakeKeys())).look()


def test_the_command_names_what_is_wrong_and_ends_with_1(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {
        "AIRLOCK_DATABASE_URL": f"sqlite:///{tmp_path}/airlock.db",
        "AIRLOCK_SIGNING_KEY": str(both.site.folder / "signing.pem"),
        "AIRLOCK_DETECTOR_REVERT": "alias",
        "MLFLOW_TRACKING_URI": both.site.url,
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    behind_the_guard(both.site, MOVE.format(both.evil, both.model))
    said = run_cli("detect", "run", "--json")
    assert said.code == 1, said.err
    document = json.loads(said.out)
    mine = [one for one in document["found"] if one["model"] == both.model]
    assert [(one["kind"], one["old"], one["new"]) for one in mine] == [
        ("alias-moved", both.good, both.evil)
    ]
    assert (document["lines"], document["hashed"], document["set_back"]) == (1, 1, 1)
    assert both.site.alias(both.model) == both.good


def test_only_auditors_have_files_hashed_and_read_refusals(both: Both) -> None:
    query = f"model={both.model}&version={both.good}"
    for path in (f"/airlock/digest?{query}", f"/airlock/refusals?model={both.model}"):
        assert both.site.ask("GET", path).status == 403
        token = both.site.token("sam", "audit:read")
        login = {"Authorization": f"Bearer {token}"}
        assert both.site.ask("GET", path, person="", headers=login).status == 200
    assert both.site.ask("GET", "/airlock/ledger", person="").status == 401
