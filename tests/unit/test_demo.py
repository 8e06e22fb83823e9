"""The demo: the real server finds what the simulator did, says so readably, and counts honestly."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest

from fluent_krone.cli import main
from fluent_krone.demo import live as demo
from fluent_krone.demo.damage import KINDS, Fault
from fluent_krone.demo.simulator import simulate, stream
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.errors import ConfigError
from fluent_krone.types import Alert


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle("demo")


def figures(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["demo", "--json", *flags]) == 0
    [line] = capsys.readouterr().out.splitlines()
    result: dict[str, Any] = json.loads(line)
    del result["seconds"]
    return result


def sequence_alert(block: str, start: int, end: int, event: int) -> Alert:
    seq = {"start": start, "end": end, "event": event}
    record = {"kind": "sequence", "session": [block], "seq": seq, "events": 20}
    return Alert("alert", "krone", 0, record)


def test_it_finds_faults_and_never_misses_a_line_it_has_not_learnt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = figures(capsys, "--sessions", "300")
    unseen = result["kinds"]["unseen line"]
    assert unseen["found"] == unseen["injected"] > 0
    assert unseen["missed"] == 0
    assert result["unseen_template_alerts"] > 0
    assert result["found"] == result["injected"]
    assert result["to_the_step"] > 0.8 * result["found"]
    assert result["false_alarms"] < 0.01 * result["normal"]
    assert result["flow"] == {"burst": True, "silence": True}
    assert result["flow_false_alarms"] == 0


def test_the_figures_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    result = figures(capsys, "--sessions", "150", "--seed", "4")
    assert result["injected"] + result["normal"] == result["sessions"] == 150
    assert set(result["kinds"]) == set(KINDS)
    for row in [*result["kinds"].values(), result]:
        assert row["found"] + row["missed"] == row["injected"]
        assert max(row["in_seq"], row["to_the_step"]) <= row["found"]
    for name in ("injected", "found", "in_seq", "to_the_step", "missed"):
        assert sum(row[name] for row in result["kinds"].values()) == result[name]


def test_a_seed_gives_the_same_figures_and_alerts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    runs = [
        figures(capsys, "--sessions", "100", "--seed", "3", "--alerts", str(path))
        for path in (first, second)
    ]
    assert runs[0] == runs[1]
    assert first.read_bytes() == second.read_bytes()
    records = [json.loads(line) for line in first.read_text(encoding="utf-8").splitlines()]
    # A slow step or a wrong value is a deviation, and the session may have no other alert.
    told = {tuple(r["session"]) for r in records if r["kind"] in ("sequence", "deviation")}
    assert len(told) == runs[0]["found"] + runs[0]["false_alarms"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_normal_sessions_of_another_seed_raise_nearly_no_alert(bundle: Bundle, seed: int) -> None:
    sessions = simulate(500, seed, faults=False)
    engine = bundle.engine()
    packed = [
        (ns, {name.encode(): value.encode() for name, value in record.items()})
        for ns, record in stream(sessions)
    ]
    findings = engine.feed("cluster", packed, packed[-1][0]) + engine.finish()
    assert engine.counters["instances"] == len(sessions)
    assert engine.counters["unmatched"] == 0
    assert len(findings) < 0.03 * len(sessions)


def test_a_person_gets_each_sort_of_alert_in_full_and_a_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "--sessions", "200"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[" not in out
    assert "; normally " in out.replace("\n    ", " ")
    assert "New kind of line: " in out
    assert "    ▸ " in out
    assert "truth: " in out
    assert all(f"\n{kind} " in out for kind in KINDS)
    assert "False alarms: " in out


def test_a_terminal_gets_colour_unless_it_says_no(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["demo", "--sessions", "20"]) == 0
    assert "\x1b[32m✓" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["demo", "--sessions", "20"]) == 0
    assert "\x1b[" not in capsys.readouterr().out


def test_many_alerts_do_not_flood_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--sessions", "1500"]) == 0
    out = capsys.readouterr().out
    assert "… and more (--alerts FILE has them all)" in out
    assert len(out.splitlines()) < 150


class ShortPipe(io.StringIO):
    """Standard output into `head -2`."""

    def write(self, text: str) -> int:
        if self.getvalue().count("\n") >= 2:
            raise BrokenPipeError
        return super().write(text)


def test_a_reader_who_leaves_early_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", ShortPipe())
    with pytest.raises(BrokenPipeError):
        demo.run(sessions=100, seed=0, alerts=None, as_json=False)


def test_it_refuses_to_simulate_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="sessions must be at least 1"):
        demo.run(sessions=0, seed=0, alerts=None, as_json=True)
    assert main(["demo", "--sessions", "0"]) == 1
    assert "sessions must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seq", "odd", "in_seq", "to_the_step"),
    [
        ((0, 5), 0, 0, 0),
        ((0, 6), 5, 1, 1),
        ((6, 9), 6, 1, 1),
        ((7, 9), 7, 0, 0),
        ((0, 20), 4, 1, 0),
        ((0, 5), 5, 0, 1),
    ],
)
def test_what_located_means_for_a_gap_before_event_6(
    seq: tuple[int, int], odd: int, in_seq: int, to_the_step: int
) -> None:
    session = dataclasses.replace(simulate(1, 0)[0], fault=Fault("missing step", ((6, 6),), ()))
    tally = demo.Tally({session.block: session})
    tally.count(sequence_alert(session.block, *seq, odd))
    assert tally.of_kind("missing step") == {
        "injected": 1,
        "found": 1,
        "in_seq": in_seq,
        "to_the_step": to_the_step,
        "missed": 0,
    }


def test_a_false_alarm_is_one_on_a_normal_session_and_a_new_line_is_none() -> None:
    sessions = simulate(40, 0)
    tally = demo.Tally({session.block: session for session in sessions})
    normal = next(session for session in sessions if session.fault is None)
    tally.count(sequence_alert(normal.block, 0, 2, 0))
    tally.count(Alert("new", "krone", 0, {"kind": "unseen_template", "session": [normal.block]}))
    result = tally.figures()
    assert (result["false_alarms"], result["found"], result["unseen_template_alerts"]) == (1, 0, 1)
