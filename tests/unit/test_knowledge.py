"""What is known of patterns: who may overrule whom, through restarts, kills, other processes and
files.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marking import mark, said, unmark

from fluent_krone.errors import ConfigError, StoreDamaged, StoreError
from fluent_krone.explain import Answer, Case, NoAnswer, Said
from fluent_krone.explain.knowledge import VERSION, Knowledge
from fluent_krone.explain.rows import (
    Learned,
    Mark,
    Row,
    line_of,
    merge,
    read_rows,
    row_of_line,
    write_rows,
)
from fluent_krone.runtime.store import Store
from fluent_krone.types import Alert

REPOSITORY = Path(__file__).parents[2]
NOW = 1_795_338_000.0
A, B = "a" * 32, "b" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "krone.db.knowledge"


def case(
    *,
    pattern: str = A,
    bundle_hash: str = "one",
    templates: str = "open going stuck",
    start: int = 1,
) -> Case:
    texts = tuple(templates.split())
    return Case(
        pattern,
        bundle_hash,
        ("Lift", "ride", None),
        texts,
        tuple(range(len(texts))),
        start,
        len(texts),
        2,
        (),
        "stuck",
    )


def answer(verdict: Said = "abnormal", **changes: Any) -> Answer:
    said = Answer(
        "abnormal",
        0.9,
        "It got stuck.",
        "A worn rope.",
        "Look at the rope.",
        (2,),
        "model-1",
        700,
        80,
        0.01,
    )
    return dataclasses.replace(said, verdict=verdict, **changes)


def alert(alert_id: str, pattern: str = A, **changes: Any) -> Alert:
    record: dict[str, Any] = {
        "alert_id": alert_id,
        "pattern": pattern,
        "tag": "app",
        "session": ["ride 7", "x"],
        "entity": "Lift",
    }
    record |= {
        "action": "ride",
        "status": None,
        "explanation": "It got stuck.",
        "lines": ["cabin 7 of Mrs Doe stuck"],
    }
    return Alert(alert_id, "krone.app", int(NOW) * 10**9, record | changes)


def child(path: Path, code: str) -> subprocess.Popen[str]:
    """A second process that has the file open as `knowledge`."""
    start = """
        import sys
        from pathlib import Path
        sys.path[:0] = ["tests", "tests/unit"]
        from fluent_krone.explain.budget import Budget
        from fluent_krone.explain.knowledge import Knowledge
        from marking import mark, unmark
        from test_knowledge import A, B, NOW, answer, case
        knowledge = Knowledge(Path(sys.argv[1]))
    """
    code = textwrap.dedent(start) + textwrap.dedent(code)
    command = [sys.executable, "-c", code, str(path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=REPOSITORY, **pipes)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


# persons and models


def test_a_mark_stands_until_it_expires() -> None:
    knowledge = Knowledge(None)
    assert said(knowledge, A, NOW) is None
    made = mark(knowledge, A, "normal", "rope was changed", "ada", NOW + 60, NOW)
    assert said(knowledge, A, NOW + 59.9) == made
    assert (made.verdict, made.note, made.by) == ("normal", "rope was changed", "ada")
    assert said(knowledge, A, NOW + 60) is None
    assert said(knowledge, B, NOW) is None


def test_a_person_may_change_their_mind() -> None:
    knowledge = Knowledge(None)
    mark(knowledge, A, "normal", "", "ada", NOW + 60, NOW)
    later = mark(knowledge, A, "abnormal", "", "bob", None, NOW + 1)
    assert said(knowledge, A, NOW + 10**9) == later
    assert unmark(knowledge, A)
    assert said(knowledge, A, NOW) is None
    assert not unmark(knowledge, A)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pattern": "A" * 32}, "pattern must be 32 hex digits"),
        ({"verdict": "fine"}, "verdict must be normal or abnormal, got 'fine'"),
        ({"by": ""}, "by must be 1 to 200 printable characters"),
        ({"until": NOW}, "a mark must expire later than now"),
    ],
)
def test_a_mark_that_makes_no_sense_is_refused(changes: dict[str, Any], complaint: str) -> None:
    knowledge = Knowledge(None)
    wanted: dict[str, Any] = {
        "pattern": A,
        "verdict": "normal",
        "note": "",
        "by": "ada",
        "until": None,
        "now_s": NOW,
    }
    with pytest.raises(ConfigError, match=complaint):
        mark(knowledge, **wanted | changes)
    assert knowledge.rows() == []


def test_an_answer_is_recalled_at_no_cost() -> None:
    knowledge = Knowledge(None)
    assert knowledge.recall(case()) is None
    knowledge.learn(case(), answer(), NOW)
    assert knowledge.recall(case()) == answer(input_tokens=0, output_tokens=0, cost_usd=0.0)
    assert knowledge.recall(case(pattern=B)) is None
    assert knowledge.forget(A)
    assert knowledge.recall(case()) is None
    assert not knowledge.forget(A)


def test_a_verdict_of_normal_is_recalled_under_its_own_bundle_alone() -> None:
    knowledge = Knowledge(None)
    knowledge.learn(case(), answer("normal"), NOW)
    recalled = knowledge.recall(case())
    assert recalled and recalled.verdict == "normal"
    assert knowledge.recall(case(bundle_hash="two")) is None
    assert knowledge.recall(case())


def test_an_answer_is_held_against_the_seq_of_a_new_bundle() -> None:
    knowledge = Knowledge(None)
    knowledge.learn(case(), answer(steps=(2, 1)), NOW)
    moved = case(bundle_hash="two", templates="stuck going open", start=0)
    recalled = knowledge.recall(moved)
    assert recalled and recalled.steps == (0, 1)
    _, learned = knowledge.row_of(A)
    assert learned and learned.bundle_hash == "two"


@pytest.mark.parametrize(
    "other", [case(bundle_hash="two", templates="open going jammed"), case(start=2)]
)
def test_an_answer_that_rests_on_other_steps_is_asked_anew(other: Case) -> None:
    knowledge = Knowledge(None)
    knowledge.learn(case(), answer(steps=(1, 2)), NOW)
    assert knowledge.recall(other) is None
    assert knowledge.recall(case())


@pytest.mark.parametrize(
    "bad", [{"steps": (0,)}, {"steps": ()}, {"summary": " "}, {"confidence": float("nan")}]
)
def test_what_is_no_answer_is_never_kept(bad: dict[str, Any]) -> None:
    knowledge = Knowledge(None)
    with pytest.raises(NoAnswer):
        knowledge.learn(case(), answer(**bad), NOW)
    assert knowledge.rows() == []


def test_a_model_does_not_touch_what_a_person_said() -> None:
    knowledge = Knowledge(None)
    made = mark(knowledge, A, "normal", "", "ada", None, NOW)
    knowledge.learn(case(), answer(), NOW + 1)
    knowledge.recall(case(bundle_hash="two"))
    knowledge.forget(A)
    assert said(knowledge, A, NOW + 2) == made


def test_words_can_be_shown_and_stored_whatever_they_hold(tmp_path: Path) -> None:
    knowledge = Knowledge(None)
    knowledge.learn(case(), answer(summary="a\x1b[2Jb\udc80c\u202ed", check="\n"), NOW)
    mark(knowledge, A, "abnormal", "two\nlines \udcff", "ada", None, NOW)
    made, learned = knowledge.row_of(A)
    assert made and made.note == "two lines  "
    assert learned and learned.summary == "a [2Jb c d"
    write_rows(tmp_path / "out", knowledge.rows())
    assert read_rows(tmp_path / "out") == knowledge.rows()


# alerts


def test_an_alert_leads_to_its_pattern() -> None:
    knowledge = Knowledge(None)
    knowledge.alerted([alert("1"), alert("2", B), Alert("3", "krone", 0, {"alert_id": "3"})])
    assert [knowledge.pattern_of(name) for name in ("1", "2", "3", A, "c" * 32)] == [
        A,
        B,
        None,
        A,
        None,
    ]
    [seen] = knowledge.seen(A)
    assert (seen.tag, seen.session, seen.about) == ("app", "ride 7, x", "Lift → ride")
    assert seen.at_ms == NOW * 1000
    assert mark(knowledge, A, "normal", "", "ada", None, NOW).about == "Lift → ride"
    knowledge.alerted([alert("1" * 32)])
    # The id of an alert is no pattern: a mark under it covers nothing, and says so.
    assert mark(knowledge, "1" * 32, "normal", "", "ada", None, NOW).about == ""


def test_a_pattern_without_alerts_is_known_by_what_was_said_of_it() -> None:
    knowledge = Knowledge(None)
    knowledge.learn(case(), answer(), NOW)
    mark(knowledge, B, "normal", "", "ada", None, NOW)
    assert (knowledge.pattern_of(A), knowledge.pattern_of(B)) == (A, B)


def test_the_last_alerts_are_kept() -> None:
    knowledge = Knowledge(None, alerts_kept=100)
    for first in range(0, 1000, 30):
        knowledge.alerted(alert(str(number)) for number in range(first, first + 30))
    assert knowledge.count_seen(A) == 100
    assert [seen.alert_id for seen in knowledge.seen(A, 2)] == ["1019", "1018"]
    assert knowledge.pattern_of("900") is None


def test_a_repeated_alert_counts_once() -> None:
    knowledge = Knowledge(None)
    knowledge.alerted([alert("1"), alert("1")])
    knowledge.alerted([alert("1", explanation="The rope is worn.")])
    [seen] = knowledge.seen(A)
    assert seen.explanation == "The rope is worn."


# the file


def test_it_is_there_after_a_restart_and_its_owners_alone(path: Path) -> None:
    knowledge = Knowledge(path)
    made = mark(knowledge, A, "normal", "", "ada", None, NOW)
    knowledge.learn(case(pattern=B), answer(), NOW)
    knowledge.alerted([alert("1")])
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    knowledge.close()
    knowledge.close()
    again = Knowledge(path)
    assert said(again, A, NOW) == made
    assert again.recall(case(pattern=B))
    assert again.pattern_of("1") == A
    again.close()


def test_a_mark_of_another_process_is_seen_at_once(path: Path) -> None:
    knowledge = Knowledge(path)
    assert said(knowledge, A, NOW) is None
    end(child(path, 'mark(knowledge, A, "normal", "", "ada", None, NOW)'))
    assert said(knowledge, A, NOW)
    end(child(path, "unmark(knowledge, A)"))
    assert said(knowledge, A, NOW) is None
    knowledge.close()


def test_readers_wait_for_nobody_and_writers_say_so(path: Path) -> None:
    knowledge = Knowledge(path, busy_s=0.01)
    knowledge.learn(case(), answer(), NOW)
    writer = child(path, 'with knowledge.transaction():\n    print("writing", flush=True); input()')
    assert told(writer) == "writing"
    assert said(knowledge, A, NOW) is None
    assert knowledge.recall(case())
    assert knowledge.recall(case(bundle_hash="two"))  # though its new bundle can't be noted now
    with pytest.raises(StoreError, match="is being written by another process"):
        knowledge.alerted([alert("1")])
    tell(writer)
    end(writer)
    knowledge.alerted([alert("1")])
    assert knowledge.pattern_of("1") == A
    knowledge.close()


def fill(path: Path) -> None:
    knowledge = Knowledge(path)
    for number in range(300):
        knowledge.learn(case(pattern=f"{number:032x}"), answer(), NOW)
    knowledge.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database " * 1000)


def torn(path: Path) -> None:
    fill(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(1, size // 4096):
            file.seek(page * 4096)
            file.write(random.Random(page).randbytes(200))


@pytest.mark.parametrize("before", [None, garbage])
def test_many_may_begin_it_at_once(tmp_path: Path, before: Callable[[Path], None] | None) -> None:
    for number in range(10):
        path = tmp_path / str(number)
        if before:
            before(path)
        start, go = os.pipe()
        children = [fork_marking(path, f"{n:032x}", start, go) for n in range(4)]
        os.close(start)
        os.close(go)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        knowledge = Knowledge(path)
        assert len(knowledge.rows()) == 4
        knowledge.close()


def fork_marking(path: Path, pattern: str, start: int, go: int) -> int:
    """A child that opens the file as soon as every `go` is closed."""
    if pid := os.fork():
        return pid
    try:
        os.close(go)
        os.read(start, 1)
        knowledge = Knowledge(path)
        mark(knowledge, pattern, "normal", "", "ada", None, NOW)
        knowledge.close()
        os._exit(0)
    finally:
        os._exit(1)


def test_a_kill_takes_nothing_that_was_written(path: Path) -> None:
    code = """
        for number in range(10**6):
            knowledge.learn(case(pattern=f"{number:032x}"), answer(), NOW)
            mark(knowledge, f"{number:032x}", "normal", "", "ada", None, NOW)
            print(number, flush=True)
    """
    count = 0
    for at_least in (1, 7, 30):
        writer = child(path, code)
        last = ""
        for _ in range(at_least):
            last = told(writer)
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.communicate()[0].split()
        count = max(count, 1 + int(rest[-1] if rest else last))
        knowledge = Knowledge(path)
        for number in range(count):
            assert knowledge.recall(case(pattern=f"{number:032x}"))
            assert said(knowledge, f"{number:032x}", NOW)
        knowledge.close()
    assert not path.with_name(path.name + ".unreadable").exists()


@pytest.mark.parametrize("damage", [garbage, torn])
def test_a_damaged_file_is_set_aside_and_told(
    path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(path)
    damaged = path.read_bytes()
    with pytest.raises(StoreDamaged):  # a command leaves it to the service
        knowledge = Knowledge(path, existing=True)
        knowledge.rows()
    assert path.read_bytes() == damaged
    knowledge = Knowledge(path)
    assert knowledge.rows() == []
    mark(knowledge, A, "normal", "", "ada", None, NOW)
    knowledge.close()
    [line] = caplog.messages
    assert line.startswith(
        f"the knowledge file was set aside file={path}.unreadable "
        f"reason=knowledge {path} can't be read: "
    )
    assert path.with_name(path.name + ".unreadable").read_bytes() == damaged


def test_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(
        ConfigError,
        match=f"has version {VERSION + 1}, but this program reads {VERSION}: run the newer",
    ):
        Knowledge(path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM model").fetchone() == (300,)
    db.close()


def test_the_services_store_is_not_taken_for_knowledge(path: Path) -> None:
    Store(path).close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="the SQLite file of another program"):
        Knowledge(path)
    assert path.read_bytes() == before


def test_a_command_does_not_make_a_file(path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no knowledge file at"):
        Knowledge(path, existing=True)
    assert not path.exists()


def test_a_full_disk_is_an_error_and_no_more(path: Path) -> None:
    knowledge = Knowledge(path)
    with knowledge.transaction() as db:
        ((pages,),) = db.execute("PRAGMA page_count")
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        knowledge.alerted(alert(str(number)) for number in range(1000))
    assert knowledge.seen(A) == []
    with knowledge.transaction() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    knowledge.alerted([alert("1")])
    assert knowledge.count_seen(A) == 1
    knowledge.close()


# merging

PATTERNS = st.sampled_from([A, B])
TIMES = st.integers(0, 3).map(lambda n: 1_795_338_000_000 + n)
VERDICTS = st.sampled_from(["normal", "abnormal"])
MARKS = st.builds(
    Mark,
    PATTERNS,
    VERDICTS,
    st.sampled_from(["", "é"]),
    st.sampled_from("ab"),
    TIMES,
    st.none(),
    st.just(""),
)
STEPS = st.sampled_from([("stuck",), ("stuck\x1b\u202e", "lone \udc80")])
LEARNED = st.builds(
    Learned,
    PATTERNS,
    VERDICTS,
    st.just(0.5),
    *[st.just("word")] * 3,
    STEPS,
    st.just("m"),
    *[st.just(1)] * 2,
    st.sampled_from([0.0, 0.1]), TIMES, st.sampled_from(["one", "two"]),
)  # fmt: skip
ROWS = st.lists(st.one_of(MARKS, LEARNED), max_size=8)


def lines(rows: list[Row]) -> list[str]:
    return [line_of(row) for row in rows]


@given(ROWS, ROWS, ROWS)
def test_merging_hangs_on_no_order(first: list[Row], second: list[Row], third: list[Row]) -> None:
    def both(one: list[Row], other: list[Row]) -> list[Row]:
        return merge([*one, *other]).rows

    assert lines(both(first, second)) == lines(both(second, first))
    assert lines(both(both(first, second), third)) == lines(both(first, both(second, third)))
    once = merge(first).rows
    assert lines(both(once, once)) == lines(once)
    assert [(row.pattern, row.who) for row in once] == sorted(
        {(row.pattern, row.who) for row in first}
    )


@given(ROWS, ROWS)
def test_a_file_takes_in_another_as_merging_does(first: list[Row], second: list[Row]) -> None:
    knowledge = Knowledge(None)
    knowledge.take(first)
    outcome = knowledge.take(second)
    assert knowledge.rows() == outcome.rows == merge([*first, *second]).rows


@given(ROWS)
def test_a_persons_word_wins_whatever_models_say(rows: list[Row]) -> None:
    knowledge = Knowledge(None)
    knowledge.take(rows)
    for pattern in {row.pattern for row in rows if isinstance(row, Mark)}:
        latest = max(row.at_ms for row in rows if isinstance(row, Mark) and row.pattern == pattern)
        made = said(knowledge, pattern, NOW)
        assert made and made.at_ms == latest


@given(ROWS)
def test_disagreeing_persons_are_told(rows: list[Row]) -> None:
    outcome = merge(rows)
    said = {
        pattern: {row.verdict for row in rows if isinstance(row, Mark) and row.pattern == pattern}
        for pattern in (A, B)
    }
    assert [kept.pattern for kept, _ in outcome.conflicts] == [
        p for p in (A, B) if len(said[p]) == 2
    ]
    assert all(
        kept in outcome.rows and kept.verdict != other.verdict for kept, other in outcome.conflicts
    )


@given(st.one_of(MARKS, LEARNED))
def test_a_line_is_its_row(row: Row) -> None:
    line = line_of(row)
    assert row_of_line(line) == row
    assert line.isprintable()


def test_what_is_exported_names_no_session(path: Path) -> None:
    knowledge = Knowledge(None)
    knowledge.alerted([alert("f" * 32)])
    knowledge.learn(case(), answer(), NOW)
    mark(knowledge, A, "normal", "known fault", "ada", NOW + 86400, NOW)
    write_rows(path, knowledge.rows())
    text = path.read_text()
    assert not any(secret in text for secret in ("f" * 32, "ride 7", "Mrs Doe"))
    model, person = map(json.loads, text.splitlines())
    assert model["steps"] == ["stuck"]
    wanted = {
        "pattern": A,
        "who": "person",
        "verdict": "normal",
        "note": "known fault",
        "by": "ada",
    }
    wanted |= {
        "at": "2026-11-22T09:00:00.000Z",
        "until": "2026-11-23T09:00:00.000Z",
        "about": "Lift → ride",
    }
    assert person == wanted


PERSON = json.loads(line_of(Mark(A, "normal", "", "ada", 0, None, "")))
MODEL = json.loads(
    line_of(Learned(A, "normal", 0.5, "s", "c", "", ("t",), "m", 1, 1, 0.0, 0, "one"))
)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("<<<<<<< HEAD", "it is not JSON (left over from a merge in Git?)"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is not a JSON object"),
        (PERSON | {"who": "dog"}, "who must be person, model or accepted, got 'dog'"),
        (PERSON | {"pattern": "abc"}, "pattern must be 32 hex digits, got 'abc'"),
        (PERSON | {"verdict": ["normal"]}, "verdict must be normal or abnormal, got ['normal']"),
        (PERSON | {"at": "2026-11-22T09:00:00"}, "at must be an ISO 8601 time with its offset"),
        (PERSON | {"until": 7}, "until must be an ISO 8601 time with its offset, or null, got 7"),
        (PERSON | {"note": "\x1b[2J"}, "note must be 0 to 600 printable characters"),
        (PERSON | {"colour": 1}, "'colour' is not a field of a person's row"),
        ({**PERSON, "by": None}, "by must be 1 to 200 printable characters, got None"),
        ({"pattern": A, "who": "person"}, "verdict is missing"),
        (MODEL | {"confidence": 1.5}, "confidence must be a number from 0 to 1, got 1.5"),
        (MODEL | {"confidence": True}, "confidence must be a number from 0 to 1, got True"),
        (MODEL | {"cost_usd": float("nan")}, "cost_usd must be a number from 0"),
        (MODEL | {"input_tokens": 10**30}, "input_tokens must be a whole number from 0"),
        (MODEL | {"summary": "x" * 601}, "summary must be 1 to 600 printable characters"),
        (MODEL | {"steps": []}, "steps must be a list of templates, got []"),
        (b"\xff", "it is not UTF-8"),
    ],
)
def test_a_bad_line_is_named_with_its_field(path: Path, line: Any, complaint: str) -> None:
    text = (
        line
        if isinstance(line, bytes)
        else (line if isinstance(line, str) else json.dumps(line)).encode()
    )
    path.write_bytes(json.dumps(PERSON).encode() + b"\n\n" + text + b"\n")
    with pytest.raises(ConfigError) as caught:
        read_rows(path)
    assert str(caught.value).startswith(f"{path} line 3: {complaint}")
