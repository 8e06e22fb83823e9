"""From a log of an invented system to a bundle, stage by stage, and what bad input comes to."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from export.cli import main
from fluent_krone.config import Config
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.inputs import read_events

REPOSITORY = Path(__file__).parents[2]
T0 = datetime(2026, 5, 4, 8, tzinfo=UTC)
Line = tuple[datetime, str, str, str]  # time, logger, message, key


def brew(rng: random.Random, key: str) -> list[tuple[str, str]]:
    """How a brewery's controller logs one batch of beer."""
    steps = [
        ("Mash", f"batch {key}: mashing {rng.randint(100, 900)} kg of malt"),
        ("Mash", f"batch {key}: held at {rng.randint(60, 70)} degrees"),
    ]
    steps += [("Boil", f"batch {key}: hop gift {i + 1} added") for i in range(rng.randint(1, 3))]
    steps += [
        ("Boil", f"batch {key}: boiled for {rng.randint(60, 90)} minutes"),
        ("Cooler", f"batch {key}: wort cooled to {rng.randint(10, 20)} degrees"),
        ("Tank", f"batch {key}: filled into tank T{rng.randint(1, 9)}"),
    ]
    return steps


FAULT = ("Cooler", "batch {}: cooling failed, pump blocked")


def brewery(sessions: int, seed: int, faults: Sequence[int] = ()) -> list[Line]:
    """Interleaved batches, a few seconds between their lines; batch number n of `faults` goes
    wrong.
    """
    rng = random.Random(seed)
    lines: list[Line] = []
    for n in range(sessions):
        key = str(400_000 + 1000 * seed + n)
        steps = brew(rng, key)
        if n in faults:
            steps[-2:] = [(FAULT[0], FAULT[1].format(key))]
        at = T0 + timedelta(days=seed, seconds=20 * n)
        for logger, message in steps:
            at += timedelta(milliseconds=rng.randint(100, 9000))
            lines.append((at, logger, message, key))
    return sorted(lines)


def as_text(lines: Sequence[Line]) -> str:
    return "".join(
        f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d} INFO [w1] {c}: {m}\n"
        for at, c, m, _ in lines
    )


