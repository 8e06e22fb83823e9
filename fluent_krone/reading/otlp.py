"""OpenTelemetry's export requests of logs, in JSON, as records.

A request holds logs by resource and by scope. Each log becomes a flat record: its body under the
name of the message field, the attributes of its resource and its own beside it, and `trace_id`,
`span_id` and `severity`. A log's own attribute wins over one of its resource with the same name.
Source: https://opentelemetry.io/docs/specs/otlp/ (JSON encoding) and opentelemetry-proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Fields of a log, and what the record calls them.
_FIELDS = (("traceId", "trace_id"), ("spanId", "span_id"), ("severityText", "severity"))
# What an attribute's value is wrapped in; JSON writes 64-bit integers as text.
_SCALARS = ("stringValue", "boolValue", "intValue", "doubleValue", "bytesValue")


def logs_of(request: Any, message_field: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Time (ns; 0: it has none) and record of each log in a request.

    Raises TypeError, ValueError or AttributeError for what is no such request.
    """
    for resource in request["resourceLogs"]:
        of_resource = _attributes(resource.get("resource", {}))
        for scope in resource.get("scopeLogs", ()):
            for log in scope.get("logRecords", ()):
                record = of_resource | _attributes(log)
                record |= {name: log[field] for field, name in _FIELDS if log.get(field)}
                if "severity" not in record and log.get("severityNumber"):
                    record["severity_number"] = log["severityNumber"]
                record[message_field] = _value(log.get("body"))
                time = log.get("timeUnixNano") or log.get("observedTimeUnixNano") or 0
                yield int(time), record


def _attributes(holder: Any) -> dict[str, Any]:
    return {entry["key"]: _value(entry.get("value")) for entry in holder.get("attributes", ())}


def _value(wrapped: Any) -> Any:
    """A value without its wrapping.

    >>> _value({"arrayValue": {"values": [{"intValue": "7"}, {"stringValue": "a"}]}})
    ['7', 'a']
    """
    if not wrapped:
        return None
    if "arrayValue" in wrapped:
        return [_value(entry) for entry in wrapped["arrayValue"].get("values", ())]
    if "kvlistValue" in wrapped:
        entries = wrapped["kvlistValue"].get("values", ())
        return {entry["key"]: _value(entry.get("value")) for entry in entries}
    return next((wrapped[name] for name in _SCALARS if name in wrapped), None)
