"""`bench/living.py` says what is wrong with its arguments before it fits anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "living.py"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "marks", "nothing"], "invalid choice: 'nothing'"),
        (["--variants", "ax"], "unknown variant 'x'"),
        (["--seeds", "5-2"], "has no seed"),
    ],
)
def test_unknown_names_are_refused(arguments: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert told in done.stderr
