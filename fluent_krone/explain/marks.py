"""What persons said of deviations: what a mark covers, and which mark holds for an alert.

A mark covers what differs, not one sequence of steps. Its scope says how much:

- `deviation`: the deviations of the marked alert, each by its signature (what differs, at which
  step, in which direction), up to about twice as much as was seen; and what they teach, see below;
- `pattern`: sessions that ran exactly as the marked one had run by then;
- `template`: whatever is odd about the steps that deviated;
- `entity`: whatever is odd about their entities.

Some deviations are about other steps each time, although the same thing is odd about them (the
field `teaches`):

- Combinations of steps that are rare, where each step stands where training had it as well: which
  of the steps the nearest normal session lacks is chance. A normal mark on one is a mark on all, up
  to about how odd that one was.
- Single steps that are slow, and stretches of steps that take long as a whole where no single one
  does. One mark says that this step, or a stretch that is longest there, may take long, which tells
  nothing of others. Marks on three different ones say that all of them may be slow, up to what
  three of them reached. When one mark held for all long stretches, it hid slow steps that show as
  nothing else.

Steps that hang teach nothing. They are reported at the limit, when nobody knows yet how far beyond
it they will be: three marks would hide every session that hangs. Values do not either: an unknown
one is no more or less odd than another.

An alert is silenced only if *all* its deviations are covered: a session that goes wrong in another
way as well is reported.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from ..alerts.digests import digest_of
from ..core.hierarchy import step_name
from ..errors import ConfigError
from . import Said
from .alert_rows import LEAD, unnamed_line
from .knowledge import ALERTS_KEPT, Knowledge, put
from .rows import MAX_NAME, SCOPES, Mark, Scope, checked_mark, iso_ms, printable, to_ms

# A count may be this many times what was marked, …
_TIMES = 2.0
# … and a score this much more. Scores are −ln of a share: this is about three times rarer. With 2,
# a mark on a step that was five times slower than usual held for one that was fifty times slower.
_NATS = 1.0
# A sort of deviations that marks teach, whose sizes are such scores.
_IN_NATS = "nested_aware"
# Sorts that teach only once this many different steps are marked, and what is said of such a mark.
_ENOUGH_STEPS = 3
_SHARED = {"long": "stretches that take long as a whole", "slow": "single steps that are slow"}
# A sort that is shared has this many marks at most, each for some of the steps: marks are looked up
# by their names, so there must not be one for each step of a bundle. Two steps that share a mark
# count as one.
_SHARES = 256
# Names of templates and entities that are remembered: more than bundles have. News of templates
# have no end, so the oldest are forgotten.
_NAMES_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a mark covers: its scope, the name that it is kept under, and its words."""

    scope: Scope
    name: str
    about: str
    # How much is covered, and how much there was.
    most: float | None = None
    size: float = 0.0
    # Whether it covers others of its sort, too, which only a normal mark does.
    is_taught: bool = False
    # The sort, where only several marks together cover others of it.
    shared: str = ""
    # Whether its words quote a log line.
    has_line: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """Who says what: the verdict, the reason, the person, and until when (seconds since 1970).

    With `until` None a mark never expires.
    """

    verdict: Said
    by: str
    note: str = ""
    until: float | None = None


