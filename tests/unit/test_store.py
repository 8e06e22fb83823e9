"""The store: what was committed is there after any end, and nothing else."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    OPEN,
    OPENED,
    ROWS,
    STUCK,
    T0,
    S,
    lift_engine,
    make_limits,
    ride,
    sequences,
)

from fluent_krone.core.engine import Engine
from fluent_krone.errors import ConfigError, SnapshotError, StoreDamaged, StoreError
from fluent_krone.runtime.repeats import chunk_key
from fluent_krone.runtime.store import Store
from fluent_krone.sqlite import set_aside
from fluent_krone.types import Alert

NOW = T0 + 1000 * S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "krone.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.close()


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """No file may grow."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def tracked(**settings: Any) -> Engine:
    engine = lift_engine(**settings)
    engine.track()
    return engine


def commit(
    store: Store, engine: Engine | None = None, chunks: str = "", alerts: str = "", now_s: float = 0
) -> None:
    changes = engine.changes(store.pack) if engine else {}
    store.commit(
        changes, [chunk_key(name) for name in chunks], [alert(name) for name in alerts], now_s
    )


def alert(name: str) -> Alert:
    return Alert(
        name,
        "krone.app",
        T0,
        {"alert_id": name, "lines": ["a\udcff"[:1]], "score": 1.5, "nothing": None},
    )


def restored(store: Store, **settings: Any) -> Engine:
    engine = lift_engine(**settings)
    saved = store.load()
    assert saved is not None
    engine.restore(saved)
    return engine


def names(store: Store) -> str:
    return "".join(alert.alert_id for alert in store.alerts())


def rows(path: Path, table: str) -> int:
    with sqlite3.connect(path) as db:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(count)


