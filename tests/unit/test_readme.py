"""What README shows first is what comes out today; the list of peers names every test of one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.reading.line_formats import python_regex
from fluent_krone.reading.times import parse_time
from fluent_krone.reading.values import as_fields

REPOSITORY = Path(__file__).parents[2]


def fits(shown: Any, real: Any) -> bool:
    """Whether a value is as shown, where `…` stands for anything."""
    if shown == "…" or shown == ["…"]:
        return True
    if isinstance(shown, dict):
        named = shown.keys() - {"…"}
        return (
            named <= real.keys()
            and ("…" in shown or named == real.keys())
            and all(fits(shown[k], real[k]) for k in named)
        )
    if isinstance(shown, list):
        return len(shown) == len(real) and all(map(fits, shown, real))
    if isinstance(shown, float):
        return bool(real == pytest.approx(shown, abs=0.01))
    if isinstance(shown, str):
        return re.fullmatch(".+".join(map(re.escape, shown.split("…"))), str(real)) is not None
    return bool(shown == real)


def test_the_alert_that_readme_shows_is_the_one_that_comes_out() -> None:
    blocks = re.findall(
        r"^```\w*\n(.*?)^```$", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    match, lines, alert = blocks[:3]
    example = (REPOSITORY / "fluent.conf.example").read_text(encoding="utf-8")
    [expression] = re.findall(r"^ +expression /(.*)/$", example, re.M)
    [time_format] = re.findall(r"^ +time_format (.*)$", example, re.M)
    [bundle_name] = re.findall(r"^ +bundle (\w+)", match, re.M)

    bundle, config = load_bundle(bundle_name), Config()
    engine, maker = bundle.engine(config), AlertMaker(bundle, config)
    parsed = [re.match(python_regex(expression), line) for line in lines.splitlines()]
    events = [
        (parse_time(found["time"], time_format), as_fields(found.groupdict()))
        for found in parsed
        if found
    ]
    assert len(events) == len(parsed)
    alerts = [maker.make(finding) for finding in engine.feed("app.hdfs", events, events[-1][0])]

    assert sorted(alert.record["kind"] for alert in alerts) == ["sequence", "unseen_template"]
    [real] = [alert for alert in alerts if alert.record["kind"] == "sequence"]
    shown = json.loads(alert)
    assert real.tag == "krone.app.hdfs"
    assert {
        k: real.record[k] for k in shown if k != "…" and not fits(shown[k], real.record[k])
    } == {}


def test_each_end_to_end_test_is_listed_with_its_peers() -> None:
    folder = REPOSITORY / "tests" / "e2e"
    listed = re.findall(
        r"^\| `(test_\w+\.py)` \|", (folder / "README.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(listed) == sorted(path.name for path in folder.glob("test_*.py"))
