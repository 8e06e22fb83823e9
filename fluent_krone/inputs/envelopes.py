"""Records inside other records: what an export, a search or a subscription wraps around the logs.

Each record that comes out has the form in which a shipper would have sent it.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

from ..reading.otlp import logs_of
from ..reading.time_words import BEGINS_AS_TIME, SIZE_OF_TIME, SPEAKS_OF_TIME
from .files import unreadable

Record = dict[str, Any]
# The name under which a reader puts the time that stands beside a record, not in it.
OUTER_TIME = "\0time"
# Names under which an object holds a list of logs: CloudTrail and Azure, `filter-log-events`,
# subscriptions of CloudWatch, and the answers of various servers.
_LISTS = (
    *("Records", "records", "logEvents", "events", "entries", "logs", "hits", "items", "value"),
    *("results", "rows", "messages", "data"),
)
# An object with one of these is a log itself, whatever lists it has.
_OF_A_LOG = frozenset(
    ["message", "msg", "log", "event", "time", "timestamp", "@timestamp", "ts", "level", "severity"]
)
# What packed data begin with, and the times that stand beside them.
_GZIP = b"\x1f\x8b"
_PACKED_TIMES = ("publishTime", "approximateArrivalTimestamp")
# The actions of Elasticsearch's bulk requests, which stand before the records.
_BULK = ({"index"}, {"create"}, {"update"}, {"delete"})
# What an object with a list says about all of its logs.
_SHARED = ("logGroup", "logStream", "logStreamName")
# The name of an OpenTelemetry body, which has none of its own.
_BODY = "message"


def opened(record: Record) -> Iterator[Record]:
    """The records that a record holds, or itself where it is one.

    >>> list(opened({"Records": [{"eventName": "GetObject"}, {"eventName": "PutObject"}]}))
    [{'eventName': 'GetObject'}, {'eventName': 'PutObject'}]
    """
    if "resourceLogs" in record:
        yield from _otlp(record)
    elif len(record) == 1 and record.keys() in _BULK:
        # What the next line is, not a log.
        return
    elif isinstance(record.get("_source"), dict):
        yield record["_source"]
    elif isinstance(record.get("result"), dict) and "_raw" in record["result"]:
        # a search of Splunk
        yield record["result"]
    elif (rows := _table_in(record)) is not None:
        yield from rows
    elif (text := _packed_in(record)) is not None:
        yield from _of_text(text, record)
    elif (streams := _streams(record)) is not None:
        yield from _of_streams(streams)
    elif (inner := _list_in(record)) is not None:
        shared = _shared(record, inner)
        for one in inner:
            yield from opened({**shared, **one})
    else:
        yield record


def _otlp(request: Record) -> Iterator[Record]:
    try:
        for time_ns, record in logs_of(request, _BODY):
            yield {**record, OUTER_TIME: time_ns}
    except (TypeError, ValueError, AttributeError, KeyError):
        yield unreadable(json.dumps(request))


def _list_in(record: Record) -> list[Record] | None:
    if _is_a_log(record):
        return None
    for name in _LISTS:
        value = record.get(name)
        if isinstance(value, dict) and isinstance(value.get(name), list):
            value = value[name]
        if isinstance(value, list) and value:
            found = list(map(_as_record, value))
            if None not in found:
                return found  # type: ignore[return-value]
    return None


def _shared(record: Record, inner: list[Record]) -> Record:
    """What a record says about each log of its list: where they come from; or when and by whom, if
    the record says it in objects and the logs do not, as the activities of Google Workspace. In an
    answer, such an object may be about the question: where logs have a time, it is theirs.
    """
    objects = (value for value in record.values() if isinstance(value, dict))
    is_said_in_logs = any(_is_a_log(one) or _may_have_a_time(one) for one in inner)
    if any(map(_is_a_log, objects)) and not is_said_in_logs:
        return {name: value for name, value in record.items() if not isinstance(value, list)}
    return {name: record[name] for name in _SHARED if name in record}


def _is_a_log(record: Record) -> bool:
    return not _OF_A_LOG.isdisjoint(record)


def _may_have_a_time(record: Record) -> bool:
    for name, value in record.items():
        if isinstance(value, dict):
            if _may_have_a_time(value):
                return True
            continue
        text = str(value)
        if SPEAKS_OF_TIME.search(name) or BEGINS_AS_TIME.match(text) or SIZE_OF_TIME.match(text):
            return True
    return False


def _as_record(one: Any) -> Record | None:
    """A record of a list; one may be written as a list of names and values, as CloudWatch's
    queries answer.
    """
    if isinstance(one, dict):
        return one
    if not isinstance(one, list) or not one:
        return None
    if not all(isinstance(pair, dict) and {"field", "value"} <= pair.keys() for pair in one):
        return None
    return {str(pair["field"]): pair["value"] for pair in one}


def _table_in(record: Record) -> list[Record] | None:
    """The rows of tables that name their columns beside them, as Azure's queries answer."""
    tables = record.get("tables", [record])
    if not isinstance(tables, list):
        return None
    found: list[Record] = []
    for table in tables:
        columns, rows = (table.get(name) for name in ("columns", "rows"))
        if not isinstance(columns, list) or not isinstance(rows, list):
            return None
        names = [column.get("name") if isinstance(column, dict) else column for column in columns]
        found += [dict(zip(map(str, names), row, strict=False)) for row in rows if row]
    return found or None


def _packed_in(record: Record) -> str | None:
    """The text of a message whose data are in Base64: Pub/Sub, Kinesis, subscriptions of
    CloudWatch, which are packed as well.
    """
    for name in ("message", "kinesis", "awslogs"):
        holder = record.get(name)
        if not isinstance(holder, dict) or not isinstance(holder.get("data"), str):
            continue
        try:
            data = base64.b64decode(holder["data"], validate=True)
            if data.startswith(_GZIP):
                data = gzip.decompress(data)
            return data.decode()
        except (ValueError, OSError, EOFError):
            return None
    return None


def _of_text(text: str, record: Record) -> Iterator[Record]:
    """The records of a text that was packed, with the time beside it."""
    times = (
        holder.get(name)
        for holder in record.values()
        if isinstance(holder, dict)
        for name in _PACKED_TIMES
    )
    around: Record = {}
    time = next(filter(None, times), None)
    if time is not None:
        around[OUTER_TIME] = time
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        inner = None
    if isinstance(inner, dict):
        yield from opened({**around, **inner})
    else:
        yield {**around, _BODY: text}


def _streams(record: Record) -> list[Record] | None:
    """The streams of an answer of Loki, or of what is pushed to it."""
    data = record.get("data")
    streams = record.get("streams")
    if isinstance(data, dict):
        streams = data.get("result")
    if isinstance(streams, list) and all(
        isinstance(one, dict) and isinstance(one.get("stream"), dict) and "values" in one
        for one in streams
    ):
        return streams
    return None


def _of_streams(streams: list[Record]) -> Iterator[Record]:
    """The entries of all streams in the order of their times, whichever way they were asked for."""
    found: list[Record] = []
    for one in streams:
        for entry in one["values"]:
            if isinstance(entry, list) and len(entry) > 1:
                found.append({**one["stream"], "message": entry[1], OUTER_TIME: entry[0]})
            else:
                yield unreadable(json.dumps(entry))
    if len(found) > 1 and str(found[0][OUTER_TIME]) > str(found[-1][OUTER_TIME]):
        found.reverse()
    yield from sorted(found, key=lambda record: str(record[OUTER_TIME]))
