"""What the bundle `hdfs` finds of faults in raw lines, at several numbers of false alarms.

Normal blocks of raw HDFS that the bundle was not fitted on get one fault each: in the order of
their lines, in a time, in a value or in a level. Each kind is judged as a log of its own, by the
engine that serves. Beside it stands the whole log, with its labels, and what can be found at best
of slow steps: the clock of this log has whole seconds, most steps take none, and normal blocks wait
a minute for one of them now and then.

    python bench/raw_faults.py [--data ../shared/data] [--bundle hdfs] [--false-alarms 0.5 1 3 …]
                               [--hosts 500] [--json]
"""

from __future__ import annotations

import json
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import checkout
import numpy as np
from raw_hdfs import raw_events

from fluent_krone.commands.replay import Outcome, replay, summary
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, key_hash, load_bundle
from fluent_krone.inputs import Event, read_labels

_NS = 1_000_000_000
_HOUR_NS = 3600 * _NS
# A slow step takes this many times as long; a clock of seconds measures at least one second.
_SLOWER = 50
# Findings about the stream and about templates are about no session.
_NO_SESSION = ("unseen_template", "change", "flow")
_SIZE = re.compile(rb"(size )[0-9]+")
_ADDRESS = re.compile(rb"10\.25[0-9]\.[0-9]+\.[0-9]+")

Lines = list[Event]
Fault = Callable[[Lines, np.random.Generator], Lines | None]


# --- faults ---------------------------------------------------------------------------------------


def _time_ns(line: Event) -> int:
    """The time of a line; every line of this log has one."""
    return line[0] or 0


def _at_same_times(lines: Lines, order: Sequence[int]) -> Lines:
    """The same lines in another order; the times stay."""
    return [(lines[i][0], lines[at][1]) for i, at in enumerate(order)]


def reversed_(lines: Lines, _: np.random.Generator) -> Lines:
    return _at_same_times(lines, range(len(lines) - 1, -1, -1))


def terminate_first(lines: Lines, _: np.random.Generator) -> Lines | None:
    """A responder terminates before anything was received."""
    ends = [i for i, (_, record) in enumerate(lines) if b"terminating" in record[b"message"]]
    if not ends:
        return None
    return _at_same_times(lines, [ends[0], *(i for i in range(len(lines)) if i != ends[0])])


def missing(lines: Lines, rng: np.random.Generator) -> Lines:
    at = int(rng.integers(len(lines)))
    return lines[:at] + lines[at + 1 :]


def _later(lines: Lines, at: int, by_ns: int) -> Lines:
    return [*lines[:at], *((_time_ns(line) + by_ns, line[1]) for line in lines[at:])]


def slow(lines: Lines, rng: np.random.Generator) -> Lines:
    """One step takes 50 times as long."""
    at = int(rng.integers(1, len(lines)))
    gap_ns = max(_time_ns(lines[at]) - _time_ns(lines[at - 1]), _NS)
    return _later(lines, at, gap_ns * (_SLOWER - 1))


def pause(lines: Lines, rng: np.random.Generator) -> Lines:
    return _later(lines, int(rng.integers(1, len(lines))), _HOUR_NS)


def _rewritten(lines: Lines, pattern: re.Pattern[bytes], new: bytes) -> Lines | None:
    changed = [(t, r | {b"message": pattern.sub(new, r[b"message"])}) for t, r in lines]
    if changed == lines:
        return None
    return changed


def zero_sizes(lines: Lines, _: np.random.Generator) -> Lines | None:
    return _rewritten(lines, _SIZE, rb"\g<1>0")


def huge_sizes(lines: Lines, _: np.random.Generator) -> Lines | None:
    return _rewritten(lines, _SIZE, rb"\g<1>999999999999")


def foreign_address(lines: Lines, rng: np.random.Generator) -> Lines | None:
    """One host of the block has an address that is not of this cluster."""
    hosts = sorted({host for _, r in lines for host in _ADDRESS.findall(r[b"message"])})
    if not hosts:
        return None
    host = hosts[int(rng.integers(len(hosts)))]
    return _rewritten(lines, re.compile(re.escape(host) + rb"\b"), b"192.168.77.5")


def fatal(lines: Lines, _: np.random.Generator) -> Lines:
    return [(time_ns, record | {b"level": b"FATAL"}) for time_ns, record in lines]


FAULTS: dict[str, Fault] = {
    "reversed": reversed_,
    "terminate first": terminate_first,
    "missing": missing,
    "slow ×50": slow,
    "pause 1 h": pause,
    "sizes 0": zero_sizes,
    "sizes huge": huge_sizes,
    "foreign address": foreign_address,
    "level FATAL": fatal,
}
# The share to find of each, at 3 false alarms in 1,000 normal sessions.
AIMS = {
    "reversed": 0.95,
    "terminate first": 0.95,
    "missing": 0.5,
    "slow ×50": 0.9,
    "pause 1 h": 0.9,
    "sizes 0": 0.9,
    "sizes huge": 0.9,
    "foreign address": 0.9,
    "level FATAL": 1.0,
}


# --- measuring ------------------------------------------------------------------------------------


