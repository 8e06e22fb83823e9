"""The command as its user runs it: exit codes, one-line failures, JSON."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK, gzipped

from fluent_krone.cli import main
from fluent_krone.transport.forward import encode_events

REPOSITORY = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "fluent_krone"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY)}


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT | environment,
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    rides = {"good": NORMAL[1], "bad": (OPEN, OPENED, GOING, STUCK)}
    lines = [
        {"time": 1_700_000_000, "ride": r, "message": MESSAGES[key]}
        for r, keys in rides.items()
        for key in keys
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_done_is_0(bundle_dir: Path, log: Path, tmp_path: Path) -> None:
    labels, alerts = tmp_path / "labels.csv", tmp_path / "alerts.jsonl"
    labels.write_text("session,anomaly\ngood,0\nbad,1\n")
    done = run(
        "replay",
        "--bundle",
        bundle_dir,
        "--input",
        log,
        "--labels",
        labels,
        "--alerts",
        alerts,
        "--json",
    )
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout.splitlines()[-1])
    wanted = (
        "events unmatched sessions instances left_out flagged alerts tp fp fn tn "
        "precision recall f1 events_per_s"
    )
    assert set(wanted.split()) <= set(figures)
    assert (figures["tp"], figures["tn"], figures["f1"]) == (1, 1, 1.0)
    records = [json.loads(line) for line in alerts.read_text().splitlines()]
    assert [record["kind"] for record in records] == ["unseen_template", "sequence"]


def test_a_terminal_that_lacks_a_character_gets_its_number(bundle_dir: Path, log: Path) -> None:
    with log.open("a") as file:
        file.write('{"message": "of no ride"}\n')
    done = run("replay", "--bundle", bundle_dir, "--input", log, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "set aside: 1 \\xd7 no_session_key" in done.stdout
    tree = run("export", "show", bundle_dir, PYTHONIOENCODING="ascii")
    assert (tree.returncode, "\\u251c\\u2500 lift" in tree.stdout) == (0, True), (
        tree.stdout + tree.stderr
    )
    assert run("demo", "--sessions", "20", PYTHONIOENCODING="ascii").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["replay", "--bundle", "nowhere", "--input", "x"],
            "fluent-krone: there is no bundle 'nowhere'",
        ),
        (
            ["check-config", "--idle-timeout", "0.5s"],
            "fluent-krone: idle_timeout: '0.5s' is not a duration that Fluentd",
        ),
        (
            ["check-config", "--idle-timeout=100ms"],
            "fluent-krone: idle_timeout: '100ms' is not a duration that Fluentd",
        ),
        (["serve", "--port", "70000"], "fluent-krone: port must be at most 65535, got 70000"),
        (["pipe", "--check", "--bundle=nowhere"], "fluent-krone: there is no bundle 'nowhere'"),
    ],
)
def test_a_failure_is_1_and_told_in_one_line(arguments: list[str], complaint: str) -> None:
    failed = run(*arguments)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(complaint)
    assert failed.stderr.count("\n") == 1


def test_wrong_usage_is_2_and_suggests_what_was_meant() -> None:
    wrong = run("check-config", "--idle-timout=5m")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "unknown argument --idle-timout: did you mean '--idle-timeout'?" in wrong.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["replay"],
        ["replay", "--input"],
        ["serve", "--shared-key", "x"],
        ["serve", "--idle", "5m"],
    ],
)
def test_more_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["replay", "--input", "no/such.log"], "no/such.log"),
        (["replay", "--input", "x.log", "--labels", "no/such.csv"], "no/such.csv"),
        (["check-config", "--config", "no/such.toml"], "no/such.toml"),
        (["check-config", "--tag", "${tags}"], "${tags} is not a placeholder"),
        (["check-config", "--session-key", "/(/"], "not a regular expression"),
        (["check-config", "--line-format", "x"], "needs a group named message"),
        (["check-config", "--alert-host", "127.0.0.1"], "alert_port 24224 is our own port"),
    ],
)
def test_more_failures(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith("fluent-krone: ") and complaint in told and told.count("\n") == 1


def test_check_config_runs_the_golden_lines(
    bundle_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "--bundle", str(bundle_dir), "--idle-timeout", "5m"]) == 0
    assert "7 templates, 4 golden runs hold, idle_timeout 300 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("store", "complaint"), [("", "is no file"), ("krone.toml/krone.db", "is no folder")]
)
def test_check_config_refuses_a_store_that_cannot_be_made(
    bundle_dir: Path,
    tmp_path: Path,
    store: str,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Was wrong: such a path was ok, and `serve` ended with it."""
    (tmp_path / "krone.toml").touch()
    made = tmp_path / "new" / "krone.db"
    arguments = ["check-config", "--bundle", str(bundle_dir), "--store"]
    assert main([*arguments, str(tmp_path / store)]) == 1
    assert complaint in capsys.readouterr().err
    assert main([*arguments, str(made)]) == 0
    assert not made.parent.exists()
    # Another user may run the service.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    capsys.readouterr()
    assert main([*arguments, str(made)]) == 0
    assert "cannot be written by this user" in capsys.readouterr().err


