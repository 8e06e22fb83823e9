"""Template mining on LogHub's sixteen systems (`python bench/loghub.py DIR`, with its `*_2k.log*`).

Grouping accuracy (Zhu et al., ICSE-SEIP 2019): the share of lines whose group of lines with the
same template is exactly the group of lines with the same event. It is measured

- on the messages alone, as the structured files have them,
- on the raw lines, whose header the export has to find, against the same events, without
  components,
- and on the raw lines against events refined by the component that was found.

Leave one out: an event's lines are left out of mining, then matched. Lines that match a template of
other events would wrongly count as known.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

import checkout

from export import source
from export.mine import MinedTemplates, mine
from export.stages import Options
from fluent_krone.errors import RecordError
from fluent_krone.reading.records import RecordReader
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher

_STRUCTURED = "_2k.log_structured.csv"
# The seed that decides which events are left out.
_SEED = 7


def main() -> int:
    """Print a table, and with `--json` all figures as the last line."""
    parser = checkout.parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder with LogHub's files")
    parser.add_argument("--leave-out", type=int, default=0, metavar="N", help="events to leave out")
    flags = parser.parse_args()
    systems = {
        path.name.removesuffix(_STRUCTURED): list(_rows(path))
        for path in sorted(flags.folder.rglob(f"*{_STRUCTURED}"))
    }
    if not systems:
        parser.error(f"{flags.folder} has no *{_STRUCTURED}")
    figures = {}
    print(f"{'system':14} {'messages':>9} {'raw':>9} {'refined':>9}")
    for name, rows in systems.items():
        raw = next(flags.folder.rglob(f"{name}_2k.log"))
        figures[name] = {"messages": _of_messages(rows), **_of_raw(rows, raw)}
        print(f"{name:14}" + "".join(f" {value:9.3f}" for value in figures[name].values()))
    means = {
        measure: round(sum(row[measure] for row in figures.values()) / len(figures), 4)
        for measure in ("messages", "raw", "refined")
    }
    print(f"{'mean':14}" + "".join(f" {value:9.3f}" for value in means.values()))
    swallowed = []
    if flags.leave_out:
        swallowed = _leave_out(systems, flags.leave_out)
        print(f"{len(swallowed)} of {flags.leave_out} events left out are taken for others:")
        print(*(f"  {line}" for line in swallowed), sep="\n")
    if flags.json:
        print(json.dumps({"mean": means, "systems": figures, "swallowed": len(swallowed)}))
    return 0


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file))


def _matcher(mined: MinedTemplates) -> TemplateMatcher:
    return TemplateMatcher(mined.templates, wide=mined.wide)


def _of_messages(rows: Sequence[dict[str, str]]) -> float:
    messages = [row["Content"].strip() for row in rows]
    matcher = _matcher(mine(messages))
    found = [matcher.match(message.encode()) for message in messages]
    return grouping_accuracy(found, [row["EventId"] for row in rows])


def _of_raw(rows: Sequence[dict[str, str]], path: Path) -> dict[str, float]:
    """Of raw lines, read by the settings that an export finds with two options."""
    options = Options(input=path, session_key=("tag",))
    settings = source.settle(options, lambda text: None, lambda text: None)
    reader = RecordReader(settings)
    texts: list[str] = []
    for line in path.read_bytes().split(b"\n")[: len(rows)]:
        try:
            read = reader.read(b"tag", {b"message": line.rstrip(b"\r")})[0]
        except RecordError:
            read = b""
        texts.append(read.decode("utf-8", "replace"))
    mined = mine(
        filter(None, texts),
        keep_prefix=settings.component_field is not None,
        facet_fields=len(settings.facet_fields),
    )
    matcher = _matcher(mined)
    found = [matcher.match(text.encode()) for text in texts]
    plain: list[Hashable] = []
    components = []
    for log_key in found:
        component = ""
        text: Hashable = log_key
        if log_key != UNMATCHED and settings.component_field is not None:
            component, _, text = mined.templates[log_key].partition(": ")
        plain.append(text or log_key)
        components.append(component)
    events = [row["EventId"] for row in rows]
    refined = list(zip(events, components, strict=True))
    return {"raw": grouping_accuracy(plain, events), "refined": grouping_accuracy(found, refined)}


def grouping_accuracy(found: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """The share of lines whose group in `found` is a group in `truth`."""
    ours: dict[Hashable, list[int]] = defaultdict(list)
    theirs: dict[Hashable, list[int]] = defaultdict(list)
    for at, (one, other) in enumerate(zip(found, truth, strict=True)):
        ours[one].append(at)
        theirs[other].append(at)
    groups = {tuple(group) for group in theirs.values()}
    return sum(len(group) for group in ours.values() if tuple(group) in groups) / len(found)


def _leave_out(systems: dict[str, list[dict[str, str]]], count: int) -> list[str]:
    """Those of `count` drawn events that have a line that matches a template of other events."""
    events = [(name, event) for name in systems for event in _events(systems[name])]
    drawn = random.Random(_SEED).sample(events, min(count, len(events)))
    swallowed = []
    for name, event in drawn:
        rows = systems[name]
        mined = mine(row["Content"] for row in rows if row["EventId"] != event)
        matcher = _matcher(mined)
        for row in rows:
            log_key = matcher.match(row["Content"].strip().encode())
            if row["EventId"] == event and log_key != UNMATCHED:
                swallowed.append(
                    f"{name} {event}: {row['Content']!r} as {mined.templates[log_key]!r}"
                )
                break
    return swallowed


def _events(rows: Sequence[dict[str, str]]) -> list[str]:
    return sorted({row["EventId"] for row in rows})


if __name__ == "__main__":
    sys.exit(main())
