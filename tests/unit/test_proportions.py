"""Numbers of an event that grow with one another: what is learnt of them, and what is reported."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable

import pytest
from synthetic import T0, S, deviations, make_limits

from export.fit_witnesses import fit_steps
from export.traces import Trace
from fluent_krone.core.engine import Engine
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.parts import EngineParts, SessionSettings
from fluent_krone.detect.budget import Budget, Plan
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.detect.proportions import GAP, Proportions
from fluent_krone.detect.steps import Steps
from fluent_krone.detect.witnesses import StepWitnesses, witnesses_from_json
from fluent_krone.reading.records import InputSettings
from fluent_krone.types import Finding

ASKED, COPIED, CLOSED = range(3)
TEMPLATES = ["copy of <str> asked for", "copied <num> bytes, checked in <num> ms", "closed"]
TREE = Hierarchy([Leaf(text, "copier", f"step {i}", "none") for i, text in enumerate(TEMPLATES)])
# A copy takes a tenth of a second and then a second for ten megabytes, a check a millisecond for
# each of them; both vary by a fifth or so.
_BYTES_A_SECOND, _BYTES_A_MS = 10_000_000, 1_000_000


def size_of(rng: random.Random) -> int:
    """From a hundred kilobytes to ten gigabytes."""
    return round(10 ** rng.uniform(5, 10))


def copy_s(size: float, rng: random.Random) -> float:
    return (0.1 + size / _BYTES_A_SECOND) * math.exp(rng.gauss(0, 0.15))


def check_ms(size: float, rng: random.Random) -> int:
    return 1 + round(size / _BYTES_A_MS * math.exp(rng.gauss(0, 0.15)))


def trace(size: int, took_s: float, checked_ms: int) -> Trace:
    values = ((b"a.img",), (b"%d" % size, b"%d" % checked_ms), ())
    return Trace((ASKED, COPIED, CLOSED), (round(took_s * S), S // 100), values)


def copies(sessions: int = 600, seed: int = 0) -> list[Trace]:
    rng = random.Random(seed)
    sizes = [size_of(rng) for _ in range(sessions)]
    return [trace(size, copy_s(size, rng), check_ms(size, rng)) for size in sizes]


@pytest.fixture(scope="module")
def witnesses() -> StepWitnesses:
    return fit_steps(copies(), TREE)


def test_what_grows_with_the_size_is_compared_with_it(witnesses: StepWitnesses) -> None:
    found = witnesses.proportions.by_key
    assert found.keys() == {COPIED}
    # Both numbers with each other, and the time before it with one of them.
    [(given, judged), (slot, gap)] = [(one.given, one.judged) for one in found[COPIED]]
    assert (given, judged) == (0, 1)
    assert slot in (0, 1)
    assert gap == GAP


@pytest.mark.parametrize("size", [200_000, 10_000_000, 3_000_000_000])
def test_it_is_the_time_for_that_size_that_counts(witnesses: StepWitnesses, size: int) -> None:
    rng = random.Random(size)
    proportions = witnesses.proportions

    def score(seconds: float) -> float:
        one = trace(size, seconds, check_ms(size, rng))
        return proportions.worst(one.keys, one.gaps_ns, one.values)

    usual_s = copy_s(size, rng)
    assert score(usual_s) < 7 < score(30 * usual_s)
    assert score(30 * usual_s) < score(300 * usual_s)


def test_normal_sessions_score_as_those_that_were_learnt_from(witnesses: StepWitnesses) -> None:
    worst = [witnesses.proportions.worst(s.keys, s.gaps_ns, s.values) for s in copies(600, seed=1)]
    assert sum(score > 9 for score in worst) <= 3


def test_beyond_the_sizes_of_training_the_curve_goes_on(witnesses: StepWitnesses) -> None:
    size = 40_000_000_000
    one = trace(size, size / _BYTES_A_SECOND, size // _BYTES_A_MS)
    assert witnesses.proportions.worst(one.keys, one.gaps_ns, one.values) < 9


def test_far_beyond_the_sizes_of_training_nothing_is_known(witnesses: StepWitnesses) -> None:
    one = trace(10**13, 1.0, 5)
    assert not [*witnesses.proportions.found(ASKED, COPIED, S, one.values[1])]


def rotated(rng: random.Random) -> int:
    """The sizes of log files: most are cut at 64 MB and a line."""
    if rng.random() < 0.6:
        return 67_108_864 + rng.randint(0, 200)
    return round(10 ** rng.uniform(5, 7.8))


def nearly_alike(rng: random.Random) -> int:
    return round(100_000 * rng.uniform(1, 1.01)) if rng.random() < 0.4 else size_of(rng)


def mostly_one(rng: random.Random) -> int:
    return 200_000 if rng.random() < 0.97 else size_of(rng)


@pytest.mark.parametrize("size_like", [rotated, nearly_alike, mostly_one])
def test_sizes_that_are_nearly_alike_bend_no_curve(
    size_like: Callable[[random.Random], int],
) -> None:
    rng = random.Random(11)
    sizes = [size_like(rng) for _ in range(1_500)]
    sessions = [trace(size, copy_s(size, rng), check_ms(size, rng)) for size in sizes]
    proportions = fit_steps(sessions, TREE).proportions
    later = [*(size_like(rng) for _ in range(300)), *(67_108_864 + 30_000 * i for i in range(50))]
    later += [round(size * factor) for size in later[:100] for factor in (1.3, 2)]
    worst = []
    for size in later:
        one = trace(size, copy_s(size, rng), check_ms(size, rng))
        worst.append(proportions.worst(one.keys, one.gaps_ns, one.values))
    assert all(math.isfinite(score) for score in worst)
    assert sum(score > 9 for score in worst) <= 3


def test_two_services_that_take_turns_are_learnt_from() -> None:
    """Every other session has the numbers, so that one half of all has none."""
    sessions = [one for copy in copies(300) for one in (copy, Trace((ASKED, CLOSED), (S,)))]
    assert not fit_steps(sessions, TREE).proportions.by_key


@pytest.mark.parametrize("sessions", [5_002, 10_000, 15_001])
def test_of_many_sessions_some_are_enough(sessions: int) -> None:
    found = fit_steps(copies(sessions), TREE).proportions.by_key[COPIED]
    assert len(found) == 2
    assert all(2_400 <= one.range.count <= 5_100 for one in found)


def test_starts_that_take_turns_are_learnt_from() -> None:
    """Each start has the sessions of one half only, so that the other one cannot prove its gaps."""
    turns = [
        Trace((n % 2 * CLOSED, *s.keys[1:]), s.gaps_ns, s.values) for n, s in enumerate(copies())
    ]
    [pair] = fit_steps(turns, TREE).proportions.by_key[COPIED]
    assert (pair.given, pair.judged) == (0, 1)


def test_a_time_that_is_written_before_the_size_is_judged_by_it() -> None:
    rng = random.Random(13)
    sessions = []
    for _ in range(1_000):
        size = round(10 ** rng.uniform(3, 8))
        took_ms = max(1, round((60 + size / 100_000) * math.exp(rng.gauss(0, 0.1))))
        sessions.append(trace(took_ms, rng.uniform(0.1, 3), size))
    [pair] = fit_steps(sessions, TREE).proportions.by_key[COPIED]
    assert (pair.given, pair.judged) == (1, 0)


def test_values_that_only_one_half_of_the_sessions_has() -> None:
    sessions = copies(300)
    for at in range(0, 300, 2):
        one = sessions[at]
        sessions[at] = Trace(one.keys, one.gaps_ns, (one.values[0], one.values[1][:1], ()))
    found = fit_steps(sessions, TREE).proportions.by_key.get(COPIED, ())
    assert all(1 not in (one.given, one.judged) for one in found)


def test_a_step_with_many_numbers_is_judged_by_few_of_them() -> None:
    rng = random.Random(12)
    tree = Hierarchy([Leaf(" ".join(["<num>"] * 20), "copier", "sums", "none")])
    sessions = []
    for _ in range(300):
        base = 10 ** rng.uniform(2, 6)
        numbers = [b"%d" % round(base * math.exp(rng.gauss(0, 0.1))) for _ in range(20)]
        sessions.append(Trace((0,), (), (tuple(numbers),)))
    found = fit_steps(sessions, tree).proportions.by_key[0]
    assert len(found) == 4
    assert len({frozenset((one.given, one.judged)) for one in found}) == 4


def unrelated(rng: random.Random, number: int) -> tuple[float, int]:
    return 10 ** rng.uniform(-1, 3), round(10 ** rng.uniform(0, 4))


def drifting(rng: random.Random, number: int) -> tuple[float, int]:
    # Machines become a hundred times faster meanwhile.
    size = 10 ** rng.uniform(5, 10)
    return copy_s(size, rng) * 100 ** (-number / 600), 1 + round(size)


def alike(rng: random.Random, number: int) -> tuple[float, int]:
    return rng.uniform(1.0, 1.5), rng.randint(100, 150)


@pytest.mark.parametrize("made", [unrelated, drifting, alike])
def test_numbers_that_say_nothing_of_each_other_are_not_compared(
    made: Callable[[random.Random, int], tuple[float, int]],
) -> None:
    rng = random.Random(3)
    sessions = []
    for number in range(600):
        seconds, value = made(rng, number)
        values = ((b"a.img",), (b"%d" % value, b"7"), ())
        sessions.append(Trace((ASKED, COPIED, CLOSED), (round(seconds * S), S // 100), values))
    assert not fit_steps(sessions, TREE).proportions.by_key


@pytest.mark.parametrize("sessions", [0, 1, 60])
def test_few_sessions_prove_nothing(sessions: int) -> None:
    assert not fit_steps(copies(sessions), TREE).proportions.by_key


def test_sessions_without_times_or_values_have_none() -> None:
    bare = [Trace(one.keys) for one in copies()]
    assert not fit_steps(bare, TREE).proportions.by_key
    without_times = [Trace(one.keys, (), one.values) for one in copies()]
    [pair] = fit_steps(without_times, TREE).proportions.by_key[COPIED]
    assert {pair.given, pair.judged} == {0, 1}


def test_a_bundle_keeps_them(witnesses: StepWitnesses) -> None:
    kept = json.loads(json.dumps(witnesses.to_json()))
    read = witnesses_from_json(kept, TREE).proportions
    for one in copies(50, seed=2):
        assert read.worst(one.keys, one.gaps_ns, one.values) == pytest.approx(
            witnesses.proportions.worst(one.keys, one.gaps_ns, one.values), abs=0.01
        )
    # A bundle of an earlier version has none.
    del kept["proportions"]
    assert not witnesses_from_json(kept, TREE).proportions.by_key


# --- in the engine --------------------------------------------------------------------------------


def engine(witnesses: StepWitnesses, *, change_settle: float = 0.0) -> Engine:
    scores = {"proportion": 9.0, "time": 12.0, "values": 4.0, "values.range": 12.0}
    budget = Budget(999, dict.fromkeys(scores, (1.0,)), (Plan(1.0, {"density": 9.0, **scores}),))
    patterns = {"status": [(i,) for i in range(3)], "action": [(0, 1, 2)], "entity": [(0,)]}
    parts = EngineParts(
        templates=TEMPLATES,
        seen=[True] * len(TEMPLATES),
        hierarchy=TREE,
        patterns=LocalContext(patterns),
        steps=Steps(TREE, witnesses, budget, budget.thresholds(1.0)),
        input_settings=InputSettings(session_key=("id",)),
        session_settings=SessionSettings(idle_timeout=2_000.0),
    )
    return Engine(parts, make_limits(change_settle=change_settle))


def copied(
    served: Engine, size: int, took_s: float, checked_ms: int, fraction_ns: int = 1_000_000
) -> list[Finding]:
    """The deviations of one copy; the stream has times of this fraction of a second."""
    messages = [
        b"copy of a.img asked for",
        b"copied %d bytes, checked in %d ms" % (size, checked_ms),
        b"closed",
    ]
    times = [T0 + fraction_ns, T0 + fraction_ns + round(took_s * S)]
    times.append(times[1] + S // 100)
    events = [
        (time, {b"message": message, b"id": b"one"})
        for time, message in zip(times, messages, strict=True)
    ]
    return deviations(served.feed("app", iter(events), times[-1]))


def test_a_usual_copy_of_any_size_is_none(witnesses: StepWitnesses) -> None:
    rng = random.Random(5)
    for _ in range(40):
        size = size_of(rng)
        assert not copied(engine(witnesses), size, copy_s(size, rng), check_ms(size, rng))


def test_a_copy_that_is_slow_for_its_size_is_told(witnesses: StepWitnesses) -> None:
    [finding] = copied(engine(witnesses), 20_000_000, 200.0, 20)
    [odd] = finding.deviations
    assert (odd.witness, odd.direction, odd.event, odd.log_key) == ("time", "slow", 1, COPIED)
    assert odd.score > odd.threshold
    assert odd.words.startswith(
        "“copied <num> bytes, checked in <num> ms” came 200 s after “copy of <str> asked for”. "
        "With the number "
    )
    assert "in its message, it takes between " in odd.words
    assert odd.words.endswith("in nearly all of 600 normal cases.")
    assert odd.named == (1, 0)
    # A mark on it does not hold for a step that is slow whatever the size.
    assert odd.detail == "beside 0"
    assert odd.beyond == 0


def test_a_gap_that_nobody_knows_fits_the_values(witnesses: StepWitnesses) -> None:
    odd = engine(witnesses).single.odd
    text = b"copied 20000000 bytes, checked in 20 ms"
    gap_ns = odd.usual_gap((ASKED, COPIED), 200 * S, text)
    assert 2 * S < gap_ns < 10 * S
    assert not odd.is_disproportionate((ASKED, COPIED), gap_ns, text)
    assert odd.usual_gap((ASKED, COPIED), 200 * S, b"") == 200 * S


def test_a_size_that_was_not_copied_in_that_time_is_told(witnesses: StepWitnesses) -> None:
    [finding] = copied(engine(witnesses), 9_000_000_000, 1.0, 9_000)
    [odd] = finding.deviations
    assert (odd.witness, odd.direction) == ("time", "fast")
    assert "came only 1 s after" in odd.words


def test_a_value_that_does_not_go_with_another_one_is_told(witnesses: StepWitnesses) -> None:
    size = 2_000_000_000
    [finding] = copied(engine(witnesses), size, size / _BYTES_A_SECOND, 6)
    [odd] = finding.deviations
    assert odd.event == 1
    assert odd.direction in ("out_of_proportion", "slow")
    # Which of both numbers is wrong nobody can tell: one of the two deviations is told.
    assert "normal cases" in odd.words


def test_only_values_are_compared_where_there_are_no_times() -> None:
    without_times = [Trace(one.keys, (), one.values) for one in copies()]
    served = engine(fit_steps(without_times, TREE))
    [finding] = copied(served, 2_000_000_000, 1.0, 6)
    [odd] = finding.deviations
    assert (odd.witness, odd.direction) == ("values", "out_of_proportion")
    assert odd.words.startswith("Unusual value “")
    assert "in the same message, this one lies between " in odd.words


def test_whole_seconds_say_nothing_of_a_copy_of_a_moment(witnesses: StepWitnesses) -> None:
    # Training had milliseconds; of an output that cuts them off, nobody knows the time to a second.
    served = engine(witnesses)
    assert not copied(served, 200_000, 1.0, 1, fraction_ns=0)
    assert copied(engine(witnesses), 200_000, 30.0, 1, fraction_ns=0)


def test_a_bundle_without_a_threshold_compares_nothing(witnesses: StepWitnesses) -> None:
    budget = Budget(999, {}, (Plan(1.0, {"density": 9.0}),))
    judge = Steps(TREE, witnesses, budget, budget.thresholds(1.0))
    assert not judge.compared
    values = (b"20000000", b"20")
    assert judge.proportion((ASKED, COPIED), 200 * S, values) is None


def test_of_values_that_are_no_numbers_nothing_is_said(witnesses: StepWitnesses) -> None:
    proportions: Proportions = witnesses.proportions
    assert not [*proportions.found(ASKED, COPIED, S, (b"many", b"20"))]
    assert not [*proportions.found(ASKED, COPIED, S, ())]


# Of the first ones nobody knows yet that the step is new to all.
@pytest.mark.parametrize("slow_one", [2, 50])
def test_a_copy_behind_a_step_that_a_deploy_brought_is_judged_as_well(
    witnesses: StepWitnesses, slow_one: int
) -> None:
    served = engine(witnesses, change_settle=600.0)
    rng = random.Random(6)
    findings: list[Finding] = []
    start = T0
    for number in range(60):
        size = 20_000_000
        took_s = 30.0 if number == slow_one else copy_s(size, rng)
        text = [
            b"copy of a.img asked for",
            b"cache warmed up",
            b"copied %d bytes, checked in %d ms" % (size, check_ms(size, rng)),
            b"closed",
        ]
        at_s = (0.001, 0.002, 0.002 + took_s, 0.012 + took_s)
        for message, second in zip(text, at_s, strict=True):
            time = start + round(second * S)
            event = (time, {b"message": message, b"id": b"copy %d" % number})
            findings += served.feed("app", iter([event]), time)
        start += 40 * S
    findings += served.finish()
    assert any(finding.kind == "change" for finding in findings)
    [slow] = deviations(findings)
    assert slow.session == (b"copy %d" % slow_one,)
    assert [odd.direction for odd in slow.deviations] == ["slow"]
