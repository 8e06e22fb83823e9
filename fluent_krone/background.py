"""What a process does differently as the child of a service: it yields to everything else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
from pathlib import Path

# A low priority: beside a busy process it gets about a tenth of the time. With the lowest one, 19,
# it would get a hundredth, and on a machine that is never idle a fit would not end in a day.
_NICENESS = 10
# How much sooner than others this process is killed when memory runs out, of 1,000: the service
# goes on, and the work is repeated.
_KILLED_SOONER = 500
# The exit code after the service has gone.
_ORPHAN = 3
# The lock file of a work directory.
_LOCK = "lock"


def run_as_child(work: Path | None) -> None:
    """Take a low priority, and end as soon as standard input ends: the service is gone.

    A work directory is held by one child at a time. One whose service was killed ends at once, so
    this waits for it.
    """
    os.nice(_NICENESS)
    # Not on every system, and not always allowed.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_KILLED_SOONER))
    threading.Thread(target=_end_with_input, daemon=True).start()
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        lock = os.open(work / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _end_with_input() -> None:
    # Not by `sys.stdin`: its lock, held by a thread that waits, would make the exit fail.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(_ORPHAN)
