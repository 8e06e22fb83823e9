"""A file through the engine, and the figures about it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from synthetic import GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK

from fluent_krone.commands.replay import Outcome, describe, replay, summary, write_alert
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.types import Alert

BAD = (OPEN, OPENED, GOING, STUCK)


def write_log(
    path: Path, rides: Sequence[tuple[str, Sequence[int]]], start: int = 1_700_000_000
) -> Path:
    """Rides one after the other, a line a second."""
    at = 0
    with path.open("w") as file:
        for name, keys in rides:
            for key in keys:
                print(
                    json.dumps({"time": start + at, "ride": name, "message": MESSAGES[key]}),
                    file=file,
                )
                at += 1
    return path


@pytest.fixture
def outcome(lift: Bundle, tmp_path: Path) -> tuple[Outcome, list[Alert]]:
    rides = [
        ("trained", NORMAL[0]),
        ("good", NORMAL[1]),
        ("missed", NORMAL[2]),
        ("bad", BAD),
        ("wrong", BAD),
    ]
    alerts: list[Alert] = []
    path = write_log(tmp_path / "log.jsonl", rides)
    return replay(lift, Config(), path, tag="app", on_alert=alerts.append), alerts


LABELS = {"trained": False, "good": False, "missed": True, "bad": True, "wrong": False}


def test_a_replay_judges_all_sessions_at_the_end(outcome: tuple[Outcome, list[Alert]]) -> None:
    result, alerts = outcome
    assert {key[0] for key in result.flagged} == {b"bad", b"wrong"}
    assert [alert.record["kind"] for alert in alerts] == ["unseen_template", "sequence", "sequence"]
    assert alerts[1].record["tag"] == "app"
    assert result.instances.total() == 5


@pytest.mark.parametrize("ahead_s", [8 * 3600, 1000 * 86_400])
def test_a_file_whose_times_are_ahead_of_the_clock_is_judged_by_them(
    ahead_s: int, lift: Bundle, tmp_path: Path
) -> None:
    """Was wrong: local times of the last hours were all taken for now, so that each step of each
    session came too soon."""
    start = int(time.time()) + ahead_s
    good = [(f"good{n}", NORMAL[1]) for n in range(5)]
    path = write_log(tmp_path / "log.jsonl", [*good, ("bad", BAD)], start)
    alerts: list[Alert] = []
    result = replay(lift, Config(), path, on_alert=alerts.append)
    begun = {alert.record["started_at"] for alert in alerts if alert.record["session"] == ["bad"]}
    first = datetime.fromtimestamp(start + 5 * len(NORMAL[1]), UTC)
    assert {key[0] for key in result.flagged} == {b"bad"}
    assert f"{first:%Y-%m-%dT%H:%M:%S}.000Z" in begun
    assert result.trouble is not None
    assert "ahead of the clock" in result.trouble
    assert "by arrival" not in result.trouble


def test_figures_without_labels(outcome: tuple[Outcome, list[Alert]], lift: Bundle) -> None:
    figures = summary(outcome[0], lift, None, keep_fitted=False)
    assert figures.pop("events_per_s") > 0
    assert figures == {
        "events": 22,
        "unmatched": 0,
        "sessions": 5,
        "instances": 5,
        "left_out": 0,
        "flagged": 2,
        "alerts": 3,
    }


def test_figures_are_for_sessions_that_the_bundle_was_not_fitted_on(
    outcome: tuple[Outcome, list[Alert]], lift: Bundle
) -> None:
    figures = summary(outcome[0], lift, LABELS, keep_fitted=False)
    assert {name: figures[name] for name in ("left_out", "unlabelled", "tp", "fp", "fn", "tn")} == {
        "left_out": 1,
        "unlabelled": 0,
        "tp": 1,
        "fp": 1,
        "fn": 1,
        "tn": 1,
    }
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0.5, 0.5, 0.5)
    kept = summary(outcome[0], lift, LABELS, keep_fitted=True)
    assert (kept["left_out"], kept["tn"]) == (0, 2)


def test_sessions_without_a_label_are_told(
    outcome: tuple[Outcome, list[Alert]], lift: Bundle
) -> None:
    figures = summary(outcome[0], lift, {"good": False}, keep_fitted=False)
    assert (figures["unlabelled"], figures["tn"], figures["precision"], figures["f1"]) == (
        4,
        1,
        None,
        None,
    )


def test_a_session_counts_once_however_many_instances_it_has(lift: Bundle, tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.jsonl", [("a", BAD), ("b", NORMAL[0] * 30), ("a", NORMAL[0])])
    figures = summary(replay(lift, Config(), path), lift, {"a": True, "b": True}, keep_fitted=False)
    assert (figures["sessions"], figures["instances"], figures["tp"]) == (2, 3, 2)


def test_what_was_set_aside_is_told(lift: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"ride": "a"}\n{"message": "x"}\nnonsense\n')
    figures = summary(replay(lift, Config(), path), lift, None, keep_fitted=False)
    assert (
        figures["set_aside_no_message"],
        figures["set_aside_no_session_key"],
        figures["sessions"],
    ) == (2, 1, 0)
    assert "set aside: 2 × no_message, 1 × no_session_key" in describe(figures, lift)


def test_lines_without_times_are_one_moment(lift: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [{"ride": "a", "message": MESSAGES[key]} for key in NORMAL[1]]
    lines.insert(2, {"ride": "b", "message": MESSAGES[OPEN], "time": 1_700_000_000})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = replay(lift, Config(), path)
    assert result.instances == {(b"a",): 1, (b"b",): 1}
    assert not result.flagged[(b"a",)]


def test_an_empty_file_is_no_failure(lift: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.touch()
    figures = summary(replay(lift, Config(), path), lift, {}, keep_fitted=False)
    assert (figures["events"], figures["sessions"], figures["f1"]) == (0, 0, None)
    assert describe(figures, lift)


def test_two_replays_give_the_same_alerts(lift: Bundle, tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.jsonl", [("a", BAD), ("b", BAD)])
    runs: list[list[Any]] = []
    for _ in range(2):
        alerts: list[Alert] = []
        replay(lift, Config(), path, on_alert=alerts.append)
        runs.append(alerts)
    assert runs[0] == runs[1]


def test_a_description_for_a_person(outcome: tuple[Outcome, list[Alert]], lift: Bundle) -> None:
    text = describe(summary(outcome[0], lift, LABELS, keep_fitted=False), lift)
    assert "22 events in 5 sessions, " in text
    assert "1 of 2 abnormal sessions flagged, and 1 of 2 normal ones" in text
    assert "F1 0.5)" in text
    assert "not counted: 1 session that the bundle was fitted on" in text


def test_alerts_are_lines_of_json(outcome: tuple[Outcome, list[Alert]]) -> None:
    file = io.StringIO()
    for alert in outcome[1]:
        write_alert(file)(alert)
    assert [json.loads(line)["alert_id"] for line in file.getvalue().splitlines()] == [
        a.alert_id for a in outcome[1]
    ]