def hosts_of(data: Path, bundle: Bundle) -> list[Lines]:
    """The lines of normal blocks that the bundle was not fitted on."""
    events, blocks, labels = raw_events(data)
    by_block: dict[bytes, Lines] = {}
    for event, block in zip(events, blocks, strict=True):
        by_block.setdefault(block, []).append(event)
    free = [
        lines
        for block, lines in by_block.items()
        if not labels[block] and key_hash((block,)) not in bundle.training and len(lines) > 1
    ]
    rng = np.random.default_rng(6)
    return [free[i] for i in rng.permutation(len(free))]


def found_share(bundle: Bundle, config: Config, logs: Sequence[Lines]) -> float:
    """The share of some blocks that get an alert."""
    events = sorted((event for lines in logs for event in lines), key=_time_ns)
    engine = bundle.engine(config)
    findings = [*engine.feed("bench", events, time.time_ns()), *engine.finish()]
    flagged = {finding.session for finding in findings if finding.kind not in _NO_SESSION}
    return len(flagged) / len(logs)


def slow_at_best(bundle: Bundle, hosts: Sequence[Lines], asked: float) -> float:
    """The share of slow steps that differ from normal ones by the gap before them, if `asked` of
    1,000 normal blocks may be flagged: fewer normal blocks have such a gap between the same two
    steps. Only a detector that has seen these blocks can find more."""
    read = bundle.engine().read
    steps = [[read(b"", record)[0] for _, record in lines] for lines in hosts]
    longest: dict[tuple[int, int], list[int]] = {}
    for keys, lines in zip(steps, hosts, strict=True):
        of_block: dict[tuple[int, int], int] = {}
        for at, pair in enumerate(pairwise(keys)):
            gap_ns = _time_ns(lines[at + 1]) - _time_ns(lines[at])
            of_block[pair] = max(gap_ns, of_block.get(pair, 0))
        for pair, gap_ns in of_block.items():
            longest.setdefault(pair, []).append(gap_ns)
    ranked = {pair: sorted(gaps) for pair, gaps in longest.items()}
    found = 0
    rng = np.random.default_rng(6)
    for keys, lines in zip(steps, hosts, strict=True):
        at = int(rng.integers(1, len(lines)))
        gap_ns = max(_time_ns(lines[at]) - _time_ns(lines[at - 1]), _NS) * _SLOWER
        others = ranked[keys[at - 1], keys[at]]
        alike = len(others) - bisect_left(others, gap_ns)
        found += 1000 * alike < asked * len(hosts)
    return found / len(hosts)


def faults_found(bundle: Bundle, config: Config, hosts: Sequence[Lines]) -> dict[str, float]:
    found = {}
    for kind, fault in FAULTS.items():
        rng = np.random.default_rng(6)
        made = [fault(lines, rng) for lines in hosts]
        found[kind] = round(found_share(bundle, config, [lines for lines in made if lines]), 3)
    return found


def whole_log(bundle: Bundle, config: Config, data: Path) -> dict[str, Any]:
    """The log with its labels: precision, recall and F1 of the blocks that were not fitted on."""
    outcome: Outcome = replay(bundle, config, data / "hdfs_raw/events.parquet")
    labels = read_labels(data / "hdfs_raw/labels.parquet")
    figures = summary(outcome, bundle, labels, keep_fitted=False)
    return {name: figures[name] for name in ("tp", "fp", "fn", "tn", "f1")}


def raw_faults(
    data: Path, name: str = "hdfs", asked: Sequence[float] = (0.5, 1, 3, 5, 20), hosts: int = 500
) -> dict[str, Any]:
    """By number of false alarms: the figures of the log, and the share found of each fault."""
    bundle = load_bundle(name)
    normal = hosts_of(data, bundle)
    chosen = normal[:hosts]
    found: dict[str, Any] = {}
    print(f"\nraw HDFS, bundle {name}: {len(chosen)} held-out normal blocks with each fault")
    for number in asked:
        config = Config(bundle=name, false_alarms=number)
        figures = whole_log(bundle, config, data)
        shares = faults_found(bundle, config, chosen)
        figures["per_1000"] = round(1000 * figures["fp"] / (figures["fp"] + figures["tn"]), 2)
        at_best = round(slow_at_best(bundle, normal, number), 3)
        found[f"{number:g}"] = figures | {"faults": shares, "slow_at_best": at_best}
        print(
            f"  false_alarms {number:g}: {figures['fp']} false of {figures['fp'] + figures['tn']:,}"
            f" ({figures['per_1000']} in 1,000), missed {figures['fn']}, F1 {figures['f1']}"
        )
        print("    " + ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items()))
        print(f"    slow ×50 at best {at_best:.1%}, with these blocks' own gaps known")
        sys.stdout.flush()
    return found


def main() -> int:
    parser = checkout.parser(__doc__, "")
    parser.add_argument("--bundle", default="hdfs")
    parser.add_argument("--false-alarms", nargs="+", type=float, default=[0.5, 1, 3, 5, 20])
    parser.add_argument("--hosts", type=int, default=500, help="blocks with each fault")
    flags = parser.parse_args()
    found = raw_faults(flags.data, flags.bundle, flags.false_alarms, flags.hosts)
    if flags.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
