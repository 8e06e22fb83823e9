"""The sessions that the next bundle is fitted to: recent ones, of every kind, without faults.

1. What was recorded and the old reservoir are run through the engine of the bundle in use. It cuts
   sessions and says which of them alert.
2. Sessions that alert are left out, unless a mark of a person clears every one of their alerts. So
   are those that a gap in the recording has cut, and a fifth of all: it is held out, so that the
   next bundle can be judged by sessions that it has not seen.
3. Of each kind of session (equal steps in equal numbers) a few stay in any case, so that what is
   rare but normal is never forgotten. The rest of the room goes to sessions at random, where new
   ones weigh more (weighted reservoir sampling: Efraimidis and Spirakis, 2006).
4. Records of the chosen sessions are written in the order of their times, as a spool.
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..core.references import PLAIN, References
from ..core.sessions import Session
from ..detect.bundle import Bundle
from ..inputs.spooled import Gap, Spooled, chunk_parts, unpacked
from ..reading.records import SessionKey
from ..segments import Segments, read_frames
from ..transport.forward import Chunk
from ..transport.forward.encode import encode_event_time
from ..types import Finding

_NS = 1_000_000_000
# One session in this many is never learnt from, but judged by.
_HELD_OUT = 5
# Sessions of each kind that stay in any case.
_OF_EACH_KIND = 30
# After this many intervals between refits a session weighs half as much.
_HALF_LIFE = 7
# When there are this many times more candidates than room, those that would not stay are dropped.
_CROWDED = 2
# Kinds of findings that say that a session is abnormal; others are about templates or the stream.
ABNORMAL = ("sequence", "deviation")
# Events of one frame of the reservoir.
_FRAME_EVENTS = 500

# Whether a mark clears an alert's record.
IsCleared = Callable[[Mapping[str, Any]], bool]
# Time, tag and packed record.
_Record = tuple[int, str, bytes]


def is_held_out(key: SessionKey) -> bool:
    """Whether sessions of this key are kept from the training, so as to judge by them."""
    digest = hashlib.blake2b(b"\0".join(key), digest_size=4).digest()
    return int.from_bytes(digest, "big") % _HELD_OUT == 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session that may be learnt from, and where its records are."""

    key: SessionKey
    first_ns: int
    kind: int
    size: int
    refs: tuple[int, ...]


@dataclass(slots=True)
class Filled:
    """What the new reservoir holds, and what was left out of it."""

    sessions: int = 0
    kinds: int = 0
    records: int = 0
    flagged: int = 0
    cut: int = 0
    held_out: int = 0


