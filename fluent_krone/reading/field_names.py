"""The usual names of fields, the most usual first: of a level, a time, a message and a component.

Names of components are compared as `spelled`, since each library writes them in its own way; the
others as they are written.
"""

from __future__ import annotations

import re

_SIGNS = re.compile(r"[\W_]")

# The fields of OpenTelemetry's numbers.
OF_OTEL = (b"severity_number", b"severityNumber", b"SeverityNumber")
# … and those in which Azure has numbers from 0 for verbose to 4 for critical.
OF_AZURE = (b"severityLevel", b"SeverityLevel")
# Fields that hold a level; the first one that a record has counts.
LEVEL_FIELDS = (
    b"level", b"severity", b"lvl", b"loglevel", b"log_level", b"levelname", b"level_name", b"sev",
    b"log.level", b"severity_text", b"severityText", b"SeverityText", b"LogLevel", b"Level",
    b"Severity", b"@l", b"@level", b"error_severity", b"LevelDisplayName", b"logLevel",
    b"levelName", *OF_AZURE, b"LEVEL", b"SEVERITY", b"Level Name", b"log.severity",
    b"PRIORITY", *OF_OTEL,
)  # fmt: skip
TIME_NAMES = (
    *("time", "timestamp", "@timestamp", "ts", "@t", "datetime", "eventTime", "timeMillis"),
    "asctime",
)
# A record with one of these is none that only holds another record, …
OWN_MESSAGE_NAMES = (
    *("message", "msg", "@message", "short_message", "log", "event", "text", "body", "MESSAGE"),
)
# … as one with Serilog's may be.
MESSAGE_NAMES = (*OWN_MESSAGE_NAMES, "@m")
# Names of the logger or the module that wrote a record, as `spelled`.
COMPONENT_NAMES = (
    *("component", "componentname", "logger", "loggername", "loglogger", "sourcecontext"),
    *("module", "subsystem", "syslogidentifier", "modul", "modulo", "komponente", "composant"),
    *("componente", "コンポーネント", "组件", "模块", "модуль", "компонент"),
)
# … and of the service or the program, which are the component of records that have none of these.
SERVICE_NAMES = (
    *("service", "servicename", "svc", "svcname", "app", "appname", "application"),
    "applicationname",
)


def spelled(name: str) -> str:
    """A field's name without capitals and signs, however it is written.

    >>> spelled("EventType"), spelled("event_type"), spelled("concept:name")
    ('eventtype', 'eventtype', 'conceptname')
    """
    return _SIGNS.sub("", name.lower())
