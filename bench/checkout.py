"""The checkout that a bench measures, and the arguments that benches have in common.

A bench imports this before anything else of the checkout, as `import checkout`: that puts the
checkout, and what its tests share, before whatever is installed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# Real logs, in a folder beside the checkout.
DATA = REPOSITORY.parent / "shared/data"

sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]


def parser(description: str | None, data: str | None = None) -> argparse.ArgumentParser:
    """A parser that takes `--json`; and `--data`, by default the folder `data` of the real logs.

    Without `data`, the bench reads none of them.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if data is not None:
        made.add_argument("--data", type=Path, default=DATA / data, help="the folder of the logs")
    made.add_argument("--json", action="store_true", help="all figures as JSON in the last line")
    return made


def raw_hdfs(folder: Path) -> Path:
    """The file of HDFS' events in a folder of `--data`; ends the program where there is none."""
    path = folder / "events.parquet"
    if not path.is_file():
        sys.exit(f"bench: {path} is absent")
    return path
