"""Parameters: what a record is, and what a session is."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import READING, SERVICE, parameter
from .literals import COUNT, DURATION, FREQUENCY, LIST, RATE, SIZE, STRING


@dataclass(frozen=True, kw_only=True)
class Input:
    """Input: how a record is read. `None` means: as the bundle says."""

    bundle: str = parameter(
        STRING,
        "hdfs",
        "The model bundle: a directory, or the name of a bundle that comes with the package.",
        common=True,
        commands=READING,
    )
    message_field: str | None = parameter(
        STRING, None, "The field that holds the log message.", common=True, commands=READING
    )
    component_field: str | None = parameter(
        STRING, None, "The field that names the component which wrote the line.", commands=READING
    )
    time_field: str | None = parameter(
        STRING,
        None,
        "The field that holds the event time (ISO 8601, or seconds since 1970). "
        "Without it, Fluentd's event time counts.",
        commands=READING,
    )
    time_format: str | None = parameter(
        STRING,
        None,
        "The strptime format of `time_field`. Without it all usual forms are read. Where "
        "`line_format` has several lines, it may have one for each of them.",
        commands=READING,
    )
    timezone: str | None = parameter(
        STRING,
        None,
        "The time zone of times without an offset, by its IANA name, such as `Europe/Berlin`. "
        "Without it, the bundle's zone is used, or UTC.",
        commands=READING,
    )
    level_field: str | None = parameter(
        STRING,
        None,
        "The field that holds the level, where it has no usual name. Without it, `level`, "
        "`severity`, `log.level` and other usual names are looked for; where it is empty, records "
        "have no level.",
        commands=READING,
    )
    line_format: str | None = parameter(
        STRING,
        None,
        "A regular expression with named groups that cuts a raw line into fields. Where lines of "
        "several programs come together, it has several, one on each line; the first that fits "
        "counts. A group `json` is a record whose usual fields are level, component, time and "
        "message, with its other fields behind the text of that. Where a format has a "
        "group `header`, that is all before the message, the session key is the first that its "
        "regular expression finds in the whole line. Its groups `date`, `time` and `time_zone` "
        "make the time together, unless `time_field` names a field.",
        commands=READING,
    )
    # Longer messages are mostly stack traces and dumps, whose beginning names the step. Matching
    # costs time in proportion to the length.
    max_message_size: int = parameter(
        SIZE,
        8192,
        "Only this many bytes of a message are read; the rest is cut off.",
        commands=READING,
    )


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Sessions: which records belong together, and when a session ends."""

    session_key: tuple[str, ...] | None = parameter(
        LIST,
        None,
        "What identifies a session: field names, `tag`, or one `/regex/` that is searched in the "
        "message; separated by commas.",
        common=True,
        commands=READING,
    )
    idle_timeout: float | None = parameter(
        DURATION, None, "A session ends when no event has arrived for this long.", common=True
    )
    window: float | None = parameter(
        DURATION, None, "Cuts the events of each key into fixed windows of this length; 0 for none."
    )
    max_age: float | None = parameter(
        DURATION, None, "A session ends at the latest after this long; 0 for no limit."
    )
    # Each event is held for this long, in memory and in the store.
    allowed_lateness: float | None = parameter(
        DURATION,
        None,
        "Events that arrive up to this much late are taken in the order of their times; 0 takes "
        "them as they come. A bundle must be fitted with the same value.",
    )
    max_events: int | None = parameter(COUNT, None, "A session ends after this many events.")
    # A message that lists thousands of ids would otherwise be copied into thousands of sessions.
    max_keys_per_record: int = parameter(
        COUNT,
        16,
        "A record belongs to at most this many sessions. Further keys are counted.",
        commands=READING,
    )
    # An open session of twenty events takes about 2 KB, so this many take about 400 MB.
    max_sessions: int = parameter(
        COUNT,
        200_000,
        "The number of open sessions. Above it, the session that has been idle longest is judged "
        "and closed.",
    )
    idle_clock: str = parameter(
        STRING,
        "stream",
        "What makes a session age: `stream` means event times, `wall` means arrival times.",
        choices="stream wall",
    )
    # An hour covers a wrong daylight saving time, and no more.
    max_future: float = parameter(
        DURATION,
        3600.0,
        "An event time that is further ahead of the clock than this is not believed. `replay` "
        "believes it, since a file may have local times.",
    )
    # A log may pause for a month. A single line dated 2099 must not end every session.
    max_leap: float = parameter(
        DURATION,
        30 * 86400.0,
        "A single event time that is this far ahead of the events before it is not believed.",
    )
    # What is evicted is worked out again. A smaller cache costs time, never a finding.
    cache_size: int = parameter(
        COUNT, 100_000, "How many session states, and how many shapes of messages, are remembered."
    )


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """Alerts: their tag, and what they carry."""

    tag: str = parameter(
        STRING,
        "krone.${tag}",
        "The tag of alerts. `${tag}` and `${tag_parts[n]}` stand for the session's tag.",
        common=True,
    )
    add_tag_prefix: str | None = parameter(
        STRING, None, "A prefix that is put before the session's tag; used instead of `tag`."
    )
    remove_tag_prefix: str | None = parameter(
        STRING, None, "A prefix that is first removed from the session's tag."
    )
    false_alarms: float | None = parameter(
        RATE,
        None,
        "How many false alarms to accept in 1,000 normal sessions, all kinds of alerts together; "
        "more finds more. Without it, the bundle's own number counts, which is usually 1.",
        common=True,
    )
    flow_false_alarms: float = parameter(
        FREQUENCY,
        1.0,
        "How many false alarms to accept in a week about the stream as a whole: bursts of a step, "
        "and silences (`flow` alerts); 0 for no such alerts.",
    )
    alerts: str = parameter(
        STRING,
        "incident",
        "What is sent: `incident` joins alerts that belong together, and sends an event when their "
        "incident begins, grows and ends; `session` sends every alert.",
        commands=SERVICE,
        choices="incident session",
        common=True,
    )
    incident_quiet: float = parameter(
        DURATION,
        900.0,
        "An incident ends when no alert has joined it for this long, in stream time.",
    )
    # A new template usually means a new version. Its first line is news, its thousandth is not.
    novelty_interval: float = parameter(
        DURATION,
        3600.0,
        "At most one unseen_template alert is sent for each template in this time.",
    )
    # Long enough for five sessions of a stream with two a minute, and short enough for an alert.
    change_settle: float = parameter(
        DURATION,
        300.0,
        "How long to wait until it is decided whether a new message is an odd line or part of a "
        "deploy. Alerts about new messages that do not speak of an error wait for at most this "
        "long; 0 looks for no deploys.",
    )
    version_field: str | None = parameter(
        STRING,
        None,
        "The field that names the version of the program, by record accessor, such as "
        "`$.kubernetes.labels.version`. Without it, the usual places are tried.",
    )
    # Lines are most of what an open session weighs. An alert shows those around the odd event.
    keep_lines: int = parameter(
        COUNT, 256, "How many raw lines of each open session are kept as evidence; 0 for none."
    )
    max_lines: int = parameter(COUNT, 5, "How many raw lines an alert carries.")
    alert_fields: tuple[str, ...] | None = parameter(
        LIST,
        None,
        "Fields of a session's first record that its alerts show, as names or record accessors "
        "(`$.kubernetes.pod_name`). Without it, those that the export found are shown, or else the "
        "usual ones of Kubernetes, containers and traces.",
    )
    max_line_length: int = parameter(
        COUNT, 500, "Each raw line in an alert is cut after this many characters."
    )
