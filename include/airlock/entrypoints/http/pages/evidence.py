"""What people look at beside a release: its plots and model card, and what its code changes.

Rules:
* Only files that the evidence about the release's own bytes names are sent, by digest, with the
  media type of their kind and no larger than `MOST`. They come from tasks, so they run nothing and
  load nothing: the policy of their answers says `sandbox`.
* A diff is text of a limited size, escaped like everything else.

FastAPI reads these signatures, so there is no `from __future__ import annotations` here.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse, Response

from airlock.entrypoints.http.api.evidence import EvidenceReader
from airlock.entrypoints.http.dependencies import Airlock, ReleaseId
from airlock.entrypoints.http.pages.base import Reader, render
from airlock.services.queries import code_changes, releases

routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Digest = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$")]
#: The largest file that is shown, in bytes.
MOST = 8 << 20
#: A plot and a card carry their own style.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@routes.get("/releases/{release_id}/files/{digest}")
def file(
    airlock: Airlock, actor: EvidenceReader, release_id: ReleaseId, digest: Digest
) -> Response:
    """Send a plot or the model card of a release."""
    evidence_file = releases.evidence_file(airlock.store, release_id, digest)
    headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "private, max-age=86400, immutable",  # a digest has one content
    }
    return Response(airlock.files.read(digest, MOST), 200, headers, evidence_file.media_type)


@routes.get("/releases/{release_id}/code")
def code(request: Request, airlock: Airlock, actor: Reader, release_id: ReleaseId) -> Response:
    """Show what the code of a release changes against the champion's."""
    view = releases.show(airlock.store, airlock.keyring, release_id, actor)
    compared = code_changes.compare(airlock.store, airlock.code, release_id)
    return render(request, "code.html", me=actor, release=view, code=compared)
