"""Every way a version becomes "production" without a grant, and every spelling of asking for it."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mlflow.exceptions import MlflowException, RestException

from airlock.adapters.keys import ed25519
from tests.attack.guard_kit import ON_ALL_PAIRS, Site, raw_request
from tests.attack.guard_server import WORKER
from tests.support import sample

API, AJAX = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
PEOPLE = ["ana", "admin", WORKER]


class Line:
    """A model with a released first version and a second one nobody approved."""

    def __init__(self, site: Site) -> None:
        self.site, self.model = site, f"fraud-{uuid.uuid4().hex[:8]}"
        self.good, self.evil = site.candidate(self.model), site.candidate(self.model, b"evil")
        site.release(self.model, self.good)

    def untouched(self) -> bool:
        return self.site.alias(self.model) == self.good


@pytest.fixture(scope="module")
def line(site: Site) -> Line:
    return Line(site)


@pytest.fixture(autouse=True)
def still(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever was tried, the alias still is what was released."""
    yield
    if "line" in request.fixturenames:
        assert request.getfixturevalue("line").untouched()


@ON_ALL_PAIRS
def test_without_any_grant_nothing_is_champion(site: Site) -> None:
    model = f"new-{uuid.uuid4().hex[:8]}"
    version = site.candidate(model)
    with site.as_("ana") as client, pytest.raises(RestException, match="PERMISSION_DENIED"):
        client.set_registered_model_alias(model, "champion", version)
    assert site.alias(model) is None


@ON_ALL_PAIRS
def test_a_governed_release_by_the_plain_client_succeeds(site: Site) -> None:
    line = Line(site)
    with site.as_("ana") as client:
        assert client.get_model_version_by_alias(line.model, "champion").version == line.good
    site.release(line.model, line.evil)  # now it is approved
    assert site.alias(line.model) == line.evil


@ON_ALL_PAIRS
@pytest.mark.parametrize(
    ("api", "person"), sample(itertools.product([API, AJAX], [*PEOPLE, ""]), 3)
)
def test_way_1_the_alias_itself(line: Line, api: str, person: str) -> None:
    body = {"name": line.model, "alias": "champion", "version": line.evil}
    answer = line.site.ask("POST", f"{api}/registered-models/alias", body, person)
    assert answer.status == (403 if person else 401)
    assert "grant" in answer.text or not person


LOOKALIKES = [
    *(
        "Champion",
        "CHAMPION",
        "champion\n",
        "champion ",
        "\tchampion",
        "\uff43hampion",
        "\u0441hampion",
    ),
    *("champ1on", "cham-pion", "champion_", "PRODUCTION", "Prod", "pr0d", "champion\u200b"),
    "\u24d2hampion",
]


@pytest.mark.parametrize("alias", sample(LOOKALIKES, 2), ids=ascii)
def test_way_2_spellings_of_the_alias(line: Line, alias: str) -> None:
    body = {"name": line.model, "alias": alias, "version": line.evil}
    answer = line.site.ask("POST", f"{API}/registered-models/alias", body)
    assert answer.status in (400, 403)
    path = f"{API}/registered-models/alias"
    found = line.site.ask("GET", f"{path}?name={line.model}&alias={alias}")
    assert found.status in (400, 403, 404)


@pytest.mark.parametrize("alias", ["production", "prod"])
def test_way_2_the_other_protected_aliases(line: Line, alias: str) -> None:
    body = {"name": line.model, "alias": alias, "version": line.evil}
    assert line.site.ask("POST", f"{API}/registered-models/alias", body).status == 403


@pytest.mark.parametrize("spelled", ["0{}", " {}", "+{}", "{}\n", "{}_0", "\u0662"], ids=ascii)
def test_way_3_spellings_of_the_version(line: Line, spelled: str) -> None:
    body = {"name": line.model, "alias": "champion", "version": spelled.format(line.evil)}
    answer = line.site.ask("POST", f"{API}/registered-models/alias", body)
    assert answer.status in (400, 403, 404)


