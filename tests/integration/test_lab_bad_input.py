"""Every bad input gets a failure with a name and a sentence; nothing is left running."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest

from airlock.adapters.datasets.files import DataUnusable, FileData
from airlock.adapters.jobs import EvaluateRequest, Lab, Limits, ValidateRequest, errors, process
from airlock.adapters.jobs.process import LOG_LIMIT
from airlock.domain.errors import Refused, Unreachable
from tests.integration.lab_kit import GOOD, LIMITS, pinned, rows, script, trained
from tests.support import sample

pytestmark = pytest.mark.integration


# -- the data ------------------------------------------------------------------------------------


def test_empty_data_is_refused_when_it_is_pinned(tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    rows().iloc[:0].to_parquet(source, index=False)
    with pytest.raises(DataUnusable, match="has no rows"):
        FileData(tmp_path / "data").pin(source)


def test_a_missing_target_column_is_named(tmp_path: Path) -> None:
    data = pinned(tmp_path, rows(), target="labell")
    with pytest.raises(errors.DataInvalid, match="data of demo has no column 'labell'; it has one"):
        trained(tmp_path, data)


def test_a_target_without_any_value_is_named(tmp_path: Path) -> None:
    data = pinned(tmp_path, rows().assign(label=float("nan")))
    with pytest.raises(errors.DataInvalid, match="all of 400 values of the target 'label' are mis"):
        trained(tmp_path, data)


def test_one_class_only_is_named(tmp_path: Path) -> None:
    data = pinned(tmp_path, rows().assign(label=1))
    with pytest.raises(errors.DataInvalid, match=r"one class only \(1\) in the data; expected 0"):
        trained(tmp_path, data)


def test_one_class_only_in_the_held_out_part_is_named(tmp_path: Path) -> None:
    table = rows()
    table.loc[250:, "label"] = 0
    with pytest.raises(errors.DataInvalid, match=r"one class only \(0\) in the held-out part"):
        trained(tmp_path, pinned(tmp_path, table))


@pytest.mark.parametrize(
    ("values", "said"),
    sample(
        [
            (["yes", "no"] * 200, r"holds text \(yes, no\); expected numbers"),
            ([True, False] * 200, r"holds boolean \(False, True\); expected numbers"),
            ([0, 2] * 200, "has the classes 0, 2; expected 0 and 1"),
            ([0.0, float("inf")] * 200, "holds infinite values"),
        ],
        4,
    ),
)
def test_a_target_of_the_wrong_kind_is_named(
    tmp_path: Path, values: list[object], said: str
) -> None:
    with pytest.raises(errors.DataInvalid, match=said):
        trained(tmp_path, pinned(tmp_path, rows().assign(label=values)))


def test_pinned_data_that_was_changed_is_refused(tmp_path: Path) -> None:
    data = pinned(tmp_path, rows())
    rows(seed=2).to_parquet(data.path, index=False)
    with pytest.raises(errors.DataInvalid, match=r"expected sha256:.*, found sha256:"):
        trained(tmp_path, data)


# -- the training script ---------------------------------------------------------------------------


def test_a_script_that_raises_is_named_with_its_line(tmp_path: Path) -> None:
    text = """
        def train(rows, target, seed):
            helper = {}
            return helper["no such key"]
    """
    with pytest.raises(errors.TrainingFailed) as caught:
        trained(tmp_path, pinned(tmp_path, rows()), text)
    assert str(caught.value) == "training of demo raised KeyError: 'no such key' at train.py:4"
    assert isinstance(caught.value, Refused)


def test_what_training_prints_is_in_the_log_of_its_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "airlock.lab")
    text = """
        def train(rows, target, seed):
            print("epoch 1 of 3\\x1b[2J")
            raise ValueError("no such age")
    """
    with pytest.raises(errors.TrainingFailed):
        trained(tmp_path, pinned(tmp_path, rows()), text)
    assert "epoch 1 of 3\N{REPLACEMENT CHARACTER}[2J" in caplog.messages
    assert "Traceback (most recent call last):" in caplog.messages
    assert "ValueError: no such age" in caplog.messages


def test_a_long_output_is_relayed_from_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "airlock.lab")
    text = "import os\nfor n in range(900):\n    print(n, flush=True)\nos._exit(7)\n"
    with pytest.raises(errors.TrainingFailed, match="without a result; the last it said: 899"):
        trained(tmp_path, pinned(tmp_path, rows()), text)
    assert "printed 500 lines more" in caplog.messages[0]
    assert caplog.messages[1:] == [str(n) for n in range(500, 900)]


@pytest.mark.parametrize(
    ("text", "said"),
    sample(
        [
            ("def train(rows, target, seed:\n    pass\n", r"raised SyntaxError: .* at train.py:1"),
            ("import no_such_package\n", r"raised ModuleNotFoundError: .* at train.py:1"),
            ("fit = 1\n", r"train.py defines no function train\(\)"),
            ("import sys\nsys.exit(3)\n", r"raised SystemExit: 3 at train.py:2"),
            (
                "import os\nos._exit(7)\n",
                r"training of demo ended with exit code 7 without a result",
            ),
            ("import os\nos.abort()\n", r"training of demo ended by SIGABRT without a result"),
        ],
        3,
    ),
)
def test_a_script_that_cannot_run_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(errors.TrainingFailed, match=said):
        trained(tmp_path, pinned(tmp_path, rows()), text)


@pytest.mark.parametrize(
    ("value", "said"),
    sample(
        [
            ("None", "returned None; expected a fitted estimator"),
            ("rows", "returned DataFrame, which has no predict"),
            (
                "__import__('sklearn.svm').svm.LinearSVC()",
                "returned LinearSVC, which has no predict_",
            ),
        ],
        2,
    ),
)
def test_a_script_that_returns_no_model_is_named(tmp_path: Path, value: str, said: str) -> None:
    text = f"def train(rows, target, seed):\n    return {value}\n"
    with pytest.raises(errors.TrainingReturnedNothing, match=said):
        trained(tmp_path, pinned(tmp_path, rows()), text)


def test_ten_megabytes_of_rubbish_are_cut_and_do_no_harm(tmp_path: Path) -> None:
    noisy = "import os\nfor _ in range(160):\n    os.write(1, os.urandom(65536))\n"
    with pytest.raises(errors.TrainingReturnedNothing):
        trained(tmp_path, pinned(tmp_path, rows()), noisy + "def train(*_):\n    return None\n")
    (log,) = (tmp_path / "lab").glob("*/log.txt")
    written = log.read_bytes()
    assert LOG_LIMIT < len(written) < LOG_LIMIT + 200
    assert b"more bytes of output were not kept" in written[-100:]


def test_a_script_that_never_ends_is_stopped(tmp_path: Path) -> None:
    text = "import time\n\ndef train(rows, target, seed):\n    time.sleep(600)\n"
    with pytest.raises(errors.TrainingTimedOut, match=r"stopped after \d+ s; its limit is 5 s"):
        trained(tmp_path, pinned(tmp_path, rows()), text, Limits(5, 2048, 1))


def test_what_a_child_has_started_is_killed_with_it(tmp_path: Path) -> None:
    text = """
        import pathlib, subprocess, time

        inside = subprocess.Popen(["sleep", "600"])
        outside = subprocess.Popen(["sleep", "600"], start_new_session=True)
        pathlib.Path("pids").write_text(f"{inside.pid} {outside.pid}")
        time.sleep(600)
    """
    limits = Limits(6, 512, 1)
    environment = process.clean_environment(tmp_path, sys.executable, limits, 0)
    argv = [sys.executable, str(script(tmp_path, text))]
    ending = process.run(argv, environment, tmp_path / "log.txt", limits)
    assert ending.reason == "time"
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2
    for pid in map(int, pids):
        _assert_gone(pid)


def test_a_script_that_eats_memory_is_stopped(tmp_path: Path) -> None:
    text = """
        import time

        def train(rows, target, seed):
            hoard = []
            while True:
                hoard.append(bytearray(b"x" * 20_000_000))
                time.sleep(0.02)
    """
    with pytest.raises(errors.TrainingOutOfMemory, match=r"held \d+ MB .*; its limit is 600 MB"):
        trained(tmp_path, pinned(tmp_path, rows()), text, Limits(60, 600, 1))


def test_a_memory_error_in_the_script_is_named(tmp_path: Path) -> None:
    text = "def train(rows, target, seed):\n    return bytearray(1 << 62)\n"
    with pytest.raises(errors.TrainingOutOfMemory, match=r"ran out of memory at train\.py:2"):
        trained(tmp_path, pinned(tmp_path, rows()), text)


def test_a_killed_child_is_an_accident_and_may_be_retried(tmp_path: Path) -> None:
    text = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    with pytest.raises(errors.LabInterrupted, match="was killed from outside by SIGKILL") as caught:
        trained(tmp_path, pinned(tmp_path, rows()), text)
    assert isinstance(caught.value, Unreachable)


def test_the_script_sees_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://secret")
    text = "import os\nraise ValueError(sorted(os.environ))\n"
    with pytest.raises(errors.TrainingFailed) as caught:
        trained(tmp_path, pinned(tmp_path, rows()), text)
    for name in ("AIRLOCK", "AIRFLOW", "TRACKING"):
        assert name not in str(caught.value)
    assert "OMP_NUM_THREADS" in str(caught.value)


# -- the model -------------------------------------------------------------------------------------


def test_an_own_class_in_the_model_is_refused(tmp_path: Path) -> None:
    text = """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        def double(x):
            return x * 2

        def train(rows, target, seed):
            model = make_pipeline(FunctionTransformer(double), LogisticRegression())
            return model.fit(rows.drop(columns=[target]), rows[target])
    """
    with pytest.raises(errors.ModelUnsafe, match=r"not trusted: airlock_user_train\.double"):
        trained(tmp_path, pinned(tmp_path, rows()), text)


def test_a_model_that_predicts_nan_is_named(tmp_path: Path) -> None:
    text = """
        import numpy
        from sklearn.linear_model import LogisticRegression

        def train(rows, target, seed):
            model = LogisticRegression().fit(rows.drop(columns=[target]), rows[target])
            model.coef_ = model.coef_ * numpy.nan
            return model
    """
    with pytest.raises(errors.MetricNotFinite, match="predicts NaN or infinity for 300 of 300"):
        trained(tmp_path, pinned(tmp_path, rows()), text)


def test_a_metric_that_is_not_finite_is_named(tmp_path: Path) -> None:
    table = rows().assign(label=3.0)  # no variance: r2 divides by zero
    data = pinned(tmp_path, table, task="regression")
    text = GOOD.replace("LogisticRegression", "LinearRegression")
    with pytest.raises(errors.MetricNotFinite, match=r"r2 of the model demo is (nan|-inf) on 300"):
        trained(tmp_path, data, text)


def test_a_link_in_the_model_folder_is_refused(tmp_path: Path) -> None:
    text = (
        _dedented(GOOD)
        + """
