"""A real Fluentd over one folder: app.log goes in, and alerts come out."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
# This checkout's command, run by the interpreter that runs the test.
COMMAND = (sys.executable, "-m", "fluent_krone")
# The real peer; what needs it is skipped where it is not installed.
FLUENTD = shutil.which("fluentd")

# Events of a tag go into a file as soon as they come.
_FILE_CONF = r"""
<match TAG.**>
  @type file
  path {dir}/NAME
  append true
  <format>
    @type json
  </format>
  <buffer time>
    @type file
    path {dir}/buffer-NAME
    flush_mode immediate
    flush_at_shutdown true
  </buffer>
</match>
"""


_TAIL_CONF = r"""
<source>
  @type tail
  path {dir}/app.log
  pos_file {dir}/app.pos
  read_from_head true
  refresh_interval 1
  tag TAG
BODY
</source>
"""


def tail_conf(tag: str, body: str) -> str:
    """The `<source>` that reads `app.log`; `body` has its `<parse>` and what else is in it."""
    return _TAIL_CONF.replace("TAG", tag).replace("BODY", body)


def file_conf(tag: str, name: str) -> str:
    """The `<match>` that writes all events of a tag into files `name*.log` of the folder."""
    return _FILE_CONF.replace("TAG", tag).replace("NAME", name)


ALERTS_CONF = file_conf("krone", "alerts")

_KRONE_CONF = r"""
<match TAG>
  @type krone
  command {command}
  bundle {bundle}
  alerts session
  on_shutdown judge
PARAMETERS
  <buffer tag>
BUFFER
  </buffer>
</match>
"""


def krone_conf(
    tag: str,
    parameters: str = "  store {dir}/krone.db",
    buffer: str = "    flush_interval 0.2",
) -> str:
    """The `<match>` that judges all events of a tag, with an alert for each; alerts go to files."""
    conf = _KRONE_CONF.replace("TAG", tag).replace("PARAMETERS", parameters)
    return conf.replace("BUFFER", buffer) + ALERTS_CONF


class Fluentd:
    """A running Fluentd. Its configuration `conf` may name {dir}, {bundle}, {command} and {port}.

    `command` starts the child of `@type krone`. `zone` is the time zone of the machine.
    """

    def __init__(
        self,
        folder: Path,
        conf: str,
        bundle: str | Path,
        *,
        command: Iterable[str] = COMMAND,
        port: int = 0,
        zone: str = "UTC",
    ) -> None:
        self.folder = folder
        path = folder / "fluent.conf"
        path.write_text(
            conf.format(dir=folder, bundle=bundle, command=shlex.join(command), port=port)
        )
        (folder / "app.log").touch()
        plugin_dir = REPOSITORY / "fluent_krone" / "fluentd"
        self._command = [str(FLUENTD), "--no-supervisor", "-c", str(path), "-p", str(plugin_dir)]
        self._environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TZ": zone}
        self._start()

    def _start(self) -> None:
        with (self.folder / "fluentd.log").open("a") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def append(self, lines: Iterable[str]) -> None:
        """Lines are written to the log that in_tail reads."""
        with (self.folder / "app.log").open("a") as file:
            file.writelines(lines)

    def kill(self, which: str) -> None:
        """Kill the child or Fluentd itself, and wait until it is there again."""
        self.wait_for(lambda: bool(self.children()))
        ready = self.told("fluent-krone is ready")
        if which == "child":
            os.kill(self.children()[-1], signal.SIGKILL)
        else:
            self._process.kill()
            self._process.wait()
            self._start()
        self.wait_for(lambda: self.told("fluent-krone is ready") > ready)

    def children(self) -> list[int]:
        """Process ids of all children that became ready, in order."""
        return [int(pid) for pid in re.findall(r"fluent-krone is ready .*\bpid=(\d+)", self.log())]

    def told(self, words: str) -> int:
        """How often Fluentd's log says this."""
        return self.log().count(words)

    def log(self) -> str:
        """Fluentd's log so far, with that of its child."""
        return (self.folder / "fluentd.log").read_text(errors="replace")

    def wait_until_read(self) -> None:
        """Until in_tail has emitted the whole file: its position says so."""
        size = (self.folder / "app.log").stat().st_size

        def position() -> int:
            path = self.folder / "app.pos"
            if not path.exists():
                return -1
            # Path, position in hexadecimal, inode.
            entries = path.read_text().split("\t")
            if len(entries) < 3:
                return -1
            return int(entries[1], 16)

        self.wait_for(lambda: position() == size)

    def wait_until_sent(self) -> None:
        """Until no chunk is left in the buffer."""
        self.wait_for(lambda: not any((self.folder / "buffer").glob("*.log")))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 120) -> None:
        """Raises RuntimeError with the end of the log when Fluentd ends, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"Fluentd did not get there: {self.log()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """As a service manager would: Fluentd flushes its buffers, the child its sessions.

        A Fluentd that has stopped already is left alone.
        """
        if self._process.poll() is None:
            self._process.terminate()
        if self._process.wait(timeout=120):
            raise RuntimeError(f"Fluentd failed: {self.log()[-2000:]}")

    def alerts(self) -> list[dict[str, Any]]:
        """What the outputs of `ALERTS_CONF` wrote."""
        files = sorted(self.folder.glob("alerts*.log"))
        return [json.loads(line) for path in files for line in path.read_text().splitlines()]