def _bodies(line: Line) -> dict[str, tuple[bytes, dict[str, str]]]:
    asked = {"name": line.model, "alias": "champion", "version": line.evil}
    plain = json.dumps(asked)
    kind = {"Content-Type": "application/json"}
    double = f'{{"name":"{line.model}","alias":"other","version":"{line.evil}","alias":"champion"}}'
    return {
        "duplicate keys": (double.encode(), kind),
        "unicode escapes": (plain.replace("champion", "\\u0063hampion").encode(), kind),
        "utf-16": (plain.encode("utf-16"), kind),
        "json in json": (json.dumps(plain).encode(), kind),
        "gzip label": (plain.encode(), kind | {"Content-Encoding": "gzip"}),
        "utf-7 label": (plain.encode(), {"Content-Type": "application/json; charset=utf-7"}),
        "no type": (plain.encode(), {}),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("duplicate keys", "unicode escapes", "utf-16", "json in json", "gzip label"),
        *("utf-7 label", "no type"),
    ],
)
def test_way_4_spellings_of_the_body(line: Line, name: str) -> None:
    body, headers = _bodies(line)[name]
    answer = line.site.ask("POST", f"{API}/registered-models/alias", body, headers=headers)
    assert answer.status in (400, 403, 404, 415)


PATHS = [
    *("//api/2.0/mlflow/registered-models/alias", "/api//2.0/mlflow/registered-models/alias"),
    "/api/2.0/mlflow/registered-models/%61lias",
    *("/api/2.0/mlflow/registered-models%2falias", "/api/2.0/mlflow/registered-models/alias/"),
    *(
        "/API/2.0/mlflow/registered-models/alias",
        "/x/../api/2.0/mlflow/registered-models/alias",
    ),
    *("/airlock/../api/2.0/mlflow/registered-models/alias", "/health/../api/2.0/mlflow/runs"),
    "/api/2.0/mlflow/registered-models/alias;x=1",
    "/api/2.0/mlflow/registered-models/alias?alias=other",
]


@pytest.mark.parametrize(("path", "person"), sample(itertools.product(PATHS, ["admin", ""]), 3))
def test_way_4_spellings_of_the_path(line: Line, path: str, person: str) -> None:
    status = raw(line.site, "POST", path, line, person)
    assert 300 <= status < 500
    assert person or status == 401


STAGES = ["Production", "Staging", "production", "Archived", "None"]


def raw(site: Site, method: str, path: str, line: Line, person: str) -> int:
    body = {"name": line.model, "alias": "champion", "version": line.evil}
    return raw_request(site, method, path, json.dumps(body).encode(), person)


@ON_ALL_PAIRS
@pytest.mark.parametrize(("api", "stage"), sample(itertools.product([API, AJAX], STAGES), 3))
def test_way_5_stages(line: Line, api: str, stage: str) -> None:
    body = {
        "name": line.model,
        "version": line.evil,
        "stage": stage,
        "archive_existing_versions": False,
    }
    answer = line.site.ask("POST", f"{api}/model-versions/transition-stage", body)
    assert answer.status == 403
    assert "stages are off" in answer.text


@pytest.mark.parametrize(
    "key", ["airlock.origin", "Airlock.origin", "airlock.\u200bx", "\uff41irlock.x"]
)
def test_way_7_reserved_tags(line: Line, key: str) -> None:
    body = {"name": line.model, "version": line.evil, "key": key, "value": "approved"}
    for person in ("ana", WORKER):
        answer = line.site.ask("POST", f"{API}/model-versions/set-tag", body, person)
        assert answer.status in (400, 403)
    model = {"name": line.model, "key": key, "value": "approved"}
    assert line.site.ask("POST", f"{API}/registered-models/set-tag", model).status in (400, 403)


def test_way_7_nobody_registers_a_version_in_airlocks_name(line: Line) -> None:
    tags = [{"key": "airlock.origin", "value": "credit/run"}]
    with line.site.as_("ana") as client:
        logged = client.create_logged_model("0")
    source = {"name": line.model, "source": f"models:/{logged.model_id}", "tags": tags}
    made = source | {"model_id": logged.model_id}
    assert line.site.ask("POST", f"{API}/model-versions/create", made).status == 403
    body = {"name": line.model, "version": line.good, "key": "airlock.origin"}
    gone = line.site.ask("DELETE", f"{API}/model-versions/delete-tag", body, WORKER)
    assert gone.status == 403


