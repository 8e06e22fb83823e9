"""Many instances on one topic against one engine: the same alerts, each once, whatever happens.

A real Kafka broker is started on loopback (`tests/kafka_broker.py` says where its jars come from).
Rates are measured in CPU time of the instances alone, so other load on the machine, the broker and
the producer change them little. The exit code is 1 where a figure is not what it must be.

    python bench/kafka.py [--data ../shared/data/hdfs_raw] [--only equal kills …] [--small] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import checkout

os.environ["OMP_NUM_THREADS"] = "1"

from kafka_broker import Broker, missing
from kafka_kinds import rates, stages, troubles
from kafka_kinds.compare import Reference
from kafka_kinds.stages import Setting
from kafka_kinds.stream import log_of

from fluent_krone.detect.bundle import find_bundle, load_bundle

# Records of the log, kills, joins and leaves, and open sessions of the small form, and the seconds
# that its broker is away: about seven minutes.
_SMALL = (30_000, 6, 4, 20_000, 15.0)


Stage = Callable[[Setting, Reference, argparse.Namespace], dict[str, Any]]
STAGES: Mapping[str, Stage] = {
    "replayed": lambda setting, whole, flags: stages.replayed(setting, whole),
    "equal": lambda setting, whole, flags: stages.equal(setting, whole),
    "rates": lambda setting, whole, flags: rates.rates(setting, whole),
    "scaling": lambda setting, whole, flags: stages.scaling(setting),
    "restore": lambda setting, whole, flags: stages.restore(setting, flags.sessions),
    "troubles": lambda setting, whole, flags: troubles.troubles(setting, flags.away),
    "kills": lambda setting, whole, flags: stages.kills(
        setting, flags.kills, flags.moves, flags.seed
    ),
}


def measured(setting: Setting, flags: argparse.Namespace) -> dict[str, Any]:
    """The figures of all stages that are asked for."""
    figures: dict[str, Any] = {"key": stages.key_the_log(setting)}
    setting.show(f"key {figures['key']}")
    whole = Reference(setting.group_over(setting.keyed), setting.bundle, setting.keyed)
    for name in flags.only:
        began = time.monotonic()
        figures[name] = STAGES[name](setting, whole, flags)
        setting.show(f"{name} {figures[name]} ({time.monotonic() - began:.0f} s)")
    return figures


def main() -> int:
    parser = checkout.parser(__doc__, "hdfs_raw", STAGES)
    parser.add_argument("--bundle", default="hdfs")
    parser.add_argument("--events", type=int, help="no more of the log than this")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--moves", type=int, default=30, help="instances that join or leave")
    parser.add_argument("--sessions", type=int, default=100_000, help="open sessions to restore")
    parser.add_argument("--away", type=float, default=60.0, help="seconds that a broker is away")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="about seven minutes")
    flags = parser.parse_args()
    if flags.small:
        flags.events, flags.kills, flags.moves, flags.sessions, flags.away = _SMALL
    reason = missing()
    if reason is not None:
        sys.exit(f"bench: {reason}")
    path = checkout.raw_hdfs(flags.data)

    def show(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "broker")
        broker.start()
        bundle_path = find_bundle(flags.bundle)
        setting = Setting(
            broker=broker,
            folder=Path(folder),
            bundle_path=bundle_path,
            bundle=load_bundle(str(bundle_path)),
            log=log_of(path, flags.events),
            show=show,
        )
        try:
            figures = measured(setting, flags)
        finally:
            broker.stop()
    figures["wrong"] = setting.wrong
    if flags.json:
        print(json.dumps(figures))
    return bool(setting.wrong)


if __name__ == "__main__":
    sys.exit(main())
