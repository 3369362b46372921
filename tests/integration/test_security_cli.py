"""`airlock security`: on files, on a real MLflow server, and on an Airlock over HTTP."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

from tests.command import run_cli
from tests.contract.test_registry import mlflow_server
from tests.integration import malicious_kit as kit
from tests.integration.real_models import Models
from tests.integration.serving_kit import host

pytestmark = pytest.mark.integration

LOGISTIC = "sklearn logistic regression"


def evil_folder(models: Models, tmp_path: Path) -> Path:
    case = next(case for case in kit.cases() if case.name == "a loader beside the model")
    kit.build(case, models.folder(LOGISTIC), tmp_path / "evil", tmp_path / "marker")
    return tmp_path / "evil"


def test_an_empty_folder_is_not_allowed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = run_cli("security", "scan", str(tmp_path / "empty"), "--json")
    assert said.code == 1
    assert json.loads(said.out)["verdict"] == "REFUSED"


def test_a_good_folder_is_allowed(models: Models) -> None:
    said = run_cli("security", "scan", str(models.folder(LOGISTIC)), "--json")
    found = json.loads(said.out)
    assert (said.code, found["verdict"], found["why"]) == (0, "ALLOWED", [])
    assert "scikit-learn==1.9.1" in found["requirements"]


def test_a_bad_folder_is_refused_with_file_and_reason(models: Models, tmp_path: Path) -> None:
    folder = evil_folder(models, tmp_path)
    said = run_cli("security", "scan", str(folder))
    assert said.code == 1
    assert "MLmodel: found flavor python_function: code" in said.out
    assert "code/evil_loader.py" in said.out
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(("name", "code"), [("model.skops", 0), ("MLmodel", 0), ("evil.pkl", 1)])
def test_one_file_can_be_scanned(models: Models, tmp_path: Path, name: str, code: int) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models.folder(LOGISTIC), folder)
    (folder / "evil.pkl").write_bytes(kit.evil(tmp_path / "marker"))
    assert run_cli("security", "scan", str(folder / name)).code == code


@pytest.mark.parametrize("target", ["./nowhere", "/nowhere", " "])
def test_what_is_not_there_is_wrong_use(target: str) -> None:
    assert run_cli("security", "scan", target).code == 2


def test_a_scanner_that_is_not_there_means_it_could_not_be_told(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRLOCK_HOME", str(tmp_path))
    said = run_cli("security", "scan", str(models.folder(LOGISTIC)), "--scanners")
    assert said.code == 3
    assert "COULD_NOT_TELL" in said.out


def test_a_server_that_is_away_means_it_could_not_be_told() -> None:
    for command in (("scan", "fraud/1"), ("audit",)):
        said = run_cli("security", *command, "--mlflow", "http://127.0.0.1:9")
        assert said.code == 3, said.err
        assert "did not answer" in said.err


# -- a whole server ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stock MLflow with a good version, a pickled one, and look-alike names."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    bad = folder / "bad"
    kit.build(
        next(case for case in kit.cases() if case.name == "the sklearn flavor with a pickle"),
        models.folder(LOGISTIC),
        bad,
        folder / "marker",
    )
    with mlflow_server(folder) as uri:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = client.create_experiment("audit")
        client.create_registered_model("fraud")
        for source in (models.folder(LOGISTIC), bad):
            made = client.create_logged_model(experiment, name="fraud")
            client.log_model_artifacts(made.model_id, str(source))
            client.finalize_logged_model(made.model_id, "READY")
            client.create_model_version("fraud", f"models:/{made.model_id}", model_id=made.model_id)
        client.set_registered_model_alias("fraud", "champion", "2")
        client.set_registered_model_alias("fraud", "Champion", "1")
        yield uri
        assert not (folder / "marker").exists()


def audit(server: str, *options: str) -> tuple[int, Any]:
    said = run_cli("security", "audit", "--mlflow", server, *options)
    return said.code, json.loads(said.out) if options else said.out


def test_every_version_gets_its_verdict(server: str) -> None:
    code, found = audit(server, "--json")
    verdicts = {row["version"]: row["verdict"] for row in found["versions"]}
    assert (code, verdicts) == (1, {"1": "ALLOWED", "2": "REFUSED"})
    first, second = found["versions"]
    assert "alias 'Champion' looks like champion" in first["notes"]
    assert "no model signature" in first["notes"]
    assert any("serialization_format" in text for text in second["why"])
    assert [one["rule"] for one in found["server"]] == ["open-authentication"]


def test_the_audit_is_a_table_and_sarif_too(server: str) -> None:
    code, text = audit(server)
    assert code == 1
    assert "2 versions: 1 allowed, 1 refused, 0 unreadable" in text
    _, sarif = audit(server, "--sarif")
    results = sarif["runs"][0]["results"]
    assert sarif["version"] == "2.1.0"
    assert {result["ruleId"] for result in results} == {
        "artifact-format",
        "hygiene",
        "open-authentication",
    }


@pytest.mark.parametrize(
    ("target", "code"),
    [("fraud/1", 0), ("fraud/2", 1), ("fraud@champion", 1), ("fraud", 1), ("nothing", 1)],
)
def test_a_version_can_be_scanned_by_its_name(server: str, target: str, code: int) -> None:
    assert run_cli("security", "scan", target, "--mlflow", server).code == code


def test_the_known_weaknesses_are_told_by_version() -> None:
    from airlock.entrypoints.presentation.security_report import known_weaknesses
    from airlock.services.registry.survey import _older

    known = {one["id"]: one for one in known_weaknesses()}
    assert all(one["what"] and one["source"] for one in known.values())
    fixed = known["CVE-2026-2651"]["fixed"]
    assert _older("3.10.1", fixed)
    assert not _older("3.17.2", fixed)


# -- converting and fetching ---------------------------------------------------------------------


def test_a_pickle_is_converted_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])))
    said = run_cli("security", "convert", str(path), "--to", "skops", "--json")
    assert said.code == 0, said.err
    made = Path(json.loads(said.out)["file"])
    assert run_cli("security", "scan", str(made)).code == 0
    again = run_cli("security", "convert", str(path), "--to", "skops")
    assert (again.code, "is there already" in again.err) == (2, True)


def test_a_statement_is_fetched_for_a_host_without_a_network(
    models: Models, tmp_path: Path
) -> None:
    with host(tmp_path, models) as served:
        kept = tmp_path / "statement.json"
        command = ("security", "released", "credit", "production", "-o", str(kept))
        assert served.doors.cli("vera", *command).code == 1
        served.release(LOGISTIC, "one")
        assert served.doors.cli("vera", *command).code == 0
    from airlock.serving import FromFile, FromFolder

    assert served.load(release=FromFile(kept), files=FromFolder(served.placed("1"))).sequence == 1
