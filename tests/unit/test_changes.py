"""A deploy is one change: new steps are reported once, renamed ones are judged as the old ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgpack
import pytest
import synthetic
from synthetic import (
    ARRIVED,
    BROKEN,
    BYE,
    CLOSE,
    GOING,
    MESSAGES,
    OPEN,
    OPENED,
    ROWS,
    STANDS_OPEN,
    STUCK,
    T0,
    WEIGHED,
    Counts,
    S,
    event,
    flow_nodes,
    lift_engine,
    make_limits,
    novelties,
    ride,
    sequences,
    step_judge,
)

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.core.deploys import settling
from fluent_krone.core.engine import Engine
from fluent_krone.detect.bundle import Bundle
from fluent_krone.types import ChangeReport, Finding

# Wall time after all events.
NOW = T0 + 100_000 * S
# How long steps wait, in seconds; rides end after 60 s.
SETTLE = 100.0
# A ride of the new version: one step more, and one under another name.
DEPLOYED = (OPEN, STANDS_OPEN, GOING, WEIGHED, ARRIVED, CLOSE)
# The same without what is new, as the old version writes it.
BEFORE = (OPEN, OPENED, GOING, ARRIVED, CLOSE)


def engine_of(**limits: Any) -> Engine:
    """An engine that looks for changes; a ride is normal if it is one of training, or nearly."""
    given = {"change_settle": SETTLE} | limits
    return lift_engine(limits=make_limits(**given), nested=Counts(0))


def fed(engine: Engine, rides: Iterable[tuple[str, Sequence[int]]], at_s: float) -> list[Finding]:
    """Rides one after another, ten seconds apart."""
    findings: list[Finding] = []
    for number, (name, keys) in enumerate(rides):
        findings += engine.feed("app", ride(name, keys, at_s + 10 * number), NOW)
    return findings


def many(keys: Sequence[int], count: int, name: str = "n") -> list[tuple[str, Sequence[int]]]:
    return [(f"{name}{number}", keys) for number in range(count)]


def changes(findings: Iterable[Finding]) -> list[ChangeReport]:
    return [finding.change for finding in findings if finding.change is not None]


def test_a_deploy_is_one_change_and_no_session_alerts() -> None:
    engine = engine_of()
    findings = fed(engine, many(DEPLOYED, 40), 0) + engine.finish()
    [change] = changes(findings)
    assert [finding.kind for finding in findings] == ["change"]
    assert {one.text: one.replaces for one in change.templates} == {
        "gate: the door <num> stands open": ROWS[OPENED][0],
        "lift: cabin weighed, <num> persons": None,
    }
    assert engine.settling.changes.counters["sessions_changed"] == 40


def test_the_change_is_told_when_its_steps_have_settled_and_not_at_the_end() -> None:
    engine = engine_of()
    findings = fed(engine, many(DEPLOYED, 9), 0)
    assert findings == []
    findings = fed(engine, many(DEPLOYED, 2, "later"), 90)
    [change] = changes(findings)
    assert change.state == "open"
    assert change.at_ns == T0 + round((1 + SETTLE) * S)


def test_faults_after_a_deploy_are_found() -> None:
    engine = engine_of()
    fed(engine, many(DEPLOYED, 20), 0)
    stuck = (OPEN, STANDS_OPEN, GOING, WEIGHED, STUCK, CLOSE)
    skipped = (OPEN, GOING, WEIGHED, ARRIVED, CLOSE)
    twice = (OPEN, STANDS_OPEN, STANDS_OPEN, STANDS_OPEN, GOING, WEIGHED, ARRIVED, CLOSE)
    faulty = [("stuck", stuck), ("skipped", skipped), ("twice", twice), ("fine", DEPLOYED)]
    findings = fed(engine, faulty, 200) + engine.finish()
    assert {finding.session[0] for finding in sequences(findings)} == {
        b"stuck",
        b"skipped",
        b"twice",
    }


def test_faults_while_steps_settle_are_found() -> None:
    engine = engine_of()
    skipped = (OPEN, GOING, WEIGHED, ARRIVED, CLOSE)
    rides = [*many(DEPLOYED, 6), ("skipped", skipped), *many(DEPLOYED, 6, "more")]
    findings = fed(engine, rides, 0) + engine.finish()
    assert [finding.session[0] for finding in sequences(findings)] == [b"skipped"]


def test_new_messages_about_errors_are_no_change_however_many_there_are() -> None:
    engine = engine_of()
    broken = (OPEN, OPENED, BROKEN, CLOSE)
    findings = fed(engine, many(broken, 30), 0) + engine.finish()
    assert changes(findings) == []
    assert len(sequences(findings)) == 30
    assert novelties(findings)[0].last_ns == T0 + 2 * S


@pytest.mark.parametrize(
    "line",
    [
        "gate: pool exhausted, none of 20 motors free",
        "gate: barrier did not answer within 3000 ms",
        "gate: opened by hand after HTTP 503 of the motor",
        "gate: MotorStalledException in the drive",
        "gate: drive exited with code 137",
    ],
)
def test_an_incident_with_a_new_line_of_trouble_is_no_change(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(synthetic, "MESSAGES", [*MESSAGES[:BROKEN], line])
    engine = engine_of()
    broken = (OPEN, OPENED, BROKEN, CLOSE)
    findings = fed(engine, many(broken, 20), 0) + engine.finish()
    assert changes(findings) == []
    assert len(sequences(findings)) == 20
    assert novelties(findings)


def test_a_severe_level_speaks_of_an_error_whatever_the_words_are() -> None:
    engine = engine_of()
    findings: list[Finding] = []
    for number in range(10):
        for time_ns, record in ride(f"r{number}", DEPLOYED, 10 * number):
            level = {b"level": b"ERROR" if b"weighed" in record[b"message"] else b"INFO"}
            findings += engine.feed("app", [(time_ns, record | level)], NOW)
    findings += engine.finish()
    assert len(sequences(findings)) == 10
    [change] = changes(findings)
    assert [one.text for one in change.templates] == ["gate: the door <num> stands open"]


def test_one_odd_line_is_told_after_its_time_and_nothing_of_it_is_lost() -> None:
    engine = engine_of()
    odd = (OPEN, OPENED, WEIGHED, CLOSE)
    assert fed(engine, [("odd", odd)], 0) == []
    # The session ends after 60 s, and is held until the step has had its time.
    assert fed(engine, many(BEFORE, 1), 80) == []
    findings = fed(engine, many(BEFORE, 1, "later"), SETTLE + 10)
    assert [finding.kind for finding in findings] == ["unseen_template", "sequence"]
    assert findings[0].lines == (MESSAGES[WEIGHED].encode(),)
    assert [finding.told_ns for finding in findings] == [T0 + round((2 + SETTLE) * S)] * 2


def test_lines_of_a_slow_stream_wait_longer_once_they_have_spread() -> None:
    engine = engine_of()
    # Three sessions in the time that lines wait are too few for a change, and five are enough.
    rides = [(f"r{number}", DEPLOYED) for number in range(5)]
    findings: list[Finding] = []
    for number, one in enumerate(rides):
        findings += fed(engine, [one], 0.4 * SETTLE * number)
        again = engine_of()
        again.restore(msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False))
        engine = again
    findings += engine.finish()
    assert [finding.kind for finding in findings] == ["change"]


def with_odd_ones(every: int, count: int) -> list[tuple[str, Sequence[int]]]:
    """Rides, one in `every` of which has a line that the bundle does not know."""
    odd = (OPEN, OPENED, WEIGHED, CLOSE)
    return [(f"r{n}", odd if n % every == every - 1 else BEFORE) for n in range(count)]


def test_a_new_line_in_a_few_of_a_hundred_sessions_is_no_change() -> None:
    """Wrong before: five such sessions within an hour were a new version, and all later ones with
    the line were passed over."""
    engine = engine_of()
    findings = fed(engine, with_odd_ones(every=20, count=300), 0) + engine.finish()
    assert changes(findings) == []
    assert len({finding.session for finding in sequences(findings)}) == 15


def test_a_new_line_in_a_fifth_of_all_sessions_is_a_change() -> None:
    engine = engine_of()
    findings = fed(engine, with_odd_ones(every=5, count=100), 0) + engine.finish()
    [change] = changes(findings)
    assert [one.text for one in change.templates] == ["lift: cabin weighed, <num> persons"]


def test_a_new_line_that_spreads_later_is_a_change_from_then_on() -> None:
    engine = engine_of()
    findings = fed(engine, with_odd_ones(every=20, count=100), 0)
    told = len(sequences(findings))
    again = engine_of()
    again.restore(msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False))
    findings = fed(again, many((OPEN, OPENED, WEIGHED, CLOSE), 60, "later"), 1_000)
    findings += again.finish()
    assert told > 0 and len(changes(findings)) == 1
    assert len(sequences(findings)) < 10


def with_line(name: str, line: bytes, at_s: float) -> list[Any]:
    """The events of a ride, one of which has a line that nobody knows."""
    events = ride(name, (OPEN, OPENED, WEIGHED, CLOSE), at_s)
    events[2][1][b"message"] = line
    return events


# New lines that have no words in common, so that none is a part of another.
NEW_LINES = (
    b"cabin weighed, 3 persons",
    b"floor counter set to 4",
    b"lamps dimmed by 20 percent",
    b"music of channel 7 plays",
    b"ventilation runs slowly",
)


def test_sessions_that_share_new_lines_are_a_change_though_none_is_in_many() -> None:
    engine = engine_of()
    findings: list[Finding] = []
    # Two of the lines come twice, the third one once, and further ones once the change has begun.
    for number, line in enumerate((0, 1, 0, 1, 2, 1, 3, 4)):
        events = with_line(f"r{number}", NEW_LINES[line], 10 * number)
        findings += engine.feed("app", events, NOW)
    findings += engine.finish()
    assert {finding.kind for finding in findings} == {"change"}
    assert len(changes(findings)[-1].templates) == len(NEW_LINES)


def test_sessions_with_odd_lines_of_their_own_are_no_change() -> None:
    engine = engine_of()
    findings: list[Finding] = []
    for number, line in enumerate(NEW_LINES):
        findings += engine.feed("app", with_line(f"r{number}", line, 10 * number), NOW)
    findings += engine.finish()
    assert changes(findings) == []
    assert len(sequences(findings)) == len(NEW_LINES)


def test_a_line_that_spreads_no_further_is_told_when_it_has_waited_twice() -> None:
    engine = engine_of()
    rides = many((OPEN, OPENED, WEIGHED, CLOSE), 3)
    assert fed(engine, rides, 0) + fed(engine, many(BEFORE, 1), SETTLE + 10) == []
    findings = fed(engine, many(BEFORE, 1, "later"), 2 * SETTLE + 10)
    assert [finding.kind for finding in findings] == ["unseen_template", *["sequence"] * 3]


def test_what_was_noted_of_a_line_holds_for_the_one_that_it_becomes_a_part_of() -> None:
    engine = engine_of()
    # A word that takes three values: by then, each line alone has come too seldom to be settled.
    for number, word in enumerate([b"is"] * 3 + [b"lies"] * 4 + [b"stays"]):
        events = ride(f"r{number}", (OPEN, STANDS_OPEN, GOING, ARRIVED, CLOSE), 10 * number)
        for _, record in events:
            record[b"message"] = record[b"message"].replace(b"stands", word)
        engine.feed("app", events, NOW)
    assert engine.settling.changes.renamed == 1


def test_another_code_is_no_change_however_many_sessions_fail_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wrong before: five sessions within an hour that were denied were a new version, and none was
    told."""
    text = "lift: reply OK of the gate at floor <num>"
    rows = [(text, *row[1:]) if number == ARRIVED else row for number, row in enumerate(ROWS)]
    monkeypatch.setattr(synthetic, "ROWS", rows)
    engine = engine_of()
    findings: list[Finding] = []
    for number in range(10):
        events = ride(f"r{number}", BEFORE, 100 * number)
        code = b"DENY" if number < 6 else b"OK"
        events[BEFORE.index(ARRIVED)][1][b"message"] = (
            b"lift: reply %b of the gate at floor 3" % code
        )
        findings += engine.feed("app", events, NOW)
    findings += engine.finish()
    assert changes(findings) == []
    assert len(sequences(findings)) == 6


