"""One contract for every model registry: the fake in memory, and MLflow on a real server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient

from airlock.adapters.mlflow import CandidateRecord, MlflowRegistry
from airlock.domain.digest import folder_manifest, manifest_digest
from airlock.domain.errors import Invalid, NotFound, Refused, Unreachable
from airlock.ports import Registry
from airlock.testing import FakeRegistry

pytestmark = pytest.mark.contract

CODE, LOCK, PIPELINE, DATA = (f"sha256:{digit * 64}" for digit in "1234")


class Bench(NamedTuple):
    """A registry, and how a test puts a version of `demo` into it."""

    registry: Registry
    add: Callable[[bytes], str]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Run a real MLflow server on a free loopback port and yield its address."""
    port = _free_port()
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    argv += ["--artifacts-destination", str(folder / "artifacts")]
    quiet = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            argv, cwd=folder, env=quiet, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, folder / "log.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(3000):  # a busy machine takes minutes; a server that ends is noticed at once
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


def record(folder: Path, content: bytes, origin: str, model: str = "demo") -> CandidateRecord:
    """A candidate with two files, one of them in a folder."""
    saved = folder / f"saved-{time.time_ns()}"
    (saved / "deep").mkdir(parents=True)
    (saved / "model.skops").write_bytes(content)
    (saved / "deep" / "MLmodel").write_text("flavors: {}")
    return CandidateRecord(
        model=model,
        origin=origin,
        requester="ana",
        folder=saved,
        artifact_digest=manifest_digest(folder_manifest(saved)),
        source="demo/data.parquet",
        data_digest=DATA,
        code_commit=CODE,
        lock_digest=LOCK,
        pipeline_digest=PIPELINE,
        params={"depth": "3"},
        metrics={"roc_auc": 0.9},
    )


