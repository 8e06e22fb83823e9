"""Real Forward peers in front of and behind `serve`: are the alerts those of `replay`?

Each case sends the same lines through one peer with one configuration, and compares the ids of all
alerts with those of `fluent-krone replay` over the same lines. What is not installed is skipped.

    python bench/peers.py [--data ../shared/data/hdfs_raw] [--lines 30000] [--only TLS] [--json]
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import checkout
from peer_kinds.cases import CASES, Case
from peer_kinds.run import Run, replayed


def hdfs_lines(data: Path, count: int) -> Iterator[str]:
    """The log as the file that it once was: date, time, thread, level, component, message."""
    from pyarrow import parquet

    names = ["date", "time", "id", "level", "component", "m_message"]
    table = parquet.read_table(data / "events.parquet", columns=names).slice(0, count)
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        yield " ".join(row)


def main() -> int:
    """Run the cases, print a table; 1 where a case that the docs call supported differs."""
    parser = checkout.parser(__doc__, "hdfs_raw")
    parser.add_argument("--lines", type=int, default=30_000)
    parser.add_argument("--only", default="", help="a regular expression for names of cases")
    arguments = parser.parse_args()
    lines = list(hdfs_lines(arguments.data, arguments.lines))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        expected = replayed(lines, Path(folder))
        print(f"{len(lines)} lines, {len(expected)} alerts in a replay")
        for case in CASES:
            if re.search(arguments.only, case.name):
                row = run(case, lines, expected, Path(folder))
                rows.append(row)
                print(show(row), flush=True)
    if arguments.json:
        print(json.dumps({"lines": len(lines), "alerts": len(expected), "cases": rows}))
    return int(any(row["supported"] and row["result"] == "DIFFERS" for row in rows))


def run(case: Case, lines: list[str], expected: set[str], folder: Path) -> dict[str, object]:
    """Play one case in a directory of its own."""
    row: dict[str, object] = {"case": case.name, "supported": case.supported}
    missing = [command for command in case.needs if shutil.which(command) is None]
    if missing:
        return row | {"result": f"skipped: no {', '.join(missing)}"}
    directory = Path(tempfile.mkdtemp(dir=folder))
    began = time.monotonic()
    played = Run(directory, lines, expected)
    try:
        asyncio.run(played.play(case))
    except Exception as error:
        traceback.print_exc()
        return row | {"result": f"failed: {error!r}"}
    row |= played.outcome() | {"seconds": round(time.monotonic() - began, 1)}
    return row


def show(row: dict[str, object]) -> str:
    figures = " ".join(
        f"{key}={value}" for key, value in row.items() if key not in ("case", "result", "notes")
    )
    return f"{row['case']:34} {row['result']:8} {figures} {row.get('notes', '')}"


if __name__ == "__main__":
    sys.exit(main())
