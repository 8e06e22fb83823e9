"""The work of `fluent-krone kafka`: an engine for each partition, one bundle for all of them."""

from __future__ import annotations

import itertools
import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..alerts.incidents import Incidents
from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..errors import RecordError, SnapshotError
from ..explain.queue import ExplanationQueue
from ..explain.tickets import Ticket
from ..inputs.own_times import OwnTimes
from ..reading.records import RecordReader
from ..runtime.figures import engine_stats
from ..runtime.judge import Judge
from ..runtime.keeper import check_keep
from ..runtime.migrations import migrated
from ..runtime.misfit import Misfit
from .changelog import Changelog, KeptRows, Row, cleared, incidents_of, oldest_of, snapshot_of
from .clients import Clients, Topics, ensure_judged
from .forms import HeldMessage, error_copy
from .message_keeper import FedEvent, MessageKeeper, pointed
from .message_spool import MessageSpool, prepare_folder
from .records import AddressedReader, Decoder
from .shared_knowledge import SharedKnowledge
from .transactions import Out
from .work import InstanceWork, PartitionWork

_log = logging.getLogger(__name__)


class PartitionJudge(Judge):
    """The judge of one partition. Explanations are its evidence: no record waits for a model."""

    def _warn_of_misfit(self, records: int) -> None:
        """What does not fit is looked for over all partitions together, by `Judging`."""


class JudgedPartition(PartitionWork):
    """One partition's engine, and what it saves."""

    def __init__(self, judging: Judging, partition: int) -> None:
        self.partition = partition
        self.judge = judging.new_judge(judging.new_engine())
        self._judging = judging
        self._changelog = Changelog({}, judging.config.cache_size)
        self._pending: list[Out] = []
        self._spool: MessageSpool | None = None
        self.keeper: MessageKeeper | None = None

    @property
    def engine(self) -> Engine:
        """The engine at work."""
        return self.judge.engine

    def held_from(self, rows: Mapping[bytes, bytes]) -> int | None:
        """The first message that an open session may need; None where nothing is held."""
        config = self._judging.config
        if not config.keep:
            return None
        try:
            first = oldest_of(rows)
        except SnapshotError:
            # `restore` says so.
            return None
        return first

    def hold_again(self, messages: Sequence[Any]) -> None:
        """Hold messages that an earlier owner fed."""
        self._own_spool().hold([HeldMessage.of(message) for message in messages])

    def restore(self, rows: Mapping[bytes, bytes], now_ns: int) -> None:
        """Go on from a changelog. One that can't be read is set aside, and the loss is logged."""
        self._changelog = Changelog(rows, self._judging.config.cache_size)
        try:
            self._restore(rows, now_ns)
            self._keep(rows)
        except SnapshotError as error:
            _log.error(
                "the changelog can't be read, what only it held is lost partition=%d reason=%s",
                self.partition,
                error,
            )
            self.judge = self._judging.new_judge(self._judging.new_engine())
            self._changelog = Changelog({}, self._judging.config.cache_size)
            self._pending += [self._state_row(key, None) for key in rows]
            self._keep({})
        self.engine.track()

    def feed(self, messages: Sequence[Any], now_ns: int) -> int:
        """Judge messages; those that can't be read also go to the topic of errors."""
        judging = self._judging
        keeper = self.keeper
        held: list[HeldMessage] = []
        if keeper is not None:
            held = [HeldMessage.of(message) for message in messages]
            keeper.hold(held)
        tagged = judging.decoder.tagged(messages)
        for tag, group in itertools.groupby(tagged, key=_tag):
            events = self._events(group)
            if keeper is not None:
                events = pointed(keeper, events)
            self.judge.feed(tag, (event for event, _ in events), now_ns)
        if keeper is not None:
            self._pending += keeper.annotated(held)
        return len(messages)

    def advance(self, now_ns: int) -> None:
        """End sessions that were idle for too long."""
        self.judge.advance(now_ns)

    def resume(self, now_ns: int) -> None:
        """Let no session age by the time in which no broker could be reached."""
        self.engine.resume(now_ns)

    def outs(self, position: int) -> list[Out]:
        """What has changed in the engine, the alerts, and kept records."""
        kept: list[Out] = []
        kept_rows: list[Row] = []
        if self.keeper is not None:
            # Before the sessions are saved: it notes in them which of their records leave.
            kept, kept_rows = self.keeper.outs(position)
        changes = self.engine.changes(self._changelog.pack)
        rows = self._changelog.rows(changes | {"bundle_hash": self._judging.bundle.hash})
        rows += self._changelog.incidents(self.judge.incidents.changes())
        rows += kept_rows
        found = [*self._pending, *kept]
        found += (self._state_row(key, value) for key, value in rows)
        tickets = self.judge.hand_over()
        found += (self._judging.out_of(ticket, self.partition) for ticket in tickets)
        self._pending = []
        return found

    def committed(self) -> bool:
        """Free what is held no more; returns whether kept records wait for the next commit."""
        if self.keeper is None:
            return False
        self.keeper.was_committed()
        return self.keeper.has_more

    def close(self) -> None:
        """Nothing is kept; the counts of the instance go on."""
        self._judging.forget(self)
        if self._spool is not None:
            self._spool.close()

    def _own_spool(self) -> MessageSpool:
        if self._spool is None:
            self._spool = MessageSpool(self._judging.keep_folder, self._judging.config.keep_size)
        return self._spool

    def _keep(self, rows: Mapping[bytes, bytes]) -> None:
        """Hold records from now on, where that is asked for; else drop what was saved of them."""
        judging = self._judging
        config = judging.config
        if not config.keep:
            self._pending += [self._state_row(key, None) for key, _ in cleared(rows)]
            for session in self.engine.sessions.open.values():
                session.refs = None
        if not (config.keep or config.annotate):
            return
        saved = KeptRows(rows if config.keep else {})
        place = (config.topic or "", self.partition)
        self.keeper = MessageKeeper(
            config, place, self._own_spool(), judging.kept_counters, saved, lambda: judging.decoder
        )
        self.judge.keeper = self.keeper
        self.keeper.attach(self.engine, self.judge.maker)

    def _restore(self, rows: Mapping[bytes, bytes], now_ns: int) -> None:
        # Only now is it known how many partitions share the stream.
        engine = self._judging.new_engine()
        saved = snapshot_of(rows)
        if saved is None:
            self.judge = self._judging.new_judge(engine)
            return
        saved_by = saved.pop("bundle_hash", None)
        saved, is_changed = migrated(saved)
        engine.restore(saved)
        engine.resume(now_ns)
        if is_changed:
            engine.track(everything=True)
        # Made behind the engine's state: it takes in what persons accepted since that was saved.
        self.judge = self._judging.new_judge(engine)
        self.judge.incidents.restore(incidents_of(rows))
        if saved_by != self._judging.bundle.hash:
            _log.info(
                "open sessions continue under another bundle partition=%d before=%s now=%s",
                self.partition,
                saved_by,
                self._judging.bundle.hash,
            )

    def _events(self, group: Iterable[tuple[str, tuple[int, Any], Any]]) -> Iterator[FedEvent]:
        for _, event, message in group:
            if event[1].__class__ is RecordError:
                copy = error_copy(self._judging.topics.errors, message, event[1])
                self._pending.append(copy)
            yield event, message

    def _state_row(self, key: bytes, value: bytes | None) -> Out:
        return Out(self._judging.topics.state, key, value, self.partition)


