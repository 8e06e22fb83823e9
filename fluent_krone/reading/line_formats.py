"""How a line is cut into fields: by one regular expression, or by several where lines of several
programs come together. Which lines go on from the one before, and are no records of their own.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import ConfigError, RecordError
from .json_lines import read_json_line
from .times import TimeReader
from .values import as_fields

# How the lines of a panic of Go begin.
_OF_A_PANIC = r"panic: |goroutine \d+ \[|[\w./*()-]+\((?:0x|\.\.\.\)|\{0x)|created by "
# Lines that part records, and the time that ausearch writes before each.
_OF_PARTING = r"(?:[-=*_#]{3,}|time->.*+)\s*\Z"
# Frames of stack traces: of Java, of PHP, of Python where its indents are lost, and of Go, whose
# frames are a function's name and a place in a file.
_OF_A_FRAME = (
    r"at [\w.$<>]+\(|#\d+ (?:[/{\[]|[A-Z]:\\)|File \"[^\"]+\", line \d"
    r"|[\w-]+(?:\.[\w-]+)+/[\w./@()*-]+(?::\d+)?\s*\Z"
)
# What is written before and between them.
_OF_A_TRACE = (
    r"Caused by: |Suppressed: |\.\.\. \d+ more|Traceback \(|During handling of |Stack trace:\s*\Z"
    r"|\[stacktrace\]|The above exception|--- End of "
)
# An element of a document that a record contains.
_OF_MARKUP = r"<[/?!]?[A-Za-z][^<>]*>(?:.*</[\w:.-]+>)?\s*\Z"
# How a line begins that goes on from the one before, wherever it is not indented.
GOES_ON = "|".join(
    (_OF_A_FRAME, _OF_A_TRACE, _OF_MARKUP, _OF_PARTING, _OF_A_PANIC, r"[)}\]\"',;]+\s*\Z")
)
# Lines without a header that go on from the one before.
_CONTINUATION = re.compile(
    rb"\s|\Z|[\w.$]*(?:Exception|Error|Throwable)(?::|\s*\Z)|" + GOES_ON.encode()
)
# What parts several formats from each other, each of which is a line of its own.
SEPARATOR = "\n"
# The group of a format that is the whole header, where the session key is in the header. The key is
# then the first that its regex finds in the whole line.
HEADER = b"header"
MESSAGE = b"message"
# The group of a format that is a record in JSON, whose fields have the message and the time.
JSON = "json"
# The groups of a format that says nothing of its lines but where they are from.
_OF_A_BARE_LINE = frozenset((MESSAGE, b"container", b"pod"))


def python_regex(pattern: str) -> str:
    """A regular expression whose named groups may be Ruby's, `(?<name>…)`, as Python writes it."""
    return re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)


def compile_bytes(what: str, pattern: str) -> re.Pattern[bytes]:
    """A regular expression over bytes, with named groups as Ruby or Python writes them.

    Raises ConfigError, which names the parameter `what`.
    """
    try:
        return re.compile(python_regex(pattern).encode())
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{what}: {pattern!r} is not a regular expression: {error}") from None


def formats_in(text: str | None) -> list[str]:
    """The formats of a parameter that holds one on each line; a line may be empty.

    >>> formats_in("%H:%M\\n\\n%d/%b/%Y"), formats_in(None)
    (['%H:%M', '', '%d/%b/%Y'], [''])
    """
    return [line.strip("\r") for line in (text or "").split(SEPARATOR)]


def are_several(line_format: str | None) -> bool:
    """Whether lines of several programs come together, each with a format of its own."""
    return SEPARATOR in (line_format or "")


def goes_on(line: bytes) -> bool:
    """Whether a line without a header goes on from the one before."""
    return _CONTINUATION.match(line) is not None


