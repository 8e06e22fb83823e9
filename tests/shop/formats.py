"""How the records of the shop look: four variants that are not alike."""

from __future__ import annotations

import csv
import heapq
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shop.events import Event
from shop.traffic import Request, Traffic

Line = Callable[[Request, Event, int], str]


@dataclass(frozen=True)
class Variant:
    """One way to write the log: the file's name, how a trace id is spelt, and what finds it."""

    name: str
    file_name: str
    session_key: str
    key_text: Callable[[int], str]
    line: Line


def _hex_32(key: int) -> str:
    return f"{key:032x}"


def _hex_16(key: int) -> str:
    return f"{key >> 64:016x}"


def _uuid(key: int) -> str:
    return str(uuid.UUID(int=key, version=4))


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def _kubernetes(request: Request, service: str) -> dict[str, Any]:
    # One of three pods, the same for a request's records of a service.
    pod = f"{service}-{request.version.replace('.', '')}-{request.key % 3}"
    return {"pod_name": pod, "labels": {"app": service, "version": request.version}}


def message(event: Event) -> str:
    """The text of an event with its values."""
    return event.step.text.format_map(event.values)


def _json_with_message(request: Request, event: Event, time_ms: int) -> str:
    """Variant a: a message, and beside it only what belongs to HTTP."""
    record: dict[str, Any] = {
        "time": _iso(time_ms),
        "level": event.level,
        "service": event.step.service,
        "trace_id": _hex_32(request.key),
        "message": message(event),
    }
    for name in ("method", "route", "status", "duration_ms"):
        if name in event.values:
            record[name] = event.values[name]
    record["kubernetes"] = _kubernetes(request, event.step.service)
    return json.dumps(record)


def _json_without_message(request: Request, event: Event, time_ms: int) -> str:
    """Variant b: an event's name and fields, no text; the time is a number."""
    record: dict[str, Any] = {
        "ts": time_ms / 1000,
        "level": event.level.lower(),
        "service": event.step.service,
        "trace_id": _hex_16(request.key),
        "event": event.step.event,
        **event.values,
        "kubernetes": _kubernetes(request, event.step.service),
    }
    return json.dumps(record)


def _spring(request: Request, event: Event, time_ms: int) -> str:
    """Variant c: Spring Boot 3, with the trace id in its own brackets."""
    service = event.step.service
    thread = f"nio-8080-exec-{1 + request.key % 10}"
    logger = f"c.shop.{service}.{service.capitalize()}Service"
    return (
        f"{_iso(time_ms)} {event.level:>5} 1 --- [{service}] [{thread:>15}] "
        f"[{_uuid(request.key)}] {logger:40} : {message(event)}"
    )


def _slog(request: Request, event: Event, time_ms: int) -> str:
    """Variant d: what Go's slog writes as text, `key=value`."""
    pairs: Mapping[str, Any] = {
        "service": event.step.service,
        "trace_id": _hex_32(request.key),
        **event.values,
    }
    text = event.step.event.replace(".", " ")
    fields = " ".join(f"{name}={value}" for name, value in pairs.items())
    return f'time={_iso(time_ms)} level={event.level} msg="{text}" {fields}'


_VARIANTS = (
    Variant("a", "log.jsonl", "trace_id", _hex_32, _json_with_message),
    Variant("b", "log.jsonl", "trace_id", _hex_16, _json_without_message),
    Variant("c", "log.log", "/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/", _uuid, _spring),
    Variant("d", "log.log", "/trace_id=([0-9a-f]{32})/", _hex_32, _slog),
)
VARIANTS: Mapping[str, Variant] = {variant.name: variant for variant in _VARIANTS}


def lines(traffic: Traffic, variant: Variant) -> Iterator[str]:
    """The whole log in the order of its times; equal times keep the order of their requests."""
    return (variant.line(*record) for record in _records(traffic.requests))


def _records(requests: Sequence[Request]) -> Iterator[tuple[Request, Event, int]]:
    runs = []
    for number, request in enumerate(requests):
        runs.append([(time_ms, number, place) for place, time_ms in enumerate(request.times_ms)])
    for time_ms, number, place in heapq.merge(*runs):
        yield requests[number], requests[number].events[place], time_ms


def write(traffic: Traffic, variant: Variant, folder: Path) -> Path:
    """Write the log, `labels.csv` and `moments.csv` into a folder; returns the log's path.

    A label has the columns session, anomaly, kind, places, detail, workflow, started_ms. Places are
    `first-last` pairs of event numbers from 0, separated by blanks; `last` is not part of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / variant.file_name
    with log.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(traffic, variant))
    columns = ("session", "anomaly", "kind", "places", "detail", "workflow", "started_ms")
    _write_csv(folder / "labels.csv", columns, (_label(r, variant) for r in traffic.requests))
    moments = ((m.kind, _iso(m.start_ms), _iso(m.end_ms)) for m in traffic.moments)
    _write_csv(folder / "moments.csv", ("kind", "start", "end"), moments)
    return log


def _label(request: Request, variant: Variant) -> Sequence[Any]:
    places = " ".join(f"{first}-{last}" for first, last in request.places)
    return (
        variant.key_text(request.key),
        int(bool(request.kind)),
        request.kind,
        places,
        request.detail,
        request.workflow,
        request.start_ms,
    )


def _write_csv(path: Path, columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
