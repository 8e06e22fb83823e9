"""Records of plain text that go over several lines: a head, and below it what it is about.

`java.util.logging` writes time and logger on one line and the message on the next one, and so do
.NET's console, Samba and Oracle's alert log. Fluentd's and Fluent Bit's multiline parsers make one
record of such lines, with the line ends in it; here a file's lines are joined in the same way.

Lines are joined only where hardly any head stands alone. A log in which a stack trace follows now
and then has heads with messages of their own, and is read line by line. So is one with many lines
below most heads: these are an execution, and its lines are the steps.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from ..reading.field_names import OWN_MESSAGE_NAMES
from ..reading.line_formats import GOES_ON
from ..reading.time_words import SIZE_OF_TIME, SPEAKS_OF_TIME
from .stamps import begins_with_stamp

_log = logging.getLogger(__name__)
Record = dict[str, Any]
# Whether a line begins a record, by it and the one before it.
IsHead = Callable[[str, str], bool]
# Fields in which a file or a container's runtime has the lines that a program wrote.
_NAMES = ("message", "log")
# Records that are needed to see how they are built, and the share of them with further lines.
_FEWEST = 5
_HARDLY_ANY_ALONE = 0.95
# Names of times that are not those of the record itself, but of what it tells of.
_OF_A_THING = re.compile(
    r"creat(?!ed\Z)|updat|modif|expir|sent|due|birth|duration|until|valid|deliver|arriv|depart|book",
    re.IGNORECASE,
)
# The share of the records whose second line may be that of a stack trace.
_TRACES = 0.2
_TRACE = re.compile(rf"\s+at |\t|\s*\Z|\s*(?:{GOES_ON})")
# This many lines below most heads, but for pairs of a name and a value, are the steps of an
# execution: of a job of cron, say, whose script writes the date first.
_STEPS = 3
_PAIR = re.compile(r"\s*[\w @.-]{1,40}[:=]|\s*\Z")
_CLOCK = re.compile(r".{0,35}?\d\d[:.]\d\d[:.]\d\d")
# Characters of a record that are joined, many times as many as are read of a message. Where no head
# comes for longer, the file goes on in another form, and its lines are records again.
_LONGEST = 1 << 16


def joined(rows: Iterable[Record], sample: Sequence[Record], path: Path) -> Iterator[Record]:
    """The rows of a file, with lines that belong together as one; `sample` are its first rows.

    A joined record has the fields of its first line.
    """
    name = _text_field(sample)
    is_head = None
    if name is not None:
        is_head = head_of([str(row[name]) for row in sample])
    if name is None or is_head is None:
        yield from rows
        return
    _log.info(
        "records go over several lines, so lines are joined with the one that begins each record: "
        "the stream must join them too (in Fluentd @type multiline, in Fluent Bit "
        "multiline.parser) file=%s",
        path,
    )
    yield from _joined(rows, name, is_head)


def _text_field(sample: Sequence[Record]) -> str | None:
    """The field that has a line in each row; None where the rows are records of another kind."""
    for name in _NAMES:
        if sample and all(isinstance(row.get(name), str) for row in sample):
            return name
    return None


def head_of(lines: Sequence[str]) -> IsHead | None:
    """What tells the first lines of records from those below; None where a line is a record.

    It is asked for a line and the one before it.

    >>> head_of(["info: App.Orders[0]", "      accepted order 7"] * 9)("info: App.Pay[0]", "")
    True
    >>> head_of(["08:00:00 accepted order 7", "08:00:01 paid order 7"] * 9)
    """
    return next((is_head for is_head in _TELL_HEADS if _fits(lines, is_head)), None)


def _has_stamp(line: str, before: str) -> bool:
    return begins_with_stamp(line) or _is_record(line)


def _is_record(line: str) -> bool:
    """Whether a line is a record in JSON with a time and a message, unlike a request's body."""
    if not line.startswith("{"):
        return False
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if record.keys().isdisjoint(OWN_MESSAGE_NAMES):
        return False
    names = (name for name in record if SPEAKS_OF_TIME.search(name))
    return any(not _OF_A_THING.search(name) and _is_time(record[name]) for name in names)


def _is_time(value: Any) -> bool:
    text = str(value)
    return SIZE_OF_TIME.match(text) is not None or begins_with_stamp(text)


def _is_flush(line: str, before: str) -> bool:
    """Whether a line is neither indented nor empty."""
    return bool(line) and not line[0].isspace()


def _begins_paragraph(line: str, before: str) -> bool:
    """Whether a line with a clock follows an empty one."""
    return not before.strip() and _CLOCK.match(line) is not None


_TELL_HEADS: tuple[IsHead, ...] = (_has_stamp, _is_flush, _begins_paragraph)


def _fits(lines: Sequence[str], is_head: IsHead) -> bool:
    """Whether hardly any line that is a head stands alone, and most have neither a stack trace nor
    the steps of an execution below.
    """
    heads = [is_head(line, before) for before, line in pairwise(["", *lines])]
    places = [place for place, begins in enumerate(heads) if begins]
    # What follows the last head may go on beyond these lines.
    below = [lines[head + 1 : end] for head, end in pairwise(places)]
    with_more = [further for further in below if further]
    if len(below) < _FEWEST or len(with_more) < _HARDLY_ANY_ALONE * len(below):
        return False
    traces = sum(_TRACE.match(further[0]) is not None for further in with_more)
    if traces > _TRACES * len(with_more):
        return False
    steps = [sum(_PAIR.match(line) is None for line in further) for further in with_more]
    return median(steps) < _STEPS


def _joined(rows: Iterable[Record], name: str, is_head: IsHead) -> Iterator[Record]:
    record: Record = {}
    lines: list[str] = []
    size = 0
    before = ""
    for row in rows:
        line = row.get(name)
        if not isinstance(line, str):
            # What can't be read is reported, wherever it stands.
            yield row
            continue
        line = line.rstrip("\r\n")
        begins = is_head(line, before)
        before = line
        if begins or size > _LONGEST:
            if lines:
                yield {**record, name: "\n".join(lines).rstrip()}
                lines = []
            if not begins:
                yield row
                continue
            size = 0
        if not lines:
            record = row
        # An empty line counts as well.
        size += len(line) + 1
        lines.append(line)
    if lines:
        yield {**record, name: "\n".join(lines).rstrip()}
