"""Where an abnormal session is said to be odd, witness by witness; the density is a fitted one, as
`export` makes it.

A courier's round: a van is loaded, drives to doors, comes home. A status Seq is a run of one
action: a trip, a ring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import patterns_of

from export.to_onnx import fit_onnx, nested_files
from fluent_krone.core.cascade import COUNTS, Cascade, Clearing
from fluent_krone.core.failures import severity
from fluent_krone.core.hierarchy import Hierarchy, Leaf, runs
from fluent_krone.core.localise import heaviest, localise
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.detect.nested_aware import NestedAware
from fluent_krone.detect.order import Order, count_order
from fluent_krone.types import Verdict

Keys = tuple[int, ...]

TREE = Hierarchy(
    [
        Leaf("depot: van loaded", "depot", "load", "done"),
        Leaf("van: off to <*>", "van", "trip", "begun"),
        Leaf("van: arrived at <*>", "van", "trip", "over"),
        Leaf("gate: toll of <num> paid", "gate", "toll", "paid"),
        Leaf("door: rang", "door", "ring", "done"),
        Leaf("door: left a note", "door", "leave note", "done"),
        Leaf("door: parcel handed over", "door", "hand over", "done"),
        # no normal round has these
        Leaf("radio: channel <num> on", "radio", "play", "on"),
        Leaf("cab: window opened", "cab", "open window", "done"),
        Leaf("scale: reading failed", "scale", "read", "failed"),
        Leaf("scanner: kernel panic at <num>", "scanner", "run", "crashed"),
    ]
)
LOAD, DRIVE, ARRIVE, TOLL, RING, NOTE, HANDED, RADIO, WINDOW, FAILED, PANIC = range(
    len(TREE.rows) - 1
)
TRIP, SERVED, NOTED = (DRIVE, ARRIVE), (RING, RING, HANDED), (RING, NOTE)


def doors(*visits: Keys) -> Keys:
    """A round to some doors and home."""
    return (LOAD, *(key for visit in visits for key in (*TRIP, *visit)), *TRIP)


NORMAL: tuple[Keys, ...] = (doors(SERVED), doors(NOTED), (LOAD, DRIVE, TOLL, *TRIP, *SERVED, *TRIP))


@cache
def rounds(
    normal: tuple[Keys, ...] = NORMAL, *, nested: bool = True, flags: bool = True
) -> Cascade:
    """Judges rounds after twenty of each `normal` one; an unseen pattern and new counts are each
    enough.

    `flags`: whether the density, too, finds everything abnormal; if not, it finds nothing so.
    """
    patterns = LocalContext(patterns_of(TREE, normal))
    if not nested:
        return Cascade(TREE, patterns)
    model, content = fit_onnx(normal * 20, TREE)
    detector = NestedAware(TREE, nested_files(model, content, 0.0 if flags else math.inf))
    return Cascade(
        TREE,
        patterns,
        detector,
        Clearing(patterns_clear=False, nested_clears=False, counts_flag=True),
    )


def judge(keys: Sequence[int], cascade: Cascade | None = None) -> Verdict:
    cascade = cascade or rounds()
    verdict = cascade.at_end(cascade.tracker.replay(keys), keys)
    assert verdict is not None
    return verdict


def place(verdict: Verdict) -> tuple[int, int, int]:
    """The Seq named, `[start, end)`, and the event in it."""
    assert verdict.seq.level == "status"
    return verdict.seq.start, verdict.seq.end, verdict.event


def are_known(keys: Keys, normal: tuple[Keys, ...] = NORMAL) -> bool:
    """Whether patterns have nothing to say: every Seq has one of training's."""
    return all(map(LocalContext(patterns_of(TREE, normal)).is_normal, TREE.decompose(keys)))


@pytest.mark.parametrize("keys", NORMAL)
def test_normal_rounds_are_normal(keys: Keys) -> None:
    cascade = rounds(flags=False)
    assert cascade.at_end(cascade.tracker.replay(keys), keys) is None


# -- counts: what there is too much of