@ON_ALL_PAIRS
def test_way_10_swapping_by_rename(line: Line) -> None:
    site, sandbox = line.site, f"sandbox-{uuid.uuid4().hex[:6]}"
    site.ask("POST", f"{API}/registered-models/create", {"name": sandbox})
    away = {"name": line.model, "new_name": f"{line.model}-old"}
    assert site.ask("POST", f"{API}/registered-models/rename", away).status == 403
    onto = {"name": sandbox, "new_name": line.model}
    assert site.ask("POST", f"{API}/registered-models/rename", onto).status == 403


@ON_ALL_PAIRS
def test_way_11_deleting_and_starting_the_numbers_again(line: Line) -> None:
    site, name = line.site, {"name": line.model}
    assert site.ask("DELETE", f"{API}/registered-models/delete", name).status == 403
    version = {"name": line.model, "version": line.good}
    assert site.ask("DELETE", f"{API}/model-versions/delete", version).status == 403
    assert (
        site.ask("DELETE", f"{API}/registered-models/alias", name | {"alias": "champion"}).status
        == 403
    )
    assert site.ask("POST", f"{API}/registered-models/create", name).status == 400


@ON_ALL_PAIRS
def test_way_12_a_copy_has_no_alias(line: Line) -> None:
    copy = f"copy-{uuid.uuid4().hex[:6]}"
    with line.site.as_("ana") as client:
        client.create_registered_model(copy)
        made = client.copy_model_version(f"models:/{line.model}/{line.good}", copy)
        assert made.aliases == []
        assert not [key for key in made.tags if key.startswith("airlock.")]
        with pytest.raises(RestException, match="PERMISSION_DENIED"):
            client.set_registered_model_alias(copy, "champion", made.version)


SOURCES = [
    *("s3://attacker/model", "gs://attacker/model", "dbfs:/attacker", "wasbs://a@b/c"),
    *("https://attacker.example/api/2.0/mlflow-artifacts/artifacts/x", "ftp://attacker/x"),
    *("/etc", "file:///etc", "mlflow-artifacts://attacker/1/models/x", "hdfs://attacker/x"),
    *("airlock+file:///etc", "airlock+s3://attacker/x", "mlflow-artifacts:/1/../2", "x:y"),
]


@ON_ALL_PAIRS
@pytest.mark.parametrize("source", sample(SOURCES, 2))
def test_way_13_sources_nobody_controls(line: Line, source: str) -> None:
    body = {"name": line.model, "source": source}
    assert line.site.ask("POST", f"{API}/model-versions/create", body).status in (400, 403)


@ON_ALL_PAIRS
def test_way_13_a_source_behind_an_experiment_of_ones_own(line: Line) -> None:
    with line.site.as_("ana") as client:
        experiment = client.create_experiment(
            f"x-{uuid.uuid4().hex[:6]}", artifact_location="s3://attacker/here"
        )
        logged = client.create_logged_model(experiment)
        run = client.create_run(experiment)
        for source, more in (
            (f"models:/{logged.model_id}", {"model_id": logged.model_id}),
            (f"runs:/{run.info.run_id}/model", {"run_id": run.info.run_id}),
        ):
            body = {"name": line.model, "source": source, **more}
            answer = line.site.ask("POST", f"{API}/model-versions/create", body)
            assert answer.status == 403
            assert "outside this server's own store" in answer.text


@pytest.mark.parametrize("mode", ["SET_DEFAULT", "CASCADE"])
def test_way_14_deleting_a_workspace(line: Line, mode: str) -> None:
    answer = line.site.ask("DELETE", f"/api/3.0/mlflow/workspaces/lab?mode={mode}")
    assert answer.status == 403


def test_way_15_calling_it_a_prompt(line: Line) -> None:
    tag = {"name": line.model, "key": "mlflow.prompt.is_prompt", "value": "true"}
    line.site.ask("POST", f"{API}/registered-models/set-tag", tag)
    body = {"name": line.model, "alias": "champion", "version": line.evil}
    assert line.site.ask("POST", f"{API}/registered-models/alias", body).status == 403
    line.site.ask("DELETE", f"{API}/registered-models/delete-tag", tag)
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    source = {"name": line.model, "source": "s3://attacker/x", "tags": tags}
    assert line.site.ask("POST", f"{API}/model-versions/create", source).status in (400, 403)


