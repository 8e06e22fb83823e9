"""What `replay --keep` writes and `replay --what-if` prints: the records that would be kept."""

from __future__ import annotations

import itertools
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TextIO

import msgpack

from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..core.references import MARKED, References
from ..core.sessions import Session
from ..detect.nested_aware import NestedAware
from ..inputs import Event
from ..keeping.entries import events_of, line_of
from ..keeping.rules import HOWS, Keeping, Kind, Kinds, Rules
from ..keeping.watch import watch_of
from ..runtime.chunk_keeper import ChunkKeeper
from ..runtime.kept import KeptSaved, LeftRecords
from ..runtime.spool import RecordSpool, segment_of
from ..transport.forward import Chunk, encode_event_time
from ..types import Finding

# A replay holds what it has to hold: the disk of the machine that it runs on is the only limit.
_NO_LIMIT = 2**50


class Holder(Protocol):
    """What receives the records of a replay, beside the engine."""

    def attach(self, engine: Engine, maker: AlertMaker) -> None:
        """Use this engine, which is fed from now on."""

    def events(self, tag: str, events: Sequence[Event]) -> Iterable[Event]:
        """The events of a slice, while the engine takes them."""

    def note_alert(self, finding: Finding, alert_id: str, incident_id: str | None) -> None:
        """An alert was made of a finding."""

    def took(self) -> None:
        """The engine has taken a slice, or has reached the end."""


class KeepWriter:
    """Writes each kept record as a line, as a service would send it."""

    def __init__(self, config: Config, out: TextIO) -> None:
        config = replace(config, keep=True, keep_size=_NO_LIMIT, keep_summary=0.0)
        self._out = out
        self.counters: Counter[str] = Counter()
        self._spool = RecordSpool(None, 0)
        self._keeper = ChunkKeeper(config, self._spool, self.counters, KeptSaved())
        self._numbers = itertools.count()
        self._pack = msgpack.Packer().pack

    def attach(self, engine: Engine, maker: AlertMaker) -> None:
        self._keeper.attach(engine, maker)

    def events(self, tag: str, events: Sequence[Event]) -> Iterable[Event]:
        entries = [self._pack([_time(time_ns), record]) for time_ns, record in events]
        chunk = Chunk(tag, b"".join(entries), f"replay {next(self._numbers)}", len(entries))
        places = self._keeper.events(chunk, 0)
        # The events are those of the file, since a packed time has no more than 32 bits of seconds.
        return (event for event, _ in zip(events, places, strict=True))

    def note_alert(self, finding: Finding, alert_id: str, incident_id: str | None) -> None:
        self._keeper.note_alert(finding, alert_id, incident_id)

    def took(self) -> None:
        self._keeper.settle()
        kept = self._keeper.gather()
        for row in kept.rows:
            for packed in self._keeper.releaser.packed(row.pack()):
                for time_ns, record in events_of(packed.entries):
                    line = line_of(packed.tag, time_ns, record)
                    print(json.dumps(line, ensure_ascii=False), file=self._out)
        self._keeper.committed(kept, None)

    def close(self) -> None:
        """Delete what was held."""
        self._spool.close()


@dataclass(slots=True)
class _Tally:
    """What one way to tell kinds apart keeps: records by reason, and sessions."""

    rules: Keeping
    records: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    kinds: set[int] = field(default_factory=set)
    # A record of several sessions counts once.
    left: LeftRecords = field(default_factory=lambda: LeftRecords((), segment_of))


class WhatIf:
    """Counts what would be kept, for each way to tell kinds apart; nothing is held."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._references = References()
        self._references.notes_aside = config.keep_outside == "keep"
        self._number = 0
        self._outside = 0
        self._sessions = 0
        self._tallies = {
            how: _Tally(Keeping(Rules(config.keep_per_kind, config.keep_share))) for how in HOWS
        }

    def attach(self, engine: Engine, maker: AlertMaker) -> None:
        nested = engine.cascade.nested
        if not isinstance(nested, NestedAware):
            nested = None
        self._kinds = [Kinds(maker.bundle, how, nested) for how in HOWS]
        watch = watch_of(engine, self._references, self._config)
        if watch.looks:
            engine.read_by(watch.read)
        engine.note_records(self._references)
        engine.on_close.append(self._ended)

    def events(self, tag: str, events: Sequence[Event]) -> Iterable[Event]:
        for event in events:
            self._references.current = self._number
            yield event
            self._number += 1

    def note_alert(self, finding: Finding, alert_id: str, incident_id: str | None) -> None:
        """Whether a session is abnormal shows when it ends."""

    def took(self) -> None:
        self._outside += len(self._references.aside)
        self._references.aside.clear()

    def _ended(self, session: Session) -> None:
        self._sessions += 1
        kinds: list[Kind] | None = session.state.kind
        if kinds is None:
            kinds = session.state.kind = [kind.work_out(session) for kind in self._kinds]
        for kind, tally in zip(kinds, self._tallies.values(), strict=True):
            tally.kinds.add(kind.name)
            reason = "abnormal"
            if not session.is_abnormal:
                decision = tally.rules.decide(session, kind)
                reason = "always"
                if decision is not None:
                    reason = decision.reason
            refs = session.refs or array("q")
            if reason == "always":
                refs = array("q", [ref for ref in refs if ref & MARKED])
            else:
                tally.sessions += 1
            if refs:
                tally.records[reason] += len(tally.left.leave(refs))

    def figures(self) -> dict[str, Any]:
        """How much is kept, by way and by reason."""
        return {
            "records": self._number,
            "sessions": self._sessions,
            "kinds": {how: self._of(tally) for how, tally in self._tallies.items()},
        }

    def describe(self) -> Iterator[str]:
        """The same for a person, line by line."""
        figures = self.figures()
        yield (
            f"{figures['records']:,} records, {figures['sessions']:,} sessions; kept with "
            f"per_kind {self._config.keep_per_kind} and share {self._config.keep_share:g}:"
        )
        for how, kept in figures["kinds"].items():
            by = ", ".join(f"{n:,} {reason}" for reason, n in kept["by_reason"].items())
            yield (
                f"  kind {how:7} {kept['share']:7.2%} of all records: {kept['records']:,} in "
                f"{kept['sessions']:,} sessions of {kept['kinds']:,} kinds ({by})"
            )

    def _of(self, tally: _Tally) -> dict[str, Any]:
        by_reason = dict(tally.records)
        if self._outside:
            by_reason["outside"] = self._outside
        records = sum(by_reason.values())
        return {
            "records": records,
            "share": round(records / max(self._number, 1), 4),
            "sessions": tally.sessions,
            "kinds": len(tally.kinds),
            "by_reason": dict(sorted(by_reason.items())),
        }


def _time(time_ns: int | None) -> Any:
    if time_ns is None:
        return None
    return encode_event_time(time_ns)
