"""What an operator reads: what is wrong, and where to look."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from synthetic import GOING, MESSAGES, T0, S
from synthetic import OPEN as OPEN_DOOR

from fluent_krone.alerts.comparison import Comparison, comparison_of
from fluent_krone.alerts.words import explain
from fluent_krone.alerts.writer import listed_briefly, short
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.detect.bundle import Bundle
from fluent_krone.detect.order import Order, count_order
from fluent_krone.detect.step_words import StepWords
from fluent_krone.types import Evidence, Seq, Verdict

STEPS = (
    "opened <id>",
    "acked <id>",
    "stored <id>",
    "recorded <id>",
    "closed <id>",
    "deleted <id>",
    "write of <id> failed",
    "check of <id> succeeded",
    "tried <id> again",
)
OPEN, ACK, STORE, RECORD, CLOSE, DELETE, FAIL, CHECK, RETRY = range(9)
UNKNOWN = 9
NORMAL = (OPEN, ACK, STORE, RECORD, CLOSE, DELETE)


def template(key: int) -> str:
    return STEPS[key] if key < UNKNOWN else "<unknown>"


def words(compared: Comparison, clean: Callable[[str], str] | None = None) -> str:
    return explain(compared, clean).text


def about(key: str) -> dict[str, Any]:
    """Fields of a comparison whose lines all have the session's own key in their masks."""
    return {"read": lambda: [(step, [("<id>", key)]) for step in NORMAL], "keys": {key}}


def messages(values: Mapping[int, str]) -> Callable[[], Any]:
    """What is read of messages: those of each step, one for each letter, with it in their mask."""
    return lambda: [(step, [("<id>", letter)]) for step in values for letter in values[step]]


