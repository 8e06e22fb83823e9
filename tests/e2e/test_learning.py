"""One `<match>` block without any bundle: a real Fluentd learns one and finds the faults behind."""

from __future__ import annotations

import json
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fluent_krone.learning.bundles import BundleFolder

REPOSITORY = Path(__file__).parents[2]
# Long enough for a fit on a machine that is busy with other things.
_PATIENCE_S = 300

pytestmark = [
    pytest.mark.fluentd,
    pytest.mark.skipif(shutil.which("fluentd") is None, reason="no `fluentd` command on PATH"),
]

_CONF = """
<source>
  @type tail
  path {dir}/app.log
  pos_file {dir}/app.pos
  read_from_head true
  refresh_interval 1
  tag shop
  <parse>
    @type json
    time_key time
    time_type unixtime
  </parse>
</source>
<match shop>
  @type krone
  command {command}
  bundle {dir}/bundles
  learn 5m
  alerts session
  on_shutdown judge
  store {dir}/krone.db
  <buffer tag>
    flush_interval 0.2
  </buffer>
</match>
<match krone.**>
  @type file
  path {dir}/alerts
  append true
  <format>
    @type json
  </format>
  <buffer time>
    flush_mode immediate
  </buffer>
</match>
"""
_NORMAL = (
    ("order {} placed", "payment of {} captured", "order {} packed", "order {} sent"),
    ("order {} placed", "payment of {} captured", "order {} sent"),
)
_WRONG = ("order {} placed", "robot lost {} in aisle 7", "robot lost {} in aisle 9")


def orders(count: int, began: int, wrong: int = 0) -> list[str]:
    """Lines of a log; every so-manieth order goes wrong."""
    rng = random.Random(began)
    lines = []
    for number in range(count):
        name = f"{rng.getrandbits(48):012x}"
        steps = rng.choice(_NORMAL)
        if wrong and number % wrong == 0:
            steps = _WRONG
        for at, step in enumerate(steps):
            record = {"time": began + number + at, "order": name, "message": step.format(name)}
            lines.append((record["time"], json.dumps(record) + "\n"))
    return [line for _, line in sorted(lines)]


def wrong_orders(lines: list[str]) -> set[str]:
    records = map(json.loads, lines)
    return {record["order"] for record in records if "robot lost" in record["message"]}


def test_one_match_block_learns_its_bundle_and_finds_what_goes_wrong(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "fluent_krone"])
    (tmp_path / "fluent.conf").write_text(_CONF.format(dir=tmp_path, command=command))
    log = tmp_path / "fluentd.log"
    began = int(time.time()) - 7200
    # More than the five minutes that are learnt from: an old log counts by its own times.
    (tmp_path / "app.log").write_text("".join(orders(600, began)))
    odd = orders(100, began + 600, wrong=20)
    plugin = REPOSITORY / "fluent_krone" / "fluentd"
    with log.open("w") as output:
        fluentd = subprocess.Popen(
            ["fluentd", "--no-supervisor", "-c", tmp_path / "fluent.conf", "-p", plugin],
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            assert fluentd.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def read() -> bool:
        position = (tmp_path / "app.pos").read_text().split("\t")
        return int(position[1], 16) == (tmp_path / "app.log").stat().st_size

    try:
        wait_for(lambda: "learnt: the stream is judged" in log.read_text())
        assert "session key, suggested: order" in log.read_text()
        with (tmp_path / "app.log").open("a") as file:
            file.writelines(odd)
        wait_for(read)
    finally:
        fluentd.terminate()
        fluentd.wait(120)
    alerts = [
        json.loads(line)
        for path in tmp_path.glob("alerts*.log")
        for line in path.read_text().splitlines()
    ]
    found = {session for alert in alerts for session in _sessions(alert)}
    assert found == wrong_orders(odd)
    folder = BundleFolder(tmp_path / "bundles")
    assert folder.current is not None
    assert not folder.learning.exists()


def _sessions(alert: dict[str, object]) -> list[str]:
    """The orders that an alert is about."""
    if alert["kind"] == "unseen_template":
        return []
    session = alert["session"]
    assert isinstance(session, list)
    return [str(part) for part in session]
