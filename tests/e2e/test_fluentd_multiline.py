"""Records over several lines: what a file of them teaches, Fluentd's multiline parser hands on."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fluentd_rig import FLUENTD, Fluentd, krone_conf, tail_conf

from fluent_krone.cli import main

pytestmark = [
    pytest.mark.fluentd,
    pytest.mark.skipif(FLUENTD is None, reason="no `fluentd` command on PATH"),
]

_CONF = tail_conf(
    "shop",
    """
  multiline_flush_interval 1s
  <parse>
    @type multiline
    format_firstline /^[A-Z][a-z]{{2}} [0-9]{{2}}, [0-9]{{4}} /
    format1 /^(?<message>.*)/
  </parse>
""",
) + krone_conf("shop")
_STEPS = (
    ("Orders accept", "INFO", "accepted {}"),
    ("Stock reserve", "INFO", "reserved stock for {}"),
    ("Pay charge", "INFO", "charged card for {}"),
    ("Ship send", "INFO", "sent {}"),
)
_TRACE = "\njava.io.IOException: no paper\n\tat com.shop.Ship.send(Ship.java:7)"
_FAILED = ("Ship send", "SEVERE", "no label for {}" + _TRACE)


def orders(count: int, began: int, wrong: int = 0) -> str:
    """A log of `java.util.logging`; one in `wrong` orders fails at its last step."""
    rng = random.Random(began)
    events = []
    for number in range(count):
        name = f"order-{rng.getrandbits(40):010x}"
        steps = list(_STEPS)
        if wrong and number % wrong == 0:
            steps[-1] = _FAILED
        for at, (logger, level, text) in enumerate(steps):
            events.append((began + 3 * number + 2 * at, logger, level, text.format(name)))
    events.sort()
    return "".join(_record(*event) for event in events)


def _record(at: int, logger: str, level: str, text: str) -> str:
    time = datetime.fromtimestamp(at, UTC).strftime("%b %d, %Y %I:%M:%S %p")
    return f"{time} com.shop.{logger}\n{level}: {text}\n"


def test_records_are_read_as_those_of_the_file(tmp_path: Path) -> None:
    training = tmp_path / "training.log"
    training.write_text(orders(300, 1_760_000_000))
    bundle = tmp_path / "bundle"
    key = ["--session-key", "/order-[0-9a-f]{10}/"]
    assert main(["export", "fit", "--input", str(training), *key, "--output", str(bundle)]) == 0
    later = orders(60, 1_760_010_000, wrong=20)
    failed = set(re.findall(r"SEVERE: no label for (.*)", later))
    assert len(failed) == 3

    fluentd = Fluentd(tmp_path, _CONF, bundle)
    try:
        fluentd.append([later])
        fluentd.wait_until_read()
        fluentd.wait_for(lambda: fluentd.told("fluent-krone is ready") > 0)
    finally:
        fluentd.stop()
    alerts = [alert for alert in fluentd.alerts() if alert["kind"] in ("sequence", "deviation")]
    assert {alert["session"][0] for alert in alerts} == failed
    assert all("com.shop.Ship: no label for" in alert["explanation"] for alert in alerts)
