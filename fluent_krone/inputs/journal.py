"""Records of the journal, where `journalctl` wrote each over several lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..reading.time_words import ISO_TIME
from .envelopes import OUTER_TIME
from .files import JOURNAL_BEGINS

Record = dict[str, Any]
# The share of the first lines that must be fields.
_MOST = 0.6
# Characters of a field that are read, so that a file of another kind can't fill the memory.
_LONGEST = 1 << 20
# `journalctl -o export` writes a field a line.
_JOURNAL_FIELD = re.compile(r"_{0,2}[A-Z][A-Z0-9_]*=")
# `journalctl -o verbose` writes a line with the time and the cursor, and below it a field a line,
# which are indented; further lines of a field are indented to where its value begins.
_VERBOSE_TIME = re.compile(rf"(?:[A-Z][a-z]{{2}} )?(?P<time>{ISO_TIME}(?: [A-Z]+)?) \[s=[0-9a-f]+;")
_VERBOSE_FIELD = re.compile(r" {4}(?P<name>_{0,2}[A-Z][A-Z0-9_]*)=(?P<value>.*)", re.DOTALL)
# Bytes of the size before a field of the journal's export.
_SIZE_BYTES = 8


def is_journal_export(lines: Sequence[str]) -> bool:
    """Whether lines are `journalctl -o export`."""
    if lines[0].encode("utf-8", "replace").startswith(JOURNAL_BEGINS):
        return True
    return sum(map(bool, map(_JOURNAL_FIELD.match, lines))) >= _MOST * len(lines)


def is_journal_verbose(lines: Sequence[str]) -> bool:
    """Whether lines are `journalctl -o verbose`."""
    # Older versions put a line with the span of the journal first.
    begins = any(map(_VERBOSE_TIME.match, lines[:2]))
    return begins and any(map(_VERBOSE_FIELD.match, lines))


def journal_export_rows(lines: Iterable[str]) -> Iterator[Record]:
    """Records of `journalctl -o export`: a field a line, and an empty line behind each record.

    A field with control characters is its name, and then its size in bytes and its bytes.
    """
    record: Record = {}
    rest = iter(lines)
    for line in rest:
        name, sign, value = line.rstrip("\r\n").partition("=")
        if sign:
            record[name] = value
        elif name:
            record[name] = _sized_value(rest)
        elif record:
            yield record
            record = {}
    if record:
        yield record


def journal_verbose_rows(lines: Iterable[str]) -> Iterator[Record]:
    """Records of `journalctl -o verbose`."""
    record: Record = {}
    name = ""
    for line in lines:
        begin = _VERBOSE_TIME.match(line)
        field = _VERBOSE_FIELD.match(line.rstrip("\r\n"))
        if begin:
            if record:
                yield record
            record = {OUTER_TIME: begin["time"]}
            name = ""
        elif field:
            name = field["name"]
            record[name] = field["value"]
        elif name and len(record[name]) < _LONGEST:
            record[name] += "\n" + line.strip()
    if record:
        yield record


def _sized_value(rest: Iterator[str]) -> str:
    """A field whose size stands before it; the lines of its bytes are taken."""
    packed = b""
    size = _SIZE_BYTES
    for line in rest:
        packed += line.encode("utf-8", "surrogateescape")
        if len(packed) >= _SIZE_BYTES:
            size = _SIZE_BYTES + int.from_bytes(packed[:_SIZE_BYTES], "little")
        if len(packed) > min(size, _LONGEST):
            break
    return packed[_SIZE_BYTES:size].decode("utf-8", "surrogateescape")
