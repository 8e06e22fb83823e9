"""Files of log events and of labels, for `replay` and `export`: parquet, csv, jsonl, plain text.

Tables that LogLead writes (columns `m_message`, `m_timestamp`) are read as `message` and `time`.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from .errors import ConfigError, RecordError
from .reading.records import as_fields, parse_time, unix_ns

Event = tuple[int | None, dict[bytes, Any]]
_LOGLEAD = {"m_message": "message", "m_timestamp": "time"}
_TIME_NAMES = ("time", "timestamp", "@timestamp", "ts")


def read_events(path: Path) -> Iterator[Event]:
    """Yield `(time_ns, record)` in file order; time is None where the record has no time of its
    own.

    A line that can't be read comes as a record without message, so that it is counted and set
    aside. A line of plain text that begins with a stamp without a year (syslog's, klog's) has the
    time that the file's own date makes likely. Raises ConfigError when the file can't be opened
    or is of no known kind.
    """
    time_of = _time
    if _kind(path) == "text":
        time_of = _Stamps(path).time
    for record in read_rows(path):
        try:
            yield (
                time_of(record),
                as_fields({name: v for name, v in record.items() if v is not None}),
            )
        # The record is nested too deep.
        except RecursionError:
            yield None, {}


def count_events(path: Path) -> int | None:
    """How many events a file holds, where that is known without reading it."""
    if path.suffix == ".parquet":
        return int(_parquet(path).metadata.num_rows)
    return None


def read_labels(path: Path) -> dict[str, bool]:
    """Session key → is abnormal. Needs a key column, and one named anomaly, abnormal or label.

    Raises ConfigError when there is no such column.
    """
    labels: dict[str, bool] = {}
    for row in read_rows(path):
        names = {name.lower(): name for name in row}
        label = next(
            (names[n] for n in ("anomaly", "abnormal", "is_anomaly", "label") if n in names), None
        )
        key = next(
            (
                names[n]
                for n in ("session", "seq_id", "key", "block", "blockid", "id")
                if n in names
            ),
            None,
        )
        if label is None or key is None:
            raise ConfigError(
                f"labels {path}: needs columns session and anomaly (or label), has {', '.join(row)}"
            )
        labels[str(row[key])] = is_abnormal(row[label])
    return labels


def is_abnormal(value: Any) -> bool:
    """Whether a label, in whatever spelling, says abnormal."""
    return value is True or str(value).strip().lower() in (
        "1",
        "true",
        "anomaly",
        "abnormal",
        "anomalous",
        "yes",
    )


def _kind(path: Path) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    return {
        ".parquet": "parquet",
        ".csv": "csv",
        ".jsonl": "json",
        ".ndjson": "json",
        ".json": "json",
    }.get(suffix, "text")


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file as they stand in it, a line of text as its `message`.

    Raises ConfigError as `read_events`.
    """
    kind = _kind(path)
    try:
        if kind == "parquet":
            yield from _read_parquet(path)
        elif kind == "csv":
            # The record reader cuts a long message, and counts it.
            csv.field_size_limit(sys.maxsize)
            with _open(path, newline="") as file:
                yield from csv.DictReader(file, restkey="")
        elif kind == "json":
            with _open(path) as file:
                yield from map(_json, file)
        else:
            with _open(path) as file:
                yield from ({"message": line.rstrip("\r\n")} for line in file)
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise ConfigError(f"{path}: {error}") from None


def _open(path: Path, newline: str = "\n") -> IO[str]:
    opener: Any = open
    if path.suffix == ".gz":
        opener = gzip.open
    file: IO[str] = opener(path, "rt", encoding="utf-8", errors="surrogateescape", newline=newline)
    return file


def _json(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    return record


def _parquet(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            f"{path}: parquet needs the package pyarrow: pip install 'fluent-krone[export]'"
        ) from None
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    for batch in _parquet(path).iter_batches():
        names = [_LOGLEAD.get(name, name) for name in batch.schema.names]
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            record = dict(zip(names, row, strict=True))
            if "m_timestamp" in batch.schema.names:
                record["time"] = row[batch.schema.names.index("m_timestamp")]
            yield record


def _time(record: dict[str, Any]) -> int | None:
    value = next((record[name] for name in _TIME_NAMES if record.get(name) not in (None, "")), None)
    try:
        if isinstance(value, datetime):
            return unix_ns(value)
        return None if value is None else parse_time(str(value))
    except (RecordError, OverflowError):
        return None


class _Stamps:
    """Times of lines that begin with a stamp without a year.

    The latest such time not after the file's own date.
    """

    def __init__(self, path: Path) -> None:
        self._latest = _NEVER
        if path.exists():
            # A day later, since the file's own date is UTC and its stamps may be local time.
            self._latest = datetime.fromtimestamp(path.stat().st_mtime, UTC) + timedelta(days=1)
        # The last stamp and its time: stamps of one second come together.
        self._known: tuple[str, int | None] = ("", None)

    def time(self, record: dict[str, Any]) -> int | None:
        found = _YEARLESS.match(record["message"])
        if found is None:
            return None
        stamp = found["day"] + found["clock"]
        if stamp != self._known[0]:
            self._known = stamp, self._parse(re.sub(r"[^A-Za-z0-9:]+", " ", stamp).strip())
        seconds = self._known[1]
        if seconds is None:
            return None
        return seconds + int((found["fraction"] or "").ljust(9, "0")[:9])

    def _parse(self, stamp: str) -> int | None:
        day_format = "%m%d"
        if stamp[0].isalpha():
            day_format = "%b %d"
        elif stamp[2] == " ":
            day_format = "%m %d"
        # Eight years back there is a leap day for sure, which a 29 February needs.
        for year in range(self._latest.year, self._latest.year - 8, -1):
            try:
                moment = datetime.strptime(f"{year} {stamp}", f"%Y {day_format} %H:%M:%S").replace(
                    tzinfo=UTC
                )
            except ValueError:
                continue
            if moment <= self._latest:
                return int(moment.timestamp()) * 1_000_000_000
        return None


# `Jun  9 06:06:01`, klog's `I0609 06:06:01.5`, `06-09 06:06:01.5`, `[06.09 06:06:01]`, each
# perhaps behind `<34>`
_YEARLESS = re.compile(
    r"(?:<\d{1,3}>|\[)?(?:[IWEF](?=\d{4} ))?(?P<day>[A-Z][a-z]{2} [ \d]?\d|\d\d[-./]\d\d|\d{4})"
    r"(?P<clock> \d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))?"
)
_NEVER = datetime.max.replace(tzinfo=UTC)
