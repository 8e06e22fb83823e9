"""What faults cost: sessions and alerts after kills and full disks, beside an undisturbed run.

Every session is compared: those that caused an alert by the whole record, those still open by all
their events. `serve` runs as a process and gets a real log over the Forward protocol, with one
chunk in flight; `@type krone` runs in a real Fluentd, where there is a `fluentd` command.

    python bench/faults.py [--data ../shared/data/hdfs_raw] [--only kills full_disk …]
                           [--kills 200] [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import checkout
from fault_kinds import living, network, plugin, process, store
from fault_kinds.bench import Bench

# Every fault by the name that `--only` takes; each is a function of the bench.
FAULTS: dict[str, Callable[[Bench], Any]] = {
    "kills": process.kills,
    "terms": process.terms,
    "full_disk": store.full_disk,
    "file_limit": store.file_limit,
    "read_only": store.read_only,
    "corrupted": store.corrupted,
    "sink_down": network.sink_down,
    "slow_sink": network.slow_sink,
    "duplicated": network.duplicated,
    "reordered": network.reordered,
    "truncated": network.truncated,
    "fluentd": plugin.fluentd,
    "out_forward": plugin.out_forward,
    "poison": plugin.poison,
    "learning": living.learning,
    "refit": living.refit,
}
# Events in a chunk: about 50 kB, so that a log gives enough chunks to kill in between.
_CHUNK = 500


async def run(
    bench: Bench, names: Sequence[str], show: Callable[[str, Any], None]
) -> dict[str, Any]:
    bench.whole = await bench.undisturbed()
    figures: dict[str, Any] = {}
    for name in names:
        began = time.monotonic()
        outcome = FAULTS[name](bench)
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        figures[name] = outcome
        figures[name]["took_s"] = round(time.monotonic() - began, 1)
        show(name, figures[name])
    return figures


def main() -> int:
    if sys.argv[1:2] == ["--poisoned"]:
        return plugin.poisoned(sys.argv[2:])
    parser = checkout.parser(__doc__, "hdfs_raw", FAULTS)
    parser.add_argument("--bundle", default="hdfs")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--events", type=int, help="no more of the log than this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--pause", type=float, default=60.0, help="seconds that a disk is full or a receiver away"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute's worth: few kills over a part of the log"
    )
    flags = parser.parse_args()
    if flags.quick:
        flags.events = flags.events or 10_000
        flags.kills = min(flags.kills, 5)
        flags.pause = 0.5
    bench = Bench(
        checkout.hdfs_events(flags.data, flags.events),
        flags.bundle,
        chunk=_CHUNK,
        seed=flags.seed,
        kills=flags.kills,
        pause_s=flags.pause,
    )

    def show(name: str, figures: Any) -> None:
        if not flags.json:
            print(name, json.dumps(figures), flush=True)

    figures = asyncio.run(run(bench, flags.only, show))
    if flags.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