class Reservoir:
    """The spool at `folder`, filled anew by `fill`."""

    def __init__(
        self, folder: Path, most_sessions: int, most_bytes: int, interval_s: float
    ) -> None:
        self.folder = folder
        self._old = folder.with_name(f"{folder.name}.old")
        self._most = most_sessions
        self._most_bytes = most_bytes
        self._half_life_ns = _HALF_LIFE * interval_s * _NS

    def fill(
        self,
        recorded: Path,
        bundle: Bundle,
        config: Config,
        is_cleared: IsCleared,
        rng: random.Random,
    ) -> Filled:
        """Choose among what is there and what was recorded."""
        self._recover()
        run = _Run(bundle, config, is_cleared)
        choice = _Choice(self._most, self._most_bytes, self._half_life_ns, rng, run.drop)
        for is_old, folder in ((True, self.folder), (False, recorded)):
            for candidate in run.sessions(folder, is_old):
                choice.offer(candidate)
        chosen = choice.chosen()
        records = run.records_of(chosen)
        self._write(records)
        run.filled.sessions = len(chosen)
        run.filled.kinds = len({candidate.kind for candidate in chosen})
        run.filled.records = len(records)
        return run.filled

    def _write(self, records: list[_Record]) -> None:
        """Write the new reservoir beside the old one, and put it in its place."""
        staging = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(staging, ignore_errors=True)
        segments = Segments(staging)
        for tag, events in _runs(records):
            entries = b"".join(_packed(time_ns, record) for time_ns, record in events)
            chunk = Chunk(tag, entries, size=len(events))
            # None of its events lies ahead of its arrival.
            segments.append(chunk_parts(chunk, events[-1][0]))
        segments.close()
        if self.folder.exists():
            self.folder.replace(self._old)
        staging.replace(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _recover(self) -> None:
        """A kill between the two renames leaves the old reservoir under its other name."""
        if self._old.exists() and not self.folder.exists():
            self._old.replace(self.folder)


class _Run:
    """Runs recorded streams through an engine, and hands out the sessions that may be learnt from.

    Records are held until the last session that needs them is dropped.
    """

    def __init__(self, bundle: Bundle, config: Config, is_cleared: IsCleared) -> None:
        self.filled = Filled()
        self._bundle = bundle
        self._config = config
        self._maker = AlertMaker(bundle, config)
        self._is_cleared = is_cleared
        self._records: dict[int, _Record] = {}
        # How many sessions hold a record.
        self._held: Counter[int] = Counter()
        self._next_ref = 0
        self._closed: list[Session] = []
        # Sessions that alerted, by key and instance.
        self._flagged: set[tuple[SessionKey, int]] = set()
        self._pack = msgpack.Packer().pack
        # When the stretch began that is run; 0 where all of its sessions are whole.
        self._stream_began_ns: int | None = None
        self._begin()

    def sessions(self, folder: Path, is_old: bool) -> Iterator[Candidate]:
        """The sessions of a spool that may be learnt from. Those of the reservoir are all whole."""
        self._begin()
        if is_old:
            self._stream_began_ns = 0
        for _, frame in read_frames(folder):
            content = unpacked(frame)
            if isinstance(content, Gap):
                self._begin()
            elif isinstance(content, Spooled):
                yield from self._feed(content)
        if is_old:
            self._note(self._engine.finish())
            yield from self._candidates()

    def records_of(self, chosen: list[Candidate]) -> list[_Record]:
        """The records of sessions in the order of their times, each once."""
        refs = {ref for candidate in chosen for ref in candidate.refs}
        return sorted((self._records[ref] for ref in refs), key=lambda record: record[0])

    def drop(self, candidate: Candidate) -> None:
        """A session is not learnt from: forget its records."""
        self._let_go(candidate.refs)

    def _begin(self) -> None:
        """Begin with a new engine: sessions that are open are not whole."""
        self._engine: Engine = self._bundle.engine(self._config)
        self._references = References()
        self._references.notes_aside = True
        self._engine.note_records(self._references)
        self._engine.on_close.append(self._closed.append)
        self._stream_began_ns = None
        self._flagged.clear()
        for ref in [ref for ref in self._records if not self._held[ref]]:
            del self._records[ref]

    def _feed(self, spooled: Spooled) -> Iterator[Candidate]:
        tag = spooled.chunk.tag
        events = self._noted(spooled)
        self._note(self._engine.feed(tag, events, spooled.arrived_ns))
        if self._stream_began_ns is None:
            self._stream_began_ns = self._engine.watermark or None
        for ref, _ in self._references.aside:
            self._records.pop(ref & PLAIN, None)
        self._references.aside.clear()
        yield from self._candidates()

    def _noted(self, spooled: Spooled) -> Iterator[tuple[int | None, Any]]:
        """The events of a chunk; each record is held under the reference that the engine notes."""
        references = self._references
        for time_ns, record in spooled.chunk.events():
            self._next_ref += 1
            references.current = self._next_ref
            at = time_ns or spooled.arrived_ns
            if record.__class__ is dict:
                self._records[self._next_ref] = (at, spooled.chunk.tag, self._pack(record))
            yield time_ns, record

    def _note(self, findings: list[Finding]) -> None:
        for finding in findings:
            if finding.kind not in ABNORMAL:
                continue
            if not self._is_cleared(self._maker.make(finding).record):
                self._flagged.add((finding.session, finding.instance))

    def _candidates(self) -> Iterator[Candidate]:
        for session in self._closed:
            refs = tuple({ref & PLAIN for ref in session.refs or () if ref >= 0})
            self._held.update(refs)
            if self._may_be_learnt(session):
                kind = hash(tuple(sorted(Counter(session.keys).items())))
                size = sum(len(self._records[ref][2]) for ref in refs)
                yield Candidate(session.key, session.first_ns, kind, size, refs)
            else:
                self._let_go(refs)
        self._closed.clear()

    def _may_be_learnt(self, session: Session) -> bool:
        began_ns = self._stream_began_ns or 0
        if (session.key, session.instance) in self._flagged:
            self._flagged.discard((session.key, session.instance))
            self.filled.flagged += 1
            return False
        # What began right behind a gap may have begun before it.
        settled_ns = began_ns + self._engine.sessions.idle_ns
        if began_ns and session.first_ns < settled_ns:
            self.filled.cut += 1
            return False
        if is_held_out(session.key):
            self.filled.held_out += 1
            return False
        return True

    def _let_go(self, refs: tuple[int, ...]) -> None:
        for ref in refs:
            self._held[ref] -= 1
            if not self._held[ref]:
                del self._held[ref]
                self._records.pop(ref, None)


class _Choice:
    """Weighted reservoir sampling with a share for each kind."""

    def __init__(
        self,
        most: int,
        most_bytes: int,
        half_life_ns: float,
        rng: random.Random,
        drop: Callable[[Candidate], None],
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._half_life_ns = half_life_ns
        self._rng = rng
        self._drop = drop
        # By key and first event, since a session may be in the old reservoir and in the recording.
        self._offered: dict[tuple[SessionKey, int], tuple[float, Candidate]] = {}

    def offer(self, candidate: Candidate) -> None:
        """Take a session into account."""
        name = (candidate.key, candidate.first_ns)
        if name in self._offered:
            self._drop(candidate)
            return
        # The logarithm of an exponential draw divided by the weight, which halves with age. The
        # smallest draws stay. Only differences count, so ages are measured from 1970.
        age = candidate.first_ns / self._half_life_ns
        draw = math.log(self._rng.expovariate(1)) - math.log(2) * age
        self._offered[name] = (draw, candidate)
        self._bytes += candidate.size
        is_crowded = len(self._offered) > _CROWDED * self._most
        if is_crowded or self._bytes > _CROWDED * self._most_bytes:
            self._thin()

    def chosen(self) -> list[Candidate]:
        """The sessions that stay."""
        self._thin()
        return [candidate for _, candidate in self._offered.values()]

    def _thin(self) -> None:
        kinds: dict[int, list[tuple[float, int, Candidate]]] = defaultdict(list)
        for number, (draw, candidate) in enumerate(self._offered.values()):
            kinds[candidate.kind].append((draw, number, candidate))
        each = max(1, min(_OF_EACH_KIND, self._most // max(len(kinds), 1)))
        kept: list[tuple[float, int, Candidate]] = []
        others: list[tuple[float, int, Candidate]] = []
        for of_kind in kinds.values():
            of_kind.sort(key=lambda entry: entry[:2])
            kept += of_kind[:each]
            others += of_kind[each:]
        # More kinds than room: the newest draws decide among them, too.
        kept.sort(key=lambda entry: entry[:2])
        others.sort(key=lambda entry: entry[:2])
        self._bytes = 0
        for place, (_, _, candidate) in enumerate([*kept, *others]):
            if place < self._most and self._bytes + candidate.size <= self._most_bytes:
                self._bytes += candidate.size
                continue
            del self._offered[candidate.key, candidate.first_ns]
            self._drop(candidate)


def _runs(records: list[_Record]) -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """Records cut where the tag changes, and where a frame is full."""
    run: list[tuple[int, bytes]] = []
    tag = ""
    for time_ns, of, record in records:
        if run and (of != tag or len(run) == _FRAME_EVENTS):
            yield tag, run
            run = []
        tag = of
        run.append((time_ns, record))
    if run:
        yield tag, run


def _packed(time_ns: int, record: bytes) -> bytes:
    """An entry of Forward mode: an array of the time and the record, which is packed already."""
    return b"\x92" + bytes(msgpack.packb(encode_event_time(time_ns))) + record
