"""`replay --keep` writes what a service would send, and `--what-if` counts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK

from fluent_krone.cli import main

BAD = (OPEN, OPENED, GOING, STUCK)
RIDES = [(f"good{n}", NORMAL[n % 2]) for n in range(10)] + [("bad", BAD)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    lines = []
    for name, keys in RIDES:
        lines += [{"ride": name, "message": MESSAGES[key]} for key in keys]
    lines.append({"message": "of no ride"})
    text = [json.dumps({"time": 1_700_000_000 + at} | line) for at, line in enumerate(lines)]
    path.write_text("\n".join(text) + "\n")
    return path


def replayed(bundle: Path, log: Path, *flags: str) -> None:
    assert main(["replay", "--bundle", str(bundle), "--input", str(log), "--json", *flags]) == 0


def test_kept_records_are_written_line_by_line(bundle_dir: Path, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    replayed(bundle_dir, log, "--keep", str(out), "--keep-per-kind", "1", "--keep-share", "0")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    by_reason: dict[str, set[str | None]] = {}
    for line in lines:
        record = line["record"]
        by_reason.setdefault(record["krone.kept"], set()).add(record.get("ride"))
    assert by_reason == {"kind": {"good0", "good1"}, "abnormal": {"bad"}, "outside": {None}}
    bad = [line["record"]["message"] for line in lines if line["record"].get("ride") == "bad"]
    assert bad == [MESSAGES[key] for key in BAD]


def test_what_would_be_kept_is_counted_for_each_way_to_tell_kinds_apart(
    bundle_dir: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--keep-per-kind", "1", "--keep-share", "0")
    replayed(bundle_dir, log, "--what-if", *flags)
    result: dict[str, Any] = json.loads(capsys.readouterr().out)["what_if"]
    out = tmp_path / "kept.jsonl"
    replayed(bundle_dir, log, "--keep", str(out), *flags)
    nested = result["kinds"]["nested"]
    assert nested["records"] == len(out.read_text().splitlines())
    assert nested["by_reason"] == {
        "abnormal": len(BAD),
        "kind": len(NORMAL[0]) + len(NORMAL[1]),
        "outside": 1,
    }
    assert set(result["kinds"]) == {"bag", "nested", "order"}


def test_a_person_reads_a_line_for_each_way(
    bundle_dir: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--bundle", str(bundle_dir), "--input", str(log), "--what-if"]) == 0
    out = capsys.readouterr().out
    assert [word for word in ("kind bag", "kind nested", "kind order") if word not in out] == []
