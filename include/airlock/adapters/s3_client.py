"""The S3 client of whatever keeps files in a bucket, with an end to every wait.

Credentials, region and address are those of the AWS SDK's own chain.
"""

from __future__ import annotations

import importlib
from typing import Any

from airlock.domain.errors import Invalid

#: Seconds to connect and between two parts of an answer, and how often each request is sent.
#: The SDK's own are a minute each, five times.
CONNECT_S, READ_S, ATTEMPTS = 5, 20, 2


def s3_client(content: str, setting: str) -> Any:
    """Return a client of boto3.

    *content* is kept there, *setting* names the bucket.

    Raises:
        Invalid: if boto3 is not installed.
    """
    try:
        boto3 = importlib.import_module("boto3")
        config = importlib.import_module("botocore.config").Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
    except ImportError as error:
        raise Invalid(
            f"{content} in S3 needs the package boto3, which is not installed",
            next_step=f"Install Airlock with the extra `aws`, or unset {setting}.",
        ) from error
    return boto3.client("s3", config=config)


def s3_code(error: Exception) -> str:
    """Return S3's own word for what went wrong; empty if the error is none of S3's answers."""
    answer = getattr(error, "response", None) or {}  # errors of a broken connection have None
    return str(answer.get("Error", {}).get("Code", ""))