def compared(
    session: tuple[int, ...],
    event: int,
    *,
    nearest: tuple[int, ...] = NORMAL,
    evidence: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Comparison:
    empty: dict[str, Any] = {
        "extra": {},
        "missing": {},
        "repeated": {},
        "unseen": (),
        "nearest": (),
    }
    verdict = Verdict(
        "action",
        Seq("status", 0, len(session), (0,)),
        event,
        "x",
        1.0,
        0.0,
        Evidence(**empty | dict(evidence or {})),
    )
    return Comparison(verdict, session, nearest, template, UNKNOWN, **fields)


@pytest.mark.parametrize(
    ("session", "event", "expected"),
    [
        (
            (OPEN, ACK, STORE, RECORD, CLOSE, CLOSE, DELETE),
            5,
            "“closed <id>” happened twice in a row; normally once.",
        ),
        (
            (OPEN, ACK, RECORD, STORE, CLOSE, DELETE),
            2,
            "“stored <id>” came only after “recorded <id>”; normally it comes before.",
        ),
        (
            (OPEN, STORE, RECORD, CLOSE, DELETE),
            1,
            "“stored <id>” came without “acked <id>” before it.",
        ),
        (
            (OPEN, ACK),
            1,
            "The session stopped after 2 of 6 steps, at “acked <id>”. "
            "It lacks “stored <id>”, “recorded <id>”, “closed <id>” and “deleted <id>”.",
        ),
        (
            (*NORMAL, DELETE, DELETE, DELETE),
            8,
            "“deleted <id>” happened 4 times in a row; normally once.",
        ),
        (
            (OPEN, ACK, STORE, DELETE, RECORD, CLOSE, DELETE),
            3,
            "“deleted <id>” happened twice, normally once; the additional one came after "
            "“stored <id>”.",
        ),
        (
            (OPEN, ACK, FAIL, STORE, RECORD, CLOSE, DELETE),
            2,
            "Error: “write of <id> failed”, after “acked <id>”. "
            "It does not occur in normal sessions that are otherwise like this one.",
        ),
    ],
)
def test_the_first_sentence_says_what_is_wrong(
    session: tuple[int, ...], event: int, expected: str
) -> None:
    assert words(compared(session, event)) == expected


def test_a_step_that_training_never_had_is_named_with_its_values() -> None:
    session = (OPEN, ACK, FAIL)
    told = words(
        compared(
            session,
            2,
            evidence={"unseen": ("write of <id> failed",)},
            texts={1: "acked b7", 2: "write of b7 failed"},
        )
    )
    assert told.startswith("Error: “write of b7 failed”, after “acked b7”. It never occurs")


def test_a_line_of_a_new_kind_is_shown() -> None:
    told = words(compared((OPEN, UNKNOWN, ACK), 1, texts={1: "clock ran backwards"}))
    assert told.startswith("New kind of line, after “opened <id>”: “clock ran backwards”.")
    assert "New kind" not in words(compared((OPEN, UNKNOWN, ACK), 1))
    assert "unknown kind" in words(compared((OPEN, UNKNOWN, ACK), 1))


def test_what_is_known_of_masks_is_filled_in() -> None:
    told = words(compared((OPEN, STORE, RECORD, CLOSE, DELETE), 1, **about("b7")))
    assert told == "“stored b7” came without “acked b7” before it."


def test_an_absent_error_and_a_success_are_not_missed() -> None:
    normal = (OPEN, ACK, RETRY, FAIL, STORE, CHECK, RECORD, CLOSE, DELETE)
    told = words(compared((OPEN, ACK, STORE, CLOSE, DELETE), 3, nearest=normal))
    assert told == "“closed <id>” came without “recorded <id>” before it."


def test_another_error_is_told_and_other_steps_are_not() -> None:
    session = (OPEN, ACK, STORE, STORE, STORE, RECORD, CHECK, CLOSE, FAIL, DELETE)
    told = words(compared(session, 3))
    assert told.endswith("There was also an error: “write of <id> failed”.")
    assert "check" not in told


def test_of_a_session_under_way_nothing_is_missing_yet() -> None:
    told = words(compared((OPEN, ACK, ACK), 2, is_ended=False))
    assert told == "“acked <id>” happened twice in a row; normally once."
    assert "missing" not in words(compared((OPEN, STORE), 1, is_ended=False))


def test_without_a_normal_session_the_counts_of_the_nearest_seq_are_told() -> None:
    told = words(
        compared(
            (OPEN, ACK, ACK),
            1,
            nearest=(),
            evidence={"repeated": {"acked <id>": 1}, "missing": {"stored <id>": 1}},
        )
    )
    assert told == (
        "“acked <id>” happened once more than normal, after “opened <id>”. Missing: “stored <id>”."
    )
    assert "do not have that order" in words(compared((OPEN, ACK), 1, nearest=()))


def test_steps_are_masked_whole_and_cut_in_the_middle() -> None:
    long = "a" * 150 + " secret " + "z" * 150
    seen: list[str] = []

    def clean(step: str) -> str:
        seen.append(step)
        return step.replace("secret", "<secret>")

    told = words(compared((OPEN, UNKNOWN), 1, texts={1: long}), clean)
    assert long in seen
    assert "aaa" in told and "zzz" in told and "…" in told
    assert len(told) < 500


@pytest.mark.parametrize("most", [11, 20, 50])
def test_short_keeps_both_ends(most: int) -> None:
    text = "begins here and goes on for a while until the very end"
    cut = short(text, most)
    assert len(cut) <= most
    assert text.startswith(cut.split("…")[0]) and text.endswith(cut.split("…")[1])
    assert short(text, 100) == text


def test_the_value_for_which_a_step_is_missing_is_named() -> None:
    normal = (OPEN, OPEN, OPEN, ACK, ACK, ACK, CLOSE)
    read = messages({OPEN: "abc", ACK: "ac", CLOSE: "z"})
    told = words(compared((OPEN, OPEN, OPEN, ACK, ACK, CLOSE), 4, nearest=normal, read=read))
    assert told == "“acked b” is missing: that step happened only twice, normally 3 times."
    unsure = messages({OPEN: "abcd", ACK: "ac"})
    told = words(compared((OPEN, OPEN, OPEN, ACK, ACK, CLOSE), 4, nearest=normal, read=unsure))
    assert told == "“acked <id>” happened only twice, normally 3 times."


def test_a_mask_that_stands_for_several_things_names_none() -> None:
    """Was wrong: what a bank had answered was told as the tenant for whom a payment was missing."""
    normal = (OPEN, OPEN, OPEN, ACK, ACK, ACK, CLOSE)
    opened = [(OPEN, [("<id>", "north"), ("<id>", letter)]) for letter in "abc"]
    read = [*opened, *[(ACK, [("<id>", letter)]) for letter in "ac"]]
    compare = compared((OPEN, OPEN, OPEN, ACK, ACK, CLOSE), 4, nearest=normal, read=lambda: read)
    assert words(compare) == "“acked <id>” happened only twice, normally 3 times."


def test_values_are_read_out_of_a_findings_lines(lift: Bundle) -> None:
    engine = lift.engine()
    events = [
        (T0 + i * S, {b"message": MESSAGES[key].encode(), b"ride": b"3"})
        for i, key in enumerate((OPEN_DOOR, GOING))
    ]
    [finding] = [
        found
        for found in engine.feed("app", events, T0 + 99 * S) + engine.finish()
        if found.kind == "sequence"
    ]
    made = comparison_of(finding, lift.hierarchy)
    assert made.values[GOING] == {"<num>": {"3"}}
    assert made.filled(GOING) == "lift: going to floor 3"
    assert comparison_of(finding, lift.hierarchy, with_texts=False).values == {}


def test_the_session_key_is_shown_only_where_it_is_known_to_stand() -> None:
    read = [(OPEN, [("<id>", "P17")]), (ACK, [("<id>", "P17")]), (STORE, [("<id>", "shelf4")])]
    made = compared(NORMAL, 0, read=lambda: read, keys={"P17"})
    assert made.filled(OPEN) == "opened P17"
    assert made.filled(STORE) == "stored <id>", "there stands the id of something else"
    assert made.filled(CLOSE) == "closed <id>", "no message says what stands there"
    read.append((ACK, [("<id>", "P18")]))
    assert compared(NORMAL, 0, read=lambda: read, keys={"P17"}).filled(ACK) == "acked <id>"


def training(*sessions: tuple[int, ...]) -> Order:
    """What training had, after these normal sessions."""
    tree = Hierarchy([Leaf(step, "store", "work", step) for step in STEPS])
    return Order(tree, count_order(sessions, tree))


def test_an_error_that_hardly_any_normal_session_has_is_told_with_its_number() -> None:
    normal = (OPEN, ACK, FAIL, STORE, RECORD, CLOSE, DELETE)
    rare = training(*[NORMAL] * 299, normal)
    told = words(compared(normal, 2, nearest=normal, order=rare))
    assert told == (
        "Error: “write of <id> failed”, after “acked <id>”. It came only once in 300 normal "
        "sessions."
    )
    usual = training(*[NORMAL] * 200, *[normal] * 100)
    assert "came only" not in words(compared(normal, 2, nearest=normal, order=usual))


def test_a_session_that_begins_like_no_normal_one_is_told_so() -> None:
    order = training(*[NORMAL] * 100)
    told = words(compared((DELETE, DELETE, DELETE), 0, order=order))
    assert told.startswith(
        "The session begins with “deleted <id>”. None of 100 normal sessions does; in 100 % of "
        "them “opened <id>” comes first."
    )
    assert "begins" not in words(compared((OPEN, DELETE, DELETE), 1, order=order))


def test_of_repeated_lines_the_addresses_in_which_they_differ_are_listed() -> None:
    steps = (*STEPS[:ACK], "acked <id> by <ip>", *STEPS[STORE:])
    by = [f"acked b7 by 10.0.0.{node}" for node in (1, 2, 1)]
    session = (OPEN, ACK, ACK, ACK)

    def told_of(lines: Sequence[str]) -> str:
        made = compared(session, 3, texts=dict(enumerate(["opened b7", *lines])))
        return words(dataclasses.replace(made, template=steps.__getitem__))

    assert told_of(by).startswith(
        "“acked b7 by <ip>” happened 3 times in a row (10.0.0.1 twice and 10.0.0.2); normally once."
    )
    assert told_of([by[0]] * 3).startswith("“acked b7 by 10.0.0.1” happened 3 times in a row;")
    # Another value than an address may be a secret.
    others = [f"acked b{i} by 10.0.0.1" for i in range(3)]
    assert told_of(others).startswith("“acked <id> by 10.0.0.1” happened 3 times in a row;")


def test_how_many_of_several_steps_are_lacking_is_told() -> None:
    normal = (OPEN, ACK, ACK, ACK, STORE, STORE, CLOSE)
    told = words(compared((OPEN, ACK), 1, nearest=normal))
    assert told == (
        "The session stopped after 2 of 7 steps, at “acked <id>”. It lacks 2 of 3 “acked <id>”, "
        "“stored <id>” ×2 and “closed <id>”."
    )


def test_the_step_that_the_sentence_is_about_is_known() -> None:
    missing = explain(compared((OPEN, STORE, RECORD, CLOSE, DELETE), 1))
    assert missing.log_key == ACK
    assert explain(compared((OPEN, ACK, ACK), 2, is_ended=False)).log_key == ACK


def test_a_step_that_many_normal_sessions_have_is_not_what_is_odd() -> None:
    # The nearest normal session has no retries, a third of the others do.
    retried = (OPEN, RETRY, ACK, STORE, RECORD, CLOSE, DELETE)
    order = training(*[NORMAL] * 20, *[retried] * 10)
    session = (OPEN, RETRY, ACK, RECORD, CLOSE, DELETE)
    assert words(compared(session, 1, order=order, most=retried.count)) == (
        "“recorded <id>” came without “stored <id>” before it."
    )
    assert words(compared(session, 1, order=order)).startswith("“tried <id> again” happened after")


def test_a_step_in_place_of_another_one_is_what_is_wrong() -> None:
    normal = (OPEN, ACK, STORE, CHECK, CLOSE)
    session = (OPEN, ACK, STORE, RECORD, CLOSE)
    order = training(*[normal] * 20, *[(OPEN, RECORD, CLOSE)] * 20)
    told = explain(compared(session, 3, nearest=normal, order=order, most=session.count))
    assert told.text == (
        "“recorded <id>” came after “stored <id>”; normally “check of <id> succeeded” comes there."
    )
    assert told.log_key == RECORD


def test_where_the_odd_event_is_in_order_the_first_one_behind_it_that_is_not_is_named() -> None:
    order = training(*[NORMAL] * 20, (OPEN, CLOSE, DELETE))
    told = words(compared((OPEN, ACK, CLOSE, DELETE), 1, nearest=(), order=order))
    assert told == "“closed <id>” came after “acked <id>”; normal sessions do not have that order."


def test_a_step_that_is_more_often_in_a_row_is_not_told_to_follow_itself() -> None:
    normal = (OPEN, RETRY, RETRY, CLOSE)
    told = words(compared((OPEN, RETRY, RETRY, RETRY, RETRY, CLOSE), 4, nearest=normal))
    assert told == "“tried <id> again” happened 4 times, normally twice."


def test_a_session_that_ran_like_a_rare_normal_one_is_told_by_its_troubles() -> None:
    rare = (OPEN, FAIL, RETRY, CLOSE)
    told = words(compared(rare, 3, nearest=rare))
    assert told == (
        "Hardly any normal session has all of this together: “write of <id> failed” and “tried "
        "<id> again”."
    )
    usual = (OPEN, ACK, CLOSE)
    told = words(compared(usual, 2, nearest=usual))
    assert told == "Each step is usual, but hardly any normal session has all of them together."


def test_what_follows_a_stray_step_is_not_blamed() -> None:
    tree = Hierarchy([Leaf(step, "store", "work", step) for step in STEPS])
    said = StepWords(tree, training(*[NORMAL] * 300))
    session = (OPEN, ACK, CLOSE, STORE)
    stray = said.out_of_order(session, 2, "order.pair").words
    assert stray.startswith("“closed <id>” came next after “acked <id>”. This happened in none")
    innocent = said.out_of_order(session, 3, "order.pair").words
    assert innocent == (
        "“stored <id>” came next after “acked <id>” and “closed <id>”. The second of these does "
        "not belong there: it followed the first in none of 300 normal cases."
    )


def test_what_follows_a_stray_step_of_its_entity_is_not_blamed() -> None:
    beside = Leaf("checked <id>", "scanner", "check", "ok")
    tree = Hierarchy([*(Leaf(step, "store", "work", step) for step in STEPS), beside])
    said = StepWords(tree, Order(tree, count_order([NORMAL] * 300, tree)))
    told = said.out_of_order((OPEN, ACK, CLOSE, len(STEPS), STORE), 4, "order.entity")
    assert told.words == (
        "“stored <id>” was the next step of “store” after “acked <id>” and “closed <id>”. The "
        "second of these does not belong there: it followed the first in none of 300 normal cases."
    )
    assert told.named == (4, 1, 2)


def test_a_long_step_is_cut_between_words_and_parts_of_a_path() -> None:
    line = "Deleting block blk_7776984705784892058 file /mnt/hadoop/dfs/data/current/subdir19/blk_7"
    cut = short(line, 60)
    assert len(cut) <= 60
    head, tail = cut.split("…")
    assert line.startswith(head) and line.endswith(tail)
    assert head.endswith(" ") and tail.startswith("/")


def test_long_steps_are_listed_until_they_fill_a_few_lines() -> None:
    assert listed_briefly(["a", "b", "c", "d"], 4) == "a, b, c and d"
    long = [letter * 100 for letter in "abcd"]
    assert listed_briefly(long, 4) == f"{long[0]}, {long[1]} and 2 more"
    assert listed_briefly(["x" * 1000, "y"]) == "x" * 1000 + " and 1 more"
