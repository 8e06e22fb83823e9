"""How many faults of each kind are found in the logs of a simulated shop.

For each variant of the log and each seed, a bundle is fitted to normal sessions only, by two
options (`--input` and `--session-key`). It then judges another log, which has faults. A fault is
found when its session has an alert of kind `sequence` or `deviation`, and found early when that
leaves before the session ends. The named step is right when the first alert's odd event is an event
of the fault, or the one beside it. Seeds 0–5 are those that a recipe may be chosen on; seeds 6–11
stand beside them and must not be looked at before.

    python bench/services.py [--variants abcd] [--seeds 0-11] [--kinds skip swap …] [--json]

The requests of a burst are normal one by one, but many of them end alike, so that what is rare in a
usual stream is frequent among them. Alerts on them are counted by themselves.

With `--mixed 0.01` one in a hundred sessions that a bundle is fitted to has a fault as well, of any
kind, and no label tells. `--train 600` fits to few sessions.

With `--json` the last line has the figures of each variant and group of seeds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import checkout
from shop.faults import FAULTS
from shop.formats import VARIANTS, Variant, write
from shop.traffic import STREAM_FAULTS, Moment, Plan, Request, Traffic, simulate
from shop_bench import is_step_right, seeds_of, variants_of

# The share of each kind that must be found, and the share of normal sessions that may be flagged.
FOUND_AIM = 0.9
FALSE_AIM = 0.003
GROUPS = {"chosen on": range(6), "untouched": range(6, 12)}
# The seed of a faulty log: far from the seeds of the logs that bundles are fitted to.
_FAULTY_SEED = 1_000
# A disturbance of the stream is found when an alert comes while it lasts, or so long afterwards.
_FLOW_DELAY = timedelta(minutes=10)
# Alerts of other kinds tell of the stream or of a template, not of a session.
_SESSION_ALERTS = ("sequence", "deviation")
_KINDS = [*FAULTS, *STREAM_FAULTS]
_NO_COUNT = {"count": 0, "found": 0, "early": 0, "step_right": 0}


@dataclass(frozen=True)
class Sizes:
    """How many sessions a bundle is fitted to, and how many of each kind of fault are injected.

    `mixed` is the share of the sessions it is fitted to that have a fault.
    """

    train: int
    mixed: float
    judged: int
    each: int
    kinds: Sequence[str]

    def fitted(self, seed: int) -> Plan:
        """The log that a bundle is fitted to. Kinds take turns where there are few faults."""
        count = round(self.mixed * self.train)
        kinds = [*FAULTS]
        faults = {
            kind: count // len(kinds) + (turn < count % len(kinds))
            for turn, kind in enumerate(kinds)
        }
        return Plan(sessions=self.train, seed=seed, faults=faults)

    def faulty(self, seed: int) -> Plan:
        """The log that is judged. Raises ValueError where it is too short for its faults."""
        faults = {kind: self.each for kind in self.kinds if kind in FAULTS}
        # A stream is disturbed once by each kind, so its found share is over the seeds.
        faults |= {kind: 1 for kind in self.kinds if kind in STREAM_FAULTS}
        return Plan(sessions=self.judged, seed=seed + _FAULTY_SEED, faults=faults)


@dataclass
class ShopTally:
    """Counts over the seeds of a group."""

    count: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    step_right: Counter[str] = field(default_factory=Counter)
    # Found before the session's end: what hangs is to be reported while it hangs.
    early: Counter[str] = field(default_factory=Counter)
    normals: int = 0
    false_alarms: int = 0
    # The same of the normal requests that start while a burst lasts.
    in_burst: int = 0
    alarms_in_burst: int = 0
    failures: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """The counts as shares, for JSON. A kind that was never injected is absent."""
        kinds = {}
        for kind, count in self.count.items():
            kinds[kind] = {
                "count": count,
                "found": round(self.found[kind] / count, 3),
                "early": round(self.early[kind] / count, 3),
                "step_right": round(self.step_right[kind] / count, 3),
            }
        missed = [kind for kind, figure in kinds.items() if figure["found"] < FOUND_AIM]
        false_share = self.false_alarms / max(1, self.normals)
        return {
            "kinds": kinds,
            "normals": self.normals,
            "false_alarms": self.false_alarms,
            "false_share": round(false_share, 4),
            "in_burst": self.in_burst,
            "alarms_in_burst": self.alarms_in_burst,
            "kinds_missed": missed,
            "aim_met": not missed and not self.failures and false_share <= FALSE_AIM,
            "failures": self.failures,
        }


def main() -> int:
    """Print the table of each variant; the exit code is 1 only where a fit or a replay failed."""
    flags, sizes = _arguments()
    results: dict[str, dict[str, Any]] = {}
    has_failed = False
    for name in flags.variants:
        results[name] = {}
        for group, seeds in _grouped(flags.seeds):
            tally = ShopTally()
            for seed in seeds:
                with _folder(flags.keep, f"{name}{seed}") as folder:
                    _run(VARIANTS[name], seed, sizes, folder, tally)
            results[name][group] = tally.figures()
            has_failed = has_failed or bool(tally.failures)
            _print_table(name, group, seeds, results[name][group])
    if flags.json:
        print(json.dumps({"train": sizes.train, "each": sizes.each, "variants": results}))
    return int(has_failed)


def _arguments() -> tuple[argparse.Namespace, Sizes]:
    """The flags and the sizes; ends the program before it starts where they do not fit."""
    parser = checkout.parser(__doc__)
    parser.add_argument(
        "--variants", type=variants_of, default=list(VARIANTS), help="letters (default: all)"
    )
    parser.add_argument(
        "--seeds", type=seeds_of, default=[0], metavar="LIST", help="such as 0-5,7 (default 0)"
    )
    parser.add_argument("--train", type=int, default=3_000, help="normal sessions to fit to")
    parser.add_argument("--mixed", type=float, default=0.0, help="share of them with a fault")
    parser.add_argument("--sessions", type=int, default=1_500, help="sessions to judge")
    parser.add_argument("--each", type=int, default=20, help="faults of each kind")
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, metavar="KIND", help="(default: all)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs, bundles, alerts here")
    flags = parser.parse_args()
    sizes = Sizes(flags.train, flags.mixed, flags.sessions, flags.each, kinds=flags.kinds or _KINDS)
    try:
        simulate(sizes.faulty(flags.seeds[0]))
    except ValueError as error:
        parser.error(str(error))
    return flags, sizes


def _grouped(seeds: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    known = {seed for group in GROUPS.values() for seed in group}
    groups = {**GROUPS, "others": [seed for seed in seeds if seed not in known]}
    for name, group in groups.items():
        if members := [seed for seed in seeds if seed in group]:
            yield name, members


@contextlib.contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is not None:
        yield keep / name
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


# --- one seed -------------------------------------------------------------------------------------


def _run(variant: Variant, seed: int, sizes: Sizes, folder: Path, tally: ShopTally) -> None:
    """Fit, replay, count."""
    # A bundle never sees a session of the log that it judges.
    normal = write(simulate(sizes.fitted(seed)), variant, folder / "normal")
    traffic = simulate(sizes.faulty(seed))
    log = write(traffic, variant, folder / "faulty")
    bundle = folder / "bundle"
    alerts = folder / "alerts.jsonl"
    fit = ["export", "fit", "--input", str(normal), "--session-key", variant.session_key]
    replay = ["fluent_krone", "replay", "--bundle", str(bundle), "--input", str(log)]
    replay += ["--alerts", str(alerts), "--json"]
    for command in ([*fit, "--output", str(bundle)], replay):
        failure = _failure(command)
        if failure is not None:
            tally.failures.append(f"seed {seed}: {command[1]}: {failure}")
            return
    with alerts.open(encoding="utf-8") as file:
        _count(traffic, variant, [json.loads(line) for line in file], tally)


def _failure(command: Sequence[str]) -> str | None:
    """Run a command of this checkout; what it said last where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=checkout.REPOSITORY, capture_output=True, text=True
    )
    if done.returncode == 0:
        return None
    return (done.stderr or done.stdout).strip().splitlines()[-1]


