"""The simulated shop is the same for a seed, and damaged exactly where it says so."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import shop_log
from shop.events import Event
from shop.faults import FAULTS, PAUSE_MS, SAME_COURSE, SLOW_FACTOR
from shop.formats import VARIANTS, lines, write
from shop.steps import STEPS, draw_course, is_normal, steps_of
from shop.traffic import (
    ADDED,
    BURST_SIZE,
    NEW_VERSION,
    OLD_VERSION,
    RENAMED,
    Plan,
    Request,
    Traffic,
    names_of,
    simulate,
)

from fluent_krone.inputs import read_events, read_labels

EACH = 10
PLAN = Plan(sessions=600, seed=3, faults=dict.fromkeys(FAULTS, EACH))
TRAFFIC = simulate(PLAN)
FAULTY = [request for request in TRAFFIC.requests if request.kind]
NORMAL = [request for request in TRAFFIC.requests if not request.kind]
# More than a day, so that there is a night.
LONG = simulate(Plan(sessions=2_500, seed=0))


def of_kind(kind: str) -> list[Request]:
    return [request for request in FAULTY if request.kind == kind]


def contents(events: tuple[Event, ...]) -> Counter[str]:
    """What was logged, whatever its order and its times."""
    return Counter(f"{event.name} {event.level} {event.values}" for event in events)


# --- the traffic ----------------------------------------------------------------------------------


def test_a_plan_gives_the_same_log_and_another_seed_another() -> None:
    again = simulate(PLAN)
    assert again == TRAFFIC
    other = simulate(Plan(sessions=600, seed=4))
    for variant in VARIANTS.values():
        expected = list(lines(TRAFFIC, variant))
        assert list(lines(again, variant)) == expected
        assert list(lines(other, variant)) != expected


def test_normal_requests_are_normal_and_vary_within_bounds() -> None:
    courses = {tuple(names_of(request.events)) for request in LONG.requests}
    assert all(map(is_normal, courses))
    assert 100 < len(courses) < 400
    assert all(r.events == r.host and not r.places for r in LONG.requests)


def test_two_seeds_share_their_templates() -> None:
    def templates(traffic: Traffic) -> set[tuple[str, str | None, str | None, str]]:
        return {
            (event.step.text, event.step.method, event.step.route, event.level)
            for request in traffic.requests
            for event in request.events
        }

    assert templates(LONG) == templates(simulate(Plan(sessions=2_500, seed=1)))


def test_faults_of_others_leave_a_request_as_it_is() -> None:
    plain = {r.key: r for r in simulate(Plan(sessions=600, seed=3)).requests}
    assert [plain[request.key] for request in NORMAL] == NORMAL


def test_records_of_different_requests_interleave() -> None:
    keys = [json.loads(line)["trace_id"] for line in lines(TRAFFIC, VARIANTS["a"])]
    runs = sum(1 for _ in itertools.groupby(keys))
    assert runs > 1.3 * len(set(keys))


def test_the_load_follows_the_day_and_the_batch_runs_at_night() -> None:
    hours = Counter(request.start_ms // 3_600_000 % 24 for request in LONG.requests)
    assert hours[20] > 3 * hours[3]
    batch_hours = {r.start_ms // 3_600_000 % 24 for r in LONG.requests if r.workflow == "batch"}
    assert batch_hours == {1, 2, 3}


def test_every_step_is_in_some_workflow_and_every_workflow_draws_normal_courses() -> None:
    workflows = ("checkout", "search", "login", "refund", "batch")
    assert {name for workflow in workflows for name in steps_of(workflow)} == set(STEPS)
    for workflow in workflows:
        assert is_normal(draw_course(Random(workflow), workflow))


# --- faults ---------------------------------------------------------------------------------------


def test_as_many_of_each_kind_as_asked_for() -> None:
    assert Counter(request.kind for request in FAULTY) == Counter(PLAN.faults)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_host_is_normal_and_a_damaged_course_is_not(kind: str) -> None:
    for request in of_kind(kind):
        assert is_normal(names_of(request.host))
        assert is_normal(names_of(request.events)) == (kind in SAME_COURSE)


@pytest.mark.parametrize("kind", FAULTS)
def test_places_are_in_order_and_within_the_request(kind: str) -> None:
    for request in of_kind(kind):
        flat = [number for place in request.places for number in place]
        assert flat == sorted(flat)
        assert flat[0] >= 0
        assert flat[-1] <= len(request.events)


@pytest.mark.parametrize("kind", SAME_COURSE)
def test_outside_its_place_such_a_request_is_its_host(kind: str) -> None:
    for request in of_kind(kind):
        [(first, last)] = request.places
        assert last == first + 1
        assert request.events[:first] == request.host[:first]
        assert request.events[last:] == request.host[last:]
        event = request.events[first]
        host = request.host[first]
        assert event.step == host.step
        changed = {name for name in host.values if event.values[name] != host.values[name]}
        expected = {
            "status": changed == {"status"} and event.values["status"] >= 500,
            "value": len(changed) == 1 and "status" not in changed,
            "slow": changed <= {"duration_ms"} and event.gap_ms == SLOW_FACTOR * host.gap_ms,
            "pause": not changed and event.gap_ms == host.gap_ms + PAUSE_MS,
            "level": not changed and event.level in ("ERROR", "FATAL"),
        }
        assert expected[kind]
        assert (event.level != host.level) == (kind == "level")
        assert (event.gap_ms != host.gap_ms) == (kind in ("slow", "pause"))


def test_a_wrong_status_is_one_that_its_step_never_has() -> None:
    for request in of_kind("status"):
        event = request.events[request.places[0][0]]
        assert event.step.status
        assert event.values["status"] not in event.step.status


def test_a_skipped_step_is_all_that_is_missing() -> None:
    for request in of_kind("skip"):
        lost = contents(request.host) - contents(request.events)
        assert lost.total() == 1
        assert not contents(request.events) - contents(request.host)
        [(first, last)] = request.places
        rest = names_of(request.events)
        restored = [*rest[:first], request.detail, *rest[first:]]
        assert restored == names_of(request.host)
        assert set(rest[first:last]) <= {request.detail}


@pytest.mark.parametrize("kind", ["rework", "insert", "foreign"])
def test_an_additional_step_is_all_that_is_new(kind: str) -> None:
    for request in of_kind(kind):
        assert len(request.events) == len(request.host) + 1
        assert not contents(request.host) - contents(request.events)
        [(first, last)] = request.places
        assert set(names_of(request.events)[first:last]) == {request.detail}
        shortened = [*request.events[:first], *request.events[first + 1 :]]
        assert names_of(tuple(shortened)) == names_of(request.host)
        is_own = request.detail in steps_of(request.workflow)
        assert is_own == (kind != "foreign")
        if kind == "rework":
            assert request.detail in names_of(request.host)


@pytest.mark.parametrize("kind", ["early", "late", "swap", "reverse"])
def test_another_order_has_the_same_records_at_the_same_times(kind: str) -> None:
    for request in of_kind(kind):
        assert contents(request.events) == contents(request.host)
        assert [e.gap_ms for e in request.events] == [e.gap_ms for e in request.host]
        start = request.places[0][0]
        end = request.places[-1][1]
        assert request.events[:start] == request.host[:start]
        assert request.events[end:] == request.host[end:]


def test_early_late_swap_and_reverse_are_what_they_say() -> None:
    for kind, request in ((request.kind, request) for request in FAULTY):
        have = names_of(request.events)
        had = names_of(request.host)
        if kind == "reverse":
            assert have == had[::-1]
        elif kind == "swap":
            at = request.places[0][0]
            assert have[at : at + 2] == had[at : at + 2][::-1]
        elif kind in ("early", "late"):
            [at] = [first for first, last in request.places if last == first + 1]
            [gap] = [first for first, last in request.places if last == first]
            assert (at < gap) == (kind == "early")
            assert abs(at - gap) >= 2
            moved = have.pop(at)
            have.insert(gap - (gap > at), moved)
            assert have == had


@pytest.mark.parametrize("kind", ["truncated", "stuck"])
def test_a_request_without_its_end_is_a_beginning_of_its_host(kind: str) -> None:
    for request in of_kind(kind):
        assert request.events == request.host[: len(request.events)]
        assert request.places == ((len(request.events), len(request.events)),)
        assert request.events[-1].step.waits == (kind == "stuck")


# --- the stream as a whole ------------------------------------------------------------------------


def test_burst_and_silence_are_where_they_say_and_every_request_in_them_is_normal() -> None:
    traffic = simulate(Plan(sessions=2_000, seed=1, faults={"burst": 1, "silence": 1}))
    moments = {moment.kind: moment for moment in traffic.moments}
    assert all(is_normal(names_of(r.events)) and not r.kind for r in traffic.requests)
    burst = moments["burst"]
    declined = [
        request
        for request in traffic.requests
        if "payment.declined" in names_of(request.events)
        and burst.start_ms <= request.start_ms < burst.end_ms
    ]
    assert len(declined) >= BURST_SIZE
    silence = moments["silence"]
    starts = [request.start_ms for request in traffic.requests]
    assert not any(silence.start_ms <= start < silence.end_ms for start in starts)
    before = silence.start_ms - (silence.end_ms - silence.start_ms)
    assert sum(before <= start < silence.start_ms for start in starts) >= 10


def test_a_deploy_renames_five_steps_adds_ten_and_changes_the_version() -> None:
    traffic = simulate(Plan(sessions=1_500, seed=2, deploy_at=0.4))
    [deploy] = traffic.moments
    texts: dict[str, set[str]] = {OLD_VERSION: set(), NEW_VERSION: set()}
    for request in traffic.requests:
        assert (request.version == NEW_VERSION) == (request.start_ms >= deploy.start_ms)
        texts[request.version] |= {event.step.text for event in request.events}
    known = {step.text for step in STEPS.values()}
    assert texts[OLD_VERSION] <= known
    assert len(texts[NEW_VERSION] - known) == 15
    assert len(RENAMED) == 5
    assert not texts[NEW_VERSION] & {STEPS[name].text for name in RENAMED}
    assert len(ADDED) == 10


def test_faults_of_new_requests_are_faults_in_what_the_old_version_knew() -> None:
    traffic = simulate(Plan(sessions=600, seed=2, deploy_at=0.0, faults=PLAN.faults))
    for request in traffic.requests:
        course = [name for name in names_of(request.events) if not name.startswith("+")]
        assert is_normal(course) == (request.kind in ("", *SAME_COURSE))
        assert not {event.step.text for event in request.events} & {
            STEPS[name].text for name in RENAMED
        }


def test_those_that_fail_alike_end_alike() -> None:
    traffic = simulate(Plan(sessions=800, seed=2, alike=1_000))
    alike = [request for request in traffic.requests if request.kind == "alike"]
    assert len(alike) == 1_000
    assert {tuple(names_of(request.events[-2:])) for request in alike} == {
        ("payment.captured", "checkout.refused")
    }
    assert len({request.key for request in traffic.requests}) == 1_800


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_the_log_is_in_order_and_its_key_finds_every_request(variant, tmp_path: Path) -> None:
    log = write(TRAFFIC, variant, tmp_path)
    texts = log.read_text(encoding="utf-8").splitlines()
    found: Counter[str] = Counter()
    for text in texts:
        if variant.session_key.startswith("/"):
            [key] = re.findall(variant.session_key.strip("/"), text)
        else:
            key = json.loads(text)[variant.session_key]
        found[key] += 1
    assert found == Counter(
        {variant.key_text(request.key): len(request.events) for request in TRAFFIC.requests}
    )
    times = [time_ns for time_ns, _ in read_events(log) if time_ns is not None]
    assert times == sorted(times)
    if log.suffix == ".jsonl":
        assert len(times) == len(texts)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_labels_agree_with_what_was_injected(variant, tmp_path: Path) -> None:
    write(TRAFFIC, variant, tmp_path)
    expected = {variant.key_text(request.key): bool(request.kind) for request in TRAFFIC.requests}
    assert read_labels(tmp_path / "labels.csv") == expected
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["session"]: row for row in csv.DictReader(file)}
    for request in TRAFFIC.requests:
        row = rows[variant.key_text(request.key)]
        assert row["kind"] == request.kind
        places = [tuple(map(int, place.split("-"))) for place in row["places"].split()]
        assert places == list(request.places)


def test_the_variants_are_not_alike() -> None:
    first = {name: next(lines(LONG, variant)) for name, variant in VARIANTS.items()}
    with_message = json.loads(first["a"])
    without = json.loads(first["b"])
    assert "message" in with_message
    assert "message" not in without
    assert without["event"] == "request.received"
    assert isinstance(without["ts"], float)
    assert with_message["kubernetes"]["labels"]["version"] == OLD_VERSION
    assert re.search(r" INFO 1 --- \[gateway\] \[.*\] \[[0-9a-f-]{36}\] ", first["c"])
    assert re.search(r'^time=\S+ level=INFO msg="request received" ', first["d"])


def test_the_command_writes_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--variant", "c", "--sessions", "300", "--seed", "1", "--out", str(tmp_path)]
    assert shop_log.main([*arguments, "--faults", "all=2", "skip=5"]) == 0
    assert "300 requests, 33 of them faulty" in capsys.readouterr().out
    labels = read_labels(tmp_path / "labels.csv")
    assert (len(labels), sum(labels.values())) == (300, 33)
    assert (tmp_path / "log.log").exists()
    assert (tmp_path / "moments.csv").read_text().splitlines() == ["kind,start,end"]


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (["skip"], "use KIND=COUNT"),
        (["skp=1"], "unknown kind of fault 'skp'"),
        (["burst=2"], "burst must be 0 or 1, got 2"),
        (["skip=31"], "31 faults need as many sessions: 30"),
        (["burst=1"], "no busy hour is left for burst"),
    ],
)
def test_wrong_arguments_are_named(
    faults: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        shop_log.main(["--sessions", "30", "--out", str(tmp_path), "--faults", *faults])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
