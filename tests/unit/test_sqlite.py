"""What both SQLite files share: private files, whole transactions, errors by who must act."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from fluent_krone.errors import ConfigError, StoreDamaged, StoreError
from fluent_krone.sqlite import Errors, connect, set_aside, transaction


def errors(path: Path) -> Errors:
    return Errors(f"store {path}", lambda: ConfigError(f"store {path} is in use"))


def nothing(db: sqlite3.Connection) -> None: ...


def test_a_new_file_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connect(path, 0.0, nothing).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path) -> None:
    db = connect(tmp_path / "a.db", 0.0, nothing)
    db.execute("CREATE TABLE t (n)")
    with pytest.raises(KeyError), transaction(db):
        db.execute("INSERT INTO t VALUES (1)")
        raise KeyError
    assert db.execute("SELECT * FROM t").fetchall() == []
    assert not db.in_transaction


def test_errors_are_told_apart_by_who_must_act(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    first = connect(path, 0.0, nothing)
    first.execute("BEGIN EXCLUSIVE")
    second = connect(path, 0.0, nothing)
    with pytest.raises(ConfigError, match="in use"), errors(path).translated():
        second.execute("BEGIN IMMEDIATE")
    first.execute("ROLLBACK")
    with pytest.raises(StoreError, match="no such table"), errors(path).translated():
        second.execute("SELECT * FROM t")
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database" * 200)
    with pytest.raises(StoreDamaged, match=r"garbage\.db"), errors(garbage).translated():
        connect(garbage, 0.0, lambda db: db.execute("PRAGMA user_version").close())


def test_a_file_set_aside_takes_its_log_along(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    for suffix in ("", "-wal"):
        Path(f"{path}{suffix}").write_text(suffix)
    aside = set_aside(path)
    assert aside.read_text() == ""
    assert Path(f"{aside}-wal").read_text() == "-wal"
    assert not path.exists()
