"""Prometheus' rules and Grafana's dashboard name declared metrics, and each alarm goes off."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "tools"))

import alarms  # noqa: E402
import dashboard  # noqa: E402
import generate  # noqa: E402

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no `promtool` command on PATH")
LABELS = {"instance": "web1:24231", "job": "fluent-krone"}


def test_the_files_are_not_stale() -> None:
    assert generate.RULES.read_text(encoding="utf-8") == alarms.rules(), "run `make generate`"
    assert generate.DASHBOARD.read_text(encoding="utf-8") == dashboard.dashboard()
    text = generate.METRICS.read_text(encoding="utf-8")
    assert alarms.markdown_table() in text
    assert generate.measurements(text) == text


def test_alarms_name_declared_metrics() -> None:
    for alarm in alarms.ALARMS:
        named = alarms.metrics_in(alarm.expression)
        assert named and named <= alarms.declared(), alarm.name
        assert {name.partition("{")[0] for name, _ in alarm.series} <= named, alarm.name


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    content = json.loads(dashboard.dashboard())
    shown = set()
    for panel in content["panels"]:
        for target in panel.get("targets", []):
            shown |= {name.removesuffix("_bucket") for name in alarms.metrics_in(target["expr"])}
    assert shown == alarms.declared()


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    numbers = set()
    for panel in json.loads(dashboard.dashboard())["panels"]:
        place = panel["gridPos"]
        numbers.add(panel["id"])
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert len(numbers) == len(json.loads(dashboard.dashboard())["panels"])


def test_queries_have_legends_of_their_own() -> None:
    for panel in json.loads(dashboard.dashboard())["panels"]:
        legends = [target["legendFormat"] for target in panel.get("targets", [])]
        assert len(legends) == len(set(legends)), panel["title"]


def run_promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_reads_the_rules() -> None:
    found = run_promtool("check", "rules", str(generate.RULES))
    assert f"SUCCESS: {len(alarms.ALARMS)} rules found" in found


def series_of(alarm: alarms.Alarm, values: dict[str, str]) -> list[dict[str, str]]:
    labels = ", ".join(f'{name}="{value}"' for name, value in LABELS.items())
    rows = []
    for metric, numbers in values.items():
        name, _, own = metric.partition("{")
        own = own.rstrip("}")
        if own:
            own += ", "
        rows.append({"series": f"fluent_krone_{name}{{{own}{labels}}}", "values": numbers})
    return rows


def expected(alarm: alarms.Alarm) -> dict[str, Any]:
    found = dict(LABELS)
    if not alarm.series:
        # An absent metric has no labels.
        found = {}
    return {
        "exp_labels": {**found, "severity": alarm.severity},
        "exp_annotations": {"summary": alarm.summary, "description": alarm.remedy},
    }


@needs_promtool
def test_each_alarm_goes_off_and_none_in_a_quiet_stream(tmp_path: Path) -> None:
    """JSON is YAML, so promtool reads it."""
    tests = []
    for alarm in alarms.ALARMS:
        check = {"eval_time": "115m", "alertname": alarm.name, "exp_alerts": [expected(alarm)]}
        tests.append(
            {
                "interval": "1m",
                # All series last as long as the longest wait and range together.
                "input_series": series_of(
                    alarm,
                    {name: values.rsplit("x", 1)[0] + "x120" for name, values in alarm.series},
                ),
                "alert_rule_test": [check],
            }
        )
    quiet = {}
    for metric in sorted(alarms.declared()):
        quiet[metric] = "0x120"
        if metric in ("records_total", "events_total", "sessions_ended_total"):
            quiet[metric] = "0+100x120"
    tests.append(
        {
            "interval": "1m",
            "input_series": series_of(alarms.ALARMS[0], quiet),
            "alert_rule_test": [
                {"eval_time": "115m", "alertname": alarm.name, "exp_alerts": []}
                for alarm in alarms.ALARMS
            ],
        }
    )
    path = tmp_path / "test.yml"
    path.write_text(
        json.dumps(
            {"rule_files": [str(generate.RULES)], "evaluation_interval": "1m", "tests": tests}
        )
    )
    assert "SUCCESS" in run_promtool("test", "rules", str(path))
