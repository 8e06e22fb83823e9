"""Records as products write them: message, time, level and session key wherever they stand.

Was wrong: of 44 files of well-known products, 30 were read without their time, level, message or
session key, or were refused: names in capitals, nested objects, numbers as levels, tables with
other signs, and records that an export wraps in others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from export.first_pass import timed
from export.source import settle
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.reading.levels import RANKS, levels_of
from fluent_krone.reading.records import RecordReader
from fluent_krone.reading.times import unix_ns

FIRST = datetime(2024, 10, 15, 13, 0, 0, 123000, tzinfo=UTC)
STEPS = ("order received", "stock reserved", "payment captured", "parcel handed over")
SESSIONS = 150


@dataclass(frozen=True)
class Step:
    """One event of one of several orders at a time."""

    at: datetime
    order: int
    number: int

    @property
    def text(self) -> str:
        return STEPS[self.number]

    @property
    def iso(self) -> str:
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.at.microsecond // 1000:03d}Z"

    @property
    def millis(self) -> int:
        return round(self.at.timestamp() * 1000)

    @property
    def trace(self) -> str:
        return f"{self.order * 7919 + 2**100:032x}"

    def of(self, *values: Any) -> Any:
        """The value for this step."""
        return values[self.number]


def steps() -> list[Step]:
    rng = Random(5)
    at = FIRST
    made = []
    running = dict.fromkeys(range(4), 0)
    coming = iter(range(4, SESSIONS))
    while running:
        order = rng.choice(list(running)) if made else 0
        made.append(Step(at, order, running[order]))
        at += timedelta(milliseconds=rng.randrange(50, 1000))
        running[order] += 1
        if running[order] == len(STEPS):
            del running[order]
            if (new := next(coming, None)) is not None:
                running[new] = 0
    return made


ALL = steps()
Write = Callable[[Step], Any]


def lines(write: Write) -> str:
    """A record on each line."""
    return "".join(json.dumps(write(step)) + "\n" for step in ALL)


def rows(head: str, write: Callable[[Step], str]) -> str:
    return head + "\n" + "".join(write(step) + "\n" for step in ALL)


def wrapped(write: Write, around: Callable[[list[Any]], Any]) -> str:
    return json.dumps(around([write(step) for step in ALL]))


def otlp(step: Step) -> dict[str, Any]:
    log = {
        "timeUnixNano": str(step.millis * 10**6),
        "severityText": step.of("INFO", "INFO", "INFO", "WARN"),
        "body": {"stringValue": step.text},
        "traceId": step.trace,
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [log]}]}]}


def windows_event(step: Step) -> str:
    """An event as `wevtutil` writes it."""
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name='Acme'/><EventID Qualifiers='0'>{4624 + step.number}</EventID>"
        f"<Level>{step.of(4, 4, 4, 3)}</Level><TimeCreated SystemTime='{step.iso[:-1]}0000Z'/>"
        f"<Correlation ActivityID='{{{step.trace}}}'/><Computer>WIN1</Computer></System>"
        f"<EventData><Data Name='Text'>{step.text}</Data></EventData></Event>"
    )


@dataclass(frozen=True)
class Product:
    """What a product writes, and what is to be read of it."""

    content: str
    # A part of the session key.
    key: str
    message: str = STEPS[0]
    has_level: bool = True
    # Parts of a second that its times have.
    digits: int = 3


PRODUCTS: dict[str, Product] = {
    "pino": Product(
        lines(
            lambda s: {"level": s.of(30, 30, 30, 40), "time": s.millis, "pid": 7, "reqId": s.trace,
                       "msg": s.text}
        ),
        "reqId",
    ),
    "bunyan": Product(
        lines(
            lambda s: {"name": "shop", "level": s.of(30, 30, 30, 40), "req_id": s.trace,
                       "msg": s.text, "time": s.iso, "v": 0}
        ),
        "req_id",
    ),
    "ECS with dots": Product(
        lines(
            lambda s: {"@timestamp": s.iso, "log.level": s.of(*["INFO"] * 3, "WARN"),
                       "message": s.text, "trace.id": s.trace, "log.logger": "com.acme.Shop"}
        ),
        "trace.id",
    ),
    "ECS with objects": Product(
        lines(
            lambda s: {"@timestamp": s.iso, "log": {"level": s.of(*["info"] * 3, "warn")},
                       "message": s.text, "trace": {"id": s.trace}}
        ),
        "$.trace.id",
    ),
    "OpenTelemetry's file exporter": Product(lines(otlp), "trace_id"),
    "OpenTelemetry, flat": Product(
        lines(
            lambda s: {"Timestamp": str(s.millis * 10**6), "TraceId": s.trace, "Body": s.text,
                       "SeverityText": s.of(*["INFO"] * 3, "WARN"), "SeverityNumber": 9}
        ),
        "TraceId",
    ),
    "Serilog's compact JSON": Product(
        lines(
            lambda s: {"@t": s.iso, "@mt": s.text + " for {OrderId}", "OrderId": s.order,
                       "@l": s.of(*["Information"] * 3, "Warning"), "SourceContext": "Acme.Shop"}
        ),
        "OrderId",
    ),
    "MongoDB": Product(
        lines(
            lambda s: {"t": {"$date": s.iso}, "s": s.of("I", "I", "I", "W"), "c": "NETWORK",
                       "id": 22943 + s.number, "ctx": f"conn{s.order}", "msg": s.text}
        ),
        "ctx",
    ),
    "GELF": Product(
        lines(
            lambda s: {"version": "1.1", "host": "h", "short_message": s.text,
                       "timestamp": s.millis / 1000, "level": s.of(6, 6, 6, 4),
                       "_order_id": f"o{s.order}"}
        ),
        "_order_id",
    ),
    "Google Cloud": Product(
        lines(
            lambda s: {"insertId": s.iso, "jsonPayload": {"message": s.text}, "timestamp": s.iso,
                       "severity": s.of(*["INFO"] * 3, "WARNING"), "trace": f"p/{s.trace}"}
        ),
        "trace",
    ),
    "CloudTrail": Product(
        wrapped(
            lambda s: {"eventTime": s.iso, "eventName": s.of("Get", "Put", "List", "Drop"),
                       "sourceIPAddress": f"10.1.2.{s.order}", "awsRegion": "eu-west-1"},
            lambda logs: {"Records": logs},
        ),
        "sourceIPAddress",
        message="Get",
        has_level=False,
    ),
    "CloudWatch": Product(
        wrapped(
            lambda s: {"logStreamName": "a", "timestamp": s.millis,
                       "message": f"{s.text} order={s.order}\n"},
            lambda logs: {"events": logs, "searchedLogStreams": []},
        ),
        "order=",
        has_level=False,
    ),
    "a search of Elasticsearch": Product(
        wrapped(
            lambda s: {"_index": "a", "_source": {"@timestamp": s.iso, "message": s.text,
                       "level": s.of(*["info"] * 3, "warn"), "order_id": s.order}},
            lambda logs: {"took": 3, "hits": {"total": len(logs), "hits": logs}},
        ),
        "order_id",
    ),
    "a bulk request": Product(
        "".join(
            '{"index": {"_index": "a"}}\n'
            + json.dumps({"@timestamp": s.iso, "message": s.text, "level": s.of(*["info"] * 3,
                          "warn"), "order_id": s.order}) + "\n"
            for s in ALL
        ),
        "order_id",
    ),
    "an answer of Loki": Product(
        wrapped(
            lambda s: [str(s.millis * 10**6), f"{s.text} order={s.order}"],
            lambda logs: {"status": "success", "data": {"resultType": "streams", "result": [
                {"stream": {"app": "shop"}, "values": logs}]}},
        ),
        "order=",
        has_level=False,
    ),
    "a table with capitals": Product(
        rows("\ufeffTimestamp,Severity,Message,OrderId", lambda s: f'{s.iso},'
             f'{s.of(*["info"] * 3, "warn")},"{s.text}, order {s.order}",{s.order}'),
        "OrderId",
    ),
    "a table in German": Product(
        rows("Zeit;Meldung;Auftrag", lambda s: f'{s.at:%d.%m.%Y %H:%M:%S};{s.text};{s.order}'),
        "Auftrag",
        has_level=False,
        digits=0,
    ),
    "a table with tabs": Product(
        rows("timestamp\tlevel\tmessage\torder_id", lambda s:
             f'{s.iso}\t{s.of(*["info"] * 3, "warn")}\t{s.text}\t{s.order}'),
        "order_id",
    ),
    "IIS": Product(
        rows("#Software: Microsoft Internet Information Services 10.0\n#Fields: date time s-ip "
             "cs-method cs-uri-stem c-ip sc-status time-taken", lambda s:
             f'{s.at:%Y-%m-%d %H:%M:%S} 10.0.0.1 {s.of("GET", "POST", "PUT", "GET")} '
             f'/{s.text.split()[0]} 10.1.2.{s.order} {s.of(200, 201, 200, 500)} {s.order % 90}'),
        "c-ip",
        message="GET",
        has_level=False,
        digits=0,
    ),
    "the W3C's format, aligned and in quotes": Product(
        rows("#Software: Web Cache\n#Fields:  c-ip  date  time  cs-method  cs-uri  cs(User-Agent)",
             lambda s: f'10.1.2.{s.order}      {s.at:%Y-%m-%d}     "{s.at:%H:%M:%S}"      '
             f'{s.of("GET", "POST", "PUT", "GET")}      /{s.text.split()[0]}     "Some agent 1.0"'),
        "c-ip",
        message="GET",
        has_level=False,
        digits=0,
    ),
    "Zeek": Product(
        rows("#separator \\x09\n#fields\tts\tuid\tid.orig_h\tproto\tservice\tconn_state\n#types\t"
             "time\tstring\taddr\tenum\tstring\tstring", lambda s:
             f'{s.at.timestamp():.6f}\tC{s.order}\t10.1.2.3\ttcp\t'
             f'{s.of("http", "ssl", "dns", "-")}\t{s.of("S0", "SF", "REJ", "SF")}'),
        "uid",
        message="http",
        has_level=False,
    ),
    "the journal's export format": Product(
        "".join(f"__REALTIME_TIMESTAMP={s.millis * 1000}\nMESSAGE={s.text} order={s.order}\n"
                f'PRIORITY={s.of("6", "6", "6", "4")}\n_PID=7\n\n' for s in ALL),
        "order=",
    ),
    ".NET's JSON console": Product(
        lines(
            lambda s: {"Timestamp": s.iso, "LogLevel": s.of(*["Information"] * 3, "Warning"),
                       "Category": "Acme.Shop", "Message": s.text, "State": {"OrderId": s.order}}
        ),
        "$.State.OrderId",
    ),
    "audit logs of Kubernetes": Product(
        lines(
            lambda s: {"kind": "Event", "level": "Metadata", "auditID": s.trace, "verb": "get",
                       "stage": s.of("Received", "Started", "Complete", "Panic"),
                       "requestReceivedTimestamp": s.iso}
        ),
        "auditID",
        message="Received",
        has_level=False,
    ),
    "a date and a clock": Product(
        lines(
            lambda s: {"date": f"{s.at:%Y-%m-%d}", "time": s.iso[11:-1],
                       "message": f"{s.text} order={s.order}"}
        ),
        "order=",
        has_level=False,
    ),
    "a date with am and pm": Product(
        lines(
            lambda s: {"date": f"{s.at:%m/%d/%Y %I:%M:%S %p}",
                       "message": f"{s.text} order={s.order}"}
        ),
        "order=",
        has_level=False,
        digits=0,
    ),
    "Log4j's JSON": Product(
        lines(
            lambda s: {"instant": {"epochSecond": s.millis // 1000,
                       "nanoOfSecond": s.millis % 1000 * 10**6}, "message": s.text,
                       "level": s.of(*["INFO"] * 3, "WARN"), "contextMap": {"requestId": s.trace}}
        ),
        "requestId",
    ),
    "Monolog": Product(
        lines(
            lambda s: {"message": s.text, "level": s.of(200, 200, 200, 300), "channel": "shop",
                       "datetime": s.iso, "extra": {"uid": f"u{s.order}"}}
        ),
        "uid",
    ),
    "Okta": Product(
        lines(
            lambda s: {"published": s.iso, "eventType": s.of("a.b", "a.c", "d", "e"),
                       "displayMessage": s.text, "severity": s.of(*["INFO"] * 3, "WARN"),
                       "authenticationContext": {"externalSessionId": f"s{s.order}"}}
        ),
        "SessionId",
    ),
    "a table of Kibana": Product(
        rows('"@timestamp","message","log.level","trace.id"', lambda s:
             f'"Oct 15, 2024 @ {s.iso[11:-1]}","{s.text}",'
             f'"{s.of(*["info"] * 3, "warn")}","{s.trace}"'),
        "trace.id",
    ),
    "a table of DHCP": Product(
        rows("ID,Date,Time,Description,IP Address", lambda s:
             f'{10 + s.number},10/15/24,{s.at:%H:%M:%S},{s.of("Assign", "Renew", "Free", "End")},'
             f'10.1.2.{s.order}'),
        "IP Address",
        message="Assign",
        has_level=False,
        digits=0,
    ),
    "Exchange": Product(
        rows("#Fields: date-time,client-ip,event-id,message-id", lambda s:
             f'{s.iso},10.1.2.3,{s.of("RECEIVE", "SEND", "DELIVER", "FAIL")},<m{s.order}@a.b>'),
        "message-id",
        message="RECEIVE",
        has_level=False,
    ),
    "JSON with separators of records": Product(
        "".join("\x1e" + json.dumps({"time": s.iso, "message": s.text, "order_id": s.order}) + "\n"
                for s in ALL),
        "order_id",
        has_level=False,
    ),
    "syslog with JSON": Product(
        "".join(
            f"{s.iso} host01 shop[7]: " + json.dumps({"msg": s.text, "order_id": s.order}) + "\n"
            for s in ALL
        ),
        "order_id",
        has_level=False,
    ),
    "PostgreSQL's csvlog": Product(
        "".join(f'{s.iso[:10]} {s.iso[11:-1]} UTC,"app","shop",1234,"10.1.2.3:4567",6717f3d2.'
                f'{s.order:x},3,"SELECT",2024-10-15 12:00:00 UTC,3/45,0,'
                f'{s.of("LOG", "LOG", "LOG", "WARNING")},00000,"{s.text} order={s.order}",,,\n'
                for s in ALL),
        "order=",
    ),
    "Get-WinEvent": Product(
        rows('"TimeCreated","Id","LevelDisplayName","Message"', lambda s:
             f'"{s.at:%m/%d/%Y} {s.at.hour - 12}:{s.at:%M:%S} PM","7",'
             f'"{s.of(*["Information"] * 3, "Warning")}","{s.text} order={s.order}"'),
        "order=",
        digits=0,
    ),
    "flow logs of AWS": Product(
        rows("version account-id interface-id srcaddr dstaddr bytes start end action log-status",
             lambda s: f'2 123456789010 eni-{s.order:08x} 172.31.16.139 172.31.16.21 4249 '
             f'{s.millis // 1000} {s.millis // 1000 + 60} '
             f'{s.of("ACCEPT", "REJECT", "NODATA", "ACCEPT")} OK'),
        "interface-id",
        message="ACCEPT",
        has_level=False,
        digits=0,
    ),
    "Caddy": Product(
        lines(
            lambda s: {"level": "info", "ts": s.at.timestamp(), "msg": "handled request",
                       "request": {"remote_ip": f"10.1.2.{s.order}", "uri": f"/a/{s.order}",
                                   "method": s.of("GET", "POST", "PUT", "GET")}}
        ),
        "remote_ip",
        message="handled request",
        has_level=False,
    ),
    "docker compose with JSON": Product(
        "".join("web-1  | " + json.dumps({"time": s.iso, "msg": s.text, "order_id": s.order,
                "level": s.of(*["info"] * 3, "warn")}) + "\n" for s in ALL),
        "order_id",
    ),
    "events of a payment service": Product(
        lines(
            lambda s: {"id": f"evt_{s.order}_{s.number}", "object": "event",
                       "created": s.millis // 1000, "type": s.text,
                       "request": {"id": f"req_{s.order:08x}"}}
        ),
        "request", has_level=False, digits=0,
    ),
    "a proxy in Go": Product(
        lines(
            lambda s: {"level": s.of(*["info"] * 3, "warn"), "ts": s.millis / 1000,
                       "logger": "http.log", "msg": s.text,
                       "request": {"remote_ip": f"10.1.{s.order}.2",
                                   "remote_port": str(1024 + s.millis % 9000)}}
        ),
        "remote_ip",
    ),
    "a firewall's CEF": Product(
        "".join(f"{s.iso} fw CEF:0|Acme|FW|1.0|7|{s.text}|3|src=10.1.2.{s.order} act=allow\n"
                for s in ALL),
        "src=",
        has_level=False,
    ),
    # Wrong before: text without time, level and key.
    "events of Windows as XML": Product(
        "".join(windows_event(s) + "\n" for s in ALL), "ActivityID"
    ),
    # Wrong before: each line was a record.
    "events of Windows as text": Product(
        "".join(
            f"Event[{n}]:\n  Log Name: Application\n  Source: Shop\n  Date: {s.iso}\n"
            f"  Event ID: 7000\n  Task: N/A\n  Level: {s.of(*['Information'] * 3, 'Warning')}\n"
            f"  Description: \n{s.text}\nfor trace {s.trace}\n\n"
            for n, s in enumerate(ALL)
        ),
        "trace",
    ),
    "events of Windows in one document": Product(
        "<?xml version='1.0'?>\n<Events>\n"
        + "".join(windows_event(s).replace("><", ">\n<") + "\n" for s in ALL)
        + "</Events>\n",
        "ActivityID",
    ),
    "events of Windows in a field": Product(
        lines(lambda s: {"host": "win1", "xml": windows_event(s)}), "ActivityID"
    ),
    # Wrong before: the object of all fields was taken for a surrounding one, without a message.
    "events of Windows as JSON": Product(
        lines(
            lambda s: {"Event": {"System": {
                "EventID": 4624 + s.number, "Level": s.of(4, 4, 4, 3),
                "TimeCreated": {"#attributes": {"SystemTime": s.iso}},
                "Correlation": {"#attributes": {"ActivityID": s.trace}}},
                "EventData": {"Text": s.text}}}
        ),
        "ActivityID",
    ),
    # Wrong before: no level, which stood in an object, or under a name, that nobody knew.
    "a level in an object": Product(
        lines(
            lambda s: {"time": s.iso, "ctx": {"grade": s.of(*["info"] * 3, "warn")},
                       "msg": s.text, "order_id": s.order}
        ),
        "order_id",
    ),
    "a level as a number in an object": Product(
        lines(
            lambda s: {"time": s.iso, "meta": {"severity": s.of(30, 30, 30, 40)},
                       "msg": s.text, "order_id": s.order}
        ),
        "order_id",
    ),
    "fields with Russian names": Product(
        lines(
            lambda s: {"время": s.iso, "уровень": s.of(*["ИНФО"] * 3, "ПРЕДУПРЕЖДЕНИЕ"),
                       "сообщение": s.text, "заказ": s.order}
        ),
        "заказ",
    ),
    # Wrong before: ids shorter than six letters and digits were no session keys.
    "short ids of letters and digits": Product(
        "".join(f"{s.iso} {s.text} client c{s.order}x\n" for s in ALL), "client", has_level=False
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_records_of(name: str, tmp_path: Path) -> None:
    product = PRODUCTS[name]
    path = tmp_path / "a.log"
    path.write_text(product.content, encoding="utf-8")
    said: list[str] = []
    settings = settle(Options(input=path, session_key=("auto",)), said.append, said.append)
    reader = RecordReader(settings)
    levels = levels_of(reader)
    events = list(timed(read_events(path), reader))
    assert len(events) == len(ALL)
    assert product.key in settings.session_key[0]
    sessions = set()
    for step, (time_ns, record) in zip(ALL, events, strict=True):
        text, keys = reader.read(b"", record)
        sessions.update(keys)
        assert time_ns is not None
        written_ns = step.millis * 10**6
        if product.digits == 0:
            written_ns = written_ns // 10**9 * 10**9
        assert abs(time_ns - written_ns) < 1000
        if product.has_level:
            assert levels.rank(record) == RANKS[step.of(*[b"info"] * 3, b"warn")]
        if product.message in STEPS:
            assert step.text in text.decode()
    assert len(sessions) == SESSIONS
    assert product.message in reader.read(b"", events[0][1])[0].decode()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("startTimeUnixNano", "endTimeUnixNano"),
        ("start_time", "end_time"),
        ("created", "finished_at"),
    ],
)
def test_of_two_times_the_one_in_whose_order_records_are_written(
    first: str, second: str, tmp_path: Path
) -> None:
    """Was wrong: a span had the time of its start, so that it came before the spans in it, which
    are written before it.
    """
    rng = Random(3)
    path = tmp_path / "spans.json"
    ends = [FIRST + timedelta(seconds=number) for number in range(60)]
    records = [
        {
            "traceId": f"{number // 4:032x}",
            "name": "GET /cart",
            first: _of_unit(end - timedelta(milliseconds=rng.randrange(100, 4000)), first),
            second: _of_unit(end, second),
        }
        for number, end in enumerate(ends)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [time_ns for time_ns, _ in read_events(path)] == [unix_ns(end) for end in ends]


@pytest.mark.parametrize(
    ("time", "other", "is_other"),
    [
        ("occurred_at", "service_started_at", lambda at, n: FIRST - timedelta(days=30)),
        ("finished_at", "deployed_at", lambda at, n: FIRST - timedelta(days=30)),
        ("event_timestamp", "ingest_timestamp", lambda at, n: FIRST + timedelta(hours=1 + n // 60)),
        ("created_at", "batch_at", lambda at, n: FIRST + timedelta(minutes=n // 60)),
        ("logged_at", "expires_at", lambda at, n: FIRST + timedelta(days=365, seconds=n)),
        # Pairs of a start and an end: of a batch, of a month, and the other way round.
        ("created_at", "completed_at", lambda at, n: FIRST + timedelta(minutes=10 * (1 + n // 60))),
        ("created_at", "closed_at", lambda at, n: FIRST + timedelta(days=30, seconds=n)),
        ("opened_at", "closed_at", lambda at, n: FIRST + timedelta(seconds=n / 2 - 9)),
        # The start of another thing than that which ends.
        ("job_start_time", "step_end_time", lambda at, n: at + timedelta(seconds=n % 2)),
    ],
)
def test_another_field_in_order_is_not_taken_for_the_time(
    time: str, other: str, is_other: Callable[[datetime, int], datetime], tmp_path: Path
) -> None:
    """Was wrong: where records were a little out of order, a field that never moves, moves in
    batches or lies in the future took the place of their time.
    """
    rng = Random(4)
    path = tmp_path / "steps.json"
    times = [FIRST + timedelta(seconds=n / 2 + rng.uniform(-0.4, 0.4)) for n in range(300)]
    records = [
        {
            "msg": "step done",
            time: _of_unit(at, time),
            other: _of_unit(is_other(at, n), other),
        }
        for n, at in enumerate(times)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [time_ns for time_ns, _ in read_events(path)] == [unix_ns(at) for at in times]


def test_records_with_the_newest_first_are_read_by_their_start(tmp_path: Path) -> None:
    """Was wrong: such a file turns back by its start all the time, so the end was taken for the
    time, and sessions were read backwards.
    """
    rng = Random(6)
    path = tmp_path / "spans.json"
    starts = [FIRST + timedelta(seconds=n) for n in range(300)]
    records = [
        {
            "msg": "span",
            "startTime": _of_unit(at, "startTime"),
            "endTime": _of_unit(at + timedelta(seconds=rng.uniform(0.1, 9)), "endTime"),
        }
        for at in starts
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in reversed(records)))
    assert [time_ns for time_ns, _ in read_events(path)] == [unix_ns(at) for at in starts]


@pytest.mark.parametrize("seed", range(4))
def test_chance_does_not_decide_between_a_start_and_an_end(seed: int, tmp_path: Path) -> None:
    """Was wrong: where records are in the order of neither, one step back fewer was enough."""
    rng = Random(seed)
    path = tmp_path / "jobs.json"
    starts = [FIRST + timedelta(seconds=rng.uniform(0, 900)) for _ in range(300)]
    records = [
        {
            "msg": "job",
            "started_at": _of_unit(at, "started_at"),
            "finished_at": _of_unit(at + timedelta(seconds=rng.uniform(1, 300)), "finished_at"),
        }
        for at in starts
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [time_ns for time_ns, _ in read_events(path)] == [unix_ns(at) for at in starts]


def _of_unit(at: datetime, name: str) -> str:
    if name.endswith("UnixNano"):
        return str(unix_ns(at))
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
