"""A real HDFS log through a real Fluentd: in_tail → `@type krone` → alerts to a file."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluentd_rig import COMMAND, FLUENTD, REPOSITORY, Fluentd, krone_conf, tail_conf

EVENTS = REPOSITORY.parent / "shared" / "data" / "hdfs_raw" / "events.parquet"
BUNDLE = REPOSITORY / "models" / "hdfs"
# Times must be UTC wherever this runs.
ZONE = "Asia/Tokyo"

pytestmark = [
    pytest.mark.fluentd,
    pytest.mark.skipif(FLUENTD is None, reason="no `fluentd` command on PATH"),
    pytest.mark.skipif(not EVENTS.exists(), reason="../shared/data/hdfs_raw is not here"),
    pytest.mark.skipif(not (BUNDLE / "manifest.json").exists(), reason="models/hdfs is not built"),
]

CONF = tail_conf(
    "hdfs",
    r"""
  <parse>
    @type regexp
    expression /^(?<time>\d{{6}} \d{{6}}) (?<pid>\d+) (?<level>[A-Z]+) (?<component>[^ ]+): (?<message>.*)$/
    time_format %y%m%d %H%M%S
    utc true
  </parse>
""",
) + krone_conf(
    "hdfs",
    "",
    """
    @type file
    path {dir}/buffer
    chunk_limit_size 1m
    flush_interval 1
    flush_at_shutdown true
""",
)


@pytest.fixture
def fluentd(tmp_path: Path) -> Iterator[Fluentd]:
    running = Fluentd(tmp_path, CONF, BUNDLE, zone=ZONE)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """The sample as the log file that it was: `081109 203530 147 INFO dfs.DataNode$DataXceiver:
    Receiving …`.
    """
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(
        EVENTS, columns=["date", "time", "id", "level", "component", "m_message"]
    )
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [" ".join(row) + "\n" for row in rows]


def test_alerts_are_those_of_a_replay(fluentd: Fluentd, lines: list[str], tmp_path: Path) -> None:
    fluentd.append(lines)
    fluentd.wait_until_read()
    fluentd.stop()

    replayed = tmp_path / "replayed.jsonl"
    replay = [
        *COMMAND,
        "replay",
        "--bundle",
        str(BUNDLE),
        "--input",
        str(EVENTS),
        "--alerts",
        str(replayed),
    ]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TZ": ZONE}
    subprocess.run(replay, env=environment, check=True, capture_output=True)
    expected = [json.loads(line)["alert_id"] for line in replayed.read_text().splitlines()]
    assert sorted(str(alert["alert_id"]) for alert in fluentd.alerts()) == sorted(expected)
    assert expected


def test_a_killed_child_costs_no_chunk_and_fluentd_goes_on(
    fluentd: Fluentd, lines: list[str]
) -> None:
    before, after = lines[:30_000], lines[30_000:60_000]
    fluentd.append(before)
    fluentd.wait_until_read()
    fluentd.wait_for(lambda: len(fluentd.children()) == 1)
    first = fluentd.children()[0]
    os.kill(first, signal.SIGSTOP)  # what it is handed from now on it can't ack
    fluentd.append(after)
    fluentd.wait_until_read()
    fluentd.wait_for(lambda: any(fluentd.folder.glob("buffer/buffer.q*.log")))
    os.kill(first, signal.SIGKILL)
    fluentd.wait_for(lambda: len(fluentd.children()) == 2)
    fluentd.stop()

    errors = [line for line in fluentd.log().splitlines() if "[error]" in line]
    assert len(errors) == 1
    assert "fluent-krone died" in errors[0]
    assert not list(fluentd.folder.glob("buffer/*")), "all chunks were acked"
    taken = next(
        int(match[1])
        for line in fluentd.log().splitlines()
        if (match := re.search(r"stats .*\brecords=(\d+)", line))
    )
    assert taken >= len(after), "told by the second child, the only one that came to an end"
