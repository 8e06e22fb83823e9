"""A store that an older version wrote: nothing of it is lost, and chunks are still recognised.

`tests/stores/version-1.sql` is the dump of a store that the first version left after a kill: three
chunks, four open sessions, one alert that nobody had confirmed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from service_rig import BAD, Rig, run, settle
from synthetic import CLOSE, GOING, NORMAL, OPEN, OPENED, S, ride

from fluent_krone.core.journal import SNAPSHOT_VERSION
from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import ConfigError
from fluent_krone.runtime import migrations
from fluent_krone.runtime.store import VERSION, Store
from fluent_krone.transport.forward import Chunk

DUMP = Path(__file__).parents[1] / "stores" / "version-1.sql"
DIGEST = f"{7:0128x}"


class Gone:
    """The sender of a chunk over a connection that is open."""

    def has_ack(self) -> bool | None:
        return None


@pytest.fixture
def old_store(store_path: str) -> str:
    with sqlite3.connect(store_path) as db:
        db.executescript(DUMP.read_text())
        db.execute("PRAGMA user_version = 1")
    return store_path


def entries(*rides: tuple[str, Any, int]) -> list[Any]:
    return [
        [(time_ns or 0) // S, record]
        for name, keys, at in rides
        for time_ns, record in ride(name, keys, at)
    ]


def told(rig: Rig) -> list[Any]:
    """What alerts say, but for what depends on the bundle's files: their ids and its hash."""
    names = ("kind", "session", "instance", "started_at", "ended_at", "events", "status", "lines")
    return [[alert.record[name] for name in names] for alert in rig.receiver.alerts]


OLD_CHUNKS = (
    Chunk("app", entries(("a", (OPEN, OPENED), 0), ("b", (OPEN,), 0)), "old-1"),
    Chunk("app", entries(("a", (GOING,), 5), ("c", BAD, 0)), "old-2"),
    Chunk("app", entries(("d", NORMAL[1], 7)), DIGEST, has_digest_id=True),
)
NEW_CHUNK = Chunk("app", entries(("a", (CLOSE,), 9)), "new")


def test_sessions_alerts_and_chunks_of_version_1_are_there(lift: Bundle, old_store: str) -> None:
    async def whole() -> None:
        rig = Rig(lift, store=old_store, on_shutdown="judge")
        await rig.service.start()
        await settle(lambda: bool(rig.receiver.alerts), turns=10**6)
        assert [a.record["kind"] for a in rig.receiver.alerts] == ["unseen_template"]
        stats = rig.service.stats()
        assert stats["sessions_open"] == 4

        # Sent again, since their acks may have been lost.
        for chunk in OLD_CHUNKS:
            await rig.service.take(chunk, lambda: None, Gone())
        assert rig.service.stats()["chunks_repeated"] == 3
        assert rig.service.stats().get("records", 0) == 0

        await rig.service.take(NEW_CHUNK, lambda: None)
        await rig.service.flush()
        await rig.service.close()

        undisturbed = Rig(lift)
        await undisturbed.service.start()
        for chunk in (*OLD_CHUNKS, NEW_CHUNK):
            await undisturbed.service.take(chunk, lambda: None)
        await undisturbed.service.flush()
        await undisturbed.service.close()
        assert len(rig.receiver.alerts) == 4
        assert told(rig) == told(undisturbed)

    run(whole)
    with sqlite3.connect(old_store) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert not Path(old_store + ".unreadable").exists()


def test_an_equal_chunk_after_the_one_of_version_1_is_another_one(
    lift: Bundle, old_store: str
) -> None:
    async def whole() -> None:
        rig = Rig(lift, store=old_store)
        await rig.service.start()
        chunk = Chunk("app", entries(("d", NORMAL[1], 7)), DIGEST, has_digest_id=True)
        for _ in range(2):
            await rig.service.take(chunk, lambda: None, Gone())
        assert rig.service.stats()["chunks_repeated"] == 1
        assert rig.service.stats()["records"] == len(NORMAL[1])
        await rig.service.close()

    run(whole)


def test_a_migration_that_is_killed_leaves_the_old_store(old_store: str) -> None:
    with sqlite3.connect(old_store) as db:
        # What the migration would create is in its way, so that it fails half-way.
        db.execute("CREATE TABLE old_chunk (n INTEGER)")
    with pytest.raises(Exception, match="old_chunk"):
        Store(Path(old_store))
    with sqlite3.connect(old_store) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM chunk").fetchone() == (3,)


def test_every_older_version_of_saved_sessions_has_a_step() -> None:
    assert sorted(migrations.STEPS) == list(range(1, SNAPSHOT_VERSION))


def test_saved_sessions_go_through_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(old: str, new: str) -> Any:
        return lambda saved: {new if name == old else name: saved[name] for name in saved}

    monkeypatch.setattr(migrations, "SNAPSHOT_VERSION", 3)
    monkeypatch.setattr(migrations, "STEPS", {1: renamed("a", "b"), 2: renamed("b", "c")})
    assert migrations.migrated({"version": 1, "a": 7}) == ({"version": 3, "c": 7}, True)
    assert migrations.migrated({"version": 3, "c": 7}) == ({"version": 3, "c": 7}, False)
    with pytest.raises(ConfigError, match="saved sessions have version 4"):
        migrations.migrated({"version": 4})


def test_migrated_sessions_are_written_anew(
    lift: Bundle, old_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forwards(saved: migrations.Snapshot) -> migrations.Snapshot:
        return saved | {"sessions": (part for part in saved["sessions"])}

    monkeypatch.setattr(migrations, "STEPS", {0: forwards, **migrations.STEPS})
    with sqlite3.connect(old_store) as db:
        db.execute("UPDATE state SET data = x'00' WHERE name = 'version'")
        before = {n for (n,) in db.execute("SELECT n FROM part")}

    async def whole() -> None:
        rig = Rig(lift, store=old_store)
        await rig.service.start()
        await rig.service.flush()
        assert rig.service.stats()["sessions_open"] == 4
        await rig.service.close()

    run(whole)
    with sqlite3.connect(old_store) as db:
        after = {n for (n,) in db.execute("SELECT n FROM part")}
        assert len(after) == 4 and not before & after
        version = db.execute("SELECT data FROM state WHERE name = 'version'").fetchone()
        assert version == (bytes([SNAPSHOT_VERSION]),)
