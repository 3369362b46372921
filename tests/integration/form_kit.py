"""Filling in the forms of the pages as a browser does: hidden fields and all."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.integration.door_kit import Doors


def form_at(page: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form that is sent to an address."""
    form = re.search(
        rf'<form method="post" action="/airlock{action}">(.*?)</form>', page, re.DOTALL
    )
    assert form is not None, f"there is no form for {action}"
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[1]))


def has_form(page: str, action: str) -> bool:
    return f'action="/airlock{action}"' in page


def sent(doors: Doors, user: str, page: str, action: str, **fields: Any) -> httpx.Response:
    """Fill in a form as a browser does, and send it."""
    http = doors.page(user)
    hidden = form_at(http.get(page).text, action)
    return http.post(action, data={**hidden, **fields})


def conditional(doors: Doors, release_id: str, **fields: Any) -> httpx.Response:
    page = f"/releases/{release_id}"
    typed = {"decision": "approve", "reason": "good enough for a start", **fields}
    return sent(doors, "lena", page, f"{page}/votes", **typed)