@pytest.fixture(params=["fake", "mlflow"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "fake":
        fake = FakeRegistry()
        return Bench(fake, lambda content: fake.add("demo", content))
    real = MlflowRegistry(request.getfixturevalue("uri"))

    def add(content: bytes) -> str:
        origin = f"demo/{time.time_ns()}"
        return real.record_candidate(record(tmp_path, content, origin)).version

    return Bench(real, add)


# -- what every registry keeps ---------------------------------------------------------------------


def test_an_alias_that_was_never_set_is_none(bench: Bench) -> None:
    assert bench.registry.alias("no-such-model", "champion") is None
    bench.add(b"one")
    assert bench.registry.alias("demo", "never-set") is None


def test_an_alias_points_where_it_was_last_set(bench: Bench) -> None:
    one, two = bench.add(b"one"), bench.add(b"two")
    bench.registry.set_alias("demo", "champion", one)
    bench.registry.set_alias("demo", "champion", two)
    bench.registry.set_alias("demo", "challenger", one)
    assert bench.registry.alias("demo", "champion") == two
    assert bench.registry.alias("demo", "challenger") == one


def test_an_alias_cannot_point_at_a_version_that_is_not_there(bench: Bench) -> None:
    version = bench.add(b"one")
    bench.registry.set_alias("demo", "champion", version)
    with pytest.raises(NotFound):
        bench.registry.set_alias("demo", "champion", "99999")
    assert bench.registry.alias("demo", "champion") == version


def test_the_digest_is_the_manifest_of_what_is_downloaded(bench: Bench, tmp_path: Path) -> None:
    version = bench.add(b"one")
    into = tmp_path / "into"
    into.mkdir()
    folder = bench.registry.download("demo", version, into)
    digest = manifest_digest(folder_manifest(folder))
    assert bench.registry.artifact_digest("demo", version) == digest
    assert bench.registry.artifact_digest("demo", bench.add(b"two")) != digest
    assert (folder / "model.skops").read_bytes() == b"one"


def test_every_version_has_a_place_of_its_own(bench: Bench) -> None:
    one, two = bench.add(b"one"), bench.add(b"two")
    assert bench.registry.location("demo", one) != bench.registry.location("demo", two)


def test_a_version_that_is_not_there_is_not_found(bench: Bench, tmp_path: Path) -> None:
    bench.add(b"one")
    for ask in (
        lambda: bench.registry.location("demo", "99999"),
        lambda: bench.registry.artifact_digest("demo", "99999"),
        lambda: bench.registry.download("demo", "99999", tmp_path),
    ):
        with pytest.raises(NotFound):
            ask()


# -- what MLflow keeps beside ----------------------------------------------------------------------


def test_recording_an_origin_twice_gives_the_same_version(uri: str, tmp_path: Path) -> None:
    registry = MlflowRegistry(uri)
    first = registry.record_candidate(record(tmp_path, b"one", "twice/run"))
    trained_again = registry.record_candidate(record(tmp_path, b"other", "twice/run"))
    assert (first.created, trained_again.created) == (True, False)
    assert trained_again.version == first.version
    assert trained_again.artifact_digest == first.artifact_digest
    assert registry.find_candidate("demo", "another/run") is None


def test_a_run_that_was_killed_half_way_is_failed_and_done_again(uri: str, tmp_path: Path) -> None:
    client, registry = MlflowClient(uri), MlflowRegistry(uri)
    experiment = client.create_experiment("halfway")
    tags = {"airlock.origin": "halfway/run"}
    left = client.create_run(experiment, tags=tags)
    made = registry.record_candidate(record(tmp_path, b"one", "halfway/run", "halfway"))
    assert client.get_run(left.info.run_id).info.status == "FAILED"
    assert client.get_run(made.run_id).info.status == "FINISHED"
    assert made.version == "1"


def test_the_run_tells_data_code_environment_and_person(uri: str, tmp_path: Path) -> None:
    client = MlflowClient(uri)
    asked = record(tmp_path, b"one", "lineage/run")
    registry = MlflowRegistry(uri)
    made = registry.record_candidate(asked)
    run = client.get_run(made.run_id)
    assert run.data.params == {"depth": "3"}
    assert run.data.metrics == {"roc_auc": 0.9}
    assert run.data.tags["mlflow.user"] == "ana"
    assert run.data.tags["mlflow.source.git.commit"] == CODE
    for tags in (run.data.tags, client.get_model_version("demo", made.version).tags):
        assert tags["airlock.data_digest"] == DATA
        assert tags["airlock.lock_digest"] == LOCK
        assert tags["airlock.pipeline_digest"] == PIPELINE
        assert tags["airlock.artifact_digest"] == asked.artifact_digest
    noted = [registry.tag("demo", made.version, name) for name in ("lock_digest", "no_such")]
    assert noted == [LOCK, ""]
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.digest == DATA[:36]
    assert {tag.key: tag.value for tag in used.tags}["airlock.data_digest"] == DATA
    assert [model.model_id for model in run.outputs.model_outputs] == [made.model_id]


def test_evidence_is_kept_with_the_run(uri: str, tmp_path: Path) -> None:
    client, registry = MlflowClient(uri), MlflowRegistry(uri)
    asked = record(tmp_path, b"one", "evidence/run")
    made = registry.record_candidate(asked)
    registry.log_evidence(made.run_id, "latency", {"p95Ms": 1.5})
    registry.log_files(made.run_id, asked.folder, "docs")
    registry.log_files(made.run_id, asked.folder / "model.skops", "files")
    registry.log_metrics(made.run_id, {"mae": 2.0})
    assert client.get_run(made.run_id).data.metrics["mae"] == 2.0
    kept = Path(client.download_artifacts(made.run_id, "", str(tmp_path)))
    assert (kept / "evidence" / "latency.json").read_text() == '{"p95Ms":1.5}'
    assert (kept / "docs" / "deep" / "MLmodel").is_file()
    assert (kept / "files" / "model.skops").read_bytes() == b"one"


def test_a_version_whose_bytes_were_changed_has_another_digest(uri: str, tmp_path: Path) -> None:
    registry = MlflowRegistry(uri)
    made = registry.record_candidate(record(tmp_path, b"one", "tampered/run"))
    evil = tmp_path / "model.skops"
    evil.write_bytes(b"two")
    MlflowClient(uri)._tracking_client.log_model_artifact(made.model_id, str(evil))
    assert registry.artifact_digest("demo", made.version) != made.artifact_digest


def test_the_digest_is_not_taken_from_the_source_a_client_wrote(uri: str, tmp_path: Path) -> None:
    client, registry = MlflowClient(uri), MlflowRegistry(uri)
    made = registry.record_candidate(record(tmp_path, b"one", "source/run"))
    assert registry.location("demo", made.version).startswith("mlflow-artifacts:/")
    assert client.get_model_version("demo", made.version).source == f"models:/{made.model_id}"


def test_mlflow_down_is_unreachable(tmp_path: Path) -> None:
    registry = MlflowRegistry(f"http://127.0.0.1:{_free_port()}")
    with pytest.raises(Unreachable, match=r"MLflow at http://127\.0\.0\.1:\d+ did not answer"):
        registry.alias("demo", "champion")
    with pytest.raises(Unreachable, match="looking for a candidate of demo"):
        registry.record_candidate(record(tmp_path, b"one", "down/run"))


def test_mlflows_no_is_a_refusal_in_mlflows_words(uri: str, tmp_path: Path) -> None:
    registry = MlflowRegistry(uri)
    made = registry.record_candidate(record(tmp_path, b"one", "refused/run"))
    with pytest.raises(Refused, match="Invalid alias name"):
        registry.set_alias("demo", "not an alias!", made.version)


def test_a_deleted_experiment_is_named_with_what_to_do(uri: str, tmp_path: Path) -> None:
    client = MlflowClient(uri)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(Refused, match="experiment 'gone' was deleted") as caught:
        MlflowRegistry(uri).record_candidate(record(tmp_path, b"one", "gone/run", "gone"))
    assert "restore" in caught.value.next_step


def test_an_origin_cannot_smuggle_a_filter(uri: str) -> None:
    with pytest.raises(Invalid, match="may not hold quotes"):
        MlflowRegistry(uri).find_candidate("demo", "x' or name != 'y")
