"""Hostile clients of a running `serve`: others are served all the same, and memory is bounded.

Short forms of what `bench/hostile.py` does at length.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attacks import ATTACKS, Attack, under_attack


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_others_notice_nothing(attack: Attack, bundle_dir: Path) -> None:
    outcome = asyncio.run(under_attack(bundle_dir, attack, scale=0.1))
    assert outcome.acked == outcome.sent > 0
    assert outcome.records == outcome.sent
    assert outcome.grown_bytes <= attack.memory_bytes
    assert "BUG" not in outcome.log and "Traceback" not in outcome.log
    for trace in attack.traces:
        assert trace in outcome.log