import atexit, os, pathlib

def plant():
    (folder,) = pathlib.Path(os.environ["HOME"]).glob("model")
    (folder / "notes.json").symlink_to("/etc/passwd")

atexit.register(plant)
"""
    )
    with pytest.raises(errors.ModelUnsafe, match=r"model demo holds links: notes\.json"):
        trained(tmp_path, pinned(tmp_path, rows()), text)


def test_a_forged_result_is_not_believed(tmp_path: Path) -> None:
    text = """
        import os, pathlib, sys

        pathlib.Path(sys.argv[2]).write_text('{"result": {"metrics": {"roc_auc": 1.0}}}')
        os._exit(0)
    """
    with pytest.raises(errors.TrainingFailed, match="left no model folder"):
        trained(tmp_path, pinned(tmp_path, rows()), text)


@pytest.fixture(scope="module")
def good_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on the good rows, shared because training takes seconds."""
    folder = tmp_path_factory.mktemp("good")
    return trained(folder, pinned(folder, rows())).model


def test_a_model_that_is_no_skops_file_is_not_loaded(tmp_path: Path, good_model: Path) -> None:
    data = pinned(tmp_path, rows())
    model = Path(shutil.copytree(good_model, tmp_path / "model"))
    (model / "model.skops").rename(model / "model.pkl")
    request = EvaluateRequest(name="demo", data=data, candidate=model, limits=LIMITS)
    with pytest.raises(errors.ModelUnsafe, match=r"expected a file model\.skops, found MLmodel"):
        Lab(tmp_path / "lab").evaluate(request)


