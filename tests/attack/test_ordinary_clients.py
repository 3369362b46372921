"""Ordinary client code works unchanged on a guarded server.

What is used here is what MLflow's own tests of its client and registry use, as far as it has to do
with models: pages and filters of searches, tags, descriptions, sources, copies, deletions.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from mlflow.exceptions import RestException

from tests.attack.guard_kit import Site


def test_ordinary_client_code_works_unchanged(site: Site, tmp_path: Path) -> None:
    name = f"plain-{uuid.uuid4().hex[:8]}"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"w" * 1000)
    with site.as_("ana") as client:
        experiment = client.create_experiment(name)
        run = client.create_run(experiment)
        client.log_param(run.info.run_id, "depth", 3)
        client.log_metric(run.info.run_id, "auc", 0.9)
        client.log_artifacts(run.info.run_id, str(tmp_path / "model"), "model")
        client.set_tag(run.info.run_id, "team", "risk")
        logged = client.create_logged_model(experiment, source_run_id=run.info.run_id)
        client.log_model_artifacts(logged.model_id, str(tmp_path / "model"))
        client.finalize_logged_model(logged.model_id, "READY")
        client.create_registered_model(name, tags={"team": "risk"}, description="x")
        uri = f"{run.info.artifact_uri}/model"
        one = client.create_model_version(name, uri, run_id=run.info.run_id)
        two = client.create_model_version(
            name, f"models:/{logged.model_id}", model_id=logged.model_id, tags={"a": "b"}
        )
        three = client.create_model_version(
            name, f"runs:/{run.info.run_id}/model", run_id=run.info.run_id
        )
        client.set_model_version_tag(name, one.version, "checked", "yes")
        client.delete_model_version_tag(name, one.version, "checked")
        client.set_registered_model_tag(name, "owner", "ana")
        client.delete_registered_model_tag(name, "owner")
        client.update_registered_model(name, "another")
        client.update_model_version(name, one.version, "first")
        for alias in ("challenger", "staging", "Candidate_2", "first"):
            client.set_registered_model_alias(name, alias, two.version)
        client.delete_registered_model_alias(name, "staging")
        assert client.get_model_version_by_alias(name, "challenger").version == two.version
        assert set(client.get_registered_model(name).aliases) == {
            "challenger",
            "Candidate_2",
            "first",
        }
        assert len(client.search_model_versions(f"name = '{name}'")) == 3
        assert client.search_registered_models(f"name = '{name}'")[0].name == name
        assert client.get_latest_versions(name)[0].version == three.version
        into = tmp_path / "back"
        into.mkdir()
        client.download_artifacts(run.info.run_id, "model", str(into))
        assert (into / "model" / "weights").read_bytes() == b"w" * 1000
        client.delete_model_version(name, one.version)
        client.rename_registered_model(name, f"{name}-b")
        client.delete_registered_model(f"{name}-b")
        client.delete_run(run.info.run_id)
        with pytest.raises(RestException, match="RESOURCE_DOES_NOT_EXIST"):
            client.get_registered_model(name)


def test_prompts_work_and_their_protected_aliases_are_protected_too(site: Site) -> None:
    name = f"prompt-{uuid.uuid4().hex[:8]}"
    with site.as_("ana") as client:
        made = client.register_prompt(name, "Hello {{name}}")
        client.set_prompt_alias(name, "draft", made.version)
        assert client.get_prompt_version_by_alias(name, "draft").template == "Hello {{name}}"
        with pytest.raises(RestException, match="PERMISSION_DENIED"):
            client.set_prompt_alias(name, "production", made.version)


def test_searches_are_filtered_ordered_and_paged(site: Site) -> None:
    start = f"page-{uuid.uuid4().hex[:8]}"
    names = [f"{start}-{number:02}" for number in range(7)]
    with site.as_("ana") as client:
        logged = client.create_logged_model("0")
        for name in names:
            client.create_registered_model(name, tags={"odd": str(int(name[-1]) % 2)})
            client.create_model_version(
                name, f"models:/{logged.model_id}", model_id=logged.model_id
            )
        every = f"name LIKE '{start}%'"
        found, token = [], None
        while token != "":
            page = client.search_registered_models(every, max_results=3, page_token=token)
            found += [one.name for one in page]
            token = page.token or ""
        assert found == names
        odd = client.search_registered_models(f"{every} AND tags.odd = '1'")
        assert [one.name for one in odd] == names[1::2]
        back = client.search_registered_models(every, order_by=["name DESC"])
        assert [one.name for one in back] == names[::-1]
        upper = client.search_registered_models(f"name ILIKE '{start.upper()}%'")
        assert len(upper) == 7
        assert client.search_registered_models("name = 'no-such'") == []
        versions = client.search_model_versions(every, max_results=5, order_by=["name ASC"])
        assert [one.name for one in versions] == names[:5]
        assert versions.token
        one = client.search_model_versions(f"source_path = 'models:/{logged.model_id}'")
        assert {version.name for version in one} == set(names)


def test_versions_of_runs_are_registered_read_and_copied(site: Site, tmp_path: Path) -> None:
    name, copy = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("run", "copy"))
    (tmp_path / "weights").write_bytes(b"w")
    with site.as_("ana") as client:
        run = client.create_run("0")
        client.log_artifact(run.info.run_id, str(tmp_path / "weights"), "model")
        client.create_registered_model(name)
        source = f"runs:/{run.info.run_id}/model"
        made = client.create_model_version(name, source, run.info.run_id, {"a": ""}, None, "text")
        assert (made.version, made.tags, made.description) == ("1", {"a": ""}, "text")
        assert client.get_model_version(name, "1").source == source
        assert client.get_model_version_download_uri(name, "1") == source
        client.create_registered_model(copy)
        for number in ("1", "2"):
            copied = client.copy_model_version(f"models:/{name}/1", copy)
            assert (copied.version, copied.run_id) == (number, run.info.run_id)
            assert (copied.tags, copied.description) == ({"a": ""}, "text")
        again = client.copy_model_version(f"models:/{copy}/2", name)
        assert again.version == "2"
        client.set_registered_model_alias(name, "challenger", "2")
        client.set_registered_model_alias(name, "challenger", "1")
        by_alias = client.copy_model_version(f"models:/{name}@challenger", copy)
        assert by_alias.version == "3"
        assert client.get_model_version(name, "1").aliases == ["challenger"]
        client.delete_registered_model_alias(name, "challenger")
        client.delete_registered_model_alias(name, "challenger")  # as on the stock server
        assert client.get_registered_model(name).aliases == {}


def test_what_does_not_exist_is_said_as_on_the_stock_server(site: Site) -> None:
    name = f"gone-{uuid.uuid4().hex[:8]}"
    with site.as_("ana") as client:
        client.create_registered_model(name)
        with pytest.raises(RestException, match="RESOURCE_ALREADY_EXISTS"):
            client.create_registered_model(name)
        for absent in (
            lambda: client.get_registered_model(f"{name}-x"),
            lambda: client.get_model_version(name, "1"),
            lambda: client.get_model_version_download_uri(name, "1"),
            lambda: client.set_registered_model_alias(name, "challenger", "1"),
            lambda: client.delete_model_version(name, "1"),
            lambda: client.set_model_version_tag(name, "1", "a", "b"),
            lambda: client.update_model_version(name, "1", "text"),
            lambda: client.delete_registered_model(f"{name}-x"),
        ):
            with pytest.raises(RestException, match="RESOURCE_DOES_NOT_EXIST"):
                absent()
        for alias in ("challenger", "champion"):
            with pytest.raises(RestException, match="INVALID_PARAMETER_VALUE"):
                client.get_model_version_by_alias(name, alias)
        with pytest.raises(RestException, match="INVALID_PARAMETER_VALUE"):
            client.set_registered_model_alias(name, "v1", "1")
