"""What can go wrong in the lab, each with its own name.

LabFailure           the input, the script or the model is at fault: never retried
├── DataInvalid          empty, a missing column, no target, one class only, other bytes
├── SuiteInvalid         the expectations cannot be read or are none
├── TrainingFailed       the script raised, or ended without a model
├── TrainingReturnedNothing   None, or an object that cannot predict
├── ModelUnsafe          not in a safe format, or holds a type off our trust list
├── EvaluationFailed     the model loads but does not predict these rows
├── CheckBroke           an error of ours on this input: the same input breaks again
├── MetricNotFinite      a metric or a prediction is NaN or infinite
├── StageTimedOut        past its wall-clock limit   (TrainingTimedOut)
└── StageOutOfMemory     past its memory limit       (TrainingOutOfMemory)
LabInterrupted       the child was killed from outside, or the machine failed it: retry
└── ChildCrashed         by a signal nobody sent: a crash of its own
"""

from __future__ import annotations

from airlock.domain.errors import AirlockError, Refused, Unreachable


class LabFailure(Refused):
    """The data, the script or the model is at fault; the same input fails again."""


class DataInvalid(LabFailure):
    """The data cannot be used for this model."""


class SuiteInvalid(LabFailure):
    """The expectations cannot be read, or there are none."""


class TrainingFailed(LabFailure):
    """The training script raised, or ended without a model."""


class TrainingReturnedNothing(LabFailure):
    """The training script returned nothing that can predict."""


class ModelUnsafe(LabFailure):
    """The model is not in a safe format, or holds a type we do not trust."""


class EvaluationFailed(LabFailure):
    """The model does not predict the held-out rows."""


class CheckBroke(LabFailure):
    """The check itself broke on this input; the same input breaks it again."""


class MetricNotFinite(LabFailure):
    """A metric or a prediction is NaN or infinite."""


class StageTimedOut(LabFailure):
    """The stage ran past its wall-clock limit and was killed."""


class TrainingTimedOut(StageTimedOut):
    """The training ran past its wall-clock limit and was killed."""


class StageOutOfMemory(LabFailure):
    """The stage used more memory than its limit and was killed."""


class TrainingOutOfMemory(StageOutOfMemory):
    """The training used more memory than its limit and was killed."""


class LabInterrupted(Unreachable):
    """The child was killed from outside, or broke before it could say why."""


class ChildCrashed(LabInterrupted):
    """The child ended by a signal that nobody sent, such as a bad access to memory."""


#: What a child may report, by name. Explicit, so that a report can never name another class.
REPORTABLE: dict[str, type[AirlockError]] = {
    kind.__name__: kind
    for kind in (
        DataInvalid,
        SuiteInvalid,
        TrainingFailed,
        TrainingReturnedNothing,
        TrainingOutOfMemory,
        StageOutOfMemory,
        ModelUnsafe,
        EvaluationFailed,
        MetricNotFinite,
        CheckBroke,
        LabInterrupted,
    )
}