def test_an_odd_line_that_spreads_later_is_a_change_after_all() -> None:
    engine = engine_of()
    odd = (OPEN, OPENED, WEIGHED, CLOSE)
    rare = [(f"r{number}", odd) for number in range(8)]
    findings: list[Finding] = []
    for number, one in enumerate(rare):
        findings += fed(engine, [one], 400.0 * number)
    findings += engine.finish()
    assert len(sequences(findings)) < 8
    assert len(changes(findings)) == 1


def test_a_line_that_comes_once_in_a_while_is_no_change() -> None:
    engine = engine_of()
    odd = (OPEN, OPENED, WEIGHED, CLOSE)
    findings: list[Finding] = []
    for number in range(8):
        findings += fed(engine, [(f"r{number}", odd)], 3000.0 * number)
    findings += engine.finish()
    assert changes(findings) == []
    assert len(sequences(findings)) == 8


def test_both_versions_run_side_by_side_and_a_roll_back_is_silent() -> None:
    engine = engine_of()
    both = [(f"r{number}", (BEFORE, DEPLOYED)[number % 2]) for number in range(30)]
    findings = fed(engine, both, 0) + fed(engine, many(BEFORE, 10, "back"), 300)
    findings += engine.finish()
    assert [finding.kind for finding in findings] == ["change"]


