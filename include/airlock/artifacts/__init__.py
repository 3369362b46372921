"""What a model folder holds, decided by its bytes and never by loading it.

`facts` are the evidence of the artifact-format gate; `airlock.serving` and `airlock security scan`
ask the same question of the same code.
"""

from airlock.artifacts.folder import facts, format_of, kind_of
from airlock.artifacts.refusals import Refusal
from airlock.domain.artifact_formats import MODEL_FORMATS, SIDE_FORMATS

__all__ = ["MODEL_FORMATS", "SIDE_FORMATS", "Refusal", "facts", "format_of", "kind_of"]