class Marks:
    """The marks in a knowledge file.

    >>> knowledge = Knowledge(None)
    >>> marks = Marks(knowledge)
    >>> record = {"pattern": "ab" * 16, "deviations": [{"signature": "cd" * 16, "size": 1}]}
    >>> [mark] = marks.set(targets_of(record, "deviation"), Says(verdict="normal", by="ada"), 100)
    >>> marks.on(record, 101.0).verdict
    'normal'
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    def any(self) -> bool:
        """Whether there are any marks."""
        return bool(self._knowledge.read("SELECT 1 FROM person LIMIT 1"))

    def on(self, record: Mapping[str, Any], now_s: float) -> Mark | None:
        """The mark that holds for an alert, given its record; None: nobody judged all of it."""
        if not self.any():
            # Asked several times for each alert, and most files hold no marks.
            return None
        marks = self._named(names_of(record))
        return decide(record, {mark.pattern: mark for mark in marks if mark.holds(now_s)})

    def holding(self, now_s: float) -> dict[str, Mark]:
        """All marks that have not expired, by what they are kept under."""
        marks = [Mark(*row) for row in self._knowledge.read("SELECT * FROM person")]
        return {mark.pattern: mark for mark in marks if mark.holds(now_s)}

    def set(self, targets: Sequence[Target], says: Says, now_s: float) -> list[Mark]:
        """Mark targets, in place of earlier marks on them; they are on disk when this returns."""
        until_ms = None
        if says.until is not None:
            until_ms = to_ms(says.until)
            if says.until <= now_s:
                raise ConfigError(f"a mark must expire later than now, got {iso_ms(until_ms)}")
        marks = [
            Mark(
                pattern=target.name,
                verdict=says.verdict,
                note=printable(says.note),
                by=printable(says.by, MAX_NAME),
                at_ms=to_ms(now_s),
                until_ms=until_ms,
                about=printable(self._about(target), MAX_NAME),
                scope=target.scope,
                most=target.most,
            )
            for target in targets
            if says.verdict == "normal" or not target.is_taught
        ]
        with self._knowledge.transaction(durable=True) as db:
            before = {mark.pattern: mark for mark in self._marked(targets)}
            marks = [checked_mark(_widened(mark, before.get(mark.pattern))) for mark in marks]
            for mark in marks:
                put(db, mark)
        return marks

    def _about(self, target: Target) -> str:
        if target.has_line:
            return self._knowledge.masked(target.about)
        return target.about

    def mark(self, name: str, scope: Scope, says: Says, now_s: float) -> list[Mark]:
        """Mark an alert, or an incident by its id, at a scope. Raises ConfigError if unknown."""
        return self.set(self.targets(name, scope), says, now_s)

    def mark_pattern(self, pattern: str, says: Says, now_s: float) -> Mark:
        """Mark a pattern, no alert of which needs to be known."""
        record = self._recalled(pattern)
        about = ""
        # It may be the id of an alert by mistake, and a mark on that covers nothing.
        if record is not None and record["pattern"] == pattern:
            about = record["about"]
        [mark] = self.set([Target("pattern", pattern, about)], says, now_s)
        return mark

    def concerning(self, record: Mapping[str, Any]) -> list[Mark]:
        """All marks on anything about an alert, the oldest first; some may have expired."""
        targets = [target for scope in SCOPES for target in targets_of(record, scope)]
        return sorted(self._marked(targets), key=lambda mark: (mark.at_ms, mark.pattern))

    def unmark(self, targets: Sequence[Target]) -> list[Mark]:
        """Delete the marks on targets; returns those that there were."""
        with self._knowledge.transaction(durable=True) as db:
            found = self._marked(targets)
            db.executemany(
                "DELETE FROM person WHERE pattern = ?", ((mark.pattern,) for mark in found)
            )
        return found

    def default_scope(self, name: str) -> Scope:
        """The scope of a mark where nobody says one: what deviates, where that is known."""
        record = self._recalled(name)
        if record is not None and targets_of(record, "deviation"):
            return "deviation"
        return "pattern"

    def targets(self, name: str, scope: Scope) -> list[Target]:
        """What a mark on an alert covers at a scope; `name` is the id of an alert or an incident,
        or a pattern, which stands for its last alert. Raises ConfigError that says what is wrong.
        """
        record = self._recalled(name)
        if record is None:
            raise ConfigError(
                f"{self._knowledge.path} knows no alert and no signature {name}; "
                f"it keeps the last {ALERTS_KEPT:,} alerts "
                "(`mark --pattern` accepts the field `pattern` of any alert)"
            )
        found = targets_of(record, scope)
        if not found:
            raise ConfigError(
                f"alert {name} has nothing that a mark of scope {scope} could cover: "
                "use scope pattern"
            )
        return found

    def _marked(self, targets: Iterable[Target]) -> list[Mark]:
        return self._named({target.name for target in targets})

    def _named(self, names: Collection[str]) -> list[Mark]:
        asked = ", ".join("?" * len(names))
        rows = self._knowledge.read(f"SELECT * FROM person WHERE pattern IN ({asked})", *names)
        return [Mark(*row) for row in rows]

    def _recalled(self, name: str) -> dict[str, Any] | None:
        """What a mark needs of an alert that is remembered."""
        query = "SELECT pattern, about, deviations FROM alert WHERE {} LIMIT 1"
        # An incident is known by the alert that stands for it, a pattern by its last one.
        of_incident = f"n = (SELECT {LEAD} FROM alert WHERE incident = ?)"
        for condition in ("id = ?", of_incident, "pattern = ? ORDER BY n DESC"):
            for pattern, about, deviations in self._knowledge.read(query.format(condition), name):
                return {"pattern": pattern, "about": about, "deviations": json.loads(deviations)}
        return None


def names_of(record: Mapping[str, Any]) -> set[str]:
    """All that a mark on anything about an alert may be kept under."""
    names = {str(record["pattern"])}
    for deviation in record.get("deviations") or ():
        if not deviation.get("signature"):
            continue
        names.add(deviation["signature"])
        if teaches := deviation.get("teaches"):
            names.update(_taught_names(teaches["what"]))
        names.update(_name_of("template", one) for one in deviation.get("templates") or ())
        names.update(_name_of("entity", one) for one in _entities_of(deviation) if one)
    return names


def targets_of(record: Mapping[str, Any], scope: Scope) -> list[Target]:
    """What a mark at a scope covers of an alert."""
    if scope == "pattern":
        return [Target("pattern", record["pattern"], str(record.get("about") or ""))]
    found: dict[str, Target] = {}
    for deviation in record.get("deviations") or ():
        for target in _targets_of_deviation(deviation):
            if target.scope == scope and target.name:
                found.setdefault(target.name, target)
    return list(found.values())


def decide(record: Mapping[str, Any], marks: Mapping[str, Mark]) -> Mark | None:
    """The mark that holds for an alert, of those on what it has.

    What is narrower counts first: the whole pattern, then each deviation, its templates, its
    entities. One deviation that a person calls abnormal is enough; normal must be all of them.
    """
    whole = marks.get(record["pattern"])
    if whole is not None:
        return whole
    deviations = record.get("deviations") or ()
    found = [_on_deviation(deviation, marks) for deviation in deviations]
    for mark in found:
        if mark is not None and mark.verdict == "abnormal":
            return mark
    if found and all(found):
        return found[0]
    return None


def _on_deviation(deviation: Mapping[str, Any], marks: Mapping[str, Mark]) -> Mark | None:
    by_scope: dict[Scope, list[Mark | None]] = {}
    for target in _targets_of_deviation(deviation):
        mark = marks.get(target.name)
        if target.shared:
            mark = _shared(target, marks)
        elif mark is not None and not _reaches(mark, target):
            mark = None
        by_scope.setdefault(target.scope, []).append(mark)
    for scope in ("deviation", "template", "entity"):
        found = by_scope.get(scope, [])
        for mark in found:
            if mark is not None and mark.verdict == "abnormal":
                return mark
        if scope == "deviation":
            # What it teaches covers it as well as its own signature does.
            found = [mark for mark in found if mark is not None]
        if found and all(found):
            return found[0]
    return None


def _reaches(mark: Mark, target: Target) -> bool:
    """Whether no more deviates than what was marked as normal."""
    if mark.verdict == "abnormal" or mark.most is None:
        return True
    return target.size <= mark.most


def _shared(target: Target, marks: Mapping[str, Mark]) -> Mark | None:
    """One of the marks that cover others of a sort together, where they are enough."""
    found = []
    for name in _taught_names(target.shared):
        mark = marks.get(name)
        if mark is not None and mark.verdict == "normal" and _reaches(mark, target):
            found.append(mark)
    if len(found) < _ENOUGH_STEPS:
        return None
    return found[0]


def _taught_names(what: str) -> Sequence[str]:
    """What marks that teach something of a sort are kept under."""
    if what not in _SHARED:
        return (_name_of("deviation", what),)
    return [_name_of("deviation", f"{what} {share}") for share in range(_SHARES)]


@lru_cache(maxsize=_NAMES_KEPT)
def _name_of(scope: Scope, what: str) -> str:
    """What a mark on a template or an entity is kept under."""
    return digest_of(("mark", scope, what))


def _targets_of_deviation(deviation: Mapping[str, Any]) -> Iterable[Target]:
    signature = deviation.get("signature")
    if not signature:
        return
    line = unnamed_line(deviation)
    about = step_name(deviation.get("entity"), deviation.get("action"), deviation.get("status"))
    if line:
        about = f"a line like “{line}”"
    size = float(deviation.get("size") or 0)
    most = size + _NATS
    if deviation.get("witness") == "density":
        most = size * _TIMES
    words = f"{deviation.get('direction')}: {about}"
    yield Target("deviation", signature, words, most, size, has_line=bool(line))
    if teaches := deviation.get("teaches"):
        yield _taught(teaches["what"], float(teaches["size"]), signature)
    for template in deviation.get("templates") or ():
        yield Target("template", _name_of("template", template), about, has_line=bool(line))
    for entity in _entities_of(deviation):
        # A step without an entity has no name here, so no mark on entities covers it.
        name = entity and _name_of("entity", entity)
        yield Target("entity", name, entity)


def _taught(what: str, size: float, signature: str) -> Target:
    """What a deviation says of others of its sort."""
    if what in _SHARED:
        share = int(digest_of((what, signature)), 16) % _SHARES
        name = _taught_names(what)[share]
        return Target("deviation", name, _SHARED[what], size, size, is_taught=True, shared=what)
    words = f"rare combinations of usual steps ({what})"
    most = size * _TIMES
    if what == _IN_NATS:
        most = size + _NATS
    [name] = _taught_names(what)
    return Target("deviation", name, words, most, size, is_taught=True)


def _entities_of(deviation: Mapping[str, Any]) -> Sequence[str]:
    entities = deviation.get("entities")
    if entities is None:
        # Deviations of the stream concern one entity, or none.
        entities = [deviation.get("entity") or ""]
    return cast(Sequence[str], entities)


def _widened(mark: Mark, before: Mark | None) -> Mark:
    """A mark that covers at least as much as the one before it with the same verdict."""
    if before is None or before.verdict != mark.verdict or mark.most is None:
        return mark
    if before.most is None:
        return replace(mark, most=None)
    return replace(mark, most=max(mark.most, before.most))
