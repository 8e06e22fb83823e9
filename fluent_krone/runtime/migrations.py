"""Saved sessions of older versions: each step turns a snapshot of one version into the next one."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any

from ..core.journal import SNAPSHOT_VERSION
from ..core.references import NONE
from ..errors import ConfigError

Snapshot = dict[str, Any]

# Where a part has the signatures of the deviations that were reported; version 1 had none.
_TOLD = 12
# Where a part had the event time of the session's first event, which is now among the times of its
# events; the stream time at its last event, which was its deadline before; the event time of its
# last event; its log keys; and the times of its events, which version 2 did not have.
_FIRST_NS = 5
_SEEN = 9
_LAST_NS = 10
_KEYS = 13
_TIMES = 14


def _with_told(saved: Snapshot) -> Snapshot:
    parts = ([*part[:_TOLD], [], *part[_TOLD:]] for part in saved["sessions"])
    return saved | {"sessions": parts}


def _with_times_and_refs(saved: Snapshot) -> Snapshot:
    """Add what version 2 did not have: times of events, references to records, and new steps.

    The time of each event is taken to be that of the last one, so nothing took long so far, and no
    session was idle. Nobody holds the records of these events.
    """

    def with_both(part: list[Any]) -> list[Any]:
        events = len(part[_KEYS]) // 2
        times = array("q", [part[_FIRST_NS], *[part[_LAST_NS]] * (events - 1)])
        return [
            *part[:_FIRST_NS],
            *part[_FIRST_NS + 1 : _SEEN],
            saved["clock"],
            *part[_SEEN + 1 : _TIMES],
            times.tobytes(),
            *part[_TIMES:],
            *(b"", 0),
            *(0, 0, ()),
        ]

    held = [[*event, NONE] for event in saved.get("held", ())]
    return saved | {"sessions": map(with_both, saved["sessions"]), "held": held, "doubts": []}


# By version: what turns its snapshots into those of the next version. Whoever raises
# `SNAPSHOT_VERSION` adds the step here, and a store written by the version before to the tests: an
# update must never cost the open sessions. A step gets the snapshot as the store gives it. Its
# `sessions` are an iterator of parts (`core/journal.py`); a step wraps it where parts change.
STEPS: Mapping[int, Callable[[Snapshot], Snapshot]] = {1: _with_told, 2: _with_times_and_refs}


def migrated(saved: Snapshot) -> tuple[Snapshot, bool]:
    """The snapshot in this version's form, and whether it had to be changed.

    If it was changed, the whole engine has to be written anew: the rows in the store still have
    the old form. Raises ConfigError for a snapshot of a newer version. One without a version, or
    of a version that has no step, is left alone: the engine refuses it as damaged.
    """
    version = saved.get("version")
    if isinstance(version, int) and version > SNAPSHOT_VERSION:
        raise ConfigError(
            f"the saved sessions have version {version}, and this program reads versions up to "
            f"{SNAPSHOT_VERSION}: run the newer program again, or name another store"
        )
    changed = False
    while isinstance(version, int) and version in STEPS:
        version += 1
        saved = STEPS[version - 1](saved) | {"version": version}
        changed = True
    return saved, changed
