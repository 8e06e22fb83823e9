"""A real HDFS log through a real Fluentd: in_tail → `@type krone` → alerts to a file."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
EVENTS = REPOSITORY.parent / "shared" / "data" / "hdfs_raw" / "events.parquet"
BUNDLE = REPOSITORY / "models" / "hdfs"
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(REPOSITORY),
    "TZ": "Asia/Tokyo",
}  # times must be UTC wherever this runs
COMMAND = [sys.executable, "-m", "fluent_krone"]
FLUENTD = shutil.which("fluentd")

pytestmark = [
    pytest.mark.fluentd,
    pytest.mark.skipif(FLUENTD is None, reason="no `fluentd` command on PATH"),
    pytest.mark.skipif(not EVENTS.exists(), reason="../shared/data/hdfs_raw is not here"),
    pytest.mark.skipif(not (BUNDLE / "manifest.json").exists(), reason="models/hdfs is not built"),
]

CONF = r"""
<source>
  @type tail
  path {dir}/hdfs.log
  pos_file {dir}/hdfs.pos
  read_from_head true
  tag hdfs
  <parse>
    @type regexp
    expression /^(?<time>\d{{6}} \d{{6}}) (?<pid>\d+) (?<level>[A-Z]+) (?<component>[^ ]+): (?<message>.*)$/
    time_format %y%m%d %H%M%S
    utc true
  </parse>
</source>

<match hdfs.**>
  @type krone
  command {command}
  bundle {bundle}
  on_shutdown judge
  alerts session
  <buffer tag>
    @type file
    path {dir}/buffer
    chunk_limit_size 1m
    flush_interval 1
    flush_at_shutdown true
  </buffer>
</match>

<match krone.**>
  @type file
  path {dir}/alerts
  append true
  <format>
    @type json
  </format>
  <buffer>
    flush_mode immediate
    flush_at_shutdown true
  </buffer>
</match>
"""


class Fluentd:
    """A running Fluentd over one directory: hdfs.log goes in, alerts come out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        conf = directory / "fluent.conf"
        conf.write_text(CONF.format(dir=directory, bundle=BUNDLE, command=shlex.join(COMMAND)))
        (directory / "hdfs.log").touch()
        self._log = (directory / "fluentd.log").open("w")
        self._process = subprocess.Popen(
            [FLUENTD or "fluentd", "-c", str(conf), "-p", self._plugin_dir()],
            env=ENVIRONMENT,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def log(self) -> list[str]:
        return (self.directory / "fluentd.log").read_text().splitlines()

    def children(self) -> list[int]:
        """Process ids of all children that became ready, in order."""
        found = (re.search(r"fluent-krone is ready .*\bpid=(\d+)", line) for line in self.log())
        return [int(match[1]) for match in found if match]

    def append(self, lines: str) -> None:
        with (self.directory / "hdfs.log").open("a") as file:
            file.write(lines)

    def wait_until_read(self) -> None:
        """Until in_tail has emitted the whole file: its position says so."""
        size = (self.directory / "hdfs.log").stat().st_size
        wait_for(lambda: self._position() == size)

    def stop(self) -> None:
        """As a service manager would; Fluentd flushes its buffers, the child its sessions."""
        self._process.terminate()
        assert self._process.wait(timeout=120) == 0

    def alerts(self) -> list[dict[str, object]]:
        files = sorted(self.directory.glob("alerts*.log"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=120)
        self._log.close()

    def _position(self) -> int:
        path = self.directory / "hdfs.pos"
        entries = path.read_text().split("\t") if path.exists() else []
        return int(entries[1], 16) if len(entries) > 2 else -1

    @staticmethod
    def _plugin_dir() -> str:
        answer = subprocess.run(
            [*COMMAND, "plugin-dir"], env=ENVIRONMENT, capture_output=True, text=True, check=True
        )
        return answer.stdout.strip()


def wait_for(condition: Callable[[], bool], timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)


@pytest.fixture
def fluentd(tmp_path: Path) -> Iterator[Fluentd]:
    running = Fluentd(tmp_path)
    yield running
    running.close()


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
    fluentd.append("".join(lines))
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
    subprocess.run(replay, env=ENVIRONMENT, check=True, capture_output=True)
    expected = [json.loads(line)["alert_id"] for line in replayed.read_text().splitlines()]
    assert sorted(str(alert["alert_id"]) for alert in fluentd.alerts()) == sorted(expected)
    assert expected


def test_a_killed_child_costs_no_chunk_and_fluentd_goes_on(
    fluentd: Fluentd, lines: list[str]
) -> None:
    before, after = lines[:30_000], lines[30_000:60_000]
    fluentd.append("".join(before))
    fluentd.wait_until_read()
    wait_for(lambda: len(fluentd.children()) == 1)
    first = fluentd.children()[0]
    os.kill(first, signal.SIGSTOP)  # what it is handed from now on it can't ack
    fluentd.append("".join(after))
    fluentd.wait_until_read()
    wait_for(lambda: any(fluentd.directory.glob("buffer/buffer.q*.log")))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(fluentd.children()) == 2)
    fluentd.stop()

    errors = [line for line in fluentd.log() if "[error]" in line]
    assert len(errors) == 1
    assert "fluent-krone died" in errors[0]
    assert not list(fluentd.directory.glob("buffer/*")), "all chunks were acked"
    taken = next(
        int(match[1])
        for line in fluentd.log()
        if (match := re.search(r"stats .*\brecords=(\d+)", line))
    )
    assert taken >= len(after), "told by the second child, the only one that came to an end"