class LineFormat:
    """One way in which lines are built."""

    def __init__(self, line_format: str, time_format: str | None, timezone: str | None) -> None:
        self._pattern = compile_bytes("line_format", line_format)
        self._groups = [(name.encode(), n) for name, n in self._pattern.groupindex.items()]
        names = {name for name, _ in self._groups}
        self.is_json = JSON in self._pattern.groupindex
        if not self.is_json and MESSAGE not in names:
            raise ConfigError("line_format needs a group named message: (?<message>.*)")
        self.is_keyed = HEADER in names
        # Whether the line is its own message, so that any line fits.
        self.is_bare = names <= _OF_A_BARE_LINE
        self.has_time = self.is_json or not names.isdisjoint((b"date", b"time"))
        self._times = TimeReader(time_format, timezone)
        # The groups that make a time together; with a format that has no zone, it can't be read.
        self._of_time: tuple[bytes, ...] = (b"date", b"time", b"time_zone")
        if time_format and "%z" not in time_format.lower():
            self._of_time = (b"date", b"time")

    def cut(self, line: bytes) -> dict[bytes, Any] | None:
        """The groups of a line, or the fields of one in JSON; None where it is not built so."""
        matched = line
        if b"\n" in line:
            # The header of a record may go over two lines: a line end is as good as a blank.
            line = line.replace(b"\r\n", b"\n")
            matched = line.replace(b"\n", b" ")
        match = self._pattern.match(matched)
        if match is None:
            return None
        groups: dict[bytes, Any] = {}
        for name, number in self._groups:
            start, end = match.regs[number]
            if start >= 0:
                groups[name] = line[start:end]
        if not self.is_json:
            return groups
        record = read_json_line(groups.pop(JSON.encode(), b""))
        if record is None:
            return None
        fields = as_fields(record)
        if b"time" in fields:
            groups.pop(b"date", None)
            groups.pop(b"time_zone", None)
        groups.update(fields)
        return groups

    def time(self, groups: dict[bytes, Any]) -> int | None:
        """The time in the groups of a line, in ns UTC; None where such lines have none.

        Raises RecordError `bad_time`.
        """
        if not self.has_time:
            return None
        parts = [groups[name] for name in self._of_time if name in groups]
        if len(parts) == 1:
            # That of a record in JSON may be a number.
            return self._times.read(parts[0])
        return self._times.read(b" ".join(parts))


class LineFormats:
    """The formats of a stream's lines, which are tried in their order.

    `time_format` has as many lines as `line_format`, or one that counts for all of them.

    >>> formats = LineFormats("I (?<message>.*)\\n(?<json>[{].*)", None, None)
    >>> formats.cut(b"I started")[1], formats.cut(b'{"n": 5}')[1]
    ({b'message': b'started'}, {b'n': 5, b'message': b'n=5'})
    """

    def __init__(self, line_format: str, time_format: str | None, timezone: str | None) -> None:
        lines = [line for line in formats_in(line_format) if line]
        times = formats_in(time_format)
        if len(times) == 1:
            times *= len(lines)
        if len(times) != len(lines):
            raise ConfigError(
                f"time_format has {len(times)} lines and line_format {len(lines)}: write one "
                "format of the time for each format of a line, or one for all of them"
            )
        self._formats = [
            LineFormat(line, time or None, timezone)
            for line, time in zip(lines, times, strict=True)
        ]
        self.are_several = len(lines) > 1
        self.has_time = any(one.has_time for one in self._formats)
        self.are_keyed = any(one.is_keyed for one in self._formats)

    def cut(self, line: bytes) -> tuple[LineFormat, dict[bytes, Any]]:
        """The first format that fits a line, and its groups.

        Where there are several, one that takes any line takes none that goes on from another.
        Raises RecordError `line_format`, `continuation`.
        """
        for one in self._formats:
            groups = one.cut(line)
            if groups is None:
                continue
            if one.is_bare and self.are_several and goes_on(groups.get(MESSAGE, b"")):
                raise RecordError("continuation", "the line goes on from the one before")
            return one, groups
        if goes_on(line):
            raise RecordError("continuation", "the line goes on from the one before")
        raise RecordError("line_format", "the line does not match line_format")
