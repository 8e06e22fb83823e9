"""The checkout that a bench measures, and the arguments that benches have in common.

A bench imports this before anything else of the checkout, as `import checkout`: that puts the
checkout, and what its tests share, before whatever is installed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# Real logs, in a folder beside the checkout.
DATA = REPOSITORY.parent / "shared/data"

sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]


# The fields of a record of HDFS, as in_tail's parser gives them in the order of a line.
FIELDS = ("id", "level", "component", "message")


def parser(
    description: str | None, data: str | None = None, parts: Iterable[str] = ()
) -> argparse.ArgumentParser:
    """A parser that takes `--json`; and `--data`, by default the folder `data` of the real logs.

    Without `data`, the bench reads none of them. With `parts`, the parser takes `--only`: the names
    of those that are measured, by default all.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if data is not None:
        made.add_argument("--data", type=Path, default=DATA / data, help="the folder of the logs")
    made.add_argument("--json", action="store_true", help="all figures as JSON in the last line")
    if parts:
        names = list(parts)
        made.add_argument(
            "--only",
            nargs="+",
            action=_Parts,
            default=names,
            metavar="NAME",
            help=f"some of {', '.join(names)}",
        )
    return made


class _Parts(argparse.Action):
    """Names of parts, of which the default has all; with commas or blanks between them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        names = ",".join(map(str, values or ())).split(",")
        for name in names:
            if name not in self.default:
                raise argparse.ArgumentError(
                    self, f"invalid choice: {name!r} (choose from {', '.join(self.default)})"
                )
        setattr(namespace, self.dest, names)


def hdfs_events(folder: Path, most: int | None = None) -> list[tuple[int, dict[str, str]]]:
    """Times and records of HDFS in a folder of `--data`, as Fluentd would send them."""
    # Not before a bench has said how many threads NumPy may have.
    from fluent_krone.inputs import read_events

    return [
        (time_ns or 0, {name: record[name.encode()].decode() for name in FIELDS})
        for time_ns, record in itertools.islice(read_events(raw_hdfs(folder)), most)
    ]


def raw_hdfs(folder: Path) -> Path:
    """The file of HDFS' events in a folder of `--data`; ends the program where there is none."""
    path = folder / "events.parquet"
    if not path.is_file():
        sys.exit(f"bench: {path} is absent")
    return path
