"""Makes one component of those that do the same: of `pos1` and `pos2`, of `lis-north` and
`lis-south`.

Each component has templates of its own. Where every counter, worker or site writes under its own
name, there are as many copies of each template as there are names; each copy is rare, and a new
name is news. Names are *instances* of one component where three things hold:

1. They differ in one number; or in one word, where other names have the same words in its place, as
   `pay-north` and `pay-south` have.
2. They have the same templates.
3. Sessions run alike whichever it is: what comes before and behind each template, how severe it is,
   and what else the session has. `stage2` always comes behind `stage1`, and sessions with `http2`
   have steps that those with `http1` lack. Nor are they parts of one thing, which a session has
   beside each other, as three replicas are.

All names of the same place are read as one while this is found out, so that a session that is in
the north as a whole runs like one in the south.

Their templates get a wildcard there, `<nth>` for a number and `<where>` for a word. What stands in
it is not judged: a new counter does what the others do.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .alike import Place, merged
from .runs import Runs, Steps, runs_of

# A part of a name that may say which instance it is. What is a wildcard already is none.
_PART = re.compile(r"<[a-z]+>|(?P<nth>[0-9]+)|(?<![^\W_])(?P<where>[^\W\d_]+)(?![^\W_])")
# Parts of one kind that a name may have; where there are more, the others tell components apart.
_PARTS = 3
# Shares may differ by this, and by this many standard errors, and by this many sessions, since
# sites and counters have more of this or that. Roles differ by nearly all.
_ALIKE, _ERRORS, _FEW = 0.2, 3.5, 3
# Of its events, a name may have this share in templates in which it differs, or which no other has.
_ODD = 0.1
# Sessions that all names of a component must have together, to tell how they run.
_ENOUGH = 40
# A name is a part beside another one where this share of its sessions has both equally often.
_BESIDE = 0.8


@dataclass(frozen=True, slots=True)
class _Name:
    """The name of a component, and the part in it that may differ."""

    text: str
    kind: str
    span: tuple[int, int]

    @property
    def word(self) -> str:
        return self.text[slice(*self.span)]

    @property
    def folded(self) -> str:
        """The name with a wildcard for the part."""
        return f"{self.text[: self.span[0]]}<{self.kind}>{self.text[self.span[1] :]}"


def merge_instances(
    rows: Sequence[dict[str, Any]], sessions: Iterable[Steps]
) -> tuple[list[dict[str, Any]], list[int], dict[str, list[str]]]:
    """The rows of `templates.json` with one component for all its instances; the new number of each
    row; and the names that each new one stands for.

    Rows begin with `component: `; the numbers in `sessions` are those of the rows.
    """
    found = list(rows)
    number = list(range(len(rows)))
    steps = list(sessions)
    names: dict[str, list[str]] = {}
    for kind in ("where", "nth"):
        for part in range(_PARTS):
            groups = _groups({component_of(row["template"]) for row in found}, kind, part)
            if not groups:
                continue
            now = [[(number[step], level) for step, level in session] for session in steps]
            instances = _instances(groups, found, now)
            if not instances:
                continue
            places = [_places(row["template"], instances) for row in found]
            found, into = merged(found, places)
            number = [into[one] for one in number]
            for name in sorted(instances, key=lambda name: (len(name), name)):
                known = names.setdefault(instances[name].folded, [])
                known += names.pop(name, [name])
    return found, number, names


def component_of(template: str) -> str:
    """The component that a template begins with; empty where it has none.

    >>> component_of("pos1: arrived at <*>"), component_of("arrived")
    ('pos1', '')
    """
    component, sign, _ = template.partition(": ")
    return component if sign else ""


def _places(template: str, instances: Mapping[str, _Name]) -> list[Place]:
    """Where the wildcard of an instance comes into a template."""
    name = instances.get(component_of(template))
    if name is None:
        return []
    places = [Place(0, name.word, name.span, f"<{name.kind}>")]
    if name.kind == "where":
        places += [Place(0, name.word, span) for span in _said_again(template, name)]
    return places


def _said_again(template: str, name: _Name) -> list[tuple[int, int]]:
    """Where the message of a site names it as well: `lis-north: received at north`."""
    again = re.compile(rf"(?<![\w<-]){re.escape(name.word)}(?![\w>-])")
    return [found.span() for found in again.finditer(template, len(name.text))]


# --- which names may be instances -----------------------------------------------------------------


def _groups(components: Iterable[str], kind: str, part: int) -> dict[str, list[_Name]]:
    """Name with a wildcard → the names that may be its instances, at least two."""
    groups: dict[str, list[_Name]] = defaultdict(list)
    for component in sorted(components):
        parts = [found for found in _PART.finditer(component) if found[kind]]
        if part < len(parts):
            # From the last part: that is what most often says which one it is.
            name = _Name(component, kind, parts[-1 - part].span())
            groups[name.folded].append(name)
    if kind == "where":
        groups = _at_sites(groups)
    return {folded: names for folded, names in groups.items() if len(names) > 1}


def _at_sites(groups: Mapping[str, Sequence[_Name]]) -> dict[str, list[_Name]]:
    """Only names whose word other names have in its place too."""
    times = Counter(name.word for names in groups.values() for name in names)
    return {
        folded: [name for name in names if times[name.word] > 1 and name.word != name.text]
        for folded, names in groups.items()
    }


# --- which of them run alike ----------------------------------------------------------------------


def _instances(
    groups: Mapping[str, Sequence[_Name]], rows: Sequence[dict[str, Any]], sessions: Sequence[Steps]
) -> dict[str, _Name]:
    """Component → its name, where it is an instance."""
    known = {name.text: name for names in groups.values() for name in names}
    # Numbers of the rows that are the same but for the instance: template → component → row.
    family: dict[str, dict[str, int]] = defaultdict(dict)
    of_row = []
    for number, row in enumerate(rows):
        [alike], _ = merged([row], [_places(row["template"], known)])
        text = alike["template"]
        family[text][component_of(row["template"])] = number
        of_row.append(min(family[text].values()))
    runs = runs_of(sessions, range(len(rows)), of_row)
    beside = _beside(sessions, of_row)
    found: dict[str, _Name] = {}
    for name, members in groups.items():
        templates = [rows for text, rows in family.items() if text.startswith(f"{name}: ")]
        kept = _alike({member.text for member in members}, templates, runs, beside)
        found |= {member.text: member for member in members if member.text in kept}
    return found


def _beside(sessions: Iterable[Steps], family: Sequence[int]) -> Counter[tuple[int, int]]:
    """Pairs of rows of one family → how many sessions have both equally often."""
    beside: Counter[tuple[int, int]] = Counter()
    for steps in sessions:
        by_family: dict[int, Counter[int]] = defaultdict(Counter)
        for step, _ in steps:
            by_family[family[step]][step] += 1
        for times in by_family.values():
            beside.update(
                (one, other)
                for one in times
                for other in times
                if one != other and times[one] == times[other]
            )
    return beside


def _alike(
    names: Iterable[str],
    templates: Sequence[Mapping[str, int]],
    runs: Mapping[int, Runs],
    beside: Mapping[tuple[int, int], int],
) -> set[str]:
    """The names that run alike; none where half of them do not, or where too little is known."""
    kept = set(names)
    least = max(2, len(kept) / 2)
    while len(kept) >= least:
        # How many events each name has, and how many of them tell it apart from the others.
        events: Counter[str] = Counter()
        odd: Counter[str] = Counter()
        sessions = 0
        for rows in templates:
            there = {name: rows[name] for name in kept if rows.get(name) in runs}
            total = Runs()
            for row in there.values():
                total.add(runs[row])
            sessions = max(sessions, total.sessions)
            for name, row in there.items():
                events[name] += runs[row].count
                if (
                    len(there) == 1
                    or _is_part(row, there.values(), runs, beside)
                    or _is_unlike(runs[row], total)
                ):
                    odd[name] += runs[row].count
        differ = {name for name in kept if odd[name] > _ODD * events[name]}
        if not differ:
            return kept if sessions >= _ENOUGH else set()
        kept -= differ
    return set()


def _is_part(
    row: int, rows: Iterable[int], runs: Mapping[int, Runs], beside: Mapping[tuple[int, int], int]
) -> bool:
    """Whether most sessions that have a template have it under another name as often."""
    least = _BESIDE * runs[row].sessions + _FEW
    return any(beside.get((row, other), 0) > least for other in rows)


def _is_unlike(own: Runs, total: Runs) -> bool:
    """Whether a template runs otherwise under one name than under all others."""
    others = total.count - own.count
    sessions = max(total.sessions - own.sessions, 1)
    for mark, times in total.marks.items():
        share = times / total.count
        error = math.sqrt(share * (1 - share) * (1 / own.sessions + 1 / sessions))
        most = _ALIKE + _ERRORS * error + _FEW / own.sessions
        if abs(own.marks[mark] / own.count - (times - own.marks[mark]) / others) > most:
            return True
    return False
