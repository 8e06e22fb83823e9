"""The small form of `bench/keep.py`: every record that is kept is looked for by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
NOTHING_WRONG = {"lost": 0, "sessions_out_of_order": 0, "changed": 0, "under_two_ids": 0}


def measured(shared_data: Path, folder: Path, runs: str, *flags: str) -> dict[str, Any]:
    bench = [sys.executable, str(REPOSITORY / "bench" / "keep.py"), "--json", "--only", runs]
    data = ["--data", str(shared_data / "hdfs_raw"), "--pause", "2", *flags]
    done = subprocess.run([*bench, *data], capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in NOTHING_WRONG}


def test_no_fault_costs_a_kept_record_or_gives_it_two_ids(
    shared_data: Path, tmp_path: Path
) -> None:
    runs = "kills,receiver_away,size_reached"
    found = measured(shared_data, tmp_path, runs, "--events", "5000", "--kills", "4")
    for name, figures in found.items():
        assert told(figures) == NOTHING_WRONG, name
        assert figures["abnormal_sessions"] > 10
    assert found["kills"]["ends"] == 4
    assert found["size_reached"]["by_reason"]["size"] > 0


@pytest.mark.fluentd
def test_kept_records_come_back_through_fluentd_as_they_went_in(
    shared_data: Path, tmp_path: Path
) -> None:
    figures = measured(shared_data, tmp_path, "fluentd", "--events", "8000")["fluentd"]
    if "skipped" in figures:
        pytest.skip(figures["skipped"])
    assert told(figures) == NOTHING_WRONG
    assert figures["kinds_missing"] == 0
    assert figures["kept"] + figures["counted_in_summaries"] == figures["records"]