@pytest.mark.parametrize("field", ["setRegisteredModelAlias", "mlflowSetRegisteredModelAlias"])
def test_way_16_graphql_cannot_write(line: Line, field: str) -> None:
    query = f'mutation {{ {field}(name: "{line.model}", alias: "champion", version: "2") {{ x }} }}'
    answer = line.site.ask("POST", "/graphql", {"query": query})
    assert "Cannot query field" in answer.text
    assert line.site.ask("POST", "/graphql", {"query": "{ test }"}, person="").status == 401


SKILLS = [  # new in MLflow 3.18: code for agents, which the server fetches from other hosts
    ("POST", ""),
    ("GET", ""),
    ("POST", "/bulk-register"),
    ("POST", "/x/versions"),
    ("POST", "/x/aliases"),
    ("DELETE", "/x/aliases/champion"),
    ("PATCH", "/x/versions/1"),
    ("POST", "/@org/x/versions"),
    ("POST", "/@org/x/aliases"),
    ("DELETE", "/@org/x"),
]
OFF = [
    ("POST", "/ajax-api/3.0/jobs/"),
    ("POST", "/ajax-api/3.0/jobs/search"),
    ("GET", "/ajax-api/3.0/mlflow/jobs/x"),
    ("POST", "/gateway/mlflow/v1/chat/completions"),
    ("POST", "/gateway/proxy/x/y"),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
    ("PUT", "/ajax-api/3.0/mlflow/assistant/config"),
    ("POST", "/ajax-api/3.0/mlflow/scorer/invoke"),
    ("POST", "/ajax-api/3.0/mlflow/genai/evaluate/invoke"),
    ("POST", "/ajax-api/3.0/mlflow/issues/invoke"),
    ("POST", "/ajax-api/3.0/mlflow/demo/generate"),
    ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url"),
    ("POST", "/api/3.0/mlflow/workspaces"),
    ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run"),
    ("POST", "/ajax-api/3.0/mlflow/issues/schedule/state"),
    *(
        (method, f"{prefix}/mlflow/skills{path}")
        for prefix in ("/api/3.0", "/ajax-api/3.0")
        for method, path in SKILLS
    ),
]


@pytest.mark.parametrize(("method", "path"), sample(OFF, 3))
def test_way_18_what_runs_code_on_the_server_is_off(site: Site, method: str, path: str) -> None:
    answer = site.ask(method, path, {}, "admin")
    assert answer.status == 403, answer.text
    assert "switched off" in answer.text
    assert site.ask(method, path, {}, "").status == 401


# -- grants ----------------------------------------------------------------------------------------


def refused(site: Site, model: str, version: str, why: str) -> None:
    with site.as_(WORKER) as client, pytest.raises(MlflowException, match=why):
        client.set_registered_model_alias(model, "champion", version)


@ON_ALL_PAIRS
def test_a_grant_signed_by_somebody_else_is_not_taken(line: Line) -> None:
    site = line.site
    ed25519.create(site.folder / "evil.pem", site.folder / "evil-keys")
    evil = ed25519.FileSigner(site.folder / "evil.pem")
    body = {"envelope": site.envelope(site.grant(line.model, line.evil), evil)}
    assert site.ask("POST", "/airlock/grants", body).status == 403
    refused(site, line.model, line.evil, "no unspent grant")


@pytest.mark.parametrize(
    "body", [{}, {"envelope": ""}, {"envelope": 1}, {"envelope": "{}", "x": 1}]
)
def test_what_is_no_grant_is_not_taken(site: Site, body: dict[str, object]) -> None:
    answer = site.ask("POST", "/airlock/grants", body)
    assert answer.status in (403, 422)


@pytest.mark.parametrize("envelope", ["{}", "[]", '{"payload": 1}', "x", '"x"', "null"])
def test_an_envelope_of_rubbish_is_refused_in_words(site: Site, envelope: str) -> None:
    answer = site.ask("POST", "/airlock/grants", {"envelope": envelope})
    assert answer.status == 403
    assert "PERMISSION_DENIED" in answer.text