class Judging(InstanceWork):
    """What the partitions of one instance share: the bundle, its caches, and what is known.

    It has what is counted of one engine: `counters`, `set_aside`, `reader`, `time_offset_s`.
    """

    def __init__(self, bundle: Bundle, config: Config, clients: Clients) -> None:
        self.config = config
        self.topics = Topics.of(config.group)
        self.partitions: dict[int, JudgedPartition] = {}
        self._clients = clients
        self._created = 0
        self._known = SharedKnowledge(clients, self.topics.knowledge)
        # What partitions counted that are no longer ours.
        self._gone: Counter[str] = Counter()
        self._gone_aside: Counter[str] = Counter()
        self._alerts: Counter[str] = Counter()
        self.kept_counters: Counter[str] = Counter()
        self.keep_folder = Path(config.keep_folder or tempfile.gettempdir())
        self._explanation_counters: Counter[str] = Counter()
        check_keep(config)
        self._use(bundle)
        # One for all partitions, whose records have the same fields.
        self._own_times = OwnTimes()
        self._misfit = Misfit(self, own_times=self._own_times)

    @property
    def state_topic(self) -> str | None:
        """The topic of changelogs."""
        return self.topics.state

    @property
    def counters(self) -> Counter[str]:
        """The sum over all engines, those of lost partitions included."""
        return sum((part.engine.counters for part in self.partitions.values()), self._gone)

    @property
    def set_aside(self) -> Counter[str]:
        """Records that became no event, by reason."""
        parts = self.partitions.values()
        return sum((part.engine.set_aside for part in parts), self._gone_aside)

    @property
    def reader(self) -> RecordReader:
        """The reader that all engines share."""
        return self._shared.reader

    @property
    def time_offset_s(self) -> int | None:
        """The offset of all times in any partition, if one has one."""
        offsets = [part.engine.time_offset_s for part in self.partitions.values()]
        return next((offset for offset in offsets if offset is not None), None)

    def load(self) -> None:
        """Read what the group knows, to its end, before anything is judged."""
        if self.config.keep or self.config.annotate:
            prepare_folder(self.keep_folder)
        self._known.load()

    def partition(self, number: int) -> JudgedPartition:
        """A partition's engine, which is still empty."""
        part = JudgedPartition(self, number)
        self.partitions[number] = part
        return part

    def prepare(self, partition: int) -> None:
        """Make sure that there is a changelog with this many partitions."""
        if partition >= self._created:
            self._created = ensure_judged(self._clients, self.config)

    def new_engine(self) -> Engine:
        """An empty engine of the bundle in use, for one of the partitions that are known now."""
        engine = self.bundle.engine(self.config, self._shared)
        # A partition has its share of the stream that the bundle was fitted to.
        engine.time.flow.divided_by = max(self._created, 1)
        return engine

    def new_judge(self, engine: Engine) -> PartitionJudge:
        """The judge of a partition, over its engine."""
        # A queue for each, since it tells its judge what was accepted since the judge last asked.
        explanations = ExplanationQueue(self._known.knowledge)
        # All of them count together, and what a lost partition counted stays.
        explanations.counters = self._explanation_counters
        incidents = Incidents(
            self.config.incident_quiet,
            each=self.config.alerts == "session",
            counters=self._alerts,
            is_silenced=explanations.covers,
        )
        return PartitionJudge(
            engine, self._maker, self.config, explanations, incidents, self._own_times
        )

    def out_of(self, ticket: Ticket, partition: int) -> Out:
        """The message of an alert. It says which partition it is about, since all that looks beyond
        one session looks at one partition."""
        alert = ticket.alert
        self._alerts["alerts"] += 1
        text = json.dumps({**alert.record, "partition": partition}, ensure_ascii=False)
        return Out(
            self.topics.alerts,
            alert.alert_id.encode(),
            text.encode("utf-8", "replace"),
            headers=[("tag", alert.tag.encode("utf-8", "replace"))],
        )

    def tick(self, now_ns: int) -> None:
        """Take in what was announced, and say what does not fit."""
        self._known.poll()
        self._misfit.warn()

    def change_to(self, bundle: Bundle) -> None:
        """Judge by another bundle from now on, in every partition; open sessions continue."""
        misses = self._shared.cascade.tracker.misses
        self._use(bundle)
        for part in self.partitions.values():
            part.judge.change_to(bundle, self.new_engine(), self._maker)
            part.engine.track()
        # `Engine.adopt` adds the count of the shared cache once for each engine.
        self._shared.cascade.tracker.misses = misses
        self._misfit = Misfit(self, own_times=self._own_times)
        self._alerts["reloads"] += 1

    def forget(self, part: JudgedPartition) -> None:
        """A partition is lost: its counts stay."""
        if self.partitions.get(part.partition) is part:
            del self.partitions[part.partition]
        self._gone += part.engine.counters
        self._gone_aside += part.engine.set_aside

    def stats(self) -> dict[str, float]:
        """Counters of all partitions, and each partition's open sessions and lag of stream."""
        engines = {number: part.engine for number, part in self.partitions.items()}
        tracker = self._shared.cascade.tracker
        return {
            **self._alerts,
            **self._explanation_counters,
            **self._kept_stats(),
            **engine_stats(
                self.counters,
                self.set_aside,
                self.reader,
                tracker.misses,
                engines.values(),
                time.time_ns(),
            ),
            **{
                f"partition_sessions_{number}": len(engine.sessions.open)
                for number, engine in engines.items()
            },
        }

    def _kept_stats(self) -> Counter[str]:
        """What was kept and annotated, and what is held, over all partitions."""
        found = Counter(self.kept_counters)
        for part in self.partitions.values():
            if part.keeper is not None:
                found.update(part.keeper.stats())
        return found

    def troubles(self) -> list[str]:
        """What does not fit the stream, and a bundle that is not the announced one."""
        found = [self._misfit.trouble(), self._known.mismatch(self.bundle.hash)]
        return [trouble for trouble in found if trouble is not None]

    def may_use(self, bundle: Bundle) -> bool:
        """Whether a bundle is the announced one, or none was announced."""
        return self._known.mismatch(bundle.hash) is None

    def _use(self, bundle: Bundle) -> None:
        # The maker first: it refuses parameters that don't fit, and nothing has changed then.
        self._maker = AlertMaker(bundle, self.config)
        self._shared = bundle.shared(self.config, AddressedReader)
        self.bundle = bundle
        self.decoder = Decoder(self.config, self._shared.reader.settings.message_field)


def _tag(entry: tuple[str, Any, Any]) -> str:
    return entry[0]
