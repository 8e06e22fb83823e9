"""The changelog of a partition: what is read back is what the engine had."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK, T0, S, lift_engine, ride

from fluent_krone.core.engine import Engine
from fluent_krone.errors import SnapshotError
from fluent_krone.kafka.changelog import Changelog, compact, snapshot_of

BAD = (OPEN, OPENED, GOING, STUCK)
STARTS = 20


class Topic:
    """A compacted topic: the last value of each key, in the order of writing."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def write(self, rows: list[tuple[bytes, bytes | None]]) -> None:
        compact(self.rows, rows)


def restored(topic: Topic) -> Engine:
    engine = lift_engine()
    snapshot = snapshot_of(topic.rows)
    assert snapshot is not None
    engine.restore(snapshot)
    return engine


def shown(findings: Any) -> list[tuple[Any, ...]]:
    return [(f.kind, f.session, f.instance, f.ordinal, f.first_ns, f.log_keys) for f in findings]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6), st.integers(0, 40)), max_size=60))
def test_an_engine_that_is_restored_at_any_commit_goes_on_as_if_it_had_not_been(
    steps: list[tuple[int, int, int]],
) -> None:
    whole = lift_engine()
    engine = lift_engine()
    topic = Topic()
    changelog = Changelog({}, STARTS)
    engine.track()
    now = T0
    for number, (key, log_key, pause) in enumerate(steps):
        now += pause * S
        record = {b"message": MESSAGES[log_key].encode(), b"ride": b"r%d" % key}
        expected = whole.feed("app", [(now, record)], now)
        assert shown(engine.feed("app", [(now, record)], now)) == shown(expected)
        topic.write(changelog.rows(engine.changes(changelog.pack)))
        if number % 3 == 0:
            engine = restored(topic)
            engine.track()
            changelog = Changelog(topic.rows, STARTS)
    assert shown(engine.finish()) == shown(whole.finish())


def test_what_has_ended_is_deleted_and_old_starts_are_too() -> None:
    engine = lift_engine()
    engine.track()
    topic = Topic()
    changelog = Changelog({}, STARTS)
    for number in range(10 * STARTS):
        engine.feed("app", ride(f"r{number}", NORMAL[0], at_s=number * 100), T0)
        topic.write(changelog.rows(engine.changes(changelog.pack)))
    open_parts = sum(len(session.saved.parts) // 8 for session in engine.sessions.open.values())
    assert len([key for key in topic.rows if key.startswith(b"part/")]) == open_parts
    assert len([key for key in topic.rows if key.startswith(b"started/")]) <= 2 * STARTS


def test_another_bundle_leaves_no_row_of_the_one_before() -> None:
    engine = lift_engine()
    engine.track()
    topic = Topic()
    changelog = Changelog({}, STARTS)
    for number in range(5):
        engine.feed("app", ride(f"r{number}", BAD[:3], at_s=number), T0)
        topic.write(changelog.rows(engine.changes(changelog.pack)))
    follower = lift_engine()
    follower.adopt(engine)
    follower.track()
    topic.write(changelog.rows(follower.changes(changelog.pack)))
    parts = [key for key in topic.rows if key.startswith(b"part/")]
    assert len(parts) == len(follower.sessions.open) == 5
    later = ride("r0", BAD[3:], at_s=5)
    assert shown(restored(topic).feed("app", later, T0)) == shown(follower.feed("app", later, T0))


def test_only_what_changed_is_written() -> None:
    engine = lift_engine()
    engine.track()
    changelog = Changelog({}, STARTS)
    engine.feed("app", ride("r", BAD[:2]), T0)
    assert changelog.rows(engine.changes(changelog.pack))
    assert changelog.rows(engine.changes(changelog.pack)) == []
    again = engine.changes(changelog.pack)
    assert changelog.rows(again | {"bundle_hash": "a"}) == [(b"state/bundle_hash", b"\xa1a")]
    assert changelog.rows(again | {"bundle_hash": "a"}) == []


def test_an_empty_changelog_has_no_snapshot_and_a_damaged_one_is_refused() -> None:
    assert snapshot_of({}) is None
    with pytest.raises(SnapshotError):
        snapshot_of({b"state/version": b"\xc1"})
    with pytest.raises(SnapshotError):
        snapshot_of({b"state/version": b"\x03", b"part/x": b"", b"part/y": b""})
