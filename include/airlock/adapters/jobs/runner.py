"""The lab: validation, training, evaluation and latency, each in a child process of its own.

Rules:
* Heavy libraries and user code never run in this process.
* Each call works in a new folder below the lab's root and leaves it there, log included.
* Whatever went wrong has a name (errors.py), and the log's path is the next step.
* Digests are taken here, from the files, and never believed from a child.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airlock import artifacts
from airlock.adapters.jobs import errors, process, scanners, signing
from airlock.adapters.jobs.requests import (
    EvaluateRequest,
    EvaluateResult,
    FairnessRequest,
    LabData,
    LatencyRequest,
    LatencyResult,
    Limits,
    TrainRequest,
    TrainResult,
    ValidateRequest,
    ValidateResult,
)
from airlock.domain.digest import file_digest, folder_manifest, manifest_digest
from airlock.domain.errors import AirlockError, Refused

log = logging.getLogger("airlock.lab")

_RESULT_LIMIT = 16 << 20
#: So many lines of a child's output are repeated in the log of its task.
_RELAYED_LINES = 400
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Lab:
    """Runs stages below *root*, with the interpreter *python*; scanners are below *tools*.

    *team_code*: whether the model team's own code may run here; never where a credential lies.
    """

    def __init__(
        self,
        root: Path,
        python: str = sys.executable,
        tools: Path = Path(".airlock/tools"),
        team_code: bool = True,
        room: Callable[[], object] = bool,
    ) -> None:
        """*room* raises Unreachable while the disk has no room for new work."""
        self._room = room
        self._root = root.resolve()
        self._python = python
        self._tools = tools.resolve()
        self._team_code = team_code

    def validate(self, request: ValidateRequest) -> ValidateResult:
        """Hold the data against its suite (evidence data-validation)."""
        self.check_team_code(f"the suite of {request.name}")
        work = self._folder("validate", request.name)
        docs = work / "docs"
        extra = {"suite": str(request.suite.resolve()), "out": str(docs)}
        facts, _ = self._run("validate", work, request.name, request.data, request.limits, extra)
        facts |= {
            "dataDigest": request.data.digest,
            "docsDigest": manifest_digest(folder_manifest(docs)),
        }
        return ValidateResult(facts=facts, docs=docs, log=work / "log.txt")

    def train(self, request: TrainRequest) -> TrainResult:
        """Train and save a model folder."""
        self.check_team_code(f"the training of {request.name}")
        work = self._folder("train", request.name)
        model = work / "model"
        extra = {"script": str(request.script.resolve()), "out": str(model)}
        result, ending = self._run("train", work, request.name, request.data, request.limits, extra)
        manifest = _manifest(model, request.name)
        return TrainResult(
            model=model,
            artifact_digest=manifest_digest(manifest),
            manifest=manifest,
            params=result["params"],
            metrics=result["metrics"],
            features=tuple(result["features"]),
            rows=result["rows"],
            seconds=round(ending.seconds, 3),
            peak_mb=ending.peak_mb,
            log=work / "log.txt",
        )

    def evaluate(self, request: EvaluateRequest) -> EvaluateResult:
        """Measure candidate and champion (evidence evaluation and comparison)."""
        work = self._folder("evaluate", request.name)
        champion = request.champion
        out = work / "predictions.parquet"
        extra = {
            "candidate": str(request.candidate.resolve()),
            "champion": str(champion.model.resolve()) if champion else None,
            "bound": [asdict(item) for item in request.bound],
            "compare": [asdict(item) for item in request.compare],
            "slices": [asdict(item) for item in request.slices],
            "resamples": request.resamples,
            "out": str(out),
        }
        result, _ = self._run("evaluate", work, request.name, request.data, request.limits, extra)
        evaluation = {
            "rows": result["rows"],
            "rowsDigest": result["rowsDigest"],
            "period": result["period"],
            "dataDigest": request.data.digest,
            "task": request.data.task,
            "seed": request.data.seed,
            "resamples": request.resamples,
            "candidate": _side(request.candidate, result["candidate"]),
            "champion": {"version": champion.version} | _side(champion.model, result["champion"])
            if champion
            else None,
            "bounds": result["bounds"],
            "predictionsDigest": file_digest(out),
        }
        same = ("rows", "rowsDigest", "period", "predictionsDigest")
        comparison = {
            "champion": champion.version if champion else None,
            **{name: evaluation[name] for name in same},
            "comparisons": result["comparisons"],
        }
        return EvaluateResult(
            evaluation=evaluation, comparison=comparison, predictions=out, log=work / "log.txt"
        )

    def latency(self, request: LatencyRequest) -> LatencyResult:
        """Time predictions (evidence latency)."""
        work, champion = self._folder("latency", request.name), request.champion
        extra = {
            "model": str(request.model.resolve()),
            "champion": str(champion.model.resolve()) if champion else None,
            "n": request.n,
            "warmup": request.warmup,
            "batchRows": request.batch_rows,
            "batches": request.batches,
        }
        facts, _ = self._run("latency", work, request.name, request.data, request.limits, extra)
        if champion:
            digest = manifest_digest(folder_manifest(champion.model))
            facts["champion"] |= {"version": champion.version, "artifactDigest": digest}
        return LatencyResult(facts=facts, times=work / "times.parquet", log=work / "log.txt")

    def child(
        self,
        stage: str,
        name: str,
        data: LabData,
        limits: Limits,
        extra: dict[str, Any],
        module: str = "",
    ) -> tuple[dict[str, Any], Path]:
        """Run one child in a new folder, the stage's own unless *module* names another.

        *extra* may hold further rows; a child that leaves files is told of the folder `out`.
        Returns its result, and the folder.
        """
        work = self._folder(stage, name)
        plain = {
            k: _data(value) if isinstance(value, LabData) else value for k, value in extra.items()
        }
        request = {"out": str(work / "out")} | plain
        result, _ = self._run(stage, work, name, data, limits, request, module)
        return result, work

    def fairness(self, request: FairnessRequest) -> dict[str, Any]:
        """Compare groups of people (evidence fairness)."""
        work = self._folder("fairness", request.name)
        extra = {
            "model": str(request.model.resolve()),
            "attributes": [asdict(item) for item in request.attributes],
            "confidence": request.confidence,
            "minimumRows": request.minimum_rows,
            "resamples": request.resamples,
        }
        facts, _ = self._run("fairness", work, request.name, request.data, request.limits, extra)
        return facts | {"dataDigest": request.data.digest}

    def formats(self, model: Path) -> dict[str, Any]:
        """Name the format of every file of a model folder (evidence artifact-format)."""
        return artifacts.facts(model)

    def scan(self, model: Path) -> dict[str, Any]:
        """Let every scanner look at a model folder (evidence artifact-scan)."""
        return scanners.scan(model, self._folder("scan", model.name), self._tools)

    def sign(self, model: Path, key: Path) -> Path:
        """Sign a model folder; return the signature, which lies beside the folder."""
        return signing.sign(model, key, self._folder("sign", model.name), self._python)

    def signature(self, model: Path, keys: Path) -> dict[str, Any]:
        """Verify the signature that lies beside a model folder (evidence artifact-signature)."""
        return signing.verify(model, keys, self._folder("verify", model.name), self._python)

    @property
    def runs_team_code(self) -> bool:
        """Whether the model team's own code may run here."""
        return self._team_code

    def check_team_code(self, activity: str) -> None:
        """Refuse to run the model team's own code where it may not run.

        Raises:
            Refused: if this lab is where a credential lies.
        """
        if not self._team_code:
            raise Refused(
                f"{activity} is the model team's own code, and this worker holds a credential",
                next_step="The queue train runs it: docs/howto/production.md says which tasks.",
            )

    @property
    def python(self) -> str:
        """The interpreter of every child."""
        return self._python

    def workspace(self, stage: str, name: str) -> Path:
        """Return a new folder below the lab's root for a collector that runs tools."""
        return self._folder(stage, name)

    def _folder(self, stage: str, name: str) -> Path:
        """Return a new folder of this call."""
        self._room()
        self._root.mkdir(parents=True, exist_ok=True)
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:60]
        return Path(tempfile.mkdtemp(prefix=f"{stage}-{safe}-", dir=self._root))

    def _run(
        self,
        stage: str,
        work: Path,
        name: str,
        data: LabData,
        limits: Limits,
        extra: dict[str, Any],
        module: str = "",
    ) -> tuple[dict[str, Any], process.Ending]:
        """Run one child and return its result, or raise the failure by its name."""
        request, result = work / "request.json", work / "result.json"
        common = {"stage": stage, "name": name, "parent": os.getpid(), "data": _data(data)}
        request.write_text(json.dumps(common | {"work": str(work)} | extra, indent=2))
        module = module or f"airlock.adapters.jobs.programs.{stage}"
        ending = process.run(
            [self._python, "-m", module, str(request), str(result)],
            process.clean_environment(work, self._python, limits, data.seed),
            work / "log.txt",
            limits,
        )
        _relay(_NOUNS[stage], name, work / "log.txt")
        _raise_for_ending(stage, name, ending, limits, work)
        return _read(stage, name, ending, result), ending


