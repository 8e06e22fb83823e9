"""Files of log events and of labels, for `replay` and `export`.

What a file is decided by its content, never by its name: compressed or not, UTF-8 or UTF-16, a
table, JSON lines, a container's or the journal's records, what Fluentd and Fluent Bit write, or
plain text. Several files are read as one log, in the order of their events' times.
"""

from .events import Event, count_events, no_time_in, read_events, read_rows
from .files import STDIN, Inputs, check_file, find_files
from .labels import is_abnormal, read_labels

__all__ = [
    "STDIN",
    "Event",
    "Inputs",
    "check_file",
    "count_events",
    "find_files",
    "is_abnormal",
    "no_time_in",
    "read_events",
    "read_labels",
    "read_rows",
]
