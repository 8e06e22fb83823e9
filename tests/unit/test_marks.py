"""Marks hold for deviations: for every session with them, and for none that goes wrong further."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from service_rig import Rig, settle
from synthetic import CLOSE, GOING, OPEN, OPENED, STUCK, S, ride

from fluent_krone.commands import knowledge as commands
from fluent_krone.commands.parser import Commands
from fluent_krone.config import Parser
from fluent_krone.errors import ConfigError, KroneError
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.marks import Marks, Says, Target, targets_of
from fluent_krone.explain.rows import (
    Mark,
    Scope,
    line_of,
    merge,
    read_rows,
    row_of_line,
    write_rows,
)
from fluent_krone.transport.forward import Chunk
from fluent_krone.types import Alert

NOW = 1_795_338_000.0
NORMAL = Says(verdict="normal", by="ada", note="known")
ABNORMAL = Says(verdict="abnormal", by="bob")


def deviation(name: str, size: float = 1, **fields: Any) -> dict[str, Any]:
    whole = {
        "witness": "density",
        "direction": "extra",
        "entity": "payment",
        "action": "retry",
        "status": None,
        "signature": signature(name),
        "size": size,
        "templates": [f"template of {name}"],
        "entities": ["payment"],
    }
    return whole | fields


def signature(name: str) -> str:
    return name.encode().hex().ljust(32, "0")


def record(*deviations: dict[str, Any], pattern: str = "a" * 32) -> dict[str, Any]:
    return {
        "pattern": pattern,
        "tag": "app",
        "session": ["7"],
        "entity": "payment",
        "action": "retry",
        "status": None,
        "explanation": "Retried.",
        "deviations": list(deviations),
    }


@pytest.fixture
def knowledge() -> Knowledge:
    """Knowledge of one alert, with the deviations `retry` and `late`."""
    found = Knowledge(None)
    seen = record(deviation("retry", 2), deviation("late", 9.0, witness="time"))
    found.alerted([Alert("1", "krone.app", int(NOW) * 10**9, seen)])
    return found


def verdict(knowledge: Knowledge, *deviations: dict[str, Any], pattern: str = "b" * 32) -> Any:
    mark = Marks(knowledge).on(record(*deviations, pattern=pattern), NOW + 1)
    return mark and mark.verdict


def test_a_mark_holds_wherever_nothing_else_deviates(knowledge: Knowledge) -> None:
    made = Marks(knowledge).mark("1", "deviation", NORMAL, NOW)
    assert {mark.pattern for mark in made} == {signature("retry"), signature("late")}
    assert made[0].about == "extra: payment → retry"
    late = deviation("late", 9.0, witness="time")
    assert verdict(knowledge, deviation("retry"), late) == "normal"
    assert verdict(knowledge, deviation("retry")) == "normal"
    assert verdict(knowledge, deviation("retry"), deviation("segfault")) is None
    assert verdict(knowledge, deviation("segfault")) is None
    assert verdict(knowledge) is None


def test_a_mark_on_a_line_of_no_known_step_shows_the_line(knowledge: Knowledge) -> None:
    step = "mail of user bob to <*> failed, password=hunter2"
    names = dict.fromkeys(("entity", "action", "status"), "unknown")
    line = deviation("line", direction="unseen", step=step, **names)
    knowledge.alerted([Alert("2", "krone.app", int(NOW) * 10**9, record(line))])
    masked = "unseen: a line like “mail of user <user> to <*> failed, password=<secret>”"
    by_command = Marks(knowledge).mark("2", "deviation", NORMAL, NOW)
    by_page = Marks(knowledge).set(targets_of(record(line), "deviation"), NORMAL, NOW)
    assert [mark.about for mark in (*by_command, *by_page)] == [masked, masked]
    for row in knowledge.read("SELECT deviations FROM alert"):
        assert "hunter2" not in row[0]


def test_a_mark_on_a_known_step_shows_its_name(knowledge: Knowledge) -> None:
    step = deviation("login", direction="late", entity="user", action="login", status="created")
    [mark] = Marks(knowledge).set(targets_of(record(step), "deviation"), NORMAL, NOW)
    assert mark.about == "late: user → login → created"


def test_a_mark_covers_about_twice_as_much_as_was_seen(knowledge: Knowledge) -> None:
    Marks(knowledge).mark("1", "deviation", NORMAL, NOW)
    assert verdict(knowledge, deviation("retry", 4)) == "normal"
    assert verdict(knowledge, deviation("retry", 5)) is None
    # A score is −ln of a share.
    assert verdict(knowledge, deviation("late", 10.0, witness="time")) == "normal"
    assert verdict(knowledge, deviation("late", 10.1, witness="time")) is None


def test_a_later_mark_covers_no_less(knowledge: Knowledge) -> None:
    marks = Marks(knowledge)
    marks.mark("1", "deviation", NORMAL, NOW)
    knowledge.alerted([Alert("2", "krone.app", 0, record(deviation("retry", 1)))])
    marks.mark("2", "deviation", NORMAL, NOW)
    assert verdict(knowledge, deviation("retry", 4)) == "normal"


@pytest.mark.parametrize(
    ("scope", "normal", "told"),
    [
        ("template", deviation("x", templates=["template of retry"]), deviation("x")),
        (
            "template",
            deviation("x", templates=["template of late", "template of retry"]),
            deviation("x", templates=["template of retry", "template of y"]),
        ),
        ("entity", deviation("x"), deviation("x", entities=["payment", "cart"])),
        ("entity", deviation("x", size=99), deviation("x", entities=["payment", ""])),
        ("entity", deviation("x", entities=None), deviation("x", entities=None, entity=None)),
    ],
)
def test_wider_scopes(
    knowledge: Knowledge, scope: Scope, normal: dict[str, Any], told: dict[str, Any]
) -> None:
    Marks(knowledge).mark("1", scope, NORMAL, NOW)
    assert verdict(knowledge, normal) == "normal"
    assert verdict(knowledge, told) is None
    assert verdict(knowledge, normal, told) is None


def test_a_pattern_is_marked_with_all_that_is_odd_about_it(knowledge: Knowledge) -> None:
    Marks(knowledge).mark("1", "pattern", NORMAL, NOW)
    assert verdict(knowledge, deviation("segfault"), pattern="a" * 32) == "normal"
    assert verdict(knowledge, deviation("retry"), pattern="b" * 32) is None


def test_one_abnormal_deviation_is_enough_and_what_is_narrower_counts_first(
    knowledge: Knowledge,
) -> None:
    marks = Marks(knowledge)
    marks.mark("1", "entity", NORMAL, NOW)
    knowledge.alerted([Alert("2", "krone.app", 0, record(deviation("retry", 1)))])
    marks.mark("2", "deviation", ABNORMAL, NOW)
    assert verdict(knowledge, deviation("x")) == "normal"
    assert verdict(knowledge, deviation("x"), deviation("retry", 99)) == "abnormal"


def test_marks_expire_and_are_deleted(knowledge: Knowledge) -> None:
    marks = Marks(knowledge)
    assert not marks.any()
    short = Says(verdict="normal", by="ada", until=NOW + 1)
    marks.mark("1", "deviation", short, NOW)
    assert marks.any() and verdict(knowledge, deviation("retry")) is None
    marks.mark("1", "deviation", NORMAL, NOW)
    assert verdict(knowledge, deviation("retry")) == "normal"
    assert len(marks.unmark(marks.targets("1", "deviation"))) == 2
    assert not marks.any() and marks.unmark(marks.targets("1", "deviation")) == []


def test_an_incident_is_marked_by_its_first_alert(knowledge: Knowledge) -> None:
    for name in ("first", "second"):
        seen = record(deviation(name)) | {"incident_id": "f" * 32}
        knowledge.alerted([Alert(name, "krone.app", 0, seen)])
    [mark] = Marks(knowledge).mark("f" * 32, "deviation", NORMAL, NOW)
    assert mark.pattern == signature("first")


def test_an_incident_that_began_with_a_new_line_is_marked_by_its_first_failure(
    knowledge: Knowledge,
) -> None:
    news = deviation("line", witness="template", direction="new")
    for name, odd in (("news", news), ("first", deviation("first")), ("n", deviation("n"))):
        seen = record(odd) | {"incident_id": "f" * 32}
        knowledge.alerted([Alert(name, "krone.app", 0, seen)])
    [mark] = Marks(knowledge).mark("f" * 32, "deviation", NORMAL, NOW)
    assert mark.pattern == signature("first")


def test_what_cannot_be_marked_is_told(knowledge: Knowledge) -> None:
    with pytest.raises(ConfigError, match="knows no alert and no signature 77"):
        Marks(knowledge).mark("77", "deviation", NORMAL, NOW)
    knowledge.alerted([Alert("old", "krone.app", 0, record())])
    with pytest.raises(ConfigError, match="nothing that a mark of scope deviation could cover"):
        Marks(knowledge).mark("old", "deviation", NORMAL, NOW)


# --- files


def test_marks_of_an_older_file_are_those_of_patterns(tmp_path: Path) -> None:
    path = tmp_path / "krone.db.knowledge"
    Knowledge(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            DROP TABLE person; DROP TABLE alert;
            CREATE TABLE person (
                pattern TEXT PRIMARY KEY, verdict TEXT NOT NULL, note TEXT NOT NULL,
                "by" TEXT NOT NULL, at_ms INTEGER NOT NULL, until_ms INTEGER, about TEXT NOT NULL
            ) WITHOUT ROWID;
            CREATE TABLE alert (
                n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pattern TEXT NOT NULL,
                tag TEXT NOT NULL, session TEXT NOT NULL, about TEXT NOT NULL,
                explanation TEXT NOT NULL, at_ms INTEGER NOT NULL
            );
            CREATE INDEX alert_of ON alert (pattern);
            INSERT INTO alert VALUES (1, '9', 'abcd', 'app', 's', 'a', 'e', 5);
            PRAGMA user_version = 1;
            """
        )
        values = ("a" * 32, "normal", "known", "ada", 5, None, "payment")
        db.execute("INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        db.commit()
    knowledge = Knowledge(path, existing=True)
    assert knowledge.rows() == [Mark(*values)]
    assert verdict(knowledge, deviation("x"), pattern="a" * 32) == "normal"
    # What deviated in an old alert is not known.
    assert Marks(knowledge).default_scope("9") == "pattern"
    knowledge.close()
    knowledge = Knowledge(path)
    assert knowledge.rows() == [Mark(*values)]
    knowledge.close()


def rare(name: str, score: float, what: str = "nested_aware") -> dict[str, Any]:
    return deviation(name, teaches={"what": what, "size": score})


def test_a_mark_on_a_rare_combination_of_usual_steps_holds_for_others(knowledge: Knowledge) -> None:
    marks = Marks(knowledge)
    odd = record(rare("coupon", 20.0), rare("retry", 20.0))
    knowledge.alerted([Alert("c", "krone.app", 0, odd)])
    marks.mark("c", "deviation", NORMAL, NOW)
    assert verdict(knowledge, rare("review", 21.0)) == "normal"
    # It is much rarer, what is odd about it is another sort, or something else is odd as well.
    assert verdict(knowledge, rare("review", 23.0)) is None
    assert verdict(knowledge, rare("review", 2.0, "nested_counts")) is None
    assert verdict(knowledge, rare("review", 21.0), deviation("missing")) is None
    # A mark on the alert itself has no such limit.
    assert verdict(knowledge, rare("coupon", 99.0)) == "normal"
    marks.unmark(marks.targets("c", "deviation"))
    assert verdict(knowledge, rare("review", 21.0)) is None


def test_what_is_abnormal_teaches_nothing_of_others(knowledge: Knowledge) -> None:
    marks = Marks(knowledge)
    knowledge.alerted([Alert("c", "krone.app", 0, record(rare("coupon", 20.0)))])
    marks.mark("c", "deviation", NORMAL, NOW)
    knowledge.alerted([Alert("d", "krone.app", 0, record(rare("retry", 19.0)))])
    marks.mark("d", "deviation", ABNORMAL, NOW)
    assert verdict(knowledge, rare("retry", 19.0)) == "abnormal"
    assert verdict(knowledge, rare("review", 19.0)) == "normal"


def slow(name: str, times: float) -> dict[str, Any]:
    """A step that took `times` times as long as is usual at most."""
    taught = {"what": "slow", "size": times}
    return deviation(name, 9.0, witness="time", direction="slow", teaches=taught)


def test_marks_on_three_slow_steps_hold_for_other_steps_as_far_as_three_went(
    knowledge: Knowledge,
) -> None:
    marks = Marks(knowledge)

    def mark(name: str, times: float) -> None:
        knowledge.alerted([Alert(name, "krone.app", 0, record(slow(name, times)))])
        marks.mark(name, "deviation", NORMAL, NOW)

    mark("load", 5.0)
    mark("charge", 9.0)
    # One step more often is not another step.
    mark("charge", 8.0)
    assert verdict(knowledge, slow("ship", 4.0)) is None
    assert verdict(knowledge, slow("load", 5.0)) == "normal"
    mark("reserve", 7.0)
    assert verdict(knowledge, slow("ship", 4.0)) == "normal"
    assert verdict(knowledge, slow("ship", 6.0)) is None
    assert verdict(knowledge, slow("ship", 4.0), deviation("segfault")) is None
    hanging = deviation("ship", 9.0, witness="time", direction="stuck")
    assert verdict(knowledge, hanging) is None
    marks.unmark(marks.targets("reserve", "deviation"))
    assert verdict(knowledge, slow("ship", 4.0)) is None


def test_a_mark_on_one_long_stretch_tells_nothing_of_others(knowledge: Knowledge) -> None:
    marks = Marks(knowledge)

    def long(name: str, score: float) -> dict[str, Any]:
        taught = {"what": "long", "size": score}
        return deviation(name, score, witness="time", direction="long", teaches=taught)

    for name, score in (("load", 12.0), ("charge", 10.0), ("reserve", 11.0)):
        assert verdict(knowledge, long("ship", 9.0)) is None
        knowledge.alerted([Alert(name, "krone.app", 0, record(long(name, score)))])
        marks.mark(name, "deviation", NORMAL, NOW)
    assert verdict(knowledge, long("ship", 9.0)) == "normal"
    # Three went as far as 10, and only one as far as 12.
    assert verdict(knowledge, long("ship", 10.5)) is None
    assert verdict(knowledge, slow("ship", 2.0)) is None


def test_marks_go_through_git(knowledge: Knowledge, tmp_path: Path) -> None:
    marks = Marks(knowledge)
    made = marks.mark("1", "deviation", NORMAL, NOW)
    made += marks.mark("1", "pattern", NORMAL, NOW) + marks.mark("1", "entity", ABNORMAL, NOW)
    file = tmp_path / "k.jsonl"
    write_rows(file, knowledge.rows())
    assert read_rows(file) == knowledge.rows() and len(knowledge.rows()) == len(made) == 4
    other = Knowledge(None)
    assert other.take(read_rows(file)).conflicts == []
    assert other.rows() == knowledge.rows()
    # Persons disagree: the later one holds, whatever the order.
    again = Target(made[0].scope, made[0].pattern, made[0].about, made[0].most)
    [later] = Marks(other).set([again], ABNORMAL, NOW + 5)
    outcome = merge([*knowledge.rows(), later])
    assert [(kept.verdict, lost.verdict) for kept, lost in outcome.conflicts] == [
        ("abnormal", "normal")
    ]


def test_lines_of_older_programs_are_read_and_written_as_they_were() -> None:
    mark = Mark("a" * 32, "normal", "known", "ada", 0, None, "payment")
    line = line_of(mark)
    assert set(json.loads(line)) == {
        *("pattern", "who", "verdict", "note", "by", "at", "until", "about")
    }
    assert row_of_line(line) == mark
    with pytest.raises(ValueError, match="scope must be one of deviation, pattern"):
        row_of_line(line[:-1] + ', "scope": "all"}')


# --- in the service


def early_again(extra: Sequence[int]) -> list[int]:
    return [OPEN, OPENED, GOING, STUCK, CLOSE, *extra]


@pytest.mark.parametrize("scope", ["deviation", "pattern"])
def test_a_mark_on_an_early_alert_holds_for_what_was_seen_then(
    story: Any, store_path: str, scope: Scope
) -> None:
    """A session that begins like a marked one and goes wrong further is reported at its end."""

    async def body(rig: Rig) -> None:
        await feed(rig, "first", early_again([]))
        [early] = sequences(rig)
        assert early.record["decided"] == "early"
        with contextlib.closing(Knowledge(Path(f"{store_path}.knowledge"))) as file:
            Marks(file).mark(early.alert_id, scope, NORMAL, time.time())
        rig.receiver.alerts.clear()
        await feed(rig, "alike", early_again([]))
        assert sequences(rig) == []
        await feed(rig, "worse", early_again([GOING, CLOSE, STUCK, STUCK, OPEN]))
        assert sequences(rig) == []
        rig.now += 3600 * S
        rig.service._judge.advance(rig.now)
        await commit(rig)
        assert [(one.record["session"], one.record["decided"]) for one in sequences(rig)] == [
            (["worse"], "end")
        ]
        assert rig.service.stats()["alerts_muted"] >= 2

    story(body, store=store_path, novelty_interval=1e6)


async def feed(rig: Rig, name: str, keys: Sequence[int]) -> None:
    entries = [[(at or 0) // S, fields] for at, fields in ride(name, keys)]
    await rig.service.take(Chunk("app", entries, name), lambda: None)
    await commit(rig)


async def commit(rig: Rig) -> None:
    rig.service._committer.commit()
    await settle()


def sequences(rig: Rig) -> list[Alert]:
    return [one for one in rig.receiver.alerts if one.record["kind"] == "sequence"]


# --- commands


def command(*arguments: str | Path) -> int:
    parser = Parser()
    commands.add(Commands(parser))
    flags = parser.parse_args(["knowledge", *map(str, arguments)])
    return int(flags.command(flags))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "krone.db"
    knowledge = Knowledge(Path(f"{path}.knowledge"))
    seen = record(deviation("retry", 2), deviation("late", 9.0, witness="time"))
    knowledge.alerted([Alert("1" * 32, "krone.app", int(NOW) * 10**9, seen)])
    knowledge.close()
    return path


def test_commands_mark_deviations_unless_told_otherwise(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--store", store)
    command("mark", "1" * 32, "normal", "--by", "ada", "--note", "known", *where)
    out = capsys.readouterr().out
    assert out.startswith(f"2 deviations of {'1' * 32} marked normal by ada: alerts are no longer")
    command("mute", "1" * 32, "--for", "7d", "--scope", "entity", *where)
    assert capsys.readouterr().out.startswith("1 entity of ")
    command("list", *where)
    out = capsys.readouterr().out
    assert f"{signature('retry')}  deviation extra: payment → retry" in out
    assert "normal by ada (known)" in out
    command("unmark", "1" * 32, "--scope", "deviation", *where)
    command("unmark", "1" * 32, *where)
    assert capsys.readouterr().out.count("is no longer marked") == 3
    with pytest.raises(KroneError, match="nobody marked"):
        command("unmark", "1" * 32, *where)


def test_the_pattern_itself_is_marked_by_its_name(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("mark", "a" * 32, "normal", "--store", store)
    assert capsys.readouterr().out.startswith(f"signature {'a' * 32} is normal by ")


def test_an_unknown_alert_is_an_error(store: Path) -> None:
    for scope in ("deviation", "pattern", "template", "entity"):
        with pytest.raises(KroneError, match="knows no alert and no signature 99"):
            command("mark", "99", "normal", "--scope", scope, "--store", store)
    with pytest.raises(KroneError, match="knows no alert"):
        command("mark", "99", "normal", "--store", store)