@pytest.mark.parametrize("flags", [True, False])
def test_a_step_too_many_is_named_rather_than_one_that_is_missing(flags: bool) -> None:
    """Where the density finds the session normal, too: nothing else has anything to say."""
    keys = (LOAD, *TRIP, RING, RING, NOTE, DRIVE)  # a note after the second ring, and never home
    assert are_known(keys)
    assert place(judge(keys, rounds(flags=flags))) == (3, 5, 4)


def test_what_is_too_much_is_shared_by_the_events_that_have_no_counterpart() -> None:
    """In squares of an unseen step's weight: twice is log2(3)² = 2.51, or 1.26 each; one with an
    error word 2.
    """
    scattered = (LOAD, RADIO, *TRIP, RADIO, *SERVED, FAILED, *TRIP)
    assert place(judge(scattered)) == (8, 9, 8)
    together = (LOAD, RADIO, RADIO, *TRIP, *SERVED, FAILED, *TRIP)
    assert place(judge(together)) == (
        1,
        3,
        1,
    )  # the Seq that holds most, not the one of the highest event


# -- words


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ((RADIO, FAILED), FAILED),
        ((FAILED, RADIO), FAILED),
        ((RADIO, PANIC), PANIC),
        ((FAILED, PANIC), PANIC),
        ((PANIC, FAILED), PANIC),
        ((RADIO, WINDOW), RADIO),  # equally odd and equally harmless: the first
        ((WINDOW, RADIO), WINDOW),
    ],
)
def test_of_equally_odd_steps_the_one_that_speaks_of_failure_is_named(
    steps: tuple[int, int], named: int
) -> None:
    keys = (LOAD, steps[0], *TRIP, *SERVED, steps[1], *TRIP)
    event = keys.index(named)
    assert place(judge(keys)) == (event, event + 1, event)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kernel panic at <num>", 2),
        ("FATAL: disk corrupted", 2),
        ("an error, then a crash", 2),
        ("read failed", 1),
        ("connection timed out", 1),
        ("timeout after <num> ms", 1),
        ("WARNING: access denied", 1),
        ("uncorrupted terror of baddies", 0),  # words, not parts of words
        ("parcel handed over", 0),
        ("", 0),
    ],
)
def test_severity_is_told_by_words(text: str, expected: int) -> None:
    assert severity(text) == expected


# -- patterns: where an unseen Seq leaves the nearest seen one

TOLLED = (
    (LOAD, DRIVE, TOLL, *TRIP, *SERVED, *TRIP),
    (LOAD, *TRIP, *NOTED, DRIVE, TOLL, *TRIP),
    (LOAD, DRIVE, TOLL, TOLL, *TRIP),
)
WRONG_THEN_TWICE = (LOAD, *TRIP, NOTE, RING, DRIVE, TOLL, TOLL, *TRIP)
TWICE_THEN_WRONG = (LOAD, DRIVE, TOLL, TOLL, *TRIP, HANDED, RING, RING, *TRIP)


@pytest.mark.parametrize(
    ("keys", "flags", "expected"),
    [
        (WRONG_THEN_TWICE, True, (3, 4, 3)),
        (TWICE_THEN_WRONG, True, (2, 4, 3)),
        (TWICE_THEN_WRONG, False, (6, 7, 6)),  # the density finds it normal: counts know little
    ],
)
def test_broken_order_weighs_as_much_as_a_step_too_many(
    keys: Keys, flags: bool, expected: tuple[int, int, int]
) -> None:
    """Of the two, equally heavy, the first is named. Of two tolls the odd one is the second."""
    assert place(judge(keys, rounds(TOLLED, flags=flags))) == expected


