"""Windows events as XML, as `wevtutil`, `Get-WinEvent` and collectors write them, and as the text
of `wevtutil qe /f:text`, a field a line.

The fields of XML have the names that Fluentd's parser `winevt_xml` gives them, so that a bundle
which is fitted on a file reads the live stream. `EventData` is an object of its named values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

Record = dict[str, Any]
# An event, on one line or on several. A document type, which could define entities, stands before
# the first event and is never parsed.
_EVENT = re.compile(r"<Event[ >].*?</Event>", re.DOTALL)
_BEGIN = re.compile(r"<Event[ >]")
_END = "</Event>"
_SYSTEM = "<System>"
# Namespaces say nothing, and would stand before every name.
_NAMESPACE = re.compile(r"\{[^}]*\}")
# Characters of an event without an end; a file of another kind must not fill the memory.
_LONGEST = 1 << 20
# Element of `System` and its attribute → name of the field.
_ATTRIBUTES = {
    ("Provider", "Name"): "ProviderName",
    ("Provider", "Guid"): "ProviderGUID",
    ("EventID", "Qualifiers"): "Qualifiers",
    ("TimeCreated", "SystemTime"): "TimeCreated",
    ("Correlation", "ActivityID"): "ActivityID",
    ("Correlation", "RelatedActivityID"): "RelatedActivityID",
    ("Execution", "ProcessID"): "ProcessID",
    ("Execution", "ThreadID"): "ThreadID",
    ("Security", "UserID"): "UserID",
}
# The first line of an event as text, and its fields; the description goes on below the last one.
_TEXT_BEGINS = re.compile(r"Event\[\d+\]:?\s*\Z")
_TEXT_FIELD = re.compile(r"  (?P<name>[A-Z][A-Za-z ]+): ?(?P<value>.*)")
_DESCRIPTION = "Description"
_NO_VALUE = "N/A"
# Elements that have attributes only.
_NO_FIELD = frozenset(("Provider", "TimeCreated", "Correlation", "Execution", "Security"))


def holds_events(lines: Iterable[str]) -> bool:
    """Whether the first lines of a file are events of Windows."""
    text = "".join(lines).lstrip("\ufeff \t\r\n")
    begin = _BEGIN.search(text)
    return begin is not None and _SYSTEM in text and text.startswith(("<?xml", "<Event"))


def holds_text_events(lines: Sequence[str]) -> bool:
    """Whether the first lines of a file are events of Windows as text."""
    begins = _TEXT_BEGINS.match(lines[0].lstrip("\ufeff"))
    return begins is not None and len(lines) > 1 and _TEXT_FIELD.match(lines[1]) is not None


def text_event_rows(lines: Iterable[str]) -> Iterator[Record]:
    """The events of a file as text, with the names that their lines have."""
    record: Record = {}
    for line in lines:
        line = line.rstrip()
        if _TEXT_BEGINS.match(line.lstrip("\ufeff")):
            if record:
                yield record
            record = {}
            continue
        field = _TEXT_FIELD.match(line)
        if field and _DESCRIPTION not in record:
            if field["value"] != _NO_VALUE:
                record[field["name"]] = field["value"].strip()
        elif line and len(record.get(_DESCRIPTION, "")) < _LONGEST:
            record[_DESCRIPTION] = f"{record.get(_DESCRIPTION, '')}\n{line}".strip()
    if record:
        yield record


def event_rows(lines: Iterable[str]) -> Iterator[Record]:
    """The events of a file; one that cannot be read is a record without fields."""
    text = ""
    for line in lines:
        if not text and not _BEGIN.search(line):
            # What stands around the events: the declaration, and the list of all of them.
            continue
        text += line
        if _END in line:
            end = 0
            for found in _EVENT.finditer(text):
                yield event_in(found[0]) or {}
                end = found.end()
            text = text[end:]
            if not _BEGIN.search(text):
                text = ""
        if len(text) > _LONGEST:
            yield {}
            text = ""


def event_in(text: str) -> Record | None:
    """The event that a text is, or None.

    >>> event_in("<Event><System><EventID>7</EventID></System></Event>")
    {'EventID': '7'}
    """
    found = _EVENT.fullmatch(text.strip())
    if found is None or _SYSTEM not in text:
        return None
    try:
        # A byte that is no UTF-8 would not be taken.
        event = ElementTree.fromstring(found[0].encode("utf-8", "replace"))
    except ElementTree.ParseError:
        return None
    record: Record = {}
    for part in event:
        name = _name(part)
        if name == "System":
            record |= _system(part)
        elif name == "EventData":
            record["EventData"] = _data(part)
        elif name == "UserData":
            record["UserData"] = {_name(leaf): leaf.text for leaf in part.iter() if leaf.text}
        elif name == "RenderingInfo":
            record |= _rendered(part)
    return record


def _name(element: ElementTree.Element) -> str:
    return _NAMESPACE.sub("", element.tag)


def _system(system: ElementTree.Element) -> Record:
    record: Record = {}
    for element in system:
        name = _name(element)
        for attribute, value in element.attrib.items():
            field = _ATTRIBUTES.get((name, attribute))
            if field is not None:
                record[field] = value
        if name not in _NO_FIELD and element.text:
            record[name] = element.text
    return record


def _data(data: ElementTree.Element) -> Record:
    """Values by their names; one without a name has its place."""
    return {
        element.get("Name") or f"Data{place}": (element.text or "").strip()
        for place, element in enumerate(data)
    }


def _rendered(rendering: ElementTree.Element) -> Record:
    """The text that people read, in the language of the machine, and the words for the level."""
    names = {"Message": "Description", "Level": "LevelDisplayName"}
    return {
        names[name]: element.text.strip()
        for element in rendering
        if (name := _name(element)) in names and element.text
    }
