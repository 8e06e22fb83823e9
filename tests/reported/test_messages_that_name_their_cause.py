"""Messages about wrong inputs name what was given, why it is wrong, and where it can be mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from export.cli import main as export
from fluent_krone.cli import main

Given = Callable[[Path, Path], list[str]]
LINES = "".join(f"2024-05-01 10:00:{n:02d} step {n % 3} of job j{n // 6}\n" for n in range(60))


def log_in(folder: Path) -> Path:
    path = folder / "app.log"
    path.write_text(LINES, encoding="utf-8")
    return path


def steps_in(folder: Path) -> Path:
    """A log with several templates."""
    path = folder / "steps.log"
    lines = zip(LINES.splitlines(), ["opened", "paid", "closed"] * 20, strict=True)
    path.write_text("".join(f"{line} {word}\n" for line, word in lines), encoding="utf-8")
    return path


def short_token(folder: Path) -> Path:
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text("short", encoding="utf-8")
    return path


# Wrong before: the number of the error, the name of another option, or none at all was said.
@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(
            lambda bundle, at: [
                *("replay", "--bundle", str(bundle), "--input", str(log_in(at))),
                *("--labels", "nosuch.csv"),
            ],
            "--labels nosuch.csv: there is no such file",
            id="labels of a replay",
        ),
        pytest.param(
            lambda bundle, at: [
                *("replay", "--bundle", str(bundle), "--input", str(log_in(at))),
                *("--alerts", "nosuch/alerts.jsonl"),
            ],
            "--alerts nosuch/alerts.jsonl: No such file or directory",
            id="alerts of a replay",
        ),
        pytest.param(
            lambda bundle, at: ["report", str(log_in(at)), "-o", str(at / "page.html")],
            "app.log: no line of it is an alert: give what `replay --alerts` or Fluentd's out_file",
            id="a page of no alerts",
        ),
        pytest.param(
            lambda bundle, at: ["knowledge", "merge", "nosuch", "other", "-o", str(at / "k")],
            "fluent-krone: nosuch: No such file or directory",
            id="a file to merge",
        ),
        pytest.param(
            lambda bundle, at: [
                *("check-config", "--bundle", str(bundle), "--console"),
                *("--console-token-file", str(short_token(at))),
            ],
            "token must hold a token of at least 16 ASCII characters on one line",
            id="the token of the live page",
        ),
    ],
)
def test_a_wrong_input_is_named(
    given: Given, said: str, bundle_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given(bundle_dir, tmp_path)) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Errno" not in told
    assert not (tmp_path / "page.html").exists()


def test_a_file_that_a_bundle_lacks_is_named_with_the_remedy(
    bundle_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle_dir / "hierarchy.csv").unlink()
    assert main(["replay", "--bundle", str(bundle_dir), "--input", str(log_in(tmp_path))]) == 1
    told = capsys.readouterr().err
    assert "hierarchy.csv: No such file or directory; copy the bundle again" in told
    assert "Errno" not in told


def test_a_bundle_is_copied_again_only_where_a_file_is_missing(
    bundle_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle_dir / "hierarchy.csv").unlink()
    (bundle_dir / "hierarchy.csv").mkdir()
    assert main(["replay", "--bundle", str(bundle_dir), "--input", str(log_in(tmp_path))]) == 1
    told = capsys.readouterr().err
    assert "hierarchy.csv: Is a directory" in told
    assert "copy the bundle" not in told


def test_a_file_without_records_is_told(
    bundle_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.log"
    empty.touch()
    assert main(["replay", "--bundle", str(bundle_dir), "--input", str(empty)]) == 0
    assert "empty.log: no records\n" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--labels", "--tree"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nosuch.csv", "nosuch.csv: there is no such file"),
        (".", "{}: this is a directory, and must be a file"),
    ],
)
def test_what_is_no_file_is_told_before_the_log_is_mined(
    option: str, given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if given == ".":
        given = str(tmp_path)
    arguments = ["fit", "--input", str(log_in(tmp_path)), "--session-key", "/j[0-9]+/"]
    output = str(tmp_path / "bundle")
    assert export([*arguments, "--output", output, option, given]) == 1
    told = capsys.readouterr()
    assert f"export: {option} {said.format(given)}" in told.err
    assert "mine:" not in told.out


def test_a_file_is_asked_for_by_the_stages_that_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong before: stages without labels and trees failed too when these were gone."""
    labels = tmp_path / "labels.csv"
    labels.write_text("session,anomaly\nj1,0\n", encoding="utf-8")
    work = ["--work", str(tmp_path / "work")]
    given = ["--input", str(steps_in(tmp_path)), "--session-key", "/j[0-9]+/"]
    assert export(["mine", *work, *given]) == 0
    assert export(["sequences", *work, "--labels", str(labels)]) == 0
    labels.unlink()
    assert export(["hierarchy", *work]) == 0
    assert "hierarchy: unchanged" in capsys.readouterr().out
    assert export(["sequences", *work]) == 1
    assert f"--labels {labels}: there is no such file" in capsys.readouterr().err