def test_a_new_store_is_empty_and_its_owners_alone(store: Store, path: Path) -> None:
    assert store.load() is None
    assert store.alerts() == []
    assert not store.chunks.has(chunk_key("a"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_committed_is_there_again(store: Store, path: Path) -> None:
    engine = tracked()
    engine.feed("app", ride("a", (OPEN, OPENED, STUCK)) + ride("b", (OPEN,)), NOW)
    commit(store, engine, chunks="x", alerts="1")
    engine.feed("app", ride("a", (CLOSE,), 5) + ride("c", (OPEN,), 6), NOW)
    commit(store, engine, chunks="y", alerts="23")
    store.close()
    again = Store(path)
    assert restored(again).snapshot() == engine.snapshot()
    assert names(again) == "123"
    assert [again.chunks.has(chunk_key(name)) for name in "xyz"] == [True, True, False]
    again.close()


def test_a_commit_writes_what_changed(store: Store) -> None:
    engine = tracked()
    engine.feed("app", ride("a", (OPEN, OPENED)) + ride("b", (OPEN,)), NOW)
    assert "templates" in engine.changes(store.pack)
    engine.feed("app", ride("a", (GOING,), 5), NOW)
    changes = engine.changes(store.pack)
    assert "templates" not in changes
    [(_, row)] = changes["sessions"]
    part = msgpack.unpackb(row)
    assert (part[1], part[2]) == (2, [b"a"])  # from its third event on
    assert engine.changes(store.pack)["sessions"] == []


def test_ended_sessions_leave_nothing_but_their_count(store: Store, path: Path) -> None:
    engine = tracked()
    for at in range(0, 600, 100):  # idle for 60 s each time
        engine.feed("app", ride("a", (OPEN, OPENED), at), NOW)
        commit(store, engine)
    again = restored(store)
    assert [session.instance for session in again.sessions.open.values()] == [6]
    store.close()
    assert rows(path, "part") == 1


def test_a_session_lies_in_few_parts_however_often_it_changes(store: Store, path: Path) -> None:
    engine = tracked(max_events=10_000)
    for at in range(50):
        engine.feed("app", ride("a", (GOING,), at), NOW)
        commit(store, engine)
    assert restored(store).snapshot() == engine.snapshot()
    store.close()
    assert rows(path, "part") <= 8


def test_sessions_keep_their_order_and_so_their_ends(store: Store) -> None:
    engine = tracked()
    for name, at in (("a", 0), ("b", 10), ("c", 20), ("a", 30)):
        engine.feed("app", ride(name, (STUCK,), at), NOW)
        commit(store, engine)
    late = ride("z", (OPEN,), 300)
    expected = [f.session for f in sequences(engine.feed("app", late, NOW))]
    assert (
        [f.session for f in sequences(restored(store).feed("app", late, NOW))]
        == expected
        == [(b"b",), (b"c",), (b"a",)]
    )


def test_events_saved_before_the_first_believable_time(store: Store) -> None:
    engine = tracked()
    far = ride("a", (OPEN,), 10**9)  # not believed: it is decades ahead of now
    engine.feed("app", far, NOW)
    commit(store, engine)
    engine.feed("app", ride("b", (OPEN,)), NOW)
    commit(store, engine)
    assert restored(store).snapshot() == engine.snapshot()


@pytest.mark.parametrize(("before", "after"), [(256, 0), (0, 256), (2, 3), (3, 2)])
def test_keep_lines_may_change_over_a_restart(store: Store, before: int, after: int) -> None:
    engine = tracked(limits=make_limits(keep_lines=before))
    engine.feed("app", ride("a", (OPEN, OPENED, GOING)), NOW)
    commit(store, engine)
    second = restored(store, limits=make_limits(keep_lines=after))
    second.track()
    second.feed("app", ride("a", (STUCK,), 5), NOW)
    commit(store, second)
    third = restored(store, limits=make_limits(keep_lines=after))
    [session] = third.sessions.open.values()
    assert len(session.keys) == 4
    assert len(session.lines) == min(4, after)
    assert session.lines == next(iter(second.sessions.open.values())).lines


@pytest.mark.parametrize("lines", [0, 256])
def test_another_bundle_finds_its_templates_by_their_ids_or_lines(store: Store, lines: int) -> None:
    limits = make_limits(keep_lines=lines)
    engine = tracked(limits=limits)
    engine.feed("app", ride("a", (OPEN, STUCK, ARRIVED)), NOW)
    commit(store, engine)
    saved = dict(store.load() or {})
    names = list(saved["templates"])
    names[STUCK] = "no longer there"
    names[OPEN], names[ARRIVED] = names[ARRIVED], names[OPEN]
    second = lift_engine(limits=limits)
    second.restore(saved | {"templates": names})
    [session] = second.sessions.open.values()
    # Where no line is kept, nothing tells what the event of an unknown id was.
    gone = STUCK if lines else len(ROWS)
    assert list(session.keys) == [ARRIVED, gone, OPEN]
    second.track()
    changes = second.changes(store.pack)
    assert "templates" in changes  # log keys were renumbered, so all is written anew
    store.commit(changes, [], [], 0)
    assert restored(store, limits=limits).snapshot() == second.snapshot()


def test_confirmed_alerts_leave(store: Store, path: Path) -> None:
    commit(store, alerts="123")
    store.confirm(2)
    assert names(store) == "3"
    commit(store, alerts="4")
    store.close()
    again = Store(path)
    assert names(again) == "34"
    again.confirm(2)
    commit(again, alerts="5")
    assert names(again) == "5"
    again.close()


def test_an_alert_is_what_it_was(store: Store) -> None:
    commit(store, alerts="1")
    assert store.alerts() == [alert("1")]


def test_chunk_ids_go_when_they_are_too_old_or_too_many(path: Path) -> None:
    store = Store(path, max_chunks=3, chunks_kept_s=100)
    commit(store, chunks="ab", now_s=0)
    commit(store, chunks="cd", now_s=50)
    assert [name for name in "abcd" if store.chunks.has(chunk_key(name))] == ["b", "c", "d"]
    commit(store, chunks="e", now_s=120)
    assert [name for name in "abcde" if store.chunks.has(chunk_key(name))] == ["c", "d", "e"]
    commit(store, chunks="f", now_s=200)
    assert [name for name in "abcdef" if store.chunks.has(chunk_key(name))] == ["e", "f"]
    store.close()


def test_chunk_ids_may_be_forgotten_to_make_room(store: Store) -> None:
    for name in "abcdefgh":
        commit(store, chunks=name)
    assert store.chunks.forget_half(100) == 0
    assert store.chunks.forget_half(1) == 4
    assert [name for name in "abcdefgh" if store.chunks.has(chunk_key(name))] == list("efgh")


def test_a_chunk_id_of_any_length_and_kind() -> None:
    assert chunk_key("id") == chunk_key(b"id") != chunk_key("id ")
    assert len(chunk_key("\udcff" * 10**6)) == 16


def test_only_the_last_starts_are_counted(path: Path) -> None:
    store, engine = Store(path, starts_kept=3), tracked()
    for at, name in enumerate("abcdefghijk"):
        engine.feed("app", ride(name, (OPEN,), at), NOW)
        commit(store, engine)
    store.close()
    assert rows(path, "started") == 6


def test_nothing_of_a_commit_that_failed_is_there_and_it_may_be_made_again(store: Store) -> None:
    engine = tracked()
    engine.feed("app", ride("a", (OPEN,)), NOW)
    commit(store, engine, chunks="a", alerts="1")
    engine.feed("app", ride("a", (STUCK,), 1), NOW)
    changes = engine.changes(store.pack)
    store._db.execute("PRAGMA query_only = true")
    for _ in range(2):
        with pytest.raises(StoreError, match="readonly"):
            store.commit(changes, [chunk_key("b")], [alert("2")], 0)
    assert (store.chunks.has(chunk_key("b")), names(store)) == (False, "1")
    with pytest.raises(StoreError):
        store.confirm(1)
    store._db.execute("PRAGMA query_only = false")
    for _ in range(2):
        store.commit(changes, [chunk_key("b")], [alert("2")], 0)
    assert restored(store).snapshot() == engine.snapshot()
    assert names(store) == "22"  # and the first is gone: it was confirmed


def test_one_process_at_a_time(store: Store, path: Path) -> None:
    with pytest.raises(ConfigError, match="in use by another process"):
        Store(path, lock_wait_s=0)


def test_a_copy_taken_after_a_kill_holds_all_commits(
    store: Store, path: Path, tmp_path: Path
) -> None:
    """What lies on the disk after each commit, log included, is what the next process finds."""
    commit(store, chunks="a", alerts="1")
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    again = Store(copy)
    assert (again.chunks.has(chunk_key("a")), names(again)) == (True, "1")
    again.close()


@pytest.mark.parametrize("damage", ["garbage", "header", "middle"])
def test_what_cannot_be_read_is_told_and_can_be_set_aside(path: Path, damage: str) -> None:
    engine = tracked()
    engine.feed(
        "app", [e for i in range(500) for e in ride(f"ride {i}", (OPEN, OPENED, GOING))], NOW
    )
    store = Store(path)
    commit(store, engine)
    store.close()
    content = bytearray(path.read_bytes())
    match damage:
        case "garbage":
            content[:] = os.urandom(len(content))
        case "header":
            content[:100] = bytes(100)
        case "middle":
            content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    def read() -> None:
        store = Store(path)
        try:
            lift_engine().restore(store.load() or {})
        finally:
            store.close()

    with pytest.raises((StoreDamaged, SnapshotError)):
        read()
    aside = set_aside(path)
    assert aside.read_bytes() == content
    fresh = Store(path)
    assert fresh.load() is None
    fresh.close()


def test_a_newer_store_is_refused_and_left_as_it_is(path: Path) -> None:
    Store(path).close()
    content = bytearray(path.read_bytes())
    content[60:64] = (77).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="has version 77, and this program reads versions up to"):
        Store(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (77,)


def test_a_store_may_be_renewed_while_it_is_open(store: Store, path: Path) -> None:
    commit(store, chunks="a", alerts="1")
    aside = store.renew()
    assert (store.load(), names(store)) == (None, "")
    commit(store, chunks="b")
    old = Store(aside)
    assert names(old) == "1"
    old.close()


def test_what_was_set_aside_stays_though_the_new_file_can_be_made_later_only(
    store: Store, path: Path
) -> None:
    commit(store, chunks="a", alerts="1")
    with no_room():
        for _ in range(3):
            with pytest.raises(StoreError):
                store.renew()
    old = Store(store.renew())
    assert (names(old), names(store)) == ("1", "")
    old.close()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file" / "krone.db")


def test_the_folder_is_made(tmp_path: Path) -> None:
    Store(tmp_path / "a" / "b" / "krone.db").close()


def test_size_counts_what_is_in_use(store: Store) -> None:
    empty = store.size()
    commit(store, alerts="x" * 2000)
    full = store.size()
    assert full > empty + 100_000
    store.confirm(2000)
    assert store.size() < full - 100_000


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_sync_is_as_told(path: Path, sync: str) -> None:
    store = Store(path, sync=sync)
    assert store._db.execute("PRAGMA synchronous").fetchone() == ({"normal": 1, "full": 2}[sync],)
    store.close()
