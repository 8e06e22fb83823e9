"""One `<match>` block without any bundle: a real Fluentd learns one and finds the faults behind."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from fluentd_rig import FLUENTD, Fluentd, krone_conf, tail_conf

from fluent_krone.learning.bundles import BundleFolder

# Long enough for a fit on a machine that is busy with other things.
_LONGEST_S = 300

pytestmark = [
    pytest.mark.fluentd,
    pytest.mark.skipif(FLUENTD is None, reason="no `fluentd` command on PATH"),
]

_CONF = tail_conf(
    "shop",
    """
  <parse>
    @type json
    time_key time
    time_type unixtime
  </parse>
""",
) + krone_conf("shop", "  store {dir}/krone.db\n  learn 5m")
_NORMAL = (
    ("order {} placed", "payment of {} captured", "order {} packed", "order {} sent"),
    ("order {} placed", "payment of {} captured", "order {} sent"),
)
_WRONG = ("order {} placed", "robot lost {} in aisle 7", "robot lost {} in aisle 9")


def orders(count: int, began: int, wrong: int = 0) -> list[str]:
    """Lines of a log; one in `wrong` orders goes wrong."""
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
    began = int(time.time()) - 7200
    odd = orders(100, began + 600, wrong=20)
    fluentd = Fluentd(tmp_path, _CONF, tmp_path / "bundles")
    try:
        # More than the five minutes that are learnt from: an old log counts by its own times.
        fluentd.append(orders(600, began))
        fluentd.wait_for(lambda: fluentd.told("learnt: the stream is judged") > 0, _LONGEST_S)
        assert "session key, suggested: order" in fluentd.log()
        fluentd.append(odd)
        fluentd.wait_until_read()
    finally:
        fluentd.stop()
    alerts = fluentd.alerts()
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