def test_a_change_that_makes_most_sessions_abnormal_is_told_as_such() -> None:
    engine = engine_of()
    wrong = (*DEPLOYED, STUCK)
    findings = fed(engine, many(wrong, 120), 0) + engine.finish()
    assert [change.state for change in changes(findings)] == ["open", "abnormal"]
    abnormal = changes(findings)[1]
    assert abnormal.abnormal > abnormal.sessions / 2
    assert len(sequences(findings)) > 100


def test_a_change_that_goes_wrong_is_more_urgent(lift: Bundle) -> None:
    wrong = (*DEPLOYED, STUCK)
    engine = engine_of()
    found = [
        finding
        for finding in fed(engine, many(wrong, 120), 0) + engine.finish()
        if finding.kind == "change"
    ]
    maker = AlertMaker(lift, Config())
    severities = [maker.make(finding).record["severity"] for finding in found]
    assert severities == ["notice", "error"]


def test_a_wrong_value_does_not_join_a_change() -> None:
    engine = engine_of()
    fed(engine, many(DEPLOYED, 20), 0)
    wrong = [event("odd", OPEN, 500), event("odd", OPENED, 501)]
    wrong.append((T0 + 502 * S, {b"message": b"lift: going to floor minus", b"ride": b"odd"}))
    findings = engine.feed("app", wrong, NOW) + engine.finish()
    assert {finding.kind for finding in findings} == {"unseen_template", "sequence"}