def test_a_column_that_vanished_is_named(tmp_path: Path, good_model: Path) -> None:
    data = pinned(tmp_path, rows().drop(columns=["two"]))
    request = EvaluateRequest(name="demo", data=data, candidate=good_model, limits=LIMITS)
    with pytest.raises(errors.DataInvalid, match=r"lacks the columns \['two'\]"):
        Lab(tmp_path / "lab").evaluate(request)


# -- the suite -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    sample(
        [
            ("def expectations():\n    return []\n", "has no expectations; an empty suite proves"),
            (
                "def expectations():\n    return 1 / 0\n",
                r"raised ZeroDivisionError: .* at suite.py:2",
            ),
            ("wrong = 1\n", "raised AttributeError"),
        ],
        2,
    ),
)
def test_a_suite_that_proves_nothing_is_named(tmp_path: Path, text: str, said: str) -> None:
    request = ValidateRequest(
        name="demo",
        data=pinned(tmp_path, rows()),
        suite=script(tmp_path, text, "suite.py"),
        limits=LIMITS,
    )
    with pytest.raises(errors.SuiteInvalid, match=said):
        Lab(tmp_path / "lab").validate(request)


def _dedented(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)


def _assert_gone(pid: int) -> None:
    """A zombie counts as gone: it runs nothing."""
    for _ in range(50):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
            os.kill(pid, 0)
        except (psutil.Error, ProcessLookupError):
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} still runs")
