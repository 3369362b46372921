"""What may be wrong in a pipeline: a sentence -> the edit that spoils it and what must be said."""

from __future__ import annotations

#: Sentence -> (old text, new text, line, path, what the message must say)
REFUSALS: dict[str, tuple[str, str, int, str, str]] = {
    "an unknown key": (
        "  environment: production", "  enviroment: production", 18, "spec.enviroment",
        'found the key "enviroment". Did you mean "environment"?',
    ),
    "an unknown top-level key": (
        "spec:\n", "specs: 1\nspec:\n", 4, "specs", 'Did you mean "spec"?',
    ),
    "an unknown key in a stage": (
        "{cpu: 1, memoryMb: 1024}", "{cpu: 1, memoryMB: 1024}", 21,
        "spec.stages[0].resources.memoryMB",
        'only the keys cpu, memoryMb; found the key "memoryMB"',
    ),
    "detached, which is not supported yet": (
        "spec:\n", "spec:\n  detached: true\n", 5, "spec.detached", 'found the key "detached"',
    ),
    "a text for a number": (
        "memoryMb: 1024", 'memoryMb: "1024"', 21, "spec.stages[0].resources.memoryMb",
        'expected a whole number; found the text "1024"',
    ),
    "a fraction for a whole number": (
        "memoryMb: 1024", "memoryMb: 10.5", 21, "spec.stages[0].resources.memoryMb",
        "expected a whole number; found the number 10.5",
    ),
    "yes for a boolean": (
        'cron: "0 2 * * *"', "onCommit: yes", 9, "spec.triggers.onCommit",
        'expected true or false; found the text "yes"',
    ),
    "a trigger that nothing fires": (
        'cron: "0 2 * * *"', "onDrift: true", 9, "spec.triggers.onDrift",
        "expected false: nothing looks for drift in production yet",
    ),
    "a boolean for a number": (
        "holdout: 0.25", "holdout: true", 13, "spec.data.holdout", "expected a number; found true",
    ),
    "a number for a text": (
        "target: churned", "target: 7", 12, "spec.data.target", "expected text",
    ),
    "a list for a mapping": (
        "    path: include/models/churn", "    - path", 5, "spec.sourceCode",
        "expected a mapping; found a list of 1",
    ),
    "a mapping for a list": (
        "  gates:\n    - gate: data-validation",
        "  gates: {}\n  x:\n    - gate: data-validation", 26,
        "spec.gates", "expected a list; found an empty mapping",
    ),
    "a missing key": (
        "  trainingScript: train.py\n", "", 4, "spec.trainingScript",
        "expected a value for this key; found nothing",
    ),
    "a missing script": (
        "train.py", "trian.py", 7, "spec.trainingScript", "expected a file that exists; found",
    ),
    "a script that is no Python": (
        "train.py", "train.sh", 7, "spec.trainingScript", "a Python file, ending in .py",
    ),
    "a script outside its folder": (
        "trainingScript: train.py", "trainingScript: ../../x.py", 7, "spec.trainingScript",
        "a relative path to a file",
    ),
    "missing data": (
        "data.parquet", "rows.parquet", 11, "spec.data.source", "expected a file that exists",
    ),
    "an absolute path": (
        "source: include/models/churn/data.parquet", "source: /etc/passwd", 11, "spec.data.source",
        'found the text "/etc/passwd"',
    ),
    "a path into a hidden folder": (
        "source: include/models/churn/data.parquet", "source: .airlock/secrets/signing.pem", 11,
        "spec.data.source", "nothing in it starting with a dot",
    ),
    "a path with a null byte": (
        "path: include/models/churn", 'path: "include\\0"', 6, "spec.sourceCode.path",
        "a relative path to a folder",
    ),
    "a path too long for the system": (
        "path: include/models/churn", f"path: {'x' * 5000}", 6, "spec.sourceCode.path",
        "a folder",
    ),
    "a missing code folder": (
        "path: include/models/churn", "path: include/models/chrun", 6, "spec.sourceCode.path",
        "a folder that exists",
    ),
    "a cron that does not parse": (
        "0 2 * * *", "0 25 * * *", 9, "spec.triggers.cron", "expected a cron expression that fires",
    ),
    "a cron with seconds": (
        "0 2 * * *", "0 0 2 * * *", 9, "spec.triggers.cron", "five fields",
    ),
    "a cron that never fires": (
        "0 2 * * *", "0 2 31 2 *", 9, "spec.triggers.cron", "a cron expression that fires",
    ),
    "a misspelled preset": (
        "0 2 * * *", "@dayly", 9, "spec.triggers.cron", 'Did you mean "@daily"?',
    ),
    "a holdout of nothing": (
        "holdout: 0.25", "holdout: 0", 13, "spec.data.holdout",
        "expected a number above 0; found the number 0",
    ),
    "a holdout of everything": (
        "holdout: 0.25", "holdout: 0.9", 13, "spec.data.holdout", "expected a number below 0.9",
    ),
    "an unknown gate": (
        "gate: artifact-format", "gate: artefact-format", 28, "spec.gates[1].gate",
        'Did you mean "artifact-format"?',
    ),
    "a gate without a name": (
        "gate: artifact-format", "metric: roc_auc", 28, "spec.gates[1]", "one of the gates",
    ),
    "a gate that is only a word": (
        "- gate: artifact-format", "- artifact-format", 28, "spec.gates[1]", "expected a mapping",
    ),
    "an unknown option of a gate": (
        "margin: 0.005", "margn: 0.005", 31, "spec.gates[2].margn", 'Did you mean "margin"?',
    ),
    "a missing option of a gate": (
        "      margin: 0.005\n", "", 29, "spec.gates[2].margin", "found nothing",
    ),
    "an option of a wrong type": (
        "margin: 0.005", "margin: small", 31, "spec.gates[2].margin",
        'expected a number; found the text "small"',
    ),
    "a margin out of range": (
        "margin: 0.005", "margin: -1", 31, "spec.gates[2].margin",
        "expected margin above 0; found the number -1",
    ),
    "a threshold out of range": (
        "roc_auc: 0.74", "roc_auc: 74", 24, "spec.stages[1].metricsThreshold.roc_auc",
        "between 0 and 1; found the number 74",
    ),
    "a latency out of range": (
        "latencyMs: 150", "latencyMs: 0", 25, "spec.stages[1].metricsThreshold.latencyMs",
        "above 0",
    ),
    "an unknown metric in a threshold": (
        "roc_auc: 0.74", "rocauc: 0.74", 24, "spec.stages[1].metricsThreshold.rocauc",
        'Did you mean "roc_auc"?',
    ),
    "an unknown metric in a gate": (
        "metric: roc_auc", "metric: rocauc", 30, "spec.gates[2].metric", 'Did you mean "roc_auc"?',
    ),
    "a threshold that is not a number": (
        "roc_auc: 0.74", "roc_auc: .nan", 24, "spec.stages[1].metricsThreshold.roc_auc",
        'expected a number; found the text ".nan"',
    ),
    "thresholds in the wrong stage": (
        "    - name: evaluate", "    - name: validate", 23, "spec.stages[1].metricsThreshold",
        "in the stage evaluate",
    ),
    "a gate twice": (
        "gate: artifact-format", "gate: data-validation", 28, "spec.gates[1].gate",
        "each gate once; found data-validation again",
    ),
    "a required gate missing": (
        "    - gate: data-validation\n", "", 26, "spec.gates",
        "expected the required gate data-validation",
    ),
    "an unknown stage": (
        "name: train\n", "name: trian\n", 20, "spec.stages[0].name", 'Did you mean "train"?',
    ),
    "a stage twice": (
        "name: train\n", "name: evaluate\n", 22, "spec.stages[1].name", "evaluate again",
    ),
    "an unknown fact": (
        "personalData: true", "personnelData: true", 17, "spec.risk.personnelData",
        'Did you mean "personalData"?',
    ),
    "a fact left out": (
        "    personalData: true\n", "", 14, "spec.risk.personalData",
        "expected this fact declared; found nothing",
    ),
    "a choice that is none": (
        "customerImpact: direct", "customerImpact: dirct", 15, "spec.risk.customerImpact",
        'expected one of direct, indirect, none; found the text "dirct". Did you mean "direct"?',
    ),
    "a text for a true fact": (
        "automatedDecision: true", 'automatedDecision: "true"', 16, "spec.risk.automatedDecision",
        "one of false, true",
    ),
    "a number for a fact": (
        "automatedDecision: true", "automatedDecision: 1", 16, "spec.risk.automatedDecision",
        "text, true or false; found the number 1",
    ),
    "an unknown environment": (
        "environment: production", "environment: prodution", 18, "spec.environment",
        'Did you mean "production"?',
    ),
    "a name Airflow and MLflow could not both carry": (
        "name: churn", "name: Churn Model", 3, "metadata.name", "lower-case letters",
    ),
    "a name too long": ("name: churn", f"name: {'x' * 51}", 3, "metadata.name", "at most 50"),
    "an owner with a look-alike letter": (
        "owner: ana", "owner: \u0430na", 3, "metadata.owner", "plain letters",
    ),
    "a wrong kind": (
        "kind: ModelPipeline", "kind: ModelPipline", 2, "kind", 'Did you mean "ModelPipeline"?',
    ),
    "a policy among the pipelines": (
        "kind: ModelPipeline", "kind: RiskPolicy", 2, "kind", "expected ModelPipeline; found",
    ),
    "another version": (
        "airlock/v1", "airlock/v2", 1, "apiVersion", 'airlock/v1; found the text "airlock/v2"',
    ),
    "a key twice": (
        "  environment: production", "  environment: staging\n  environment: production", 19,
        "spec.environment", "once; found it again, first on line 18",
    ),
    "an alias": ("cpu: 1", "cpu: *cpu", 21, "spec.stages[0].resources.cpu", "the alias *cpu"),
    "a value left open": (
        'cron: "0 2 * * *"', "cron:", 9, "spec.triggers.cron", "expected a value; found nothing",
    ),
    "an answer to an open release that is none": (
        "  environment: production", "  environment: production\n  whenReleaseOpen: replace", 19,
        "spec.whenReleaseOpen", "one of keep, supersede",
    ),
    "a timeout of never": (
        "    - name: train\n", "    - name: train\n      timeoutMinutes: 0\n", 21,
        "spec.stages[0].timeoutMinutes", "at least 1",
    ),
    "a metric of another task in a gate": (
        "metric: roc_auc", "metric: rmse", 30, "spec.gates[2].metric",
        'a metric of the pipeline\'s task, one of accuracy',
    ),
    "a metric of another task in a threshold": (
        "roc_auc: 0.74", "rmse: 0.74", 26, "spec.gates", "a metric of the pipeline's task",
    ),
    "an unknown task": (
        "target: churned", "target: churned\n    task: clasification", 13, "spec.data.task",
        'Did you mean "classification"?',
    ),
    "no threshold in a threshold": (
        "\n        roc_auc: 0.74\n        latencyMs: 150", " {}", 23,
        "spec.stages[1].metricsThreshold", "at least one entry; found an empty mapping",
    ),
    "a time column that is the target": (
        "target: churned", "target: churned\n    timeColumn: churned", 13, "spec.data.timeColumn",
        "another column than the target",
    ),
    "an entity that is the target": (
        "target: churned", "target: churned\n    entityColumn: churned", 13,
        "spec.data.entityColumn", "another column than the target",
    ),
    "times without a time to compare with": (
        "target: churned", "target: churned\n    availableAt: {paid: paid_on}", 13,
        "spec.data.availableAt", "nothing without timeColumn",
    ),
    "a serving log outside the checkout": (
        "target: churned", "target: churned\n    servingLog: ../log.parquet", 13,
        "spec.data.servingLog", "nothing in it starting with a dot",
    ),
}  # fmt: skip