def _relay(noun: str, name: str, output: Path) -> None:
    """Write what a child has printed, its traceback too, into this process's log: the task's.

    The end counts, so that is what a long output keeps; the rest is in the file.
    """
    lines = printed(output)
    left_out = len(lines) - _RELAYED_LINES
    if left_out > 0:
        log.info("%s of %s printed %d lines more; all are in %s", noun, name, left_out, output)
    for line in lines[-_RELAYED_LINES:]:
        log.info("%s", line)


def printed(output: Path) -> list[str]:
    """Return a child's output, line by line, without terminal control characters."""
    if not output.is_file():
        return []
    text = output.read_text("utf-8", "replace")
    return [
        _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", line)[:2_000] for line in text.splitlines()
    ]


def _manifest(model: Path, name: str) -> dict[str, str]:
    """Return the files of a trained model; user code may have put anything there."""
    if not (model / "MLmodel").is_file():
        raise errors.TrainingFailed(f"training of {name} left no model folder")
    odd = [path.name for path in model.rglob("*") if path.is_symlink()]
    if odd:
        # A link's target is not in the folder: it could be a secret, and it can change later.
        raise errors.ModelUnsafe(f"model {name} holds links: {', '.join(sorted(odd))}")
    return folder_manifest(model)


def _data(data: LabData) -> dict[str, Any]:
    return {
        "path": str(data.path.resolve()),
        "digest": data.digest,
        "target": data.target,
        "task": data.task,
        "timeColumn": data.time_column,
        "holdout": data.holdout,
        "seed": data.seed,
    }


