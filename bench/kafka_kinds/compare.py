"""Alerts and sessions against what one engine for each partition gives, without any break."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from kafka_rig import Rig, kept_of

from fluent_krone.alerts.incidents import Incidents, in_order
from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.core.engine import Engine
from fluent_krone.detect.bundle import Bundle
from fluent_krone.kafka.changelog import Changelog, compact, snapshot_of
from fluent_krone.kafka.records import AddressedReader, Decoder
from kafka_kinds.stream import TAIL

# Records fed at once to the engine that is compared with.
_SLICE = 1_000


class Reference:
    """What must come out of a topic: the alerts, and the sessions of each partition."""

    def __init__(self, rig: Rig, bundle: Bundle, topic: str) -> None:
        self._bundle = bundle
        self._config = Config(topic=topic, group=rig.group, keep=True)
        self._folder = rig.folder
        self._shared = bundle.shared(self._config, AddressedReader)
        self._decoder = Decoder(self._config, self._shared.reader.settings.message_field)
        self.alerts: list[dict[str, Any]] = []
        self.sessions: dict[int, dict[Any, Any]] = {}
        self.kept: Counter[str] = Counter()
        by_partition: dict[int, list[Any]] = {}
        for message in rig.read(topic):
            by_partition.setdefault(message.partition(), []).append(message)
        self.records = sum(map(len, by_partition.values()))
        self._partitions = len(by_partition)
        for number, messages in by_partition.items():
            self._judge(number, messages)

    def differ(self, rig: Rig) -> Counter[str]:
        """All in which a group's alerts, kept records and sessions are not what they must be."""
        found = self.alerts_differ(rig.alerts()) + self.sessions_differ(rig)
        return found + self.kept_differ(rig)

    def sessions_differ(self, rig: Rig) -> Counter[str]:
        """How many sessions the changelogs lack, have otherwise, or have beyond."""
        rows: dict[int, dict[bytes, bytes]] = {}
        for message in rig.read(f"{rig.group}-state"):
            of_partition = rows.setdefault(message.partition(), {})
            compact(of_partition, [(message.key(), message.value())])
        found: Counter[str] = Counter()
        for number, expected in self.sessions.items():
            saved = self._saved(rows.get(number, {}))
            found["sessions_lost"] += len(expected.keys() - saved.keys())
            found["sessions_beyond"] += len(saved.keys() - expected.keys())
            both = expected.keys() & saved.keys()
            found["sessions_different"] += sum(expected[key] != saved[key] for key in both)
        return found

    def alerts_differ(self, alerts: list[dict[str, Any]]) -> Counter[str]:
        """How many alerts are missing, other than they must be, beyond, or there too often.

        A new template that several partitions meet at the same second has one id in all of them, so
        that ids are counted and not only looked for.
        """
        whole = [alert for alert in self.alerts if alert["kind"] != "flow"]
        alerts = [alert for alert in alerts if alert["kind"] != "flow"]
        expected = Counter(alert["alert_id"] for alert in whole)
        got = Counter(alert["alert_id"] for alert in alerts)
        surplus = got - expected
        found: Counter[str] = Counter()
        found["alerts_lost"] = (expected - got).total()
        found["alerts_beyond"] = sum(n for name, n in surplus.items() if name not in expected)
        found["alerts_duplicated"] = surplus.total() - found["alerts_beyond"]
        others = Counter(map(_text, alerts)) - Counter(map(_text, whole))
        found["alerts_different"] = others.total() - surplus.total()
        return found

    def flows_differ(self, alerts: list[dict[str, Any]]) -> dict[str, int]:
        """How many alerts about bursts and silences are missing, or beyond.

        A minute in which a partition moved, or in which no broker answered, is not judged by its
        rates: nobody counted all of it. So these may differ, and all others may not.
        """
        expected = Counter(_flows(self.alerts))
        got = Counter(_flows(alerts))
        return {"flow_missed": (expected - got).total(), "flow_beyond": (got - expected).total()}

    def kept_differ(self, rig: Rig) -> Counter[str]:
        """How many kept records are missing, beyond, or there under an id that came before."""
        got = [json.loads(message.value()) for message in rig.read(f"{rig.group}-keep")]
        texts = Counter(map(_kept_text, got))
        ids = Counter(record["krone.record_id"] for record in got)
        found: Counter[str] = Counter()
        found["kept_lost"] = (self.kept - texts).total()
        found["kept_duplicated"] = ids.total() - len(ids)
        found["kept_beyond"] = (texts - self.kept).total() - found["kept_duplicated"]
        known = {alert["alert_id"] for alert in self.alerts}
        # Sessions of tails begin with times that were doubted, and get their ids only later.
        named = [
            record["krone.alert_id"]
            for record in got
            if "krone.alert_id" in record and not record["krone.session"].startswith(TAIL)
        ]
        found["kept_without_alert"] = sum(name not in known for name in named)
        return found

    def _saved(self, rows: dict[bytes, bytes]) -> dict[Any, Any]:
        """The sessions in a changelog."""
        engine = self._bundle.engine(self._config, self._shared)
        snapshot = snapshot_of(rows)
        if snapshot is not None:
            snapshot.pop("bundle_hash", None)
            engine.restore(snapshot)
        return _sessions(engine)

    def _judge(self, number: int, messages: list[Any]) -> None:
        engine = self._bundle.engine(self._config, self._shared)
        engine.time.flow.divided_by = self._partitions
        maker = AlertMaker(self._bundle, self._config)
        incidents = Incidents(self._config.incident_quiet, each=True)
        # Saved and restored as well, since sessions are compared as they were saved.
        engine.track()
        changelog = Changelog({}, self._config.cache_size)
        rows: dict[bytes, bytes] = {}
        tagged = self._decoder.tagged(messages)
        for tag, group in itertools.groupby(tagged, key=lambda entry: entry[0]):
            events = (event for _, event, _ in group)
            while some := list(itertools.islice(events, _SLICE)):
                for finding in in_order(engine.feed(tag, some, time.time_ns())):
                    for alert in incidents.join(maker.make(finding), finding.told_ns).events:
                        self.alerts.append({**alert.record, "partition": number})
                compact(rows, changelog.rows(engine.changes(changelog.pack)))
        self.sessions[number] = self._saved(rows)
        for out in kept_of(self._bundle, self._config, messages, self._folder):
            if out.topic == f"{self._config.group}-keep":
                self.kept[_kept_text(json.loads(out.value or b""))] += 1


def _text(alert: dict[str, Any]) -> str:
    return json.dumps(alert, sort_keys=True)


def _flows(alerts: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (alert["alert_id"] for alert in alerts if alert["kind"] == "flow")


def _kept_text(record: dict[str, Any]) -> str:
    """A kept record without its alert and incident.

    A keeper by itself has no incidents. Of a session with several alerts, the records name the one
    that was there when the first of them left.
    """
    left_out = ("krone.incident_id", "krone.alert_id")
    return _text({name: value for name, value in record.items() if name not in left_out})


def _sessions(engine: Engine) -> dict[Any, Any]:
    """All sessions that an engine remembers: the open ones by their events, others by their start.

    A session that has ended is known by how often its key began, and when last.
    """
    found: dict[Any, Any] = {}
    for start in engine.journal.snapshot([])["started"]:
        found["started", tuple(start[0])] = list(start[1:])
    for key, session in engine.sessions.open.items():
        events = session.keys.tobytes()
        found["open", key] = (session.first_ns, session.instance, session.alerted, events)
    return found
