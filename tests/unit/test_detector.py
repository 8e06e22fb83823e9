"""The engine for Python programs: ordinary dictionaries and times in, findings and alerts out."""

from __future__ import annotations

import contextlib
import io
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from synthetic import GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK

import fluent_krone
from fluent_krone import Detector, Finding, load_bundle
from fluent_krone.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
BAD = (OPEN, OPENED, GOING, STUCK)


def records(ride: str, keys: tuple[int, ...]) -> list[dict[str, str]]:
    return [{"ride": ride, "message": MESSAGES[key]} for key in keys]


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def test_the_documented_example_runs_and_finds_the_fault() -> None:
    page = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "docs/python.md", "exec"), {})
    lines = printed.getvalue().splitlines()
    assert any(line.startswith("sequence | ['blk_42'] | ") for line in lines), lines


def test_text_records_are_judged(bundle_dir: Path) -> None:
    detector = Detector(load_bundle(str(bundle_dir)))
    events = [(1_700_000_000.0, r) for r in records("good", NORMAL[1]) + records("bad", BAD)]
    findings = detector.feed(events) + detector.finish()
    assert kinds(findings) == ["unseen_template", "sequence"]
    assert [detector.alert(finding).record["session"] for finding in findings] == [["bad"]] * 2
    assert detector.counters["events"] == len(events)
    assert not [name for name in detector.counters if name.startswith("set_aside_")]


def test_times_of_each_form_are_the_same_moment(bundle_dir: Path) -> None:
    seconds = 1_700_000_000.25
    moment = datetime.fromtimestamp(seconds, UTC)
    bundle = load_bundle(str(bundle_dir))
    found = []
    for when in (
        seconds,
        moment,
        moment.replace(tzinfo=None),
        moment.astimezone(timezone(timedelta(hours=8))),
    ):
        detector = Detector(bundle)
        findings = detector.feed([(when, record) for record in records("bad", BAD)])
        found.append([detector.alert(finding).record for finding in findings + detector.finish()])
    assert found[0][0]["started_at"] == "2023-11-14T22:13:20.250Z"
    assert found == [found[0]] * 4


def test_no_time_means_now(bundle_dir: Path) -> None:
    detector = Detector(load_bundle(str(bundle_dir)))
    before = time.time_ns()
    [finding, *_] = detector.feed([(None, record) for record in records("bad", BAD)])
    assert before <= finding.last_ns <= time.time_ns()


def test_a_record_without_a_message_is_counted(bundle_dir: Path) -> None:
    detector = Detector(load_bundle(str(bundle_dir)))
    assert detector.feed([(1.0, {"ride": "1", "msg": "x"})]) == []
    assert detector.counters["set_aside_no_message"] == 1


def test_parameters_are_those_of_the_documentation(bundle_dir: Path) -> None:
    bundle = load_bundle(str(bundle_dir))
    detector = Detector(bundle, message_field="msg", tag="odd.${tag}")
    events = [(1.0, {"ride": "1", "msg": MESSAGES[key]}) for key in BAD]
    [finding, *_] = detector.feed(events, tag="app") + detector.finish()
    assert detector.alert(finding).tag == "odd.app"
    with pytest.raises(ConfigError, match="idle_timeout must be positive"):
        Detector(bundle, idle_timeout=0.0)


def test_a_snapshot_goes_on_where_it_was_taken(bundle_dir: Path) -> None:
    bundle = load_bundle(str(bundle_dir))
    events = [(1_700_000_000.0, record) for record in records("bad", BAD)]
    whole = Detector(bundle)
    expected = whole.feed(events) + whole.finish()
    first = Detector(bundle)
    findings = first.feed(events[:2])
    second = Detector(bundle)
    second.restore(first.snapshot())
    assert findings + second.feed(events[2:]) + second.finish() == expected


def test_the_package_lists_what_it_offers() -> None:
    for name in fluent_krone.__all__:
        assert getattr(fluent_krone, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fluent_krone.nothing  # noqa: B018