def _side(model: Path, metrics: dict[str, float]) -> dict[str, Any]:
    return {"artifactDigest": manifest_digest(folder_manifest(model)), "metrics": metrics}


def _raise_for_ending(
    stage: str, name: str, ending: process.Ending, limits: Limits, work: Path
) -> None:
    """Raise if a limit ended the child."""
    training = stage == "train"
    activity = f"{_NOUNS[stage]} of {name}"
    if ending.reason == "time":
        raise (errors.TrainingTimedOut if training else errors.StageTimedOut)(
            f"{activity} was stopped after {ending.seconds:.0f} s; its limit is {limits.seconds} s",
            next_step=f"raise the stage's timeoutMinutes, or see {work / 'log.txt'}",
        )
    if ending.reason == "memory":
        raise (errors.TrainingOutOfMemory if training else errors.StageOutOfMemory)(
            f"{activity} held {ending.peak_mb} MB and was stopped; "
            f"its limit is {limits.memory_mb} MB",
            next_step=f"raise the stage's resources.memoryMb, or see {work / 'log.txt'}",
        )


_NOUNS = {
    "train": "training",
    "validate": "validation",
    "evaluate": "evaluation",
    "latency": "latency measurement",
    "fairness": "the comparison of groups",
    "sample": "drawing of requests",
    "footprint": "footprint measurement",
    "reproduce": "comparison with the model trained again",
    "serving": "serving check",
    "spread": "comparison of columns",
    "leakage": "search for leaks",
    "plots": "drawing",
}


def _read(stage: str, name: str, ending: process.Ending, result: Path) -> dict[str, Any]:
    """Return the child's result; raise the failure it reports, or name its silence."""
    where = f"see {result.with_name('log.txt')}"
    if not result.is_file():
        last = next((line for line in reversed(printed(result.with_name("log.txt"))) if line), "")
        activity = f"{_NOUNS[stage]} of {name}"
        raise _silence(activity, stage, ending.code, where, last.strip()[:300])
    if result.stat().st_size > _RESULT_LIMIT:
        raise errors.LabFailure(f"{_NOUNS[stage]} of {name} answered with too large a result")
    try:
        answer = json.loads(result.read_text())
        if "failure" in answer:
            kind = errors.REPORTABLE.get(answer["failure"], errors.LabInterrupted)
            raise kind(answer["message"], next_step=answer["nextStep"] or where)
        content: dict[str, Any] = answer["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise errors.LabFailure(
            f"{_NOUNS[stage]} of {name} answered with a result that cannot be read", next_step=where
        ) from error
    return content


def _silence(activity: str, stage: str, code: int, where: str, last: str) -> AirlockError:
    """Return the error for a child that left no result; *last*: the last it has printed."""
    if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):
        text = f"{activity} was killed from outside by {signal.Signals(-code).name}"
        return errors.LabInterrupted(text, next_step=f"try again; {where}")
    ended = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    broken = errors.ChildCrashed if code < 0 else errors.LabInterrupted
    kind = errors.TrainingFailed if stage == "train" else broken
    text = f"{activity} ended {ended} without a result" + (
        f"; the last it said: {last}" if last else ""
    )
    return kind(text, next_step=where)
