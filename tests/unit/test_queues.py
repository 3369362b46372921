"""The queue of a task comes from its class and its DAG file, whatever the DAG says."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.airflow