@pytest.fixture
def piped_labels() -> Iterator[str]:
    """Labels as the shell gives those that another command writes: `<(…)`."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        file.write("session,anomaly\n" + "".join(f"j{n},{n // 9}\n" for n in range(10)))
    yield f"/dev/fd/{read}"
    os.close(read)


def test_labels_of_an_export_come_through_a_pipe(
    piped_labels: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong before: there was said to be no such file, and it was read twice."""
    given = ["--input", str(steps_in(tmp_path)), "--session-key", "/j[0-9]+/"]
    work = ["--work", str(tmp_path / "work")]
    assert export(["sequences", *work, *given, "--labels", piped_labels]) == 0
    assert "1 labelled abnormal" in capsys.readouterr().out


def test_labels_of_a_replay_come_through_a_pipe(
    piped_labels: str, bundle_dir: Path, tmp_path: Path
) -> None:
    """Wrong before: there was said to be no such file."""
    log = tmp_path / "rides.jsonl"
    rows = [{"ride": f"j{n // 6}", "message": "door opens"} for n in range(60)]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    arguments = ["replay", "--bundle", str(bundle_dir), "--input", str(log)]
    assert main([*arguments, "--labels", piped_labels]) == 0


def test_a_tree_that_is_not_there_is_no_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert export(["show", "nosuch.csv"]) == 1
    assert "export: nosuch.csv: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stamp", "options", "is_said"),
    [
        ("2024-05-01 10:00:{:02d}", (), True),
        ("2024-05-01T10:00:{:02d}Z", (), False),
        ("2024-05-01T10:00:{:02d}+02:00", (), False),
        ("2024-05-01 10:00:{:02d}", ("--timezone", "Europe/Berlin"), False),
    ],
)
def test_it_is_said_that_times_without_a_zone_are_taken_as_utc(
    stamp: str,
    options: tuple[str, ...],
    is_said: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "app.log"
    log.write_text(
        "".join(f"{stamp.format(n)} step {'abc'[n % 3]} of job j{n // 6}\n" for n in range(60))
    )
    work = str(tmp_path / "work")
    done = export(
        ["mine", "--work", work, "--input", str(log), "--session-key", "/j[0-9]+/", *options]
    )
    assert done == 0
    said = "times have no zone, and are taken as UTC; --timezone names another one"
    assert (said in capsys.readouterr().out) == is_said


def test_a_work_directory_without_room_is_named(tmp_path: Path) -> None:
    """Was said without a name: no file of the child may be larger than what the log needs."""
    work = tmp_path / "w"
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from export.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = ["mine", "--work", str(work), "--input", str(log_in(tmp_path))]
    done = subprocess.run(
        [sys.executable, "-c", limited, *command, "--session-key", "/j[0-9]+/"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 1
    assert f"{work}: what was read of the log can't be kept there: File too large" in done.stderr
