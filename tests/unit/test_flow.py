"""Flow: bursts of a step, silences, and when nothing is to be said."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from synthetic import (
    CLOSE,
    OPEN,
    ROWS,
    STUCK,
    T0,
    S,
    event,
    flow_nodes,
    lift_engine,
    ride,
    steady_training,
    step_judge,
    tree,
    write_lift_bundle,
)

from export.rates import FEWEST_WINDOWS, measure_rates
from export.sequences import TrainingSession
from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.core.engine import Engine
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.stream.flow import FlowWatch
from fluent_krone.core.stream.flow_findings import WINDOW_NS
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.detect.rates import Rates, in_tree, rates_from_json, rates_to_json
from fluent_krone.types import Finding

MINUTE = 60
# Seconds after T0 at which the first whole window begins.
WHOLE = (WINDOW_NS - T0 % WINDOW_NS) // S


def rides(minutes: range, each: int, prefix: str = "ride") -> list[tuple[int | None, Any]]:
    """So many rides begin in each of some minutes, counted from the first whole window."""
    return [
        event(f"{prefix}{minute}-{number}", OPEN, WHOLE + minute * MINUTE + number)
        for minute in minutes
        for number in range(each)
    ]


def engine(**settings: Any) -> Engine:
    return lift_engine(flow_nodes=flow_nodes(), **settings)


def flows(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == "flow"]


def said(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.deviations[0].direction, f.deviations[0].detail) for f in flows(findings)]


@pytest.mark.parametrize("minutes", [20, 100])
def test_neither_a_usual_stream_nor_its_end_is_reported(minutes: int) -> None:
    served = engine()
    assert not said(served.feed("app", rides(range(minutes), 2), T0) + served.finish())


def test_a_burst_is_reported_once() -> None:
    served = engine()
    served.feed("app", rides(range(20), 2), T0)
    found = served.feed("app", rides(range(20, 26), 40, "more"), T0)
    found += served.feed("app", rides(range(26, 90), 2, "then"), T0 + 100 * WINDOW_NS)
    [burst] = flows(found)
    assert burst.deviations[0].direction == "burst"
    assert burst.flow is not None
    assert (burst.flow.observed, burst.flow.usual) == (40, 2.0)
    assert burst.last_ns - burst.first_ns == WINDOW_NS
    assert burst.told_ns == burst.last_ns


def test_a_silence_of_the_stream_is_reported_while_no_record_comes() -> None:
    served = engine()
    now_ns = T0 + 20 * WINDOW_NS
    served.feed("app", rides(range(20), 2), now_ns)
    assert not said(served.advance(now_ns + 2 * WINDOW_NS))
    found = served.advance(now_ns + 8 * WINDOW_NS)
    assert said(found) == [("silence", "stream")]
    [silence] = flows(found)
    assert silence.deviations[0].words.startswith("No execution has started for 4 minutes.")
    assert silence.tag == b"app"
    assert not said(served.advance(now_ns + 60 * WINDOW_NS))


def test_a_second_silence_is_reported_again() -> None:
    served = engine()
    stream = rides(range(10), 2) + rides(range(30, 45), 2) + rides(range(70, 80), 2)
    now_ns = T0 + 100 * WINDOW_NS
    assert said(served.feed("app", stream, now_ns)) == [("silence", "stream")] * 2


def test_a_night_is_one_silence() -> None:
    night = rides(range(15, 115, 5), 1, "night")
    stream = rides(range(10), 2) + night + rides(range(115, 130), 2, "day")
    assert said(engine().feed("app", stream, T0 + 200 * WINDOW_NS)) == [("silence", "stream")]
    # The day has come back, so what is silent then is something else.
    stream += rides(range(150, 160), 2, "later")
    assert said(engine().feed("app", stream, T0 + 200 * WINDOW_NS)) == [("silence", "stream")] * 2


def test_a_stream_that_stays_low_is_missed_when_it_stops() -> None:
    stream = rides(range(10), 2)
    # One ride in three minutes, instead of six, and twice none for an hour.
    for day in (20, 200, 380):
        stream += rides(range(day, day + 120, 3), 1, "low")
    found = engine().feed("app", stream, T0 + 600 * WINDOW_NS)
    assert said(found) == [("silence", "stream")] * 3


def test_a_silence_soon_after_another_one_is_reported() -> None:
    stream = rides(range(10), 2) + rides(range(20, 22), 2, "back") + rides(range(60, 70), 2, "then")
    found = engine().feed("app", stream, T0 + 200 * WINDOW_NS)
    assert said(found) == [("silence", "stream")] * 2


@pytest.mark.parametrize(("minutes", "expected"), [(10, []), (40, [("silence", "status")])])
def test_a_step_is_missed_at_night_by_as_many_executions_as_there_are(
    minutes: int, expected: list[tuple[str, str]]
) -> None:
    stream = rides(range(10), 2) + rides(range(20, 80, 2), 1, "night")
    # Still a quarter of the usual number of executions, and none begins with the usual step.
    stream += [
        event(f"odd{minute}", CLOSE, WHOLE + minute * MINUTE)
        for minute in range(80, 80 + minutes, 2)
    ]
    found = engine().feed("app", stream, T0 + 200 * WINDOW_NS)
    assert said(found) == [("silence", "stream"), *expected]


def test_a_step_is_not_missed_for_the_time_in_which_no_execution_started() -> None:
    # The first execution after a silence comes to the usual step after some minutes.
    stream = rides(range(10), 2)
    stream += [event(f"odd{n}", CLOSE, WHOLE + 40 * MINUTE + n) for n in range(6)]
    stream += rides(range(42, 50), 2, "then")
    assert said(engine().feed("app", stream, T0 + 200 * WINDOW_NS)) == [("silence", "stream")]


def test_a_session_that_goes_on_after_its_end_does_not_interrupt_a_silence() -> None:
    served = lift_engine(flow_nodes=flow_nodes(), steps=step_judge())
    stream = rides(range(10), 2)
    # The first ride comes back after its idle timeout, with a step that no ride begins with.
    late = event("ride0-0", CLOSE, WHOLE + 13 * MINUTE)
    found = served.feed("app", [*stream, late, *rides(range(16, 18), 2, "next")], T0)
    assert said(found) == [("silence", "stream")]
    begun = event("new", OPEN, WHOLE + 13 * MINUTE)
    served = lift_engine(flow_nodes=flow_nodes(), steps=step_judge())
    found = served.feed("app", [*stream, begun, *rides(range(16, 18), 2, "next")], T0)
    assert not said(found)


def test_a_stream_that_never_begins_is_a_silence() -> None:
    served = engine()
    assert not served.advance(T0)
    assert not served.advance(T0 + 3 * WINDOW_NS)
    assert said(served.advance(T0 + 20 * WINDOW_NS)) == [("silence", "stream")]
    # The first record may be older than the clock: windows are counted by its time.
    assert said(served.feed("app", rides(range(30), 40), T0 + 20 * WINDOW_NS)) == [
        ("burst", "stream")
    ]


def rare_steps(minutes: list[float]) -> list[TrainingSession]:
    return [
        TrainingSession((b"stuck-%d" % at,), T0 + int(minute * MINUTE) * S, (STUCK,), ())
        for at, minute in enumerate(minutes)
    ]


def with_rare_steps(
    nodes: Any,
    stuck: dict[int, int],
    minutes: int = 100,
    busy: range = range(0),
    hours_later: int = 0,
) -> list[Finding]:
    """What is found in a usual stream; `stuck` says how many rare steps come in which minute.

    In `busy` minutes it has forty times as many executions.
    """
    watch = FlowWatch(len(ROWS), nodes)
    begin = T0 // WINDOW_NS // 60 * 60 + 60 * hours_later + 1
    for window in range(begin, begin + minutes):
        watch.roll(window * WINDOW_NS)
        begun = 120 if window - begin in busy else 3
        watch.counts[OPEN] += begun
        watch.counts[CLOSE] += begun
        watch.counts[-1] += begun
        watch.counts[STUCK] += stuck.get(window - begin, 0)
    return watch.take()


def test_a_burst_of_what_came_only_a_few_times_in_training() -> None:
    """Wrong before: steps of fewer than 30 events had no rate, and failures are such steps."""
    stuck = rare_steps(list(range(100, 2000, 240)))
    nodes = measure_rates(steady_training(2000) + stuck, tree()).limits(tree(), 1)
    [burst] = with_rare_steps(nodes, {20: 1, 60: 30, 61: 14})
    assert burst.flow is not None
    assert (burst.deviations[0].direction, burst.flow.observed) == ("burst", 30)
    assert burst.flow.name == "“lift”"


@pytest.mark.parametrize("busy", [range(0), range(10, 90)])
def test_a_burst_is_told_at_hours_that_training_lacks(busy: range) -> None:
    """Wrong before: a log of a few hours, as many are, said nothing of any later hour."""
    stuck = rare_steps(list(range(10, 290, 40)))
    nodes = measure_rates(steady_training(300) + stuck, tree()).limits(tree(), 1)
    # As often among forty times as many executions is usual, as is anything of the stream itself.
    usual = dict.fromkeys(busy, 1)
    assert not with_rare_steps(nodes, usual, busy=busy, hours_later=9)
    [burst] = with_rare_steps(nodes, {**usual, 60: 120}, busy=busy, hours_later=9)
    assert burst.flow is not None
    assert (burst.flow.name, burst.flow.observed) == ("“lift”", 120)
    assert burst.flow.usual == pytest.approx(40 * 7 / 299 if busy else 7 / 299, rel=0.05)
    # Nothing is said of a stream that stops.
    assert not with_rare_steps(nodes, {}, minutes=0, hours_later=9)


@pytest.mark.parametrize("before", [0, 5, 9])
def test_a_burst_of_a_rare_step_hides_none_of_the_stream(before: int) -> None:
    """Wrong before: others that came soon after it were taken for the same, and never told."""
    stuck = rare_steps(list(range(100, 2000, 240)))
    nodes = measure_rates(steady_training(2000) + stuck, tree()).limits(tree(), 1)
    found = with_rare_steps(nodes, {60 - before: 14}, busy=range(60, 90))
    told = [burst.flow.name for burst in found if burst.flow is not None]
    assert [name for name in told if name != "“lift”"]


def test_nobody_misses_a_rare_step() -> None:
    """Wrong before: a silence of it had a limit, though a high one."""
    stuck = rare_steps(list(range(100, 2000, 66)))
    nodes = measure_rates(steady_training(2000) + stuck, tree()).limits(tree(), 10**9)
    assert not with_rare_steps(nodes, dict.fromkeys(range(9, 400, 66), 1), 200_000)


@pytest.mark.parametrize("minute", [0.0, 0.9, 5.0, 9.7, 31.0, 55.0, 700.0, 1499.5])
def test_a_burst_of_training_is_usual_wherever_it_was(minute: float) -> None:
    """Wrong before: a burst in the first minutes, which no whole window had, was not known, and
    one across the bounds of windows only by its halves.
    """
    stuck = rare_steps([minute + at / 60 for at in range(20)])
    nodes = measure_rates(steady_training(1500) + stuck, tree()).limits(tree(), 10**9)
    assert not with_rare_steps(nodes, dict.fromkeys(range(200, 3000, 700), 20), 3000)
    assert not with_rare_steps(nodes, {201: 7, 202: 6, 205: 7}, 300)
    assert with_rare_steps(nodes, {200: 200}, 300)


def test_rare_steps_leave_the_limits_of_others_alone() -> None:
    """Wrong before: each rare step took as much of the false alarms as any other."""
    rows = [Leaf(*row[:4]) for row in ROWS]
    many = Hierarchy([*rows, *(Leaf(f"odd {n}", f"odd{n}", "none", "none") for n in range(500))])
    odd = [
        TrainingSession((b"odd-%d" % n,), T0 + n * MINUTE * S, (len(rows) + n % 500,), ())
        for n in range(2500)
    ]
    # With the times of the odd steps, of another name that is not rare, the stream is the same.
    usual = [TrainingSession(one.key, one.first_ns, (OPEN,), ()) for one in odd]
    training = steady_training(2600)
    limits = {
        kind: {
            node.log_keys: node.highest
            for node in measure_rates(training + sessions, many).limits(many, 1)
        }
        for kind, sessions in (("rare", odd), ("usual", usual))
    }
    assert len(limits["rare"]) > 500 > 10 > len(limits["usual"])
    for highest, before in zip(limits["rare"][CLOSE,], limits["usual"][CLOSE,], strict=True):
        assert before <= highest < before * 1.1


def test_a_step_that_stops_is_reported_while_others_go_on() -> None:
    served = engine()
    stream = rides(range(10), 2)
    for minute in range(10, 30):
        at = WHOLE + minute * MINUTE
        stream += [event(f"late{minute}-{number}", CLOSE, at + number) for number in range(2)]
    assert said(served.feed("app", stream, T0)) == [("silence", "status")]


@pytest.mark.parametrize("of_version", ["this one", "an earlier one"])
def test_a_silence_is_over_after_a_restart_as_well(of_version: str) -> None:
    first = engine()
    now_ns = T0 + 20 * WINDOW_NS
    first.feed("app", rides(range(20), 2), now_ns)
    assert said(first.advance(now_ns + 8 * WINDOW_NS)) == [("silence", "stream")]
    snapshot = first.snapshot()
    if of_version == "an earlier one":
        flow = snapshot["flow"]
        rows = zip(flow.pop("silences"), flow["now"], strict=True)
        flow["now"] = [[*silence[:3], *burst] for silence, burst in rows]
    then = engine()
    then.restore(snapshot)
    stream = rides(range(29, 45), 2, "back") + rides(range(75, 85), 2, "later")
    assert said(then.feed("app", stream, T0 + 200 * WINDOW_NS)) == [("silence", "stream")]


def test_a_window_that_nobody_listened_to_is_not_judged() -> None:
    served = engine()
    served.feed("app", rides(range(10), 2), T0)
    other = engine()
    other.restore(served.snapshot())
    other.resume(T0)
    assert not said(other.feed("app", rides(range(60, 70), 2), T0))


def test_records_that_come_after_their_window_has_ended_are_not_counted() -> None:
    served = engine()
    now_ns = T0 + 10 * WINDOW_NS
    served.feed("app", rides(range(10), 2), now_ns)
    assert said(served.advance(now_ns + 30 * WINDOW_NS)) == [("silence", "stream")]
    # A shipper was down and sends what it kept: no burst.
    assert not said(served.feed("app", rides(range(10, 60), 2, "kept"), now_ns + 31 * WINDOW_NS))


def test_without_nodes_nothing_is_counted() -> None:
    watch = FlowWatch(5)
    watch.idle(None, T0)
    assert watch.save(everything=True) == {}
    assert watch.edge_ns > 5 * T0


def test_the_tag_is_what_all_tags_begin_with() -> None:
    served = engine()
    served.feed("app.web", rides(range(5), 2, "a"), T0)
    served.feed("app.db", rides(range(5, 9), 2, "b"), T0)
    [found] = flows(served.feed("app.web", rides(range(30, 40), 2, "c"), T0 + 40 * WINDOW_NS))
    assert found.tag == b"app"


def test_rates_are_those_of_steady_training() -> None:
    rates = measure_rates(steady_training(300), tree())
    stream = rates.nodes[0]
    assert (stream.level, stream.missing, stream.highest) == ("stream", 0.0, (0.0, 0.0, 0.0))
    assert set(stream.rates) == {3.0, -1.0}
    levels = [rate.level for rate in rates.nodes]
    assert levels == ["stream", "entity", "action", "action", "status", "status"]


def test_a_training_that_is_too_short_knows_no_rates() -> None:
    assert not measure_rates(steady_training(FEWEST_WINDOWS), tree()).nodes
    timeless = [TrainingSession(s.key, i, s.log_keys) for i, s in enumerate(steady_training(300))]
    assert not measure_rates(timeless, tree()).nodes
    assert not measure_rates([], tree()).nodes


def test_a_hole_in_the_log_does_not_set_the_limit() -> None:
    sessions = steady_training(100)
    later = [
        TrainingSession(s.key, s.first_ns + 5000 * WINDOW_NS, s.log_keys, s.gaps_ns)
        for s in steady_training(100)
    ]
    kept = [s for s in sessions if (s.first_ns - T0) // WINDOW_NS not in (50, 51, 70)]
    assert measure_rates(kept + later, tree()).nodes[0].missing < 1000


def random_training(minutes: int, seed: int, without: range = range(0)) -> list[TrainingSession]:
    """Sessions that start at random minutes, about one a minute, and none in some of them."""
    drawn = random.Random(seed).choices(range(minutes), k=minutes)
    return [
        TrainingSession((b"%d" % i,), T0 + minute * MINUTE * S, (OPEN, CLOSE), (S,))
        for i, minute in enumerate(sorted({0, minutes - 1, *drawn}))
        if minute not in without
    ]


def test_one_long_silence_of_training_does_not_hide_others() -> None:
    usual = measure_rates(random_training(2000, 1), tree()).limits(tree(), 1)[0]
    without = range(900, 920)
    outlier = measure_rates(random_training(2000, 1, without), tree()).limits(tree(), 1)[0]
    assert usual.most_missing <= outlier.most_missing < len(without)


def test_a_limit_on_silences_keeps_what_is_asked_for() -> None:
    rates = measure_rates(random_training(5000, 2), tree())
    limit = rates.limits(tree(), 10)[0].most_missing
    later = measure_rates(random_training(50_000, 3), tree()).nodes[0]
    # Five weeks, for which 50 false alarms are asked for, half of them for the stream's silences.
    [longest] = [one for one in later.silences if one.count == 40]
    assert longest.start < limit < later.missing * 1.5


def test_a_bundle_without_silences_has_limits_beyond_the_longest() -> None:
    rates = measure_rates(random_training(2000, 1), tree())
    old = rates_to_json(rates)
    old["nodes"] = [node[:5] for node in old["nodes"]]
    stream = rates_from_json(old).nodes[0]
    assert not stream.silences
    limit = rates_from_json(old).limits(tree(), 1)[0].most_missing
    assert limit > stream.missing


def test_more_false_alarms_bring_the_limits_nearer() -> None:
    rates = measure_rates(steady_training(300), tree())
    strict = rates.limits(tree(), 0.1)[0]
    loose = rates.limits(tree(), 100)[0]
    assert strict.most_missing > loose.most_missing
    assert strict.highest[0] >= loose.highest[0]
    assert rates.limits(tree(), 0) == []
    assert Rates().limits(tree(), 1) == []


def test_each_node_knows_the_one_above_it() -> None:
    nodes = measure_rates(steady_training(300), tree()).limits(tree(), 1)
    above = [nodes[node.above].level for node in nodes[1:]]
    assert above == ["stream", "entity", "entity", "action", "action"]
    assert nodes[0].above == -1
    assert nodes[-1].name == f"“{ROWS[CLOSE][0]}”"


def test_rates_go_with_the_names_of_their_nodes() -> None:
    rates = measure_rates(steady_training(300), tree())
    others = [row for row in ROWS if row[0] != ROWS[OPEN][0]]
    other = Hierarchy([Leaf(*row[:4]) for row in reversed(others)])
    moved = in_tree(rates, tree(), other)
    assert moved.windows == rates.windows
    assert [rate.level for rate in moved.nodes] == [rate.level for rate in rates.nodes][:-1]
    names = [node.name for node in moved.limits(other, 1)]
    assert names == [node.name for node in rates.limits(tree(), 1) if "open door" not in node.name]


def test_rates_survive_json() -> None:
    rates = measure_rates(random_training(300, 1), tree())
    assert rates.nodes[0].silences
    assert rates_from_json(rates_to_json(rates)) == rates
    rates = measure_rates(steady_training(300) + rare_steps([1, 2, 3, 4, 200]), tree())
    assert rates.rare
    assert rates_from_json(json.loads(json.dumps(rates_to_json(rates)))) == rates
    # An earlier version wrote no rare steps.
    assert rates_from_json({"windows": 9, "nodes": []}) == Rates(9)
    with pytest.raises(ValueError, match="level 'galaxy'"):
        rates_from_json({"windows": 9, "nodes": [["galaxy", 0, [1.0], 0.0, [0, 0, 0]]]})


@pytest.fixture
def flow_bundle(tmp_path: Any) -> Any:
    write_lift_bundle(tmp_path, rates=measure_rates(steady_training(2000), tree()))
    return load_bundle(str(tmp_path))


def test_the_alert_names_window_rate_and_step(flow_bundle: Any) -> None:
    served = flow_bundle.engine(Config())
    keys = (OPEN, CLOSE)
    stream: list[Any] = []
    for minute in range(40):
        for number in range(3 if minute < 10 else 0):
            stream += ride(f"a{minute}-{number}", keys, WHOLE + minute * MINUTE + number)
    for number in range(20):
        stream += ride(f"b{number}", keys, WHOLE + (41 + number) * MINUTE)
    [finding] = flows(served.feed("app", stream, T0))
    maker = AlertMaker(flow_bundle, Config())
    alert = maker.make(finding)
    record = alert.record
    assert (record["kind"], record["severity"], record["level"]) == ("flow", "error", "stream")
    assert (record["entity"], record["action"], record["status"]) == (None, None, None)
    assert record["session"] == ["silence stream"]
    assert record["flow"]["direction"] == "silence"
    assert record["flow"]["observed"] == 0 and record["flow"]["usual"] > 10
    assert record["explanation"] == record["deviations"][0]["words"]
    assert alert.tag == "krone.app"
    assert maker.make(finding).alert_id == alert.alert_id


def test_flow_alerts_can_be_switched_off(flow_bundle: Any) -> None:
    assert flow_bundle.engine(Config(flow_false_alarms=0.0)).time.flow.edge_ns > 5 * T0