def test_a_step_that_training_never_had_is_witness_enough() -> None:
    """Four trips in one are an unseen pattern and a surplus, which together would outweigh the
    radio.
    """
    keys = (LOAD, *TRIP * 4, *SERVED, *TRIP, RADIO)
    assert place(judge(keys)) == (14, 15, 14)
    assert place(judge(keys[:-1])) == (1, 9, 3)  # where (off, arrived) ends and the pattern goes on


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            (LOAD, *TRIP, HANDED, RING, RING, ARRIVE, DRIVE),
            (6, 8, 6),
        ),  # statuses before actions, though later
        (
            (LOAD, DRIVE, DRIVE, ARRIVE, *SERVED, ARRIVE, DRIVE, DRIVE),
            (7, 10, 7),
        ),  # of two the farther off
        (
            (LOAD, *TRIP, HANDED, RING, RING, *TRIP),
            (3, 4, 3),
        ),  # actions in an order that no door had
        (
            (LOAD, *TRIP, RING, RING, NOTE, HANDED, *TRIP),
            (6, 7, 6),
        ),  # two rings are one node of an action Seq …
        (
            (LOAD, DRIVE, DRIVE, ARRIVE, *SERVED, *TRIP),
            (1, 4, 2),
        ),  # … but two nodes of a status Seq
        ((LOAD, *TRIP, *SERVED), (5, 6, 5)),  # the entity Seq falls short: its last event
        ((LOAD, *SERVED, *TRIP), (1, 3, 1)),  # no van before the door
    ],
)
def test_an_unseen_seq_is_odd_where_it_leaves_the_nearest_pattern(
    keys: Keys, expected: tuple[int, int, int]
) -> None:
    assert place(judge(keys, rounds(nested=False))) == expected


def test_where_counts_are_not_heard_patterns_tell_of_a_step_that_training_never_had() -> None:
    keys = (LOAD, RADIO, *TRIP, RING, HANDED, *TRIP)  # a ring is missing, too
    assert place(judge(keys, rounds(flags=False))) == (1, 2, 1)


# -- the gap: nothing too much, every pattern known

NOBODY_HOME = (*NORMAL, (LOAD, *TRIP, RING, RING))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            (LOAD, *TRIP, RING, HANDED, *TRIP),
            (4, 5, 4),
        ),  # before the parcel is handed over, a ring is missing
        ((LOAD, *TRIP, RING, HANDED, DRIVE), (5, 6, 5)),  # but no normal round ends on its way
        (
            (LOAD, *TRIP, RING),
            (3, 4, 3),
        ),  # a round may end so, with a ring more: what is missing comes after all
    ],
)
def test_a_missing_step_is_named_where_it_belongs(
    keys: Keys, expected: tuple[int, int, int]
) -> None:
    assert are_known(keys, NOBODY_HOME)
    assert place(judge(keys, rounds(NOBODY_HOME, flags=False))) == expected


def test_a_missing_step_is_not_sought_where_the_order_alone_differs() -> None:
    """Wrong before: the first place where the two differ was named, though nothing was missing."""
    normal = (LOAD, TOLL, *TRIP, RING, RING, HANDED, *TRIP)
    keys = (LOAD, DRIVE, TOLL, ARRIVE, RING, HANDED, *TRIP)
    cascade = rounds((normal,))
    patterns = LocalContext(patterns_of(TREE, (normal,)))
    found = localise(keys, [], TREE, patterns, cascade.nested)
    assert found.event in (keys.index(RING), keys.index(HANDED))


def test_the_first_of_two_gaps_is_named() -> None:
    normal = (*NORMAL, doors(SERVED, SERVED))
    keys = doors(
        (RING, HANDED), (RING, HANDED)
    )  # of two rings at a door, either may be the missing one
    assert are_known(keys, normal)
    assert place(judge(keys, rounds(normal, flags=False))) in [(3, 4, 3), (4, 5, 4)]


@pytest.mark.parametrize("visit", range(10))
def test_a_gap_is_named_where_it_is_in_a_session_that_repeats_itself(visit: int) -> None:
    keys = doors(*[SERVED] * visit, (RING, HANDED), *[SERVED] * (9 - visit))
    verdict = judge(keys, rounds((doors(NOTED), doors(*[SERVED] * 10))))
    at = len(
        doors(*[SERVED] * visit)
    )  # where the next door's ring is: home is as far from here as any door
    assert verdict.event in (at, at + 1)