def as_jsonl(lines: Sequence[Line]) -> str:
    rows = (
        {"time": at.isoformat(), "logger": c, "msg": m, "batch": key} for at, c, m, key in lines
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "brewery.log"
    path.write_text(as_text(brewery(60, 1)), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command of `export`: exit code, what it said, what it complained of."""

    def command(*arguments: Any) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return command


KEY = ("--session-key", "/batch ([0-9]+)/")


def test_a_missing_extra_is_reported_before_the_first_stage(
    log: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, said, error = run("fit", "--input", log, *KEY)
    assert (code, said) == (1, "")
    assert error == (
        "export: the export needs packages that are not installed (onnx): run "
        f"{sys.executable} -m pip install onnx pyarrow pydantic\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brewery.log"]


# -- the whole way


def test_two_options_make_a_bundle_that_finds_a_fault(log: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fluent_krone"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr, "no bar where there is no terminal"
        return done.stdout

    said = call("export", "fit", "--input", str(log), *KEY)
    assert "line format: guessed, it fits 100.0% of the lines" in said
    assert "idle timeout, suggested: 1m" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brewery.bundle", "brewery.log"]

    other = tmp_path / "other.log"
    other.write_text(as_text(brewery(50, 2, faults=[17, 33])), encoding="utf-8")
    summary = call(
        "replay", "--bundle", "brewery.bundle", "--input", "other.log", "--alerts", "alerts.jsonl"
    )
    alerts = [
        json.loads(line)
        for line in (tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    flagged = {alert["session"][0] for alert in alerts if alert["kind"] == "sequence"}
    assert flagged == {"402017", "402033"}, summary
    assert [alert["started_at"][:10] for alert in alerts if alert["kind"] == "sequence"] == [
        "2026-05-06"
    ] * 2
    assert any("cooling failed" in line for alert in alerts for line in alert["lines"])


def test_the_same_input_and_seed_give_the_same_bundle(log: Path, tmp_path: Path, run: Run) -> None:
    for name in ("one", "two"):
        code, _, error = run(
            "fit",
            "--input",
            log,
            *KEY,
            "--output",
            tmp_path / name,
            "--name",
            "brewery",
            "--seed",
            5,
        )
        assert (code, error) == (0, "")
    files = {
        name: {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    }
    assert files["one"] == files["two"]
    bundle = load_bundle(str(tmp_path / "one"))
    assert bundle.name == "brewery"
    assert len(bundle.golden) == 2


def test_golden_lines_give_nothing_of_the_log_away(log: Path, tmp_path: Path, run: Run) -> None:
    log.write_text(
        log.read_text(encoding="utf-8").replace("[w1]", "[bob's thread]"), encoding="utf-8"
    )
    run("fit", "--input", log, *KEY, "--output", "b")
    golden = (tmp_path / "b" / "golden.jsonl").read_text(encoding="utf-8")
    assert "bob" not in golden
    assert "401" not in golden
    assert "fits no template" in golden


def test_golden_lines_fit_a_header_with_a_date_and_a_key_behind_it(
    tmp_path: Path, run: Run
) -> None:
    text = "".join(
        f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}|INFO|{c}|ZN{key}-07|{m}\n"
        for at, c, m, key in brewery(60, 1)
    )
    (tmp_path / "a.log").write_text(text, encoding="utf-8")
    key = ("--session-key", r"/\|(ZN\d+-\d\d)\|/")
    assert run("fit", "--input", "a.log", *key, "--output", "b")[0] == 0
    [usual, damaged] = load_bundle("b").golden
    assert "|ZN111111-11|" in str(usual.records)
    assert damaged.findings


def test_golden_lines_fit_a_header_that_looks_up_its_zone_in_the_message(
    tmp_path: Path, run: Run
) -> None:
    text = "".join(
        f"date={at:%Y-%m-%d} time={at:%H:%M:%S} level=INFO component={c} tz=+0200 msg={m}\n"
        for at, c, m, _ in brewery(60, 1)
    )
    (tmp_path / "a.log").write_text(text, encoding="utf-8")
    assert run("fit", "--input", "a.log", *KEY, "--output", "b")[0] == 0
    [usual, _] = load_bundle("b").golden
    assert "component=Mash tz=+1111 msg=" in str(usual.records)


def test_golden_lines_hold_no_word_that_stood_for_a_wildcard(
    log: Path, tmp_path: Path, run: Run
) -> None:
    """The header has no digits, so that only the template says what is a value."""
    names = ["alice", "bobby", "carol", "david", "ellen", "frank", "grace", "heidi", "julia"]
    sessions = [
        line
        for n in range(60)
        for line in (
            f"batch {400_000 + n} opened by {names[n % 9]}\n",
            f"batch {400_000 + n} closed by {names[n % 7]}\n",
        )
    ]
    log.write_text("".join(sessions), encoding="utf-8")
    code, said, error = run("fit", "--input", log, *KEY, "--line-format", "", "--output", "b")
    assert code == 0, said + error
    templates = (tmp_path / "b" / "templates.jsonl").read_text(encoding="utf-8")
    assert "opened by <*>" in templates
    golden = (tmp_path / "b" / "golden.jsonl").read_text(encoding="utf-8")
    assert "opened by" in golden
    assert not [name for name in names if name in golden]


# -- stages


def stages(said: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)


def test_stages_run_alone_go_on_from_each_other_and_are_skipped(
    log: Path, tmp_path: Path, run: Run
) -> None:
    work = tmp_path / "work"
    code, said, _ = run("mine", "--work", work, "--input", log, *KEY)
    assert (code, stages(said)["mine"]) == (0, "6 templates")
    assert sorted(p.name for p in work.iterdir()) == [
        "options.json",
        "stages.json",
        "templates.json",
    ]
    _, said, _ = run("sequences", "--work", work)
    assert stages(said)["mine"] == "unchanged"
    assert (
        (work / "hierarchy.csv")
        .read_text(encoding="utf-8")
        .startswith("template,entity,action,status,source")
    )
    assert len((work / "sequences.jsonl").read_text(encoding="utf-8").splitlines()) == 60
    _, said, _ = run("sequences", "--work", work)
    assert stages(said) == dict.fromkeys(("mine", "hierarchy", "sequences"), "unchanged")
    _, said, _ = run("sequences", "--work", work, "--idle-timeout", "5s")
    assert stages(said)["hierarchy"] == "unchanged"
    assert stages(said)["warning"].startswith("the session settings cut 60 sessions into ")
    _, said, _ = run("sequences", "--work", work)
    assert stages(said)["sequences"] == "unchanged", "options are remembered"
    with log.open("a", encoding="utf-8") as file:
        file.write(as_text(brewery(2, 3)))
    _, said, _ = run("sequences", "--work", work, "--idle-timeout", "1h")
    assert "unchanged" not in said
    code, said, _ = run("bundle", "--work", work, "--output", tmp_path / "b")
    assert code == 0
    assert len(load_bundle(str(tmp_path / "b")).training) == 62


def test_a_tree_corrected_in_place_stays_and_what_hangs_on_it_is_done_anew(
    log: Path, tmp_path: Path, run: Run
) -> None:
    work = tmp_path / "work"
    run("train", "--work", work, "--input", log, *KEY)
    tree = work / "hierarchy.csv"
    rows = list(csv.reader(tree.read_text(encoding="utf-8").splitlines()))
    rows[1][1:] = ["kettle", "heat", "none", "operator"]
    with tree.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    _, said, _ = run("train", "--work", work)
    assert stages(said)["hierarchy"] == stages(said)["sequences"] == "unchanged"
    assert stages(said)["train"] != "unchanged"
    assert "kettle" in tree.read_text(encoding="utf-8")


def test_a_stage_whose_file_is_gone_is_done_again(log: Path, tmp_path: Path, run: Run) -> None:
    run("sequences", "--work", "w", "--input", log, *KEY)
    (tmp_path / "w" / "sequences.jsonl").unlink()
    _, said, _ = run("sequences", "--work", "w")
    assert stages(said)["hierarchy"] == "unchanged"
    assert stages(said)["sequences"] != "unchanged"


def test_show_draws_the_tree(log: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("hierarchy", "--work", "w", "--input", log, *KEY)
    code, drawn, _ = run("show", "w/hierarchy.csv")
    assert code == 0
    assert drawn.splitlines()[0] == "ROOT (6 templates)"
    assert [line for line in drawn.splitlines() if line[0] in "├└"][-1].startswith("└─ ")
    assert "\x1b" not in drawn
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\x1b" in run("show", "w/hierarchy.csv")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("show", "w/hierarchy.csv")[1]


# -- inputs


def written(path: Path, lines: list[Line]) -> Path:
    text = as_text(lines) if ".log" in path.name else as_jsonl(lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".csv":
        rows = [json.loads(line) for line in text.splitlines()]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist([json.loads(line) for line in text.splitlines()]), path
        )
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["a.log", "a.log.gz", "a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"]
)
def test_every_kind_of_file_gives_the_same_sessions(tmp_path: Path, run: Run, name: str) -> None:
    path = written(tmp_path / name, brewery(40, 1))
    code, _, error = run("sequences", "--work", "w", "--input", path, *KEY)
    assert (code, error) == (0, "")
    found = [
        json.loads(line)
        for line in (tmp_path / "w" / "sequences.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    times = {row["first_ns"] for row in found}
    assert len(found) == 40
    assert sum(len(row["keys"]) for row in found) == len(brewery(40, 1))
    assert min(times) // 10**9 >= int(T0.timestamp()) + 86400


def test_fields_may_have_any_name(tmp_path: Path, run: Run) -> None:
    rows = [
        {"when": int(at.timestamp()), "who": c, "what": m, "which": int(key)}
        for at, c, m, key in brewery(30, 1)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    mapping = "--message-field what --component-field who --time-field when --session-key which"
    code, said, error = run("fit", "--input", path, *mapping.split(), "--output", "b")
    assert (code, error) == (0, "")
    assert "idle timeout, suggested" in said
    bundle = load_bundle("b")
    assert {row.entity for row in bundle.hierarchy.rows} >= {"Mash", "Boil", "Cooler", "Tank"}
    assert len(bundle.golden) == 2


@pytest.mark.parametrize("written", [as_text, as_jsonl])
def test_a_new_instance_of_a_component_is_no_news(
    written: Callable[[Sequence[Line]], str], tmp_path: Path, run: Run
) -> None:
    def log_of(name: str, *, sessions: int, least: int, most: int) -> Path:
        lines = [
            (at, f"{c.lower()}{random.Random(key).randint(least, most)}", m, key)
            for at, c, m, key in brewery(sessions, least)
        ]
        path = tmp_path / name
        path.write_text(written(lines), encoding="utf-8")
        return path

    log = log_of("a.log", sessions=90, least=2, most=4)
    code, said, error = run("fit", "--input", log, *KEY, "--output", "b")
    assert (code, error) == (0, "")
    assert "one component, whichever it is: mash<nth> (mash2, mash3 and mash4)" in said
    bundle = load_bundle("b")
    assert {row.entity for row in bundle.hierarchy.rows} >= {"mash", "boil", "cooler", "tank"}
    assert len(bundle.golden) == 2
    # Which instance it was is not told by the golden runs.
    assert "mash1" in str(bundle.golden[0].records)
    assert not re.search("mash[2-4]", str(bundle.golden))
    later = log_of("b.log", sessions=9, least=17, most=18)
    engine = bundle.engine(Config())
    assert engine.feed("t", read_events(later), 10**18) + engine.finish() == []
    assert engine.counters["records"] > 0 == engine.set_aside.total()


def test_fields_may_be_nested(tmp_path: Path, run: Run) -> None:
    rows = [
        {"at": at.isoformat(), "log": {"by": c, "text": m}, "ids": {"batch": key}}
        for at, c, m, key in brewery(30, 1)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    mapping = (
        "--message-field $.log.text --component-field $.log.by --time-field at "
        "--session-key $.ids.batch"
    )
    code, _, error = run("fit", "--input", path, *mapping.split(), "--output", "b")
    assert (code, error) == (0, "")
    bundle = load_bundle("b")
    assert {row.entity for row in bundle.hierarchy.rows} >= {"Mash", "Boil", "Cooler", "Tank"}
    assert len(bundle.golden) == 2
    first = bundle.golden[0].records[0]
    assert (first["log"]["by"], first["ids"], first["log"]["text"][:15]) == (
        "Mash",
        {"batch": "111111"},
        "batch 111111: m",
    )


def test_fields_that_say_where_a_session_ran_are_found_and_used(tmp_path: Path, run: Run) -> None:
    rows = [
        {"time": at.isoformat(), "logger": c, "msg": m, "batch": key, "hall": f"hall-{key[-1]}"}
        for at, c, m, key in brewery(40, 1)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, said, error = run("fit", "--input", path, "--session-key", "batch", "--output", "b")
    assert (code, error) == (0, "")
    assert "shown in its alerts: hall (alert_fields names others)" in said
    bundle = load_bundle("b")
    record = {name.encode(): value.encode() for name, value in rows[0].items()}
    assert bundle.engine().judging.context.of(record) == (("hall", rows[0]["hall"]),)
    other = bundle.engine(Config(alert_fields=("logger",)))
    assert other.judging.context.of(record) == (("logger", rows[0]["logger"]),)


def test_a_header_is_found_in_a_nested_message(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"log": {"line": line}} for line in as_text(brewery(30, 1)).splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, said, error = run(
        "fit", "--input", path, "--message-field", "$.log.line", *KEY, "--output", "b"
    )
    assert (code, error) == (0, "")
    assert "line format: guessed, it fits 100.0% of the lines" in said
    assert len(load_bundle("b").golden) == 2


def test_a_key_is_suggested_out_of_a_nested_message(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"log": {"text": m}} for _, _, m, _ in brewery(30, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, _, error = run("fit", "--input", path, "--message-field", "$.log.text", "--output", "b")
    assert code == 1
    assert "try --session-key '/batch (-?[0-9]+)/'" in error


def test_a_level_and_a_result_code_count_where_one_says_so(tmp_path: Path, run: Run) -> None:
    """A result code is a facet by itself; a level that never varies counts where one says so."""

    def requests(first: int, count: int, *, failing: int = -1, erring: int = -1) -> str:
        rows = []
        for n in range(first, first + count):
            code, level = (
                500 if n == failing else (200, 204)[n % 2],
                "ERROR" if n == erring else "INFO",
            )
            steps = [
                ("INFO", f"req-{n:05x} accepted"),
                (level, f"req-{n:05x} done, status {code} in {n % 90} ms"),
            ]
            rows += [
                {"time": 10 * n + i, "level": said, "message": m}
                for i, (said, m) in enumerate(steps)
            ]
        return "".join(json.dumps(row) + "\n" for row in rows)

    log, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    log.write_text(requests(0, 200))
    other.write_text(requests(1000, 200, failing=1050, erring=1100))

    def flagged(bundle: str) -> list[str]:
        engine = load_bundle(bundle).engine()
        findings = engine.feed("t", read_events(other), 10**18) + engine.finish()
        return sorted(
            finding.session[0].decode() for finding in findings if finding.kind == "sequence"
        )

    key = ("--session-key", "/req-[0-9a-f]+/")
    run("fit", "--input", log, *key, "--output", "plain")
    assert flagged("plain") == [f"req-{1050:05x}"]
    run("mine", "--work", "w", "--input", log, *key, "--component-field", "level")
    assert run("bundle", "--work", "w", "--output", "told")[0] == 0
    assert flagged("told") == [f"req-{n:05x}" for n in (1050, 1100)]


def test_labelled_abnormal_sessions_are_left_out(tmp_path: Path, run: Run) -> None:
    path = written(tmp_path / "a.log", brewery(60, 1, faults=[3, 40]))
    labels = tmp_path / "labels.csv"
    labels.write_text("session,label\n401003,1\n401040,1\n401001,0\n", encoding="utf-8")
    _, said, _ = run("sequences", "--work", "w", "--input", path, *KEY, "--labels", labels)
    assert (
        stages(said)["sequences"]
        == "60 sessions (60 instances), 58 of them for training, 2 labelled abnormal"
    )


def test_a_first_part_of_the_log_to_fit_on(log: Path, run: Run) -> None:
    _, said, _ = run("sequences", "--work", "w", "--input", log, *KEY, "--train-fraction", "0.5")
    assert "60 sessions (60 instances), 3" in stages(said)["sequences"]


def test_the_whole_line_is_the_message_where_no_header_is_known(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{m}\n" for _, _, m, _ in brewery(30, 1)), encoding="utf-8")
    code, said, _ = run("fit", "--input", path, *KEY, "--output", "b")
    assert code == 0
    assert "warning: most of the lines have no known header" in said
    assert load_bundle("b").input_settings.line_format is None


def cut_sessions(tmp_path: Path, count: int = 40) -> tuple[Path, Path]:
    rng = random.Random(3)
    templates = tmp_path / "templates.csv"
    templates.write_text(
        "EventId,EventTemplate\nE1,door <*> opened\n"
        'E2,"cabin, moving to <*>"\nE3,door <*> closed\nE9,cabin stuck\n',
        encoding="utf-8",
    )
    rows = [
        {
            "session": f"r{i}",
            "keys": ["E1", *["E2"] * rng.randint(1, 3), "E3"],
            **({"label": 0} if i % 2 else {}),
        }
        for i in range(count)
    ]
    rows.append({"session": "bad", "keys": ["E1", "E9"], "label": "Anomaly"})
    path = tmp_path / "sessions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path, templates


def test_sessions_already_cut(tmp_path: Path, run: Run) -> None:
    sessions, templates = cut_sessions(tmp_path)
    code, said, error = run(
        "fit", "--sessions", sessions, "--templates", templates, "--output", "b"
    )
    assert (code, error) == (0, "")
    assert "41 sessions (41 instances), 40 of them for training, 1 labelled abnormal" in said
    bundle = load_bundle("b")
    assert bundle.templates[3] == "cabin stuck"
    assert bundle.counts[3] == 0
    assert len(bundle.golden) == 2
    ride = [
        f'{{"session": "x", "message": "{m}"}}\n'
        for m in ("door 1 opened", "cabin, moving to 3", "door 1 closed")
    ]
    (tmp_path / "log.jsonl").write_text("".join(ride), encoding="utf-8")
    engine = bundle.engine()
    assert engine.feed("t", read_events(tmp_path / "log.jsonl"), 10**18) + engine.finish() == []


def test_sessions_already_cut_may_name_nested_fields(tmp_path: Path, run: Run) -> None:
    sessions, templates = cut_sessions(tmp_path)
    mapping = ("--message-field", "$.log.text", "--session-key", "$.log.ride")
    code, _, error = run(
        "fit", "--sessions", sessions, "--templates", templates, *mapping, "--output", "b"
    )
    assert (code, error) == (0, "")
    assert load_bundle("b").golden[0].records[0] == {"log": {"ride": "1", "text": "door 1 opened"}}


# -- bad input: one line, exit code 1, no bundle


@pytest.mark.parametrize("module", ["export", "fluent_krone"])
def test_ctrl_c_is_told_in_one_line(tmp_path: Path, module: str) -> None:
    path = tmp_path / "endless.log"
    os.mkfifo(path)
    arguments = [*(["export"] if module == "fluent_krone" else []), "fit", "--input", path, *KEY]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with (
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as fitting,
        path.open("w"),
    ):  # waits for the reader
        fitting.send_signal(signal.SIGINT)
        _, error = fitting.communicate(timeout=60)
    assert (fitting.returncode, error) == (1, "export: interrupted\n")


def test_the_usage_is_what_the_user_typed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for typed in (["export"], ["fluent_krone", "export"]):
        command = [sys.executable, "-m", *typed, "fit", "--help"]
        shown = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout
        assert shown.startswith(
            f"usage: {'fluent-krone' if len(typed) > 1 else 'python -m'} export fit "
        )


def complains(run: Run, tmp_path: Path, *arguments: Any) -> str:
    code, _, error = run("fit", *arguments, "--output", tmp_path / "out" / "b")
    assert code == 1
    lines = [line for line in error.splitlines() if "continues from there" not in line]
    assert len(lines) == 1, error
    assert not (tmp_path / "out" / "b").exists()
    left = (
        {path.name for path in (tmp_path / "out").iterdir()}
        if (tmp_path / "out").is_dir()
        else set()
    )
    assert left <= {"b.work"}, "nothing half-written"
    return lines[0].removeprefix("export: ")


@pytest.mark.parametrize(
    ("name", "content"), [("a.log", ""), ("a.log", "\n\n"), ("a.jsonl", ""), ("a.csv", "message\n")]
)
def test_an_empty_file(tmp_path: Path, run: Run, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert "the file is empty" in complains(run, tmp_path, "--input", path, *KEY)


def test_a_file_of_damaged_json(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"message": "mash batch 7\n' * 34, encoding="utf-8")
    assert "none of the first 34 lines can be read" in complains(
        run, tmp_path, "--input", path, *KEY
    )


def test_no_file(tmp_path: Path, run: Run) -> None:
    assert "No such file" in complains(run, tmp_path, "--input", "nowhere.log", *KEY)
    assert "--input FILE" in complains(run, tmp_path)


def test_one_template_only(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"ping from job {i % 9}\n" for i in range(50)), encoding="utf-8")
    said = complains(run, tmp_path, "--input", path, "--session-key", "/job ([0-9]+)/")
    assert "1 template was found: 'ping from job <" in said


def test_one_session_only(tmp_path: Path, run: Run) -> None:
    path = written(tmp_path / "a.log", brewery(1, 1))
    assert "all events belong to one session" in complains(run, tmp_path, "--input", path, *KEY)


def nightly(runs: int, pause_s: float) -> str:
    """A job that runs again and again, and writes no id."""
    rng = random.Random(5)
    rows = []
    at = T0
    for number in range(runs):
        at += timedelta(seconds=pause_s * rng.uniform(0.9, 1.1))
        steps = ["backup started", f"read {rng.randint(2, 99)} files", "backup finished"]
        if number % 7 == 3:
            steps.insert(2, "vault is full, oldest copy deleted")
        for message in steps:
            at += timedelta(seconds=rng.uniform(0.1, 1.9))
            rows.append({"time": at.isoformat(), "message": message})
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_job_that_writes_no_id_is_cut_at_its_pauses(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(nightly(60, 300), encoding="utf-8")
    auto = ("--session-key", "auto")
    code, said, error = run("fit", "--input", path, *auto, "--output", "b")
    assert (code, error) == (0, "")
    assert "session key, suggested: tag" in said
    bundle = load_bundle("b")
    assert bundle.input_settings.session_key == ("tag",)
    assert 2 <= bundle.session_settings.idle_timeout < 300
    assert len(bundle.training) == 60 and bundle.golden
    # A stream that does not pause is one execution without an end.
    path.write_text(nightly(200, 1), encoding="utf-8")
    assert "no session key was found" in complains(run, tmp_path, "--input", path, *auto)


def test_no_session_key_given_or_found_suggests_one(log: Path, tmp_path: Path, run: Run) -> None:
    suggested = "--session-key '/batch (-?[0-9]+)/'"
    assert suggested in complains(run, tmp_path, "--input", log)
    said = complains(run, tmp_path, "--input", log, "--session-key", "/order ([0-9]+)/")
    assert "have no session key /order ([0-9]+)/" in said
    assert suggested in said
    path = written(tmp_path / "a.jsonl", brewery(30, 1))
    assert "try --session-key batch (in 100% of the records" in complains(
        run, tmp_path, "--input", path
    )


def test_half_the_lines_unparsable(log: Path, tmp_path: Path, run: Run) -> None:
    text = log.read_text(encoding="utf-8").splitlines()
    log.write_text("\n".join(line + "\n  at some/place" for line in text) + "\n", encoding="utf-8")
    code, said, _ = run("sequences", "--work", "w", "--input", log, *KEY)
    assert code == 0
    assert (
        "(50%) do not match the line format and are left out, for example '  at some/place'"
        in stages(said)["warning"]
    )
    assert len((tmp_path / "w" / "sequences.jsonl").read_text(encoding="utf-8").splitlines()) == 60


def test_labels_that_match_no_session(log: Path, tmp_path: Path, run: Run) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("session,label\nx1,1\n", encoding="utf-8")
    assert "names no session of the input" in complains(
        run, tmp_path, "--input", log, *KEY, "--labels", labels
    )
    labels.write_text("colour\nred\n", encoding="utf-8")
    assert "needs columns session and anomaly" in complains(
        run, tmp_path, "--input", log, *KEY, "--labels", labels
    )


def test_a_tree_that_names_unknown_templates(log: Path, tmp_path: Path, run: Run) -> None:
    tree = tmp_path / "tree.csv"
    tree.write_text(
        "template,entity,action,status,source\nnever said,a,b,c,operator\n", encoding="utf-8"
    )
    said = complains(run, tmp_path, "--input", log, *KEY, "--tree", tree)
    assert "line 2: no such template: 'never said'" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--idle-timeout", "0"), "idle_timeout must be positive"),
        (("--session-key", "/(/"), "is not a regular expression"),
        (("--line-format", "(?<message>"), "is not a regular expression"),
        (("--line-format", "(?<text>.*)"), "a group named message"),
        (("--time-format", "%H:%M"), "has no year"),
        (("--message-field", "nope"), "no record has a field 'nope'"),
    ],
)
def test_settings_that_can_not_be(
    log: Path, tmp_path: Path, run: Run, options: tuple[str, str], message: str
) -> None:
    assert message in complains(run, tmp_path, "--input", log, *KEY, *options)


def test_wrong_usage_is_exit_code_2(log: Path, run: Run) -> None:
    for options in (
        ("--train-fraction", "2"),
        ("--idle-timeout", "5x"),
        ("--llm", "other"),
        ("--nope",),
    ):
        with pytest.raises(SystemExit) as stopped:
            run("fit", "--input", log, *KEY, *options)
        assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"session": "x", "keys": ["E1", "E7"]}', "has the key 'E7', which is not an EventId"),
        ('{"session": "x"}', "session 42 is not {"),
        ("garbage", "session 42 is not {"),
    ],
)
def test_cut_sessions_that_can_not_be_read(
    tmp_path: Path, run: Run, row: str, message: str
) -> None:
    sessions, templates = cut_sessions(tmp_path)
    with sessions.open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    assert message in complains(run, tmp_path, "--sessions", sessions, "--templates", templates)


def test_cut_sessions_need_templates(tmp_path: Path, run: Run) -> None:
    sessions, templates = cut_sessions(tmp_path)
    assert "needs --templates" in complains(run, tmp_path, "--sessions", sessions)
    templates.write_text("Id,Text\n1,x\n", encoding="utf-8")
    assert "EventId,EventTemplate" in complains(
        run, tmp_path, "--sessions", sessions, "--templates", templates
    )


def test_an_output_that_is_no_bundle_is_not_replaced(log: Path, tmp_path: Path, run: Run) -> None:
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work", encoding="utf-8")
    code, _, error = run("fit", "--input", log, *KEY, "--output", precious)
    assert (code, "is not a bundle, so it is not replaced" in error) == (1, True)
    assert (precious / "thesis.txt").exists()
    code, _, error = run("fit", "--input", log, *KEY, "--output", "/proc/nowhere/b")
    assert (code, "can't be written" in error) == (1, True)


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may grow past a size, as on a full disk. Keep it short: pytest's own log may be a
    file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(log: Path, tmp_path: Path, run: Run) -> None:
    run("bundle", "--work", "w", "--input", log, *KEY, "--output", "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    for size in (1, 500, 2_000):
        with small_disk(size):
            said = complains(run, tmp_path, "--input", log, *KEY)
            code, _, error = run("bundle", "--work", "w", "--output", "old")
        assert "File too large" in said
        assert (code, "File too large" in error) == (1, True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before


def test_what_was_done_before_a_failure_is_not_done_again(
    log: Path, tmp_path: Path, run: Run
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("session,label\nx1,1\n", encoding="utf-8")
    options = ("--input", log, *KEY, "--labels", labels, "--output", "b")
    _, _, error = run("fit", *options)
    assert "the same command continues from there" in error
    labels.write_text("session,label\n401001,1\n", encoding="utf-8")
    code, said, _ = run("fit", *options)
    assert (code, stages(said)["mine"], stages(said)["hierarchy"]) == (0, "unchanged", "unchanged")
    assert not (tmp_path / "b.work").exists()
