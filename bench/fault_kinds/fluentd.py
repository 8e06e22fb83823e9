"""A real Fluentd over one folder, and its configurations."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .serving import COMMAND, ENVIRONMENT, REPOSITORY

# What in_tail's parser gives, in the order of a line.
FIELDS = ("id", "level", "component", "message")
# The real peer; faults that need it are skipped where it is not installed.
FLUENTD = shutil.which("fluentd")

# Reads the log file line by line, with the fields that a real parser gives.
_TAIL = r"""
<source>
  @type tail
  path {dir}/app.log
  pos_file {dir}/app.pos
  read_from_head true
  refresh_interval 1
  tag hdfs
  <parse>
    @type regexp
    expression /^(?<time>\d+) (?<id>\d+) (?<level>[A-Z]+) (?<component>[^ ]+) (?<message>.*)$/
    time_format %s
  </parse>
</source>
"""
# Alerts go into a file as soon as they come.
ALERTS_CONF = r"""
<match krone.**>
  @type file
  path {dir}/alerts
  append true
  <format>
    @type json
  </format>
  <buffer time>
    @type file
    path {dir}/alertbuffer
    flush_mode immediate
    flush_at_shutdown true
  </buffer>
</match>
"""
# `@type krone` over a file buffer. Chunks are small so that many are in flight in a short run.
KRONE_CONF = (
    _TAIL
    + r"""
<match hdfs>
  @type krone
  command {command}
  bundle {bundle}
  store {dir}/krone.db
  alerts session
  <buffer tag>
    @type file
    path {dir}/buffer
    chunk_limit_size 256k
    flush_interval 0.2
    flush_at_shutdown true
    retry_max_times 10
  </buffer>
  <secondary>
    @type secondary_file
    directory {dir}/rejected
  </secondary>
</match>
"""
    + ALERTS_CONF
)
# `out_forward` with acks; its retries are fast, so that a run does not wait for them.
OUT_FORWARD_CONF = (
    _TAIL
    + r"""
<match hdfs>
  @type forward
  require_ack_response true
  ack_response_timeout 10
  heartbeat_type none
  keepalive true
  <server>
    host 127.0.0.1
    port {port}
  </server>
  <buffer tag>
    @type file
    path {dir}/buffer
    chunk_limit_size 256k
    flush_interval 0.2
    flush_at_shutdown true
    retry_wait 0.2
    retry_max_interval 1
    retry_forever true
  </buffer>
</match>
"""
)


class Fluentd:
    """A running Fluentd over one folder: app.log goes in."""

    def __init__(
        self,
        folder: Path,
        conf: str,
        bundle: str,
        *,
        command: Sequence[str] = COMMAND,
        port: int = 0,
    ) -> None:
        self._folder = folder
        path = folder / "fluent.conf"
        path.write_text(
            conf.format(dir=folder, bundle=bundle, command=shlex.join(command), port=port)
        )
        (folder / "app.log").touch()
        plugin_dir = REPOSITORY / "fluent_krone" / "fluentd"
        self._command = [str(FLUENTD), "--no-supervisor", "-c", str(path), "-p", str(plugin_dir)]
        self._start()

    def _start(self) -> None:
        with (self._folder / "fluentd.log").open("a") as log:
            self._process = subprocess.Popen(
                self._command, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT
            )

    def append(self, lines: Sequence[str]) -> None:
        with (self._folder / "app.log").open("a") as file:
            file.writelines(lines)

    def kill(self, which: str) -> None:
        """Kill the child or Fluentd itself, and wait until it is there again."""
        self.wait_for(lambda: bool(self._child()))
        ready = self.told("fluent-krone is ready")
        if which == "child":
            os.kill(self._child(), signal.SIGKILL)
        else:
            self._process.kill()
            self._process.wait()
            self._start()
        self.wait_for(lambda: self.told("fluent-krone is ready") > ready)

    def _child(self) -> int:
        """Process id of the newest child; 0 while there is none."""
        found = re.findall(r"fluent-krone is ready .*\bpid=(\d+)", self._log())
        if not found:
            return 0
        return int(found[-1])

    def told(self, words: str) -> int:
        return self._log().count(words)

    def _log(self) -> str:
        return (self._folder / "fluentd.log").read_text(errors="replace")

    def wait_until_read(self) -> None:
        """Until in_tail has emitted the whole file: its position says so."""
        size = (self._folder / "app.log").stat().st_size

        def position() -> int:
            path = self._folder / "app.pos"
            if not path.exists():
                return -1
            # Path, position in hexadecimal, inode.
            entries = path.read_text().split("\t")
            if len(entries) < 3:
                return -1
            return int(entries[1], 16)

        self.wait_for(lambda: position() == size)

    def wait_until_sent(self) -> None:
        self.wait_for(lambda: not any((self._folder / "buffer").glob("*.log")))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"Fluentd did not get there: {self._log()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        if self._process.wait(timeout=120):
            raise RuntimeError(f"Fluentd failed: {self._log()[-2000:]}")

    def alerts(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self._folder.glob("alerts*.log")):
            yield from map(json.loads, path.read_text().splitlines())


def line_of(event: tuple[int, dict[str, str]]) -> str:
    """An event as a line of the file that in_tail reads."""
    time_ns, record = event
    return f"{time_ns // 10**9} {' '.join(record[name] for name in FIELDS)}\n"