def test_a_replay_of_a_file_without_a_message_is_a_failure(
    bundle_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Was wrong: it ended with 0 events and no error."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"ride": "a", "text": "x"}\n' * 3)
    assert main(["replay", "--bundle", str(bundle_dir), "--input", str(path)]) == 1
    told = capsys.readouterr().err
    assert "none of 3 records is an event" in told
    assert "they have no text in message_field 'message'" in told


def test_a_damaged_bundle_is_a_failure(
    bundle_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (bundle_dir / "patterns.json").open("ab") as file:
        file.write(b" ")
    assert main(["check-config", "--bundle", str(bundle_dir)]) == 1
    assert (
        "patterns.json was changed after the export: copy the bundle again"
        in capsys.readouterr().err
    )


def test_secrets_never_print(bundle_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "krone.toml"
    file.write_text(
        'alert_shared_key = "s3cret"\nport = 0\nbind = "256.0.0.1"\nlog_level = "debug"\n'
    )
    failed = run(
        "serve", "--bundle", bundle_dir, "--config", file, FLUENT_KRONE_SHARED_KEY="hunter2"
    )
    assert failed.returncode == 1
    for secret in ("s3cret", "hunter2"):
        assert secret not in failed.stdout + failed.stderr


def test_serve_stops_on_a_signal(bundle_dir: Path) -> None:
    arguments = ["serve", "--bundle", str(bundle_dir), "--port", "0"]
    server = subprocess.Popen(
        [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert server.stderr is not None
    assert any("listening bind=127.0.0.1" in line for line in server.stderr)
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0
    server.stderr.close()


def test_a_port_in_use_is_a_failure(bundle_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--bundle", str(bundle_dir), "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert (
        f"cannot listen on bind=127.0.0.1 port={port}: Address already in use; set another port"
        in said
    )
    assert "Errno" not in said


def test_a_reader_that_has_seen_enough_is_no_failure(bundle_dir: Path, log: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ["replay", "--bundle", str(bundle_dir), "--input", str(log), "--json"]
    done = subprocess.run(
        [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serv"], "fluent-krone: unknown command 'serv': did you mean 'serve'?"),
        (
            ["serve", "--metrcs"],
            "fluent-krone serve: unknown argument --metrcs: did you mean '--metrics'?",
        ),
        (
            ["serve", "--shared-key=hunter2"],
            "fluent-krone serve: unknown argument --shared-key: give a secret in the file of "
            "--config, or as FLUENT_KRONE_SHARED_KEY in the environment (",
        ),
        (["replay"], "fluent-krone replay: the following arguments are required: --input"),
        (["export", "ft"], "fluent-krone export: unknown command 'ft': did you mean 'fit'?"),
        (
            ["export", "fit", "--inptu", "x"],
            "fluent-krone export fit: unknown argument --inptu: did you mean '--input'?",
        ),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(told) and error.count("\n") == 1


def test_the_shell_gets_completions() -> None:
    pytest.importorskip("argcomplete")
    line = "fluent-krone serve --idle-t"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARC": "\n"}
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m fluent_krone 8>&1 9>/dev/null"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | asked | {"_ARGCOMPLETE_IFS": "\n"},
        timeout=60,
    )
    assert "--idle-timeout" in done.stdout.split()


def test_version_and_plugin_dir() -> None:
    assert run("--version").stdout.startswith("fluent-krone ")
    plugin_dir = Path(run("plugin-dir").stdout.strip())
    assert (plugin_dir / "out_krone.rb").is_file()


def test_export_is_reached_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["export", "--help"])
    assert end.value.code == 0
    assert "fit" in capsys.readouterr().out


def pipe(bundle: Path, *frames: bytes, **parameters: str) -> subprocess.CompletedProcess[bytes]:
    """A `pipe` that is sent these frames and then the end of its input."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in parameters.items()]
    command = [*COMMAND, "pipe", "--bundle", str(bundle), *flags]
    return subprocess.run(
        command, input=b"".join(frames), capture_output=True, timeout=60, env=ENVIRONMENT
    )


def test_a_frame_above_max_frame_size_ends_the_pipe(bundle_dir: Path) -> None:
    frame = encode_events("app", [(1, {"message": "x" * 1024})], "id")
    done = pipe(bundle_dir, frame, max_frame_size="1k")
    assert (done.returncode, b"a frame is larger than 1024 bytes" in done.stderr) == (1, True), (
        done.stderr
    )


def test_a_chunk_of_the_pipe_is_inflated_up_to_max_inflated_size(bundle_dir: Path) -> None:
    frame = gzipped(encode_events("app", [(1, {"message": "x" * 1024})], "id"))
    done = pipe(bundle_dir, frame, max_inflated_size="1k")
    assert done.returncode == 0
    assert b" set_aside_undecodable=1" in done.stderr, done.stderr


def with_a_sink_that_has_a_bug(sink: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    buggy = "\n".join(
        (
            "import sys",
            "from fluent_krone import cli",
            "from fluent_krone.commands import pipe",
            "from fluent_krone.runtime import endpoints",
            f"{sink}.deliver = lambda *_: 1 / 0",
            "sys.exit(cli.main())",
        )
    )
    command = [sys.executable, "-c", buggy, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )


NOVEL = encode_events(
    "app", [(1, {"ride": "1", "message": MESSAGES[STUCK]})], "id"
)  # makes an alert at once


def test_pipe_ends_with_1_when_alerts_can_leave_no_more(bundle_dir: Path) -> None:
    """With its input still open, as under Fluentd."""
    with with_a_sink_that_has_a_bug("pipe.PipeEndpoint", "pipe", "--bundle", bundle_dir) as child:
        assert child.stdin and child.stderr
        child.stdin.write(NOVEL)
        child.stdin.flush()
        assert child.wait(timeout=60) == 1
        log = child.stderr.read().splitlines()
    assert any(b"ZeroDivisionError" in line for line in log)
    assert log[-1].startswith(b"fluent-krone: BUG: see the log above")


def test_serve_ends_with_1_when_alerts_can_leave_no_more(bundle_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sink = "endpoints.StdoutSink"
    with with_a_sink_that_has_a_bug(
        sink, "serve", "--bundle", bundle_dir, "--unix-path", path
    ) as child:
        assert child.stderr
        log = []
        for line in child.stderr:
            log.append(line)
            if b"listening" in line:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                    client.sendall(NOVEL)
        assert child.wait(timeout=60) == 1
    assert any(b"ZeroDivisionError" in line for line in log)
    assert log[-1].startswith(b"fluent-krone: BUG: see the log above")
