"""Released and reviewed files do not change, whichever way somebody asks for it."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException

from airlock.adapters.mlflow import MlflowRegistry
from tests.attack.guard_kit import ON_ALL_PAIRS, ON_ALL_STORES, Site, raw_request
from tests.attack.guard_server import WORKER
from tests.support import sample

API, AJAX = "/api/2.0", "/ajax-api/2.0"
MLFLOW = f"{API}/mlflow"


class Frozen:
    """A model whose first version is frozen, with the folder its files lie in."""

    def __init__(self, site: Site) -> None:
        self.site, self.model = site, f"credit-{uuid.uuid4().hex[:8]}"
        self.version = site.candidate(self.model)
        with site.as_(WORKER):
            registry = MlflowRegistry(site.url)
            self.digest = registry.artifact_digest(self.model, self.version)
            location = registry.location(self.model, self.version)
        self.folder = location.removeprefix("mlflow-artifacts:/")

    def untouched(self) -> bool:
        with self.site.as_(WORKER):
            return MlflowRegistry(self.site.url).artifact_digest(self.model, "1") == self.digest


@pytest.fixture(scope="module")
def frozen(site: Site) -> Frozen:
    return Frozen(site)


@ON_ALL_PAIRS
def test_a_file_that_nobody_froze_can_be_written(site: Site) -> None:
    with site.as_("ana") as client:
        logged = client.create_logged_model("0")
    path = f"{API}/mlflow-artifacts/artifacts/0/models/{logged.model_id}/artifacts/x"
    assert site.ask("PUT", path, b"one").status == 200
    assert site.ask("PUT", path, b"two").status == 200
    assert site.ask("GET", path).text == "two"
    assert site.ask("DELETE", path).status == 200


NAMES = ["model.skops", "MLmodel", "beside", "deep/er/new", "."]
WRITES = [*itertools.product([API, AJAX], NAMES, ["ana", "admin", WORKER, ""])]


@ON_ALL_PAIRS
@pytest.mark.parametrize(("api", "name", "person"), sample(WRITES, 3))
def test_way_8_overwriting_or_adding(frozen: Frozen, api: str, name: str, person: str) -> None:
    path = f"{api}/mlflow-artifacts/artifacts/{frozen.folder}/{name}"
    answer = frozen.site.ask("PUT", path, b"evil", person)
    assert answer.status in ((403, 400, 405) if person else (401,))
    assert frozen.untouched()


SPELLINGS = [
    *("{}/./model.skops", "{}//model.skops", "{}/%6dodel.skops", "{}/x/../model.skops"),
    *("{}/x/%2e%2e/model.skops", "{}/x/%252e%252e/model.skops", "{}%2fmodel.skops"),
    *("./{}/model.skops", "x/../{}/model.skops", "%2e/{}/model.skops", "{}/model.skops/"),
    *("/{}/model.skops", "{}/model.skops%00", "{}/..%5cmodel.skops", "{}/model.skops%23x"),
    "{}/%256dodel.skops",
]


@ON_ALL_STORES
@pytest.mark.parametrize(
    ("spelled", "method"), sample(itertools.product(SPELLINGS, ["PUT", "DELETE"]), 3)
)
def test_way_8_dots_and_percents(frozen: Frozen, method: str, spelled: str) -> None:
    path = f"{API}/mlflow-artifacts/artifacts/{spelled.format(frozen.folder)}"
    status = raw_request(frozen.site, method, path, b"evil", "ana")
    assert 400 <= status < 500 or status == 308, status
    assert frozen.untouched()


@ON_ALL_STORES
@pytest.mark.parametrize("api", [API, AJAX])
@pytest.mark.parametrize("up", [0, 1, 2, 3])
def test_way_9_deleting_it_or_what_is_above_it(frozen: Frozen, api: str, up: int) -> None:
    parts = frozen.folder.split("/")
    place = "/".join(parts[: len(parts) - up])
    answer = frozen.site.ask("DELETE", f"{api}/mlflow-artifacts/artifacts/{place}")
    assert answer.status == 403, answer.text
    file = f"{api}/mlflow-artifacts/artifacts/{frozen.folder}/model.skops"
    assert frozen.site.ask("DELETE", file).status == 403
    assert frozen.untouched()


@ON_ALL_PAIRS
@pytest.mark.parametrize("path", ["", "/", ".", "./", "%2e"])
def test_way_9_deleting_everything(frozen: Frozen, path: str) -> None:
    status = raw_request(
        frozen.site, "DELETE", f"{API}/mlflow-artifacts/artifacts/{path}", b"", "admin"
    )
    assert 400 <= status < 500 or status == 308
    assert frozen.untouched()


@ON_ALL_STORES
@pytest.mark.parametrize("step", ["create", "complete"])
@pytest.mark.parametrize("api", [API, AJAX])
def test_way_9_in_parts(frozen: Frozen, api: str, step: str) -> None:
    body = {
        "path": "model.skops",
        "num_parts": 1,
        "upload_id": "x",
        "parts": [{"part_number": 1, "etag": "x"}],
    }
    body = {k: v for k, v in body.items() if k in _FIELDS[step]}
    path = f"{api}/mlflow-artifacts/mpu/{step}/{frozen.folder}"
    answer = frozen.site.ask("POST", path, body)
    local = not frozen.site.place.startswith("s3:")
    assert answer.status == (501 if local else 403), answer.text
    assert frozen.untouched()


_FIELDS = {"create": {"path", "num_parts"}, "complete": {"path", "upload_id", "parts"}}


@ON_ALL_STORES
def test_way_9_parts_begun_before_the_freeze_are_not_put_together(site: Site) -> None:
    if not site.place.startswith("s3:"):
        path = f"{API}/mlflow-artifacts/mpu/create/0/x"
        assert site.ask("POST", path, {"path": "x", "num_parts": 1}).status == 501
        return
    with site.as_("ana") as client:
        model = f"parts-{uuid.uuid4().hex[:6]}"
        client.create_registered_model(model)
        logged = client.create_logged_model("0")
        folder = f"0/models/{logged.model_id}/artifacts"
        site.ask("PUT", f"{API}/mlflow-artifacts/artifacts/{folder}/x", b"good")
        begun = site.ask(
            "POST", f"{API}/mlflow-artifacts/mpu/create/{folder}", {"path": "x", "num_parts": 1}
        )
        assert begun.status == 200, begun.text
        made = client.create_model_version(
            model, f"models:/{logged.model_id}", model_id=logged.model_id
        )
    frozen = site.ask("POST", "/airlock/freeze", {"model": model, "version": str(made.version)})
    assert frozen.status == 201
    told = requests.models.complexjson.loads(begun.text)
    etag = requests.put(told["credentials"][0]["url"], data=b"evil", timeout=30).headers["ETag"]
    body = {
        "path": "x",
        "upload_id": told["upload_id"],
        "parts": [{"part_number": 1, "etag": etag}],
    }
    done = site.ask("POST", f"{API}/mlflow-artifacts/mpu/complete/{folder}", body)
    assert done.status == 403
    assert site.ask("GET", f"{API}/mlflow-artifacts/artifacts/{folder}/x").text == "good"


@ON_ALL_PAIRS
def test_way_9_the_pages_own_upload(frozen: Frozen) -> None:
    site = frozen.site
    with site.as_("ana") as client:
        run = client.create_run("0")
        client.log_text(run.info.run_id, "good", "model/file.txt")
        client.create_registered_model(name := f"run-{uuid.uuid4().hex[:6]}")
        uri = f"{run.info.artifact_uri}/model"
        made = client.create_model_version(name, uri, run_id=run.info.run_id)
    asked = {"model": name, "version": str(made.version)}
    assert site.ask("POST", "/airlock/freeze", asked).status == 201
    query = f"run_uuid={run.info.run_id}&path=model/file.txt"
    answer = site.ask("POST", f"{AJAX}/mlflow/upload-artifact?{query}", b"evil")
    assert answer.status == 403, answer.text
    free = f"run_uuid={run.info.run_id}&path=other/file.txt"
    assert site.ask("POST", f"{AJAX}/mlflow/upload-artifact?{free}", b"fine").status == 200


@ON_ALL_PAIRS
def test_way_9_presigned_addresses_are_off(frozen: Frozen) -> None:
    with frozen.site.as_("ana") as client:
        run = client.create_run("0")
    for subject in ({"run_id": run.info.run_id}, {"model_id": "m-x"}):
        body = {"path": "x", **subject}
        answer = frozen.site.ask("POST", f"{MLFLOW}/artifacts/presigned-upload-url", body)
        assert answer.status == 403


@ON_ALL_PAIRS
def test_way_8_the_client_itself(frozen: Frozen, tmp_path: Path) -> None:
    evil = tmp_path / "model.skops"
    evil.write_bytes(b"evil")
    model_id = frozen.folder.split("/")[-2]
    with frozen.site.as_("ana") as client, pytest.raises((MlflowException, requests.HTTPError)):
        client.log_model_artifacts(model_id, str(tmp_path))
    assert frozen.untouched()


@ON_ALL_PAIRS
def test_an_experiment_that_points_into_frozen_files_does_not_help(frozen: Frozen) -> None:
    site = frozen.site
    with site.as_("ana") as client:
        experiment = client.create_experiment(
            f"x-{uuid.uuid4().hex[:6]}", artifact_location=f"mlflow-artifacts:/{frozen.folder}"
        )
        run = client.create_run(experiment)
        with pytest.raises((MlflowException, requests.HTTPError)):
            client.log_text(run.info.run_id, "evil", "model.skops")
    assert frozen.untouched()


@ON_ALL_STORES
@pytest.mark.parametrize("scheme", ["file://", "", "airlock+file://", "s3://", "airlock+s3://"])
def test_the_server_opens_no_other_store(frozen: Frozen, scheme: str) -> None:
    site = frozen.site
    inside = site.place.removeprefix("s3://")
    with site.as_("ana") as client:
        try:
            experiment = client.create_experiment(
                f"x-{uuid.uuid4().hex[:6]}", artifact_location=f"{scheme}{inside}/{frozen.folder}"
            )
        except MlflowException:
            return  # MLflow itself does not take it
        run = client.create_run(experiment)
    query = f"run_uuid={run.info.run_id}&path=model.skops"
    answer = site.ask("POST", f"{AJAX}/mlflow/upload-artifact?{query}", b"evil")
    assert answer.status in (400, 403), answer.text
    assert frozen.untouched()


@ON_ALL_PAIRS
def test_freezing_twice_is_once_and_needs_a_login(frozen: Frozen) -> None:
    body = {"model": frozen.model, "version": frozen.version}
    assert frozen.site.ask("POST", "/airlock/freeze", body).status == 201
    assert frozen.site.ask("POST", "/airlock/freeze", body, "").status == 401
    missing = frozen.site.ask("POST", "/airlock/freeze", {"model": "no-such", "version": "1"})
    assert missing.status == 404


@ON_ALL_STORES
def test_bytes_changed_on_the_disk_itself_are_not_promoted(site: Site) -> None:
    changed = Frozen(site)
    grant = site.grant(changed.model, changed.version)
    site.hand_in(grant)
    overwrite(site, f"{changed.folder}/model.skops", b"evil")
    with site.as_(WORKER) as client, pytest.raises(RestException, match="somebody changed them"):
        client.set_registered_model_alias(changed.model, "champion", changed.version)
    overwrite(site, f"{changed.folder}/model.skops", b"good")
    with site.as_(WORKER) as client:
        client.set_registered_model_alias(changed.model, "champion", changed.version)
    assert site.alias(changed.model) == changed.version


def overwrite(site: Site, path: str, content: bytes) -> None:
    """Do what somebody with the disk or the bucket can do."""
    if not site.place.startswith("s3://"):
        (Path(site.place) / path).write_bytes(content)
        return
    import boto3

    told = site.environment
    bucket, _, prefix = site.place.removeprefix("s3://").partition("/")
    client = boto3.client(
        "s3",
        endpoint_url=told["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
    client.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=content)
