"""The samples beside this file: mypy must agree with every `assert_type` and every expected error.

`scripts/check` runs mypy over them too; here they fail as tests, with mypy's own words.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(Path(__file__).parent.glob("sample_*.py"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
@pytest.mark.timeout(300)
def test_mypy_agrees_with_the_sample(sample: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", str(sample)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
