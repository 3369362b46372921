"""A guard that is broken is closed: it says what is broken, and recovers without a restart."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airlock.adapters.keys import ed25519
from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.domain.promotion.grant import LONGEST, Grant, seal
from airlock_mlflow import ledger
from airlock_mlflow.denial import Closed, Denied
from airlock_mlflow.guard import Guard, guard
from airlock_mlflow.settings import GuardSettings
from airlock_mlflow.store import GuardedStore
from tests.attack.guard_kit import ANY, Site
from tests.attack.guard_server import WORKER, empty_database, environment
from tests.attack.guard_sites import cut_off
from tests.attack.test_alias_attacks import API, Line

pytestmark = pytest.mark.chaos
SEARCH = f"{API}/registered-models/search"
ON_SQLITE = pytest.mark.parametrize("site", ["sqlite-files"], indirect=True, scope="session")
ON_POSTGRES = pytest.mark.parametrize("site", ["postgres-s3"], indirect=True, scope="session")


def break_away(keys: Path, kept: Path) -> None:
    keys.rename(kept)


def break_to_rubbish(keys: Path, kept: Path) -> None:
    keys.rename(kept)
    keys.mkdir()
    for path in kept.iterdir():
        (keys / path.name).write_bytes(b"rubbish")


def break_to_nothing(keys: Path, kept: Path) -> None:
    keys.rename(kept)
    keys.mkdir()


@ON_SQLITE
@pytest.mark.parametrize("spoil", [break_away, break_to_rubbish, break_to_nothing])
def test_without_readable_keys_nothing_passes_and_it_says_so_and_recovers(
    site: Site, spoil: object
) -> None:
    line = Line(site)
    delivered, late = (site.grant(line.model, line.evil) for _ in range(2))
    assert site.hand_in(delivered).status == 201
    keys, kept = site.folder / "keys", site.folder / f"kept-{uuid.uuid4().hex}"
    asked = {"name": line.model, "alias": "champion", "version": line.evil}
    read = f"{API}/registered-models/alias?name={line.model}&alias=champion"
    assert callable(spoil)
    spoil(keys, kept)
    try:
        assert site.ask("GET", SEARCH).status == 503  # a person's token cannot be checked
        for answer in (
            site.hand_in(late),
            site.ask("POST", f"{API}/registered-models/alias", asked, WORKER),
            site.ask("GET", read, None, WORKER),
            site.ask("GET", "/airlock/health", None, ""),
        ):
            assert answer.status == 503, answer.text
            assert "keys cannot be read" in answer.text
    finally:
        for path in keys.iterdir() if keys.exists() else ():
            path.unlink()
        if keys.exists():
            keys.rmdir()
        kept.rename(keys)
    assert site.ask("GET", "/airlock/health", None, "").status == 200
    assert line.untouched()
    assert site.ask("POST", f"{API}/registered-models/alias", asked, WORKER).status == 200
    site.moved(delivered)
    assert site.alias(line.model) == line.evil


@ON_POSTGRES
def test_without_its_database_nothing_passes_and_it_says_so_and_recovers(site: Site) -> None:
    line = Line(site)
    grant = site.grant(line.model, line.evil)
    with site.as_(WORKER) as client:
        location = client.get_model_version_download_uri(line.model, line.good)
    folder = location.removeprefix("mlflow-artifacts:/")
    alias = {"name": line.model, "alias": "champion", "version": line.evil}
    assert site.hand_in(grant).status == 201
    read = f"{API}/registered-models/alias?name={line.model}&alias=champion"
    with cut_off(site.environment["HOME_DSN"]):
        path = f"/api/2.0/mlflow-artifacts/artifacts/{folder}/model.skops"
        for method in ("PUT", "DELETE"):
            closed = site.ask(method, path, b"evil")
            assert closed.status == 503, closed.text
            assert "database does not answer" in closed.text
        for answer in (
            site.ask("GET", "/airlock/health", None, ""),
            site.ask("POST", f"{API}/registered-models/alias", alias, WORKER),
            site.ask("GET", read, None, WORKER),
            site.ask("POST", "/airlock/freeze", {"model": line.model, "version": "1"}),
        ):
            assert answer.status == 503, answer.text
    assert site.ask("GET", "/airlock/health", None, "").status == 200
    assert line.untouched()
    assert site.ask("POST", f"{API}/registered-models/alias", alias, WORKER).status == 200
    site.moved(grant)
    assert site.alias(line.model) == line.evil


# -- clocks: the store itself, because nobody may set the clock of the machine that tests ----------


class Clocks:
    """What the database and the machine say the time is: the truth, and by how much it is wrong."""

    database = machine = timedelta()

    def make(self, settings: GuardSettings) -> Guard:
        return Guard(settings, lambda _: self._now(self.database), lambda: self._now(self.machine))

    def _now(self, wrong: timedelta) -> datetime:
        return datetime.now(UTC) + wrong


class Shelf:
    """A guarded registry in this process: version 1 released, version 2 with a grant."""

    def __init__(self, folder: Path, clocks: Clocks) -> None:
        (folder / "mlflow.db").write_bytes(empty_database().read_bytes())
        ed25519.create(folder / "signing.pem", folder / "keys")
        self.signer = ed25519.FileSigner(folder / "signing.pem")
        self.files = folder / "files"
        self.guard = clocks.make(
            GuardSettings(
                database=f"sqlite:///{folder}/mlflow.db",
                destination=f"airlock+file://{self.files}",
                keys=folder / "keys",
            )
        )
        self.store = GuardedStore(self.guard)
        self.store.create_registered_model("m")
        for number in (1, 2):
            self.add(number)
        self.hand_in(1, None)
        self.store.set_registered_model_alias("m", "champion", 1)

    def add(self, number: int) -> None:
        place = self.files / "0" / f"m-{number}"
        place.mkdir(parents=True)
        (place / "model.skops").write_text(str(number))
        self.store.create_model_version("m", f"mlflow-artifacts:/0/m-{number}")
        self.store.freeze("m", number)

    def hand_in(self, number: int, before: str | None) -> None:
        now = datetime.now(UTC)
        grant = Grant(
            id=f"grant-{uuid.uuid4().hex}",
            release="r",
            model="m",
            version=str(number),
            alias="champion",
            environment="production",
            artifact_digest=manifest_digest(folder_manifest(self.files / "0" / f"m-{number}")),
            location=f"mlflow-artifacts:/0/m-{number}",
            subject_digest=ANY,
            policy_digest=ANY,
            expected_current=before,
            sequence=number,
            issued_at=now - timedelta(seconds=1),
            expires_at=now + LONGEST - timedelta(seconds=1),
        )
        with self.guard.database() as work:
            ledger.deliver(work, grant, seal(grant, self.signer.key_id, self.signer.sign), "x", 1)

    def read(self) -> int:
        return int(self.store.get_model_version_by_alias("m", "champion").version)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def shelf(tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    told = environment(
        tmp_path, f"sqlite:///{tmp_path}/mlflow.db", f"airlock+file://{tmp_path}/files"
    )
    for name in (
        "MLFLOW_BACKEND_STORE_URI",
        "MLFLOW_ARTIFACTS_DESTINATION",
        "AIRLOCK_TRUSTED_KEYS",
    ):
        monkeypatch.setenv(name, told[name])
    guard.cache_clear()  # files are opened by the guard of the process
    made = Shelf(tmp_path, clocks)
    yield made
    made.guard.engine.dispose()
    guard().engine.dispose()
    guard.cache_clear()


HOUR = timedelta(hours=1)
WRONG = {
    "the only clock is an hour late": (-HOUR, -HOUR),
    "the database is an hour late": (-HOUR, timedelta()),
    "the database is an hour early": (HOUR, timedelta()),
    "the machine is an hour late": (timedelta(), -HOUR),
    "the machine is an hour early": (timedelta(), HOUR),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_clock_that_is_wrong_by_an_hour_closes_says_so_and_recovers(
    shelf: Shelf, clocks: Clocks, name: str
) -> None:
    shelf.hand_in(2, "1")
    clocks.database, clocks.machine = WRONG[name]
    for tried in (
        lambda: shelf.store.set_registered_model_alias("m", "champion", 2),
        shelf.read,
    ):
        with pytest.raises(Closed, match="one of the two clocks is wrong") as caught:
            tried()
        assert caught.value.get_http_status_code() == 503
    clocks.database = clocks.machine = timedelta()
    assert shelf.read() == 1
    shelf.store.set_registered_model_alias("m", "champion", 2)
    assert shelf.read() == 2


def test_an_only_clock_that_is_an_hour_early_ends_grants_early_and_says_what_time_it_has(
    shelf: Shelf, clocks: Clocks
) -> None:
    shelf.hand_in(2, "1")
    clocks.database = clocks.machine = HOUR
    with pytest.raises(Denied, match=r"expired at .*, and here it is"):
        shelf.store.set_registered_model_alias("m", "champion", 2)
    clocks.database = clocks.machine = timedelta()
    shelf.store.set_registered_model_alias("m", "champion", 2)
    assert shelf.read() == 2


def test_a_few_minutes_of_difference_change_nothing(shelf: Shelf, clocks: Clocks) -> None:
    shelf.hand_in(2, "1")
    clocks.database = timedelta(minutes=-4)
    assert shelf.read() == 1
    shelf.store.set_registered_model_alias("m", "champion", 2)
    assert shelf.read() == 2