def _count(
    traffic: Traffic, variant: Variant, records: Sequence[Mapping[str, Any]], tally: ShopTally
) -> None:
    # Alerts stand in the order in which they left; what an operator reads first is what counts.
    first: dict[str, Mapping[str, Any]] = {}
    for record in records:
        if record["kind"] in _SESSION_ALERTS:
            first.setdefault(" ".join(record["session"]), record)
    for request in traffic.requests:
        alert = first.get(variant.key_text(request.key))
        if not request.kind and _is_in_burst(request, traffic.moments):
            tally.in_burst += 1
            tally.alarms_in_burst += alert is not None
            continue
        if not request.kind:
            tally.normals += 1
            tally.false_alarms += alert is not None
            continue
        tally.count[request.kind] += 1
        tally.found[request.kind] += alert is not None
        tally.early[request.kind] += alert is not None and alert["decided"] == "early"
        tally.step_right[request.kind] += alert is not None and is_step_right(request, alert)
    for moment in traffic.moments:
        tally.count[moment.kind] += 1
        is_found = any(_is_in_moment(record, moment) for record in records)
        tally.found[moment.kind] += is_found
        tally.early[moment.kind] += is_found
        tally.step_right[moment.kind] += is_found


def _is_in_burst(request: Request, moments: Sequence[Moment]) -> bool:
    bursts = [moment for moment in moments if moment.kind == "burst"]
    return any(burst.start_ms <= request.start_ms < burst.end_ms for burst in bursts)


def _is_in_moment(record: Mapping[str, Any], moment: Moment) -> bool:
    if record["kind"] != "flow":
        return False
    at = datetime.fromisoformat(record["ended_at"])
    start = datetime.fromtimestamp(moment.start_ms / 1000, UTC)
    return start <= at <= datetime.fromtimestamp(moment.end_ms / 1000, UTC) + _FLOW_DELAY


def _print_table(name: str, group: str, seeds: Sequence[int], figures: Mapping[str, Any]) -> None:
    print(f"\nvariant {name}, seeds {', '.join(map(str, seeds))} ({group})")
    print(f"  {'kind':12} {'count':>6} {'found':>7} {'early':>7} {'step right':>11}")
    for kind in _KINDS:
        row = figures["kinds"].get(kind, _NO_COUNT)
        if row["count"]:
            print(
                f"  {kind:12} {row['count']:6} {row['found']:7.0%} {row['early']:7.0%} "
                f"{row['step_right']:11.0%}"
            )
    print(
        f"  {figures['false_alarms']} false alarms in {figures['normals']:,} normal sessions "
        f"({figures['false_share']:.2%}; aim {FALSE_AIM:.1%})"
    )
    if figures["in_burst"]:
        print(f"  {figures['alarms_in_burst']} of {figures['in_burst']} in bursts are flagged")
    for failure in figures["failures"]:
        print(f"  failed: {failure}")


if __name__ == "__main__":
    sys.exit(main())
