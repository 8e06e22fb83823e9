"""Write the log of a simulated shop of micro-services, with labelled faults.

    python tests/shop_log.py --variant a --sessions 3000 --seed 0 --out normal
    python tests/shop_log.py --variant a --sessions 1000 --seed 1 --faults all=10 burst=1 --out odd
    fluent-krone replay --bundle normal.bundle --input odd/log.jsonl --labels odd/labels.csv

The folder then holds the log, `labels.csv` (a row for every request) and `moments.csv` (what befell
the stream as a whole: burst, silence, deploy, alike).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from shop.faults import FAULTS
from shop.formats import VARIANTS, write
from shop.traffic import STREAM_FAULTS, Plan, simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; 2 where an argument is wrong."""
    parser = _parser()
    flags = parser.parse_args(arguments)
    try:
        plan = Plan(
            sessions=flags.sessions,
            seed=flags.seed,
            per_day=flags.per_day,
            faults=_counts(flags.faults),
            deploy_at=flags.deploy_at,
            alike=flags.alike,
        )
        traffic = simulate(plan)
    except ValueError as error:
        parser.error(str(error))
    log = write(traffic, VARIANTS[flags.variant], flags.out)
    faulty = sum(bool(request.kind) for request in traffic.requests)
    print(f"{log}: {len(traffic.requests):,} requests, {faulty:,} of them faulty")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        default="a",
        help="a: JSON with a message; b: JSON without; c: Spring lines; d: Go slog lines",
    )
    parser.add_argument("--sessions", type=int, default=2_000, help="number of requests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-day", type=int, default=2_000, help="mean requests a day")
    parser.add_argument(
        "--faults",
        nargs="*",
        default=[],
        metavar="KIND=COUNT",
        help=f"all, {', '.join([*FAULTS, *STREAM_FAULTS])}",
    )
    parser.add_argument(
        "--deploy-at",
        type=float,
        metavar="SHARE",
        help="deploy a new version after this share of the time",
    )
    parser.add_argument("--alike", type=int, default=0, help="further requests that fail alike")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser


def _counts(words: Sequence[str]) -> dict[str, int]:
    """`skip=5` and the like as numbers; `all` stands for each kind of fault of a request."""
    counts: dict[str, int] = {}
    for word in words:
        kind, _, count = word.partition("=")
        if not count.isdigit():
            raise ValueError(f"--faults {word!r}: use KIND=COUNT, such as skip=5")
        kinds = [kind]
        if kind == "all":
            kinds = list(FAULTS)
        counts |= dict.fromkeys(kinds, int(count))
    return counts


if __name__ == "__main__":
    sys.exit(main())