def reworded(name: str, at_s: float) -> list[Any]:
    """A ride that says "moving" in place of "going"."""
    events = ride(name, (OPEN, STANDS_OPEN, GOING, ARRIVED, CLOSE), at_s)
    for _, record in events:
        record[b"message"] = record[b"message"].replace(b"going", b"moving")
    return events


def test_two_sessions_are_enough_of_a_step_in_other_words_while_a_change_is_open() -> None:
    engine = engine_of()
    findings = fed(engine, many(DEPLOYED, 20), 0)
    findings += engine.feed("app", reworded("one", 300), NOW)
    findings += engine.feed("app", reworded("other", 300 + SETTLE / 2), NOW)
    findings += engine.finish()
    assert {finding.kind for finding in findings} == {"change"}
    told = {one.text: one.replaces for one in changes(findings)[-1].templates}
    assert told["lift: moving to floor <num>"] == ROWS[GOING][0]


def test_one_session_is_not_enough_of_a_step_in_other_words() -> None:
    engine = engine_of()
    fed(engine, many(DEPLOYED, 20), 0)
    findings = engine.feed("app", reworded("one", 300), NOW) + engine.finish()
    assert {finding.kind for finding in findings} == {"unseen_template", "sequence"}


def test_other_words_at_a_place_of_another_step_are_not_taken_for_it() -> None:
    engine = engine_of()
    fed(engine, many(DEPLOYED, 20), 0)
    findings: list[Finding] = []
    for number in range(2):
        events = ride(f"r{number}", (OPEN, STANDS_OPEN, CLOSE, GOING), 300 + 20 * number)
        events[-1][1][b"message"] = b"lift: moving to floor 3"
        findings += engine.feed("app", events, NOW)
    findings += engine.finish()
    assert len(sequences(findings)) == 2


def test_a_session_that_was_held_is_told_once_with_all_that_is_odd_in_it() -> None:
    engine = lift_engine(
        limits=make_limits(change_settle=SETTLE), nested=Counts(0), steps=step_judge()
    )
    odd = (OPEN, WEIGHED, OPENED, BYE, GOING, ARRIVED, CLOSE)
    findings = engine.feed("app", ride("odd", odd), NOW) + engine.finish()
    assert [finding.kind for finding in findings] == ["unseen_template", "sequence"]
    assert "order" in {one.witness for one in findings[1].deviations}


