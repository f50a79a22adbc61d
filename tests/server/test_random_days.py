"""Short random days; see :mod:`tests.server.random_days` for long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.conftest import write_model
from tests.server.random_days import Day


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_day(seed: int, tmp_path: Path) -> None:
    day = Day(seed, write_model(tmp_path / "model"))
    day.run(12)
    assert day.answers > 10
    assert day.refusals > 2
