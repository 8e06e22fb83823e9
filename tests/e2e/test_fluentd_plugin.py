"""`@type krone` in Ruby: its unit tests under Fluentd's test driver, and loops that only a
running Fluentd shows.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
RUBY = REPOSITORY / "tests" / "fluentd"
PLUGIN_DIR = REPOSITORY / "fluent_krone" / "fluentd"

pytestmark = pytest.mark.fluentd


@pytest.fixture(params=["fluentd", "fluentd-1.19"])
def fluentd(request: pytest.FixtureRequest) -> str:
    """A Fluentd, whichever version the first command is, and 1.19 by its name."""
    if shutil.which(request.param) is None:
        pytest.skip(f"no `{request.param}` command on PATH")
    return str(request.param)


def ruby_of_fluentd(fluentd: str) -> list[str]:
    """Fluentd's own interpreter and load path, asked of a dry run: right for a gem, a package or
    a source tree.
    """
    command = [fluentd, "--dry-run", "-c", os.devnull, "-r", str(RUBY / "load_path.rb")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    for line in answer.stdout.splitlines():
        if line.startswith("KRONE_RUBY "):
            return [str(part) for part in json.loads(line.removeprefix("KRONE_RUBY "))]
    raise AssertionError(
        f"{shlex.join(command)} did not load our file:\n{answer.stdout}{answer.stderr}"
    )


def environment() -> dict[str, str]:
    return os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(REPOSITORY)}


def test_the_ruby_plugin_under_fluentds_test_driver(fluentd: str) -> None:
    tests = subprocess.run(
        [*ruby_of_fluentd(fluentd), str(RUBY / "test_out_krone.rb")],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert tests.returncode == 0, tests.stdout
    assert " 0 failures, 0 errors" in tests.stdout


def dry_run(
    fluentd: str, conf: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [fluentd, "--dry-run", "-c", str(conf), "-p", str(PLUGIN_DIR)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("match", "complaint"),
    [
        ("<match app.**>\n@type krone\nbundle hdfs\n</match>", ""),
        (
            "<match krone.**>\n@type null\n</match>\n"
            "<match **>\n@type krone\nbundle hdfs\n</match>",
            "",
        ),
        ("<match **>\n@type krone\nbundle hdfs\n</match>", "would come back to its own <match **>"),
        ("<match app.**>\n@type krone\nbundle hdfs\n<keep>\nper_kind 2\n</keep>\n</match>", ""),
        (
            "<match krone.**>\n@type null\n</match>\n"
            "<match app.** keep.**>\n@type krone\nbundle hdfs\n<keep>\n</keep>\n</match>",
            "a kept record tagged keep.app would come back",
        ),
        (
            "<match app.** annotated.**>\n@type krone\nbundle hdfs\nannotate true\n</match>",
            "an annotated record tagged annotated.app would come back",
        ),
        (
            "<system>\nworkers 2\n</system>\n<match app.**>\n@type krone\nbundle hdfs\n</match>",
            "put @type krone into <worker 0>",
        ),
        (
            "<system>\nworkers 2\n</system>\n"
            "<worker 0>\n<match app.**>\n@type krone\nbundle hdfs\n</match>\n</worker>",
            "",
        ),
        (
            "<match app.**>\n@type krone\nbundle hdfs\nidle_timeout soon\n</match>",
            "idle_timeout: 'soon' is not a duration that Fluentd understands",
        ),
        ("<match app.**>\n@type krone\nbundle no/such\n</match>", "there is no bundle 'no/such'"),
        (
            "<match app.**>\n@type krone\nbundle hdfs\n<keep>\nper_kind many\n</keep>\n</match>",
            "keep_per_kind: 'many' is not a whole number",
        ),
        (
            "<match app.**>\n@type krone\nbundle hdfs\ncommand no/such\n</match>",
            "command no/such does not start",
        ),
    ],
    ids=[
        "sound",
        "alerts are taken first",
        "loop",
        "keep",
        "kept loop",
        "annotated loop",
        "two workers",
        "one of two workers",
        "value",
        "no bundle",
        "value for keep",
        "no program",
    ],
)
def test_a_dry_run_tells_what_would_go_wrong(
    fluentd: str, tmp_path: Path, program: dict[str, str], match: str, complaint: str
) -> None:
    conf = tmp_path / "fluent.conf"
    conf.write_text(match)
    outcome = dry_run(fluentd, conf, program)
    assert (outcome.returncode == 0) == (not complaint), outcome.stdout
    assert complaint in outcome.stdout


def test_alerts_that_come_back_by_another_way_are_refused_and_fluentd_goes_on(
    fluentd: str, tmp_path: Path
) -> None:
    """Inside <copy> the plugin can't see which pattern leads to it; the loop shows when the
    first alert is routed.
    """
    child = shlex.join([sys.executable, str(RUBY / "child.py"), str(tmp_path)])
    conf = tmp_path / "fluent.conf"
    conf.write_text(f"""
        <source>
          @type sample
          tag app
          sample {{"do": "alert"}}
        </source>
        <match **>
          @type copy
          <store>
            @type krone
            bundle hdfs
            command {child}
            <buffer tag>
              flush_mode immediate
              flush_thread_interval 0.05
            </buffer>
          </store>
        </match>
        """)
    command = [fluentd, "--no-supervisor", "-c", str(conf), "-p", str(PLUGIN_DIR)]
    running = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert running.stdout
    watchdog = threading.Timer(60, running.kill)
    watchdog.start()
    log = []
    refused = 0
    for line in running.stdout:
        log.append(line)
        refused += "alert refused" in line
        if refused == 2:  # the first did not end it
            running.terminate()
            break
    rest, _ = running.communicate(timeout=60)
    watchdog.cancel()
    assert refused == 2, "".join(log)
    assert running.returncode == 0, rest
    assert "krone" not in (tmp_path / "taken").read_text()
