"""Both checks of a payload: the models of slack_sdk, and Slack's published limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from airlock.ports.chat import ChatMessage
from tests.unit.slack.limits import message_problems, view_problems


def check_blocks(blocks: Sequence[Mapping[str, Any]]) -> None:
    """Parse and validate blocks as slack_sdk would send them; nothing may be lost on the way."""
    for block, parsed in zip(
        blocks, Block.parse_all([dict(block) for block in blocks]), strict=True
    ):
        assert parsed.to_dict().keys() == block.keys()


def check_said(message: ChatMessage) -> None:
    """Check a message, also without its table."""
    for blocks in filter(None, (message.blocks, message.plainer)):
        check_blocks(blocks)
        assert message_problems(message.text, blocks) == []


def check_view(view: Mapping[str, Any]) -> None:
    """Check a modal or a home."""
    View(**view).to_dict()
    check_blocks(view["blocks"])
    assert view_problems(view) == []


def check_reply(reply: Mapping[str, Any]) -> None:
    """Check the answer to a command."""
    assert reply["response_type"] == "ephemeral"
    check_blocks(reply["blocks"])
    assert message_problems(reply["text"], reply["blocks"]) == []