@pytest.mark.parametrize(("visits", "expected"), [(50, (199, 200, 199)), (70, (350, 352, 351))])
def test_beyond_three_hundred_events_a_gap_is_not_looked_for(
    visits: int, expected: tuple[int, int, int]
) -> None:
    """The 40th door is rung only once, before event 1 + 39·5 + 3; of 70 doors, event 351 is the
    last.
    """
    normal = (doors(NOTED), doors(*[SERVED] * visits))
    keys = doors(*[SERVED] * 39, (RING, HANDED), *[SERVED] * (visits - 40))
    assert are_known(keys, normal)
    assert place(judge(keys, rounds(normal))) == expected


def test_beyond_three_hundred_events_counts_are_heard_all_the_same() -> None:
    """Patterns alone would name the trip run backwards, two nodes from any; the failed reading is
    one from any.
    """
    long = doors(*[SERVED] * 70)
    keys = (LOAD, ARRIVE, DRIVE, *long[3:251], FAILED, *long[251:])
    assert place(judge(keys, rounds((long,)))) == (251, 252, 251)


# -- the normal session that it is set beside


def test_of_normal_sessions_about_as_near_the_one_that_runs_most_alike_counts() -> None:
    """By counts alone the first is nearer: the second has a ring more."""
    other, alike = doors(NOTED, SERVED), doors((RING, *SERVED), NOTED)
    verdict = judge((*doors(SERVED, NOTED), RADIO), rounds((other, alike)))
    assert verdict.evidence.nearest_keys == alike
    assert (verdict.evidence.extra, verdict.evidence.missing) == (
        {"radio: channel <num> on": 1},
        {"door: rang": 1},
    )


def test_a_step_that_only_one_of_both_has_counts_more_than_the_order() -> None:
    """Wrong before: a normal session with a toll was the nearest one, since the branches of the
    other one ran in another order, and the toll was called missing.
    """
    other, alike = (LOAD, TOLL, *TRIP, *SERVED), (LOAD, *SERVED, *TRIP)
    verdict = judge((LOAD, *TRIP, *SERVED, RADIO), rounds((other, alike)))
    assert verdict.evidence.nearest_keys == alike
    assert verdict.evidence.missing == {}


def test_a_session_cut_short_points_to_its_end() -> None:
    """It begins the long round, which lacks the most; beside a short one, the second parcel would
    be too much.
    """
    long = doors(*[SERVED] * 8)
    normal = (*NORMAL, doors(NOTED, SERVED), long)
    keys = long[:12]
    assert are_known(keys, normal)
    verdict = judge(keys, rounds(normal))
    assert place(verdict) == (11, 12, 11)
    assert verdict.evidence.nearest_keys == long
    assert verdict.evidence.repeated == {}


def test_what_is_as_like_a_whole_session_as_a_longer_ones_beginning_is_not_cut_short() -> None:
    """Seven of eight steps are those of the whole round, and of the other's first eight."""
    whole = doors(SERVED)
    keys = (LOAD, *TRIP, RING, RING, NOTE, *TRIP)
    assert judge(keys, rounds((whole, doors(SERVED, SERVED)))).evidence.nearest_keys == whole


def test_what_is_unlike_the_beginning_of_a_longer_session_is_not_cut_short() -> None:
    """Eight of twelve steps begin the long round: 67 %. The short one has six of them, 12 of 7 + 12
    steps: 63 %.
    """
    short, long = doors(NOTED), doors(*[SERVED] * 8)
    keys = (*doors(SERVED), RADIO, RADIO, RADIO, RADIO)
    assert judge(keys, rounds((short, long))).evidence.nearest_keys == short


# -- evidence


def test_evidence_is_against_the_nearest_normal_session() -> None:
    evidence = judge((LOAD, *TRIP, RING, RING, RING, RADIO, *TRIP)).evidence
    assert evidence.nearest_keys == doors(SERVED)
    assert evidence.nearest == tuple(TREE.rows[key].template for key in doors(SERVED))
    assert evidence.extra == {"radio: channel <num> on": 1}
    assert evidence.missing == {"door: parcel handed over": 1}
    assert evidence.repeated == {"door: rang": 1}
    assert evidence.unseen == ("radio: channel <num> on",)


