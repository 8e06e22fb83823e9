"""What differs between a session and the nearest normal one, difference by difference."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from synthetic import MESSAGES, NORMAL, T0, S, event

from fluent_krone.alerts.comparison import Comparison
from fluent_krone.alerts.deviations import (
    Difference,
    differences_of,
    is_complete,
    is_in_usual_order,
    words_of,
)
from fluent_krone.alerts.mending import Mending
from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.demo.simulator import simulate, stream
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.types import Evidence, Seq, Verdict

STEPS = (
    "opened <id>",
    "acked <id>",
    "stored <id> at host north",
    "stored <id> at host south",
    "recorded <id>",
    "closed <id>",
    "retried <id>",
    "segfault",
)
OPEN, ACK, STORE, STORE_SOUTH, RECORD, CLOSE, RETRY, NEW = range(8)
UNKNOWN = 8
USUAL = (OPEN, ACK, STORE, RECORD, CLOSE)


def compared(
    session: Sequence[int], nearest: Sequence[int] = USUAL, at: int = 0, **fields: Any
) -> Comparison:
    evidence = Evidence({}, {}, {}, ("segfault",), (), tuple(nearest))
    verdict = Verdict(
        "status", Seq("status", 0, len(session), ()), at, "nested_aware", 9.0, 1.0, evidence
    )

    def template(key: int) -> str:
        return (*STEPS, "<unknown>")[key]

    return Comparison(verdict, tuple(session), tuple(nearest), template, UNKNOWN, **fields)


def short(found: Sequence[Difference]) -> list[tuple[Any, ...]]:
    return [(one.direction, one.extra, one.missing, one.before) for one in found]


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ((OPEN, ACK, RETRY, STORE, RECORD, CLOSE), [("extra", (RETRY,), (), ACK)]),
        # Wherever that came from, it is the step before once more.
        ((OPEN, ACK, ACK, STORE, RECORD, CLOSE), [("repeated", (ACK,), (), None)]),
        ((OPEN, ACK, STORE, ACK, STORE, RECORD, CLOSE), [("repeated", (ACK, STORE), (), None)]),
        ((OPEN, ACK, RECORD, CLOSE), [("missing", (), (STORE,), ACK)]),
        ((OPEN, ACK, RETRY, RECORD, CLOSE), [("instead", (RETRY,), (STORE,), ACK)]),
        ((OPEN, STORE, RECORD, ACK, CLOSE), [("out_of_place", (ACK,), (ACK,), RECORD)]),
        ((OPEN, ACK), [("ends_early", (), (STORE, RECORD, CLOSE), ACK)]),
        ((STORE, RECORD, CLOSE), [("starts_late", (), (OPEN, ACK), STORE)]),
        # New lines and what stands beside them, each for itself; they came in place of the rest.
        (
            (OPEN, NEW, UNKNOWN, RETRY, RECORD, CLOSE),
            [
                ("unseen", (NEW,), (), None),
                ("unseen", (UNKNOWN,), (), None),
                ("beside_new", (RETRY,), (), None),
            ],
        ),
        # Another host is by the way where something else deviates, …
        ((OPEN, ACK, STORE_SOUTH, RECORD, RETRY, CLOSE), [("extra", (RETRY,), (), RECORD)]),
        # … and all there is where nothing else does.
        ((OPEN, ACK, STORE_SOUTH, RECORD, CLOSE), [("instead", (STORE_SOUTH,), (STORE,), ACK)]),
    ],
)
def test_each_kind_of_difference(session: tuple[int, ...], expected: list[Any]) -> None:
    assert short(differences_of(compared(session))) == expected


def test_how_often_is_a_size() -> None:
    [one] = differences_of(compared((OPEN, ACK, ACK, ACK, ACK, STORE, RECORD, CLOSE)))
    assert (one.extra, one.size) == ((ACK,), 3)


def test_the_difference_of_the_odd_event_comes_first() -> None:
    session = (OPEN, RETRY, ACK, STORE, RECORD, RETRY, RETRY, CLOSE)
    first, second = differences_of(compared(session, at=5))
    assert (first.before, second.before) == (RECORD, OPEN)


def test_a_session_under_way_lacks_nothing_that_may_still_come() -> None:
    found = differences_of(compared((OPEN, ACK, RETRY), is_ended=False))
    assert short(found) == [("extra", (RETRY,), (), ACK)]


def test_a_round_that_has_begun_once_more_is_the_same_as_when_it_is_over() -> None:
    nearest = (OPEN, ACK, STORE, ACK, STORE)
    begun = compared((*nearest, ACK), nearest, is_ended=False)
    [early] = differences_of(begun)
    assert (early.direction, early.extra) == ("repeated", (ACK, STORE))
    assert words_of(early, STEPS.__getitem__).startswith("acked <id> came again")
    over = compared((*nearest, ACK, STORE, CLOSE), (*nearest, CLOSE))
    [late] = differences_of(over)
    assert short([late]) == short([early])
    # A session that ends there has no such round, nor has one that had it only once before.
    assert short(differences_of(compared((*nearest, ACK, CLOSE), (*nearest, CLOSE)))) == [
        ("extra", (ACK,), (), STORE)
    ]
    once = compared((OPEN, ACK, STORE, ACK), (OPEN, ACK, STORE), is_ended=False)
    assert short(differences_of(once)) == [("extra", (ACK,), (), STORE)]


def test_steps_that_run_beside_each_other_may_come_in_either_order() -> None:
    session = (OPEN, STORE, ACK, RECORD, RETRY, CLOSE)
    usual = {(OPEN, STORE), (STORE, ACK), (ACK, RECORD), (RECORD, RETRY)}
    found = differences_of(compared(session), lambda one, other: (one, other) in usual)
    assert short(found) == [("extra", (RETRY,), (), RECORD)]
    usual.remove((STORE, ACK))
    found = differences_of(compared(session), lambda one, other: (one, other) in usual)
    assert len(found) == 2


def test_a_step_that_normal_sessions_may_lack_is_not_what_differs() -> None:
    session = (OPEN, STORE, RECORD, RETRY, CLOSE)
    usual = {(OPEN, STORE)}
    retried = ("extra", (RETRY,), (), RECORD)
    lacking = ("missing", (), (ACK,), OPEN)
    found = differences_of(compared(session), lambda *pair: pair in usual)
    assert short(found) == [retried]
    # Where training never went on in this way, or nothing else differs, it is reported.
    assert short(differences_of(compared(session), lambda *pair: False)) == [lacking, retried]
    alone = compared((OPEN, STORE, RECORD, CLOSE))
    assert short(differences_of(alone, lambda *pair: pair in usual)) == [lacking]


@pytest.mark.parametrize(
    ("session", "is_usual"),
    [
        ((OPEN, ACK, RETRY, STORE, RECORD, CLOSE), True),
        # Training never had a retry there, or never went on so.
        ((OPEN, RETRY, ACK, STORE, RECORD, CLOSE), False),
        ((OPEN, ACK, STORE, RETRY, RECORD, CLOSE), False),
        # What is missing, or comes again, stands in no place.
        ((OPEN, ACK, RECORD, CLOSE), False),
        ((OPEN, ACK, ACK, STORE, RECORD, CLOSE), False),
    ],
)
def test_extra_steps_may_stand_where_training_had_them(
    session: tuple[int, ...], is_usual: bool
) -> None:
    usual = {*itertools.pairwise(USUAL), (ACK, ACK), (ACK, RECORD), (ACK, RETRY), (RETRY, STORE)}
    shown = compared(session)
    [one] = differences_of(shown)
    assert is_in_usual_order(shown, one, lambda *pair: pair in usual) == is_usual


def test_a_session_that_has_many_differences_is_unlike_as_a_whole() -> None:
    few = compared((OPEN, ACK, RETRY, STORE, RECORD, CLOSE))
    assert is_complete(few, differences_of(few))
    session = [step for _ in range(20) for step in (RETRY, ACK)]
    nearest = [step for _ in range(20) for step in (CLOSE, ACK)]
    many = compared(session, nearest)
    assert not is_complete(many, differences_of(many))
    assert not is_complete(compared(USUAL), [])


def test_differences_are_told_in_sentences() -> None:
    def quoted(key: int) -> str:
        return f"“{STEPS[key]}”"

    sessions = [(OPEN, ACK), (STORE, RECORD, CLOSE), (OPEN, ACK, RETRY, RECORD, CLOSE)]
    found = [differences_of(compared(session))[0] for session in sessions]
    assert [words_of(one, quoted) for one in found] == [
        "The session ends after “acked <id>”; the nearest normal session goes on with “stored <id> "
        "at host north” and then “recorded <id>” and then “closed <id>”.",
        "The session begins with “stored <id> at host north”; the nearest normal session has "
        "“opened <id>” and then “acked <id>” before.",
        "After “acked <id>” came “retried <id>”; the nearest normal session has “stored <id> at "
        "host north” there.",
    ]


# --- new lines ----------------------------------------------------------------------------


def steps_of(lift: Bundle, keys: Sequence[int], text: str) -> list[tuple[int, str]]:
    """A ride whose unknown lines have a text."""
    unknown = lift.hierarchy.unknown
    return [(key, text if key == unknown else lift.templates[key]) for key in keys]


@pytest.mark.parametrize(
    ("line", "is_mended"),
    [
        # One word differs from a step that fits there; the number is none.
        ("gate: close hatch <*>", True),
        # No step is like it, and without it the ride does not close.
        ("fire in the machine room <*>", False),
    ],
)
def test_a_session_is_judged_again_without_its_new_lines(
    lift: Bundle, line: str, is_mended: bool
) -> None:
    keys = [*NORMAL[1][:-1], lift.hierarchy.unknown]
    mending = Mending(lift)
    assert mending.is_mended(steps_of(lift, keys, line), is_ended=True) is is_mended
    # Nothing is mended where nothing is new.
    assert not mending.is_mended(steps_of(lift, NORMAL[1], ""), is_ended=True)


def test_the_news_of_a_new_line_names_its_shape(lift: Bundle) -> None:
    maker = AlertMaker(lift, Config())
    engine = lift.engine(Config())
    events = [event("a", key, place) for place, key in enumerate(NORMAL[1])]
    events[-1] = (T0 + 9 * S, {b"message": b"gate: close hatch 3", b"ride": b"a"})
    found = engine.feed("app", events, T0 + 99 * S) + engine.finish()
    assert MESSAGES[NORMAL[1][-1]] == "gate: close door 3"
    alerts = {finding.kind: maker.make(finding) for finding in found}
    [news] = alerts["unseen_template"].record["deviations"]
    assert news["step"] == "gate: close hatch <*>"
    assert alerts["sequence"].record["deviations"]


def test_a_new_line_in_a_session_is_told_by_its_words() -> None:
    bundle = load_bundle("demo")
    normal = next(session for session in simulate(20, 0) if session.fault is None)
    records = list(stream([normal]))
    time_ns, last = records[-1]
    records.insert(-1, (time_ns, {**last, "message": f"fire in rack 3 below {normal.block}"}))
    events = [(at, {k.encode(): v.encode() for k, v in one.items()}) for at, one in records]
    engine = bundle.engine()
    found = engine.feed("demo", events, time_ns) + engine.finish()
    [verdict] = [finding for finding in found if finding.kind == "sequence"]
    deviations = AlertMaker(bundle, Config()).make(verdict).record["deviations"]
    assert [one["words"] for one in deviations] == [
        "“Storage: fire in rack <*> below <*>” came, which normal sessions never have."
    ]