@ON_ALL_PAIRS
def test_a_grant_is_spent_once(site: Site) -> None:
    line = Line(site)
    grant = site.release(line.model, line.evil)
    site.release(line.model, line.good)
    site.hand_in(grant)
    refused(site, line.model, line.evil, "no unspent grant")
    refused(site, line.model, line.good, "no unspent grant")
    assert site.alias(line.model) == line.good


CHANGES = {
    "one that lives longer than any is made for": (
        {"expires_at": datetime(2100, 1, 1, tzinfo=UTC)},
        "made to live for longer than 0:02:00",
    ),
    "an expired one": (
        {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)},
        "expired at",
    ),
    "for other bytes": ({"artifact_digest": "sha256:" + "1" * 64}, "somebody changed them"),
    "for another place": ({"location": "mlflow-artifacts:/9/models/m-x/artifacts"}, "the grant is"),
    "for a state that is over": ({"expected_current": "7"}, "was given while"),
    "for nothing before it": ({"expected_current": None}, "was given while"),
    "with an old number": ({"sequence": 0}, "came later"),
}


@ON_ALL_PAIRS
@pytest.mark.parametrize("name", CHANGES)
def test_a_signed_grant_is_bound(line: Line, name: str) -> None:
    changes, why = CHANGES[name]
    fresh = line.site.candidate(line.model, name.encode())
    line.site.hand_in(line.site.grant(line.model, fresh, **changes))
    refused(line.site, line.model, fresh, why)


@ON_ALL_PAIRS
def test_a_grant_for_one_version_moves_no_other(line: Line) -> None:
    fresh = line.site.candidate(line.model, b"approved")
    line.site.hand_in(line.site.grant(line.model, fresh))
    refused(line.site, line.model, line.evil, "no unspent grant")


def test_a_grant_for_one_alias_or_model_moves_no_other(line: Line, site: Site) -> None:
    fresh, other = site.candidate(line.model, b"z"), f"other-{uuid.uuid4().hex[:6]}"
    site.hand_in(site.grant(line.model, fresh, alias="production"))
    refused(site, line.model, fresh, "no unspent grant")
    version = site.candidate(other)
    site.hand_in(replace(site.grant(other, version), model=line.model, version="999"))
    refused(site, other, version, "no unspent grant")


def test_a_version_that_was_never_frozen_is_not_promoted(site: Site) -> None:
    model = f"thawed-{uuid.uuid4().hex[:6]}"
    with site.as_("ana") as client:
        client.create_registered_model(model)
        logged = client.create_logged_model("0")
        site.ask(
            "PUT",
            f"/api/2.0/mlflow-artifacts/artifacts/0/models/{logged.model_id}/artifacts/f",
            b"x",
        )
        made = client.create_model_version(
            model, f"models:/{logged.model_id}", model_id=logged.model_id
        )
    site.hand_in(site.grant(model, str(made.version)))
    refused(site, model, str(made.version), "never frozen")


def test_a_grant_from_the_future_closes_and_says_that_a_clock_is_wrong(line: Line) -> None:
    fresh = line.site.candidate(line.model, b"future")
    ahead = datetime.now(UTC) + timedelta(hours=1)
    late = line.site.grant(line.model, fresh, issued_at=ahead, expires_at=ahead + timedelta(days=1))
    answer = line.site.hand_in(late)
    assert answer.status == 503
    assert "one of the two clocks is wrong" in answer.text


@ON_ALL_PAIRS
@pytest.mark.race
def test_of_eight_at_once_with_one_grant_one_succeeds(site: Site) -> None:
    line = Line(site)
    grant = site.grant(line.model, line.evil)
    assert site.hand_in(grant).status == 201
    body = {"name": line.model, "alias": "champion", "version": line.evil}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: site.ask("POST", f"{API}/registered-models/alias", body, WORKER), range(8)
            )
        )
    assert sorted(one.status for one in answers) == [200] + [403] * 7, answers
    site.moved(grant)
    assert site.alias(line.model) == line.evil