def test_a_held_session_that_is_normal_as_a_whole_tells_what_is_odd_about_its_steps() -> None:
    engine = lift_engine(limits=make_limits(change_settle=SETTLE), steps=step_judge())
    findings = fed(engine, many(DEPLOYED, 20), 0)
    slow = ride("slow", DEPLOYED, 300)
    slow[-1] = event("slow", CLOSE, 345)
    # Another new line, which is not identified yet, holds the session.
    slow.insert(2, (slow[1][0], {b"message": b"gate: a bell rings 3 times", b"ride": b"slow"}))
    findings += engine.feed("app", slow, NOW) + engine.finish()
    assert [one.direction for one in findings if one.kind == "deviation" for one in one.deviations]


# A ride with a new step: training knows only the time between the steps around it.
ADDED = (OPEN, OPENED, GOING, WEIGHED, ARRIVED, CLOSE)


def slow(findings: Iterable[Finding]) -> list[bytes]:
    """The sessions that have a slow step."""
    return [
        finding.session[0]
        for finding in findings
        for one in finding.deviations
        if one.direction == "slow"
    ]


def added(name: str, at_s: float, steps_s: Sequence[float]) -> list[Any]:
    """A ride with a new step; `steps_s` are the seconds after which its lines come."""
    return [event(name, key, at_s + after) for key, after in zip(ADDED, steps_s, strict=True)]


def test_the_time_that_a_new_step_takes_makes_no_session_slow() -> None:
    engine = lift_engine(limits=make_limits(change_settle=SETTLE), steps=step_judge())
    findings: list[Finding] = []
    # The first sessions are judged when their new step is known, the later ones as they go on.
    for number in range(60):
        lines = added(f"r{number}", 30 * number, (0, 1, 2, 6, 10, 11))
        findings += engine.feed("app", lines, NOW)
    findings += engine.finish()
    assert len(changes(findings)) == 1
    assert slow(findings) == []


@pytest.mark.parametrize("before", [0, 40])
def test_a_long_pause_after_a_new_step_is_slow(before: int) -> None:
    engine = lift_engine(limits=make_limits(change_settle=SETTLE), steps=step_judge())
    for number in range(before):
        engine.feed("app", added(f"r{number}", 30 * number, range(6)), NOW)
    lines = added("slow", 30 * before, (0, 1, 2, 3, 43, 44))
    findings = engine.feed("app", lines, NOW)
    for number in range(40):
        findings += engine.feed(
            "app", added(f"s{number}", 30 * (before + 2 + number), range(6)), NOW
        )
    assert slow(findings) == [b"slow"]


def test_a_step_that_a_new_one_replaces_is_not_silent() -> None:
    """Before it is known what the new step stands for, and afterwards."""
    [above] = [node for node in flow_nodes() if node.level == "stream"]
    opened = replace(
        above, level="status", log_keys=(OPENED,), log_key=OPENED, above=0, name="door"
    )
    limits = make_limits(change_settle=10 * SETTLE)
    engine = lift_engine(limits=limits, nested=Counts(0), flow_nodes=[above, opened])
    fed(engine, many(BEFORE, 120), 0)
    findings = []
    for number in range(30):
        findings += fed(engine, many(DEPLOYED, 1, f"new{number}-"), 1200 + 90 * number)
        if number == 3:
            # Four minutes without the old step are a silence here.
            assert not engine.settling.changes.renamed
    assert [finding.kind for finding in findings] == ["change"]
    assert engine.settling.changes.renamed
    gone = (OPEN, GOING, ARRIVED, CLOSE)
    findings = fed(engine, many(gone, 120, "gone"), 3900)
    assert (b"silence door",) in [one.session for one in findings if one.kind == "flow"]


def versioned(name: str, keys: Sequence[int], at_s: float, version: str) -> list[Any]:
    label = {b"kubernetes": {b"labels": {b"version": version.encode()}}}
    return [(time_ns, record | label) for time_ns, record in ride(name, keys, at_s)]


def test_the_first_new_line_under_a_new_version_begins_a_change() -> None:
    engine = engine_of()
    findings: list[Finding] = []
    for number in range(30):
        findings += engine.feed("app", versioned(f"o{number}", BEFORE, 10 * number, "1.0"), NOW)
    findings += engine.feed("app", versioned("new", DEPLOYED, 300, "1.1"), NOW)
    findings += engine.finish()
    [change] = changes(findings)
    assert [finding.kind for finding in findings] == ["change"]
    assert change.field == "$.kubernetes.labels.version"
    assert (change.values, change.before) == ((b"1.1",), (b"1.0",))


