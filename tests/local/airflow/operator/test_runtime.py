"""What `runtime="operator"` refuses when a run is planned."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from tests.local.airflow.operator.test_trial import plan

from podmap.airflow.operator.runtime import OperatorRuntime
from podmap.errors import UsageError

pytestmark = pytest.mark.airflow


def test_pruning_is_refused(tmp_path: Path) -> None:
    planned = plan(tmp_path, prune={"kind": "asha", "max_steps": 9})
    check = OperatorRuntime.check_plan(
        cast(Any, None), cast(Any, None), planned, cast(Any, None), log=None
    )
    with pytest.raises(UsageError, match="prune: with runtime='operator'"):
        asyncio.run(check)
