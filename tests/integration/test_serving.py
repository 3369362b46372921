"""`load_released`: real models, real keys, a real Airlock over HTTP, and all that can be wrong."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest

from airlock.adapters.keys.ed25519 import create, give_up
from airlock.domain.clock import stamp
from airlock.domain.digest import digest_bytes
from airlock.domain.errors import Invalid, NotFound, Refused, Unauthenticated, Unreachable
from airlock.domain.promotion import serving_statement
from airlock.domain.promotion.grant import Grant
from airlock.domain.promotion.serving_statement import ReleaseUnproven
from airlock.serving import FromAirlock, FromFile, FromFolder
from airlock.serving.sequence import Replayed
from tests.integration.real_models import Models, rows
from tests.integration.serving_kit import Host, Keys, host

pytestmark = [pytest.mark.integration, pytest.mark.attack]

LOGISTIC = "sklearn logistic regression"


@pytest.fixture
def served(tmp_path: Path, models: Models) -> Iterator[Host]:
    with host(tmp_path, models) as found:
        yield found


class Text:
    """A statement that somebody offers."""

    def __init__(self, text: str) -> None:
        self.text = text

    def statement(self, model: str, environment: str) -> str:
        return self.text


def test_nothing_is_loaded_where_nothing_is_released(served: Host, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing of credit is released in production"):
        served.load(files=FromFolder(tmp_path))
    assert not (tmp_path / "seen.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        LOGISTIC,
        "sklearn histogram boosting",
        "sklearn pipeline",
        "xgboost",
        "xgboost booster",
        "lightgbm booster",
        "lightgbm estimator",
        "onnx",
        "onnx with weights outside",
    ],
)
def test_a_released_model_loads_and_predicts(served: Host, name: str) -> None:
    release_id = served.release(name, "one")
    found = served.load()
    assert (found.release, found.version, found.sequence) == (release_id, "1", 1)
    table, _ = rows()
    if found.flavor == "onnx":
        wide = numpy.zeros((2, 64 if "outside" in name else 4), numpy.float32)
        given = {found.model.get_inputs()[0].name: wide}
        assert len(found.model.run(None, given)[0]) == 2
    elif name == "xgboost booster":
        import xgboost

        assert len(found.model.predict(xgboost.DMatrix(table))) == len(table)
    else:
        assert len(found.model.predict(table)) == len(table)


def test_a_statement_in_a_file_is_enough(served: Host, tmp_path: Path) -> None:
    served.release(LOGISTIC, "one")
    kept = tmp_path / "statement.json"
    kept.write_text(served.statement() + "\n")
    assert served.load(release=FromFile(kept)).sequence == 1


def test_the_copy_is_private_and_gone_afterwards(served: Host, tmp_path: Path) -> None:
    served.release(LOGISTIC, "one")
    inner, seen = FromFolder(served.placed("1")), []

    class Watched:
        def fetch(self, grant: Grant, into: Path) -> Path:
            seen.append((into, stat.S_IMODE(into.stat().st_mode)))
            return inner.fetch(grant, into)

    served.load(files=Watched())
    assert [mode for _, mode in seen] == [0o700]
    assert not seen[0][0].exists()


def changed(text: str, change: Any) -> str:
    outer = json.loads(text)
    payload = json.loads(base64.b64decode(outer["payload"]))
    change(payload)
    outer["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps(outer)


def other_version(payload: dict[str, Any]) -> None:
    payload["predicate"]["subject"]["version"] = "9"


def higher_number(payload: dict[str, Any]) -> None:
    payload["predicate"]["sequence"] = 99


@pytest.mark.parametrize("change", [other_version, higher_number, lambda payload: None])
def test_a_changed_statement_is_refused(served: Host, change: Any) -> None:
    served.release(LOGISTIC, "one")
    text = changed(served.statement(), change)
    with pytest.raises(ReleaseUnproven, match="not a trusted key"):
        served.load(release=Text(text))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"payload": 5}', "x" * 100])
def test_what_is_no_statement_is_refused(served: Host, text: str) -> None:
    served.release(LOGISTIC, "one")
    with pytest.raises(ReleaseUnproven, match="no signed statement"):
        served.load(release=Text(text))


def test_a_grant_alone_is_no_statement(served: Host) -> None:
    served.release(LOGISTIC, "one")
    payload = json.loads(base64.b64decode(json.loads(served.statement())["payload"]))
    with pytest.raises(ReleaseUnproven, match="not about a release"):
        served.load(release=Text(payload["predicate"]["grant"]))


def test_who_may_state_cannot_invent_a_grant(served: Host, tmp_path: Path) -> None:
    served.release(LOGISTIC, "one")
    (tmp_path / "other").mkdir()
    stranger = Keys(tmp_path / "other")
    payload = json.loads(base64.b64decode(json.loads(served.statement())["payload"]))
    text = serving_statement.seal(payload, stranger.key_id, stranger.sign)
    with pytest.raises(ReleaseUnproven, match="not a trusted key"):
        served.load(release=Text(text))

    payload["predicate"]["subject"]["data_digest"] = digest_bytes(b"other data")
    with pytest.raises(ReleaseUnproven, match="subject_digest of the statement is"):
        served.load(
            release=Text(serving_statement.seal(payload, served.keys.key_id, served.keys.sign))
        )


def test_an_older_release_is_not_offered_twice(served: Host) -> None:
    served.release(LOGISTIC, "one")
    first = served.statement()
    served.release("sklearn forest", "two")
    assert served.load("2").version == "2"
    with pytest.raises(Replayed, match="number 1; number 2 was seen here before"):
        served.load("1", release=Text(first))
    assert served.load("2").sequence == 2


def test_a_real_rollback_is_followed(served: Host) -> None:
    served.release(LOGISTIC, "one")
    second = served.release("sklearn forest", "two")
    served.load("2")
    served.roll_back(second)
    found = served.load("1")
    assert (found.version, found.sequence) == ("1", 3)


def test_two_histories_under_one_number_are_refused(served: Host, tmp_path: Path) -> None:
    served.release(LOGISTIC, "one")
    served.load()
    seen = json.loads((tmp_path / "seen.json").read_text())
    seen["credit/production"]["grant"] = digest_bytes(b"another")
    (tmp_path / "seen.json").write_text(json.dumps(seen))
    with pytest.raises(Replayed, match="two different releases carry the number 1"):
        served.load()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"credit/production": {"sequence": "1"}}'])
def test_a_memory_that_cannot_be_read_stops_loading(
    served: Host, tmp_path: Path, text: str
) -> None:
    served.release(LOGISTIC, "one")
    (tmp_path / "seen.json").write_text(text)
    with pytest.raises(Invalid, match="does not say which releases were seen"):
        served.load()


def flipped(folder: Path) -> None:
    path = folder / "model.skops"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def added(folder: Path) -> None:
    (folder / ".gitignore").write_text("*")


def removed(folder: Path) -> None:
    (folder / "requirements.txt").unlink()


@pytest.mark.parametrize("change", [flipped, added, removed])
def test_changed_files_are_not_loaded(served: Host, tmp_path: Path, change: Any) -> None:
    served.release(LOGISTIC, "one")
    folder = served.placed("1")
    change(folder)
    with pytest.raises(Refused, match="somebody changed them"):
        served.load(files=FromFolder(folder))
    assert not (tmp_path / "seen.json").exists(), "a refused release changes nothing"


def test_a_link_is_not_followed(served: Host, tmp_path: Path) -> None:
    served.release(LOGISTIC, "one")
    folder = served.placed("1")
    (tmp_path / "elsewhere").write_bytes((folder / "model.skops").read_bytes())
    (folder / "model.skops").unlink()
    (folder / "model.skops").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match=r"model\.skops is a link"):
        served.load(files=FromFolder(folder))


def test_what_was_released_in_an_unsafe_format_is_not_loaded(served: Host, tmp_path: Path) -> None:
    import pickle

    files = served.files(LOGISTIC) | {"model.pkl": pickle.dumps({"a": 1})}
    served.release(files, "one")
    with pytest.raises(Refused, match=r"is not loaded: not allowed: model\.pkl: found a pickle"):
        served.load()


def test_the_data_is_checked_where_it_is_known(served: Host) -> None:
    served.release(LOGISTIC, "one")
    assert served.load(data=digest_bytes(b"data")).data_digest == digest_bytes(b"data")
    with pytest.raises(ReleaseUnproven, match="was trained on"):
        served.load(data=digest_bytes(b"other data"))


def test_a_key_that_was_given_up_before_it_signed_is_refused(served: Host) -> None:
    served.release(LOGISTIC, "one")
    with served.doors.world.store.begin() as unit:
        before = unit.now() - timedelta(days=1)
    give_up(served.keys.folder, served.keys.key_id, stamp(before))
    with pytest.raises(ReleaseUnproven, match="was given up before it signed"):
        served.load()


def test_a_key_that_is_not_there_any_more_is_refused(served: Host, tmp_path: Path) -> None:
    served.release(LOGISTIC, "one")
    (tmp_path / "new").mkdir()
    create(tmp_path / "new" / "private.pem", tmp_path / "new" / "keys")
    with pytest.raises(ReleaseUnproven, match="not a trusted key"):
        served.load(keys=tmp_path / "new" / "keys")


def test_an_old_grant_serves_for_as_long_as_nothing_else_is_stated(served: Host) -> None:
    served.release(LOGISTIC, "one")
    statement = served.statement()
    found = serving_statement.open_statement(
        statement, "credit", "production", served.keys.verify, served.keys.valid_at
    )
    assert found.grant.expires_at > found.stated_at
    payload = json.loads(base64.b64decode(json.loads(statement)["payload"]))
    payload["predicate"]["statedAt"] = stamp(found.grant.expires_at + timedelta(days=900))
    later = serving_statement.seal(payload, served.keys.key_id, served.keys.sign)
    assert served.load(release=Text(later)).version == "1"


def test_only_who_may_read_releases_is_told(served: Host) -> None:
    served.release(LOGISTIC, "one")
    with pytest.raises(Unauthenticated):
        served.load(release=FromAirlock(served.doors.url, "nobody"))


def test_no_answer_is_no_release(served: Host) -> None:
    served.release(LOGISTIC, "one")
    with pytest.raises(Unreachable, match="does not say what is released"):
        served.load(release=FromAirlock("http://127.0.0.1:9", "vera"))


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a?b", "a\n"])
def test_a_name_cannot_lead_to_another_address(served: Host, name: str) -> None:
    with pytest.raises(Invalid, match="is not the name of a model or an environment"):
        FromAirlock(served.doors.url, "vera").statement(name, "production")