def test_a_label_that_is_new_with_every_record_is_useless_and_ignored() -> None:
    engine = engine_of()
    findings: list[Finding] = []
    for number in range(300):
        findings += engine.feed(
            "app", versioned(f"o{number}", BEFORE, 10 * number, f"b{number}"), NOW
        )
    assert engine.settling.changes.versions.is_useless
    findings += engine.feed("app", versioned("odd", DEPLOYED, 3000, "b-new"), NOW)
    findings += engine.finish()
    assert changes(findings) == []


def test_accepted_templates_are_normal_at_once_and_new_again_when_taken_back() -> None:
    accepted = {
        "gate: the door <num> stands open": ROWS[OPENED][0],
        "lift: cabin weighed, <num> persons": "",
    }
    engine = engine_of()
    engine.settling.changes.accept(accepted)
    findings = fed(engine, many(DEPLOYED, 20), 0)
    skipped = (OPEN, GOING, WEIGHED, ARRIVED, CLOSE)
    findings += fed(engine, [("skipped", skipped), *many(BEFORE, 10)], 200)
    assert [finding.session[0] for finding in findings] == [b"skipped"]
    engine.settling.changes.accept({})
    findings = fed(engine, many(DEPLOYED, 20, "again"), 310) + engine.finish()
    assert [finding.kind for finding in findings] == ["change"]


def test_another_bundle_goes_on_with_the_change() -> None:
    engine = engine_of()
    fed(engine, many(DEPLOYED, 20), 0)
    other = engine_of()
    other.adopt(engine)
    findings = fed(other, many(DEPLOYED, 20, "more"), 200) + other.finish()
    assert findings == []


def test_sessions_that_are_held_are_in_a_snapshot() -> None:
    engine = engine_of()
    odd = (OPEN, OPENED, WEIGHED, CLOSE)
    fed(engine, [("odd", odd), *many(BEFORE, 1)], 0)
    fed(engine, many(BEFORE, 1, "later"), 80)
    assert [session.key for session in engine.settling.held] == [(b"odd",)]
    again = engine_of()
    again.restore(msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False))
    assert [session.key for session in again.settling.held] == [(b"odd",)]
    assert sorted(map(repr, again.finish())) == sorted(map(repr, engine.finish()))


def test_where_too_many_sessions_are_held_the_next_is_judged_as_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settling, "MOST_HELD", 1)
    engine = engine_of()
    odd = (OPEN, OPENED, WEIGHED, CLOSE)
    findings = fed(engine, [("odd", odd), ("next", odd), *many(BEFORE, 1)], 0)
    findings += fed(engine, many(BEFORE, 1, "later"), 80)
    assert [session.key for session in engine.settling.held] == [(b"odd",)]
    assert {finding.session[0] for finding in sequences(findings)} == {b"next"}


def test_without_time_to_settle_no_change_is_looked_for() -> None:
    engine = engine_of(change_settle=0.0)
    findings = fed(engine, many(DEPLOYED, 5), 0)
    assert len(novelties(findings)) == 2
    assert len(sequences(findings + engine.finish())) == 5


def test_what_joins_an_accepted_change_later_is_not_counted_any_more() -> None:
    engine = engine_of()
    findings = fed(engine, many(DEPLOYED, 20), 0)
    [change] = changes(findings)
    engine.settling.changes.accept({}, [change.name])
    counted = engine.settling.changes.counters["sessions_changed"]
    fed(engine, many(DEPLOYED, 10, "more"), 200)
    engine.finish()
    # Those that were open when it was accepted may count still.
    assert engine.settling.changes.counters["sessions_changed"] <= counted + 7


def test_the_level_of_a_line_counts_also_where_its_time_is_doubted() -> None:
    engine = engine_of()
    fed(engine, many(BEFORE, 30), 0)
    # After a pause that is unusual for the stream, the first events are doubted.
    findings: list[Finding] = []
    for number in range(8):
        record = {b"message": b"lift: cabin weighed, 3 persons", b"level": b"ERROR"}
        time_ns = T0 + (2_000 + 40 * number) * S
        record |= {b"ride": f"late{number}".encode()}
        findings += engine.feed("app", [(time_ns, record)], NOW)
    findings += engine.finish()
    assert changes(findings) == []
    assert len(novelties(findings)) == 1