def test_where_only_counts_are_new_the_score_is_how_many_steps_differ() -> None:
    verdict = judge((LOAD, *TRIP, RING, RING, NOTE, DRIVE), rounds(flags=False))
    assert (verdict.detector, verdict.score) == (COUNTS, 2.0)  # a ring more, an arrival less


def test_of_a_session_under_way_nothing_is_called_missing() -> None:
    keys = (LOAD, *TRIP, RADIO, DRIVE)
    cascade = rounds()
    state = cascade.tracker.replay(keys)
    assert state.decided
    verdict = cascade.early(state, keys)
    assert place(verdict) == (3, 4, 3)
    assert verdict.evidence.missing == {}
    assert verdict.evidence.extra == {"radio: channel <num> on": 1}
    assert cascade.at_end(state, keys) == judge(keys)
    assert judge(keys).evidence.missing["van: arrived at <*>"] == 1


def test_a_session_under_way_is_compared_with_beginnings() -> None:
    longer = doors(*[SERVED] * 4)
    cascade = rounds((doors(SERVED), longer))
    keys = (*longer[:11], RADIO, DRIVE)  # two doors in, and a step of no round
    verdict = cascade.early(cascade.tracker.replay(keys), keys)
    assert verdict.evidence.nearest_keys == longer
    assert (dict(verdict.evidence.repeated), sum(verdict.evidence.extra.values())) == ({}, 1)


def test_an_error_that_hardly_any_normal_session_has_outweighs_a_step_too_many() -> None:
    failed = (LOAD, *TRIP, FAILED, *SERVED, *TRIP)
    normal = (*NORMAL, failed)
    cascade = rounds(normal)
    keys = (LOAD, *TRIP, FAILED, *TRIP, RING, RING, RING, HANDED, *TRIP)
    patterns = LocalContext(patterns_of(TREE, normal))

    def odd_event(failures: int) -> int:
        sessions = [*NORMAL * 200, *[failed] * failures]
        counts = Order(TREE, count_order(sessions, TREE))
        return localise(keys, [], TREE, patterns, cascade.nested, steps=counts).event

    assert odd_event(1) == keys.index(FAILED)
    assert odd_event(200) != keys.index(FAILED)


def test_what_comes_more_often_than_in_any_session_outweighs_what_only_the_nearest_one_lacks() -> (
    None
):
    """Wrong before: a backup that lost its connection twelve times was said to begin oddly, as
    “normally” a weekly one does. Most begin as it did, but those with the most losses were weekly.
    """
    tolls = (DRIVE, TOLL, DRIVE, TOLL)
    daily = tuple((LOAD, RADIO, *tolls[:some], *TRIP, *SERVED) for some in (0, 2))
    weekly = (LOAD, WINDOW, *tolls, DRIVE, TOLL, *TRIP, *SERVED)
    cascade = rounds((*daily * 5, weekly))
    keys = (LOAD, RADIO, *tolls * 2, DRIVE, TOLL)
    verdict = cascade.early(cascade.tracker.replay(keys), keys)
    assert verdict.evidence.nearest_keys == weekly
    assert keys[verdict.event] == TOLL


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(TREE.rows) - 1), st.sampled_from([0, 1, 1 / 3, 0.1, 7e-7, 90.0])
        )
    ),
    # Long sessions are summed up in another way.
    st.sampled_from([1, 1, 90]),
)
def test_the_heaviest_seq_is_the_first_with_the_largest_sum(
    events: list[tuple[int, float]], times: int
) -> None:
    events = [*events, (0, 0.0)] * times
    keys = [key for key, _ in events]
    scores = [score for _, score in events]
    spans = runs([TREE.action_of[key] for key in keys])
    sums = [round(sum(scores[start:end]), 6) for start, end in spans]
    found = heaviest(scores, keys, TREE)
    expected = spans[sums.index(max(sums))] if any(scores) else (0, len(keys))
    assert (found.start, found.end) == expected
