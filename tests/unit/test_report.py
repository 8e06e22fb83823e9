"""The report card: its figures recomputed the naive way, and a page that is safe to open and
says nothing else.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from export.calibrate import Calibration
from export.report import measure
from export.report.baselines import BASELINES
from export.report.card import (
    FittedDetector,
    ReportInput,
    describe,
    make_report,
    render_html,
    to_json,
)
from export.report.measure import fit_judge
from export.sequences import TrainingSession
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.bundle import key_hash
from fluent_krone.reading.records import InputSettings

S = 10**9
T0 = 1_700_000_000 * S  # 2023-11-14T22:13:20Z
OPEN, GO, ARRIVE, CLOSE, STUCK, BELL = range(6)
ROWS = [
    Leaf("gate: open <num>", "gate", "open", "none"),
    Leaf("lift: going to <num>", "lift", "move", "going"),
    Leaf("lift: arrived at <num>", "lift", "move", "arrived"),
    Leaf("gate: close <num>", "gate", "close", "none"),
    Leaf(
        "lift: stuck <script>alert('up')</script> & "
        "<img src=http://evil.example/x onerror=alert()>",
        "lift",
        "move",
        "stuck",
    ),
    Leaf("bell rings", "none", "none", "none"),
]
CALIBRATION = Calibration(
    threshold=9.25,
    band=(8.0, 10.5),
    budget={"sessions": 10, "largest": {}, "plans": [[0.5, {"density": 9.25}]]},
    detection={"skip": {"1 in 1,000": 0.25, "5 in 1,000": 0.125}},
    false_alarms={"1 in 1,000": 0.0625, "5 in 1,000": 0.03125},
)


def rides(size: int, seed: int = 0) -> list[TrainingSession]:
    """Normal rides, one a minute: between the doors the lift moves one to six times."""
    draw = random.Random(seed)
    return [
        TrainingSession(
            (b"ride %d" % i,), T0 + i * 60 * S, (OPEN, *(GO, ARRIVE) * draw.randint(1, 6), CLOSE)
        )
        for i in range(size)
    ]


def stuck(size: int) -> list[TrainingSession]:
    return [
        TrainingSession((b"stuck %d" % i,), T0 + i * 7 * S, (OPEN, GO, STUCK, *[BELL] * i))
        for i in range(size)
    ]


def labels_of(*groups: tuple[Sequence[TrainingSession], bool]) -> dict[str, bool]:
    return {session.key[0].decode(): bad for sessions, bad in groups for session in sessions}


def longest(sessions: Sequence[tuple[int, ...]]) -> FittedDetector:
    """A detector to follow by hand: abnormal is what is longer than all of training, or ends on
    no door.
    """
    most = max(map(len, sessions))

    def judge(judged: Sequence[tuple[int, ...]]) -> tuple[Any, Any]:
        scores = np.array(
            [len(s) + (50 if s and s[-1] != CLOSE else 0) for s in judged], np.float64
        )
        return scores, scores > most

    return FittedDetector(judge, float(most), (most - 1.0, most + 1.0))


def given(sessions: Sequence[TrainingSession], **options: Any) -> ReportInput:
    content: dict[str, Any] = {
        "name": "lift",
        "source": "lift.log",
        "sessions": sessions,
        "rows": ROWS,
        "input_settings": InputSettings(session_key=("ride",)),
        "session_settings": SessionSettings(idle_timeout=60.0),
        "calibration": CALIBRATION,
        "fit": longest,
    }
    return ReportInput(**content | options)


@pytest.fixture(scope="module")
def labelled() -> dict[str, Any]:
    normal, bad = rides(600), stuck(30)
    longer = [TrainingSession((b"long",), T0 + 599 * 60 * S + 1, (OPEN, *(GO, ARRIVE) * 9, CLOSE))]
    labels = labels_of((normal, False), (bad, True), (longer, False))
    return make_report(given([*bad, *normal, *longer], labels=labels, alerts=ALERTS))


def alert(session: str, **fields: Any) -> dict[str, Any]:
    record = {
        "kind": "sequence",
        "session": [session],
        "entity": "lift",
        "action": "move",
        "status": "stuck",
    }
    return (
        record
        | {
            "alert_id": "a1",
            "bundle_hash": "b2",
            "lines": ["secret line"],
            "explanation": "it is stuck",
        }
        | fields
    )


ALERTS = [
    alert("stuck 1"),
    alert("stuck 2"),
    alert("ride 5"),
    alert("stuck 3", entity="gate", action=None, status=None),
    alert("stuck 4", kind="unseen_template"),
]


# --- figures --------------------------------------------------------------------------------------


def test_the_hold_out_is_the_last_fifth_of_the_normal_sessions(labelled: Mapping[str, Any]) -> None:
    holdout = labelled["holdout"]
    assert holdout["kind"] == "chronological"
    assert (holdout["fitted"], holdout["normal"], holdout["abnormal"]) == (481, 120, 30)
    assert holdout["share"] == pytest.approx(120 / 601, abs=1e-6)


def test_figures_of_the_judge_are_those_of_a_naive_count(labelled: Mapping[str, Any]) -> None:
    """By hand: of the held-out normal rides only the one of nine moves is longer; no stuck ride
    ends on a door.
    """
    ours = labelled["holdout"]["methods"][0]
    assert (ours["found"], ours["missed"], ours["false_alarms"]) == (30, 0, 1)
    assert ours["precision"] == pytest.approx(30 / 31, abs=1e-6)
    assert ours["recall"] == 1.0
    assert ours["f1"] == pytest.approx(60 / 61, abs=1e-6)
    assert ours["false_alarm_rate"] == pytest.approx(1 / 120, abs=1e-6)


def test_baselines_stand_beside_on_the_same_split(labelled: Mapping[str, Any]) -> None:
    normal = [s.log_keys for s in rides(600)] + [(OPEN, *(GO, ARRIVE) * 9, CLOSE)]
    bad = [s.log_keys for s in stuck(30)]
    figures = {row["name"]: row for row in labelled["holdout"]["methods"][1:]}
    assert list(figures) == list(BASELINES)
    for name, fit in BASELINES.items():
        rule = fit(normal[:481])
        found, false = int(rule(bad).sum()), int(rule(normal[481:]).sum())
        assert (figures[name]["found"], figures[name]["false_alarms"]) == (found, false)
        assert figures[name]["f1"] == pytest.approx(2 * found / (found + false + 30), abs=1e-6)


def test_a_trivial_rule_that_does_as_well_is_said_plainly(labelled: Mapping[str, Any]) -> None:
    said = [entry["text"] for entry in labelled["warnings"] if entry["level"] == "warning"]
    ours = labelled["holdout"]["methods"][0]["f1"]
    f1 = {row["name"]: round(row["f1"], 3) for row in labelled["holdout"]["methods"][1:]}
    better = [name for name in BASELINES if f1[name] > round(ours, 3)]
    equal = [name for name in BASELINES if f1[name] == round(ours, 3)]
    assert better or equal
    said_better = f" better, as the table of methods shows: {', '.join(better)}. "
    assert any(said_better in text for text in said) == bool(better)
    notes = [entry["text"] for entry in labelled["warnings"] if entry["level"] == "note"]
    said_equal = f"trivial rule does as well: {', '.join(equal)}."
    assert any(said_equal in text for text in notes) == bool(equal)


def test_an_execution_is_flagged_when_any_of_its_instances_is() -> None:
    normal = rides(100)
    again = [TrainingSession(normal[90].key, normal[90].first_ns + S, (OPEN, GO))]
    report = make_report(given([*normal, *again]))
    assert report["holdout"]["normal"] == 20
    assert report["holdout"]["methods"][0]["false_alarms"] == 1
    assert (report["data"]["sessions"], report["data"]["instances"]) == (100, 101)


def test_histograms_hold_every_session_in_its_bin(labelled: Mapping[str, Any]) -> None:
    scores = labelled["scores"]
    edges, groups = scores["edges"], {group["name"]: group for group in scores["groups"]}
    assert list(groups) == ["normal", "fault", "abnormal"]
    assert edges == sorted(edges)
    expected = [0] * (len(edges) - 1)
    for session in stuck(30):
        score = len(session.log_keys) + 50
        bins = [i for i, (low, high) in enumerate(pairwise(edges)) if low <= score < high]
        expected[bins[0] if bins else -1] += 1
    assert groups["abnormal"]["counts"] == expected
    assert sum(groups["normal"]["counts"]) == groups["normal"]["sessions"] == 120
    assert sum(groups["fault"]["counts"]) == sum(labelled["holdout"]["injected"].values())
    assert edges[0] <= scores["threshold"] <= edges[-1]


def test_scores_that_are_no_number_go_into_the_last_bin() -> None:
    def judge(sessions: Sequence[tuple[int, ...]]) -> tuple[Any, Any]:
        return np.array([np.nan, np.inf, *[1.0] * len(sessions)])[: len(sessions)], np.zeros(
            len(sessions), np.bool_
        )

    report = make_report(
        given(rides(200), fit=lambda sessions: FittedDetector(judge, np.inf, (0.0, np.inf)))
    )
    text = to_json(report)
    assert json.loads(text) == report  # strict JSON: no NaN, no Infinity
    assert report["scores"]["threshold"] is None
    assert report["scores"]["groups"][0]["counts"][-1] > 0
    assert_well_formed(render_html(report))


def test_the_curve_ends_where_the_hold_out_stands(labelled: Mapping[str, Any]) -> None:
    points = labelled["efficiency"]
    assert [(p["sessions"], p["draws"]) for p in points] == [
        (30, 3),
        (120, 3),
        (481, 1),
    ]  # 1 % of 601 is too few
    assert points[-1]["f1"] == labelled["holdout"]["methods"][0]["f1"]
    assert points[-1]["faults_mean"] == labelled["holdout"]["methods"][0]["faults_mean"]


def test_injected_faults_are_no_normal_sessions_and_rates_are_shares_of_them(
    labelled: Mapping[str, Any],
) -> None:
    ours = labelled["holdout"]["methods"][0]
    assert set(ours["faults"]) == set(labelled["holdout"]["injected"])
    assert ours["faults_mean"] == pytest.approx(
        sum(ours["faults"].values()) / len(ours["faults"]), abs=1e-5
    )
    exact = labelled["holdout"]["methods"][1]
    assert set(exact["faults"].values()) == {1.0}  # whatever differs from all of training


def test_without_labels_there_are_false_alarms_and_faults_only() -> None:
    report = make_report(given(rides(300)))
    assert not report["labelled"]
    assert all(
        row[name] is None
        for row in report["holdout"]["methods"]
        for name in ("f1", "precision", "recall", "found")
    )
    assert any("no labels" in entry["text"] for entry in report["warnings"])
    page = render_html(report)
    assert "F1" not in text_of(page)
    assert "There are no labels" in text_of(page)


def test_sessions_without_a_label_are_not_judged() -> None:
    normal = rides(200)
    labels = labels_of((normal[:190], False), (stuck(5), True))
    holdout = make_report(given([*normal, *stuck(5)], labels=labels))["holdout"]
    assert (holdout["fitted"], holdout["normal"], holdout["abnormal"]) == (160, 30, 5)


def test_a_bundle_fitted_on_the_first_part_is_judged_on_all_the_rest() -> None:
    report = make_report(given(rides(300), cut_ns=T0 + 100 * 60 * S))
    assert (report["holdout"]["fitted"], report["holdout"]["normal"]) == (100, 200)
    opened = report["tree"]["entities"][0]["events"] + report["tree"]["entities"][1]["events"]
    assert opened == sum(len(s.log_keys) for s in rides(300)[:100])


def test_sessions_without_times_are_split_at_random_and_it_is_said() -> None:
    timeless = [TrainingSession(s.key, i, s.log_keys) for i, s in enumerate(rides(300))]
    report = make_report(given(timeless))
    assert report["holdout"]["kind"] == "random"
    assert report["data"]["span"] is None
    assert any("no times" in entry["text"] for entry in report["warnings"])


def test_large_logs_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "MOST_SESSIONS", 100)
    report = make_report(given(rides(300)))
    assert (report["holdout"]["fitted"], report["holdout"]["normal"]) == (80, 20)
    assert report["holdout"]["sampled_from"] == 300
    assert report["data"]["sessions"] == 300


@pytest.mark.parametrize("size", [0, 1, 10])
def test_too_few_sessions_give_a_report_that_says_so(size: int) -> None:
    report = make_report(given(rides(size)))
    assert report["holdout"] is None
    assert any("too few normal sessions" in entry["text"] for entry in report["warnings"])
    assert_well_formed(render_html(report))
    assert "too few" in describe(report)


def test_the_tree_counts_events_and_sessions_of_normal_training(
    labelled: Mapping[str, Any],
) -> None:
    counts: Counter[str] = Counter()
    for session in [*rides(600), TrainingSession((), 0, (OPEN, *(GO, ARRIVE) * 9, CLOSE))]:
        counts.update(ROWS[key].template for key in session.log_keys)
    entities = {entity["entity"]: entity for entity in labelled["tree"]["entities"]}
    assert list(entities) == ["lift", "gate", ""]
    leaves = {
        leaf["template"]: leaf
        for entity in entities.values()
        for action in entity["children"]
        for leaf in action["children"]
    }
    assert {template: leaf["events"] for template, leaf in leaves.items()} == {
        row.template: counts[row.template] for row in ROWS
    }
    assert leaves["gate: open <num>"]["sessions"] == 601
    assert entities["gate"]["events"] == 2 * 601
    assert labelled["data"]["templates_never"] == 2


def test_the_rest_of_a_facet_is_no_template_that_training_lacks() -> None:
    rows = [*ROWS, Leaf("gate: status <num>", "gate", "open", "other")]
    report = make_report(given(rides(300), rows=rows))
    assert report["data"]["templates_never"] == 2  # stuck, and the bell


def test_rare_failures_that_are_learnt_as_normal_are_named() -> None:
    failed = Leaf("lift: door failed to open", "lift", "open", "failed")
    bad = [TrainingSession((b"bad %d" % i,), T0 + i * S, (OPEN, GO, 6, CLOSE)) for i in range(2)]
    said = "Learnt as normal, since the training has it: “lift: door failed to open” (2 sessions)"
    learnt = given([*rides(300), *bad], rows=[*ROWS, failed])
    assert said in describe(make_report(learnt))
    labelled = replace(learnt, labels=labels_of((rides(300), False), (bad, True)))
    assert "Learnt as normal" not in describe(make_report(labelled))
    left_out = replace(CALIBRATION, left_out=(300, 301))
    assert "Learnt as normal" not in describe(make_report(replace(learnt, calibration=left_out)))
    often = given([*rides(30), *bad], rows=[*ROWS, failed])
    assert "Learnt as normal" not in describe(make_report(often))


def test_warnings_tell_what_is_wrong_with_the_input() -> None:
    sessions = [
        TrainingSession(
            (b"%d" % (i // 2),), T0 + i * S, (OPEN,) * 9 + (CLOSE,) + ((BELL,) if i == 3 else ())
        )
        for i in range(60)
    ]
    report = make_report(
        given(
            sessions,
            session_settings=SessionSettings(idle_timeout=60.0, max_events=11),
            records=800,
            set_aside={"no_session_key": 100, "no_message": 20},
            warnings=["the disk smells"],
        )
    )
    said = " ".join(entry["text"] for entry in report["warnings"])
    for part in (
        "the disk smells",
        "Only 30 normal sessions",
        "cut 30 sessions into 60",
        "reached max_events and were cut there: 1.",
        "120 of 800 records were set aside (20 no_message, 100 no_session_key)",
        "1 of 6 templates occur once",
    ):
        assert part in said


@pytest.mark.parametrize(("share", "warns"), [(0.0015, False), (0.006, True)])
def test_more_false_alarms_than_were_asked_for_are_announced(share: float, warns: bool) -> None:
    expected = {"1 in 1,000": share, "5 in 1,000": 0.008}
    calibration = replace(CALIBRATION, expected=expected)
    report = make_report(given(rides(300), calibration=calibration))
    said = " ".join(entry["text"] for entry in report["warnings"])
    warning = "About 6.0 of 1,000 normal sessions are likely to be flagged, where 1 was asked for"
    assert (warning in said) == warns
    assert ("300 sessions do not show" in said and "between 0.9 and 17.4" in said) == warns
    shown = describe(report).splitlines()
    assert [line.split()[4:6] for line in shown if line.startswith("  expected")] == [
        [f"{1000 * share:.1f}", "8.0"]
    ]


def test_example_alerts_are_one_of_each_sort_without_session_keys_and_raw_lines(
    labelled: Mapping[str, Any],
) -> None:
    examples = labelled["alerts"]
    assert [(e["label"], e["record"]["entity"]) for e in examples] == [
        ("abnormal", "lift"),
        ("abnormal", "gate"),
        ("normal", "lift"),
    ]
    assert examples[0]["record"]["session"] == [key_hash((b"stuck 1",))]
    told = to_json(labelled)
    assert "secret line" not in told
    assert "stuck 1" not in told


def test_the_same_input_gives_the_same_report(labelled: Mapping[str, Any]) -> None:
    a, b = (to_json(make_report(given(rides(200), seed=3))) for _ in range(2))
    assert a == b


def test_progress_reaches_its_total() -> None:
    steps: list[tuple[int, int]] = []
    make_report(given(rides(100), on_progress=lambda done, total: steps.append((done, total))))
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))


def test_describe_gives_the_figures_in_a_few_lines(labelled: Mapping[str, Any]) -> None:
    told = describe(labelled)
    assert (
        "fitted on the first 481 normal sessions, and tried on the 120 later ones and on "
        "30 abnormal ones:" in told
    )
    assert re.search(r"this bundle +1 \(0\.83\s%\) .* 0\.984 +0\.968 +1\.000 +0", told)
    assert all(name in told for name in BASELINES)


def test_the_own_detector_is_refitted_with_its_budget() -> None:
    train, hierarchy = [s.log_keys for s in rides(200)], Hierarchy(ROWS)
    few = fit_judge(train, hierarchy, seed=0, false_alarms=0.1)
    many = fit_judge(train, hierarchy, seed=0, false_alarms=50)
    judged = [*train[:3], (OPEN, CLOSE, OPEN), (STUCK,) * 60, train[0][::-1]]
    flags, more = few.judge(judged)[1], many.judge(judged)[1]
    assert not flags[:3].any()
    assert flags[4]
    assert all(after or not before for before, after in zip(flags, more, strict=True))
    assert many.threshold <= few.threshold


def test_the_own_detector_finds_what_is_grossly_wrong() -> None:
    bad = stuck(20)
    labels = labels_of((rides(400), False), (bad, True))
    ours = make_report(given([*rides(400), *bad], labels=labels, fit=None))["holdout"]["methods"][0]
    assert ours["recall"] == 1.0
    assert ours["false_alarm_rate"] <= 0.02


# --- the page -------------------------------------------------------------------------------------

VOID = {"meta", "br", "hr", "img", "link", "input"}
SHAPES = {"rect", "line", "circle", "polyline"}


class _Page(HTMLParser):
    """Elements and text of a page; raises on a tag that is not closed in its turn. Axes are no
    text.
    """

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SHAPES
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"{tag} closes nothing"
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        around = [(tag, attributes.get("class")) for tag, attributes in self.open]
        if ("g", "axis") not in around and "style" not in dict(around):
            self.text.append(data)


def parse(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def assert_well_formed(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert parse(page).tags["h1"] == 1


def text_of(page: str) -> str:
    return " ".join(parse(page).text)


def test_the_page_is_well_formed_and_its_links_lead_somewhere(labelled: Mapping[str, Any]) -> None:
    page = parse(render_html(labelled))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value for _, name, value in page.attributes if name == "href"]
    assert links
    assert all(value and value[0] == "#" and value[1:] in ids for value in links)


def test_the_page_loads_nothing_and_runs_nothing(labelled: Mapping[str, Any]) -> None:
    html = render_html(labelled)
    page = parse(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(
        page.tags
    )
    assert not [
        name
        for _, name, _ in page.attributes
        if name.startswith("on") or name in ("src", "srcset", "action")
    ]
    style = html.split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import|//", style)
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_text_from_a_log_is_escaped_wherever_it_stands() -> None:
    evil = "<script>alert(1)</script>\"'><b onmouseover=alert(2)>&amp;"
    rows = [Leaf(f"{evil} {i}", evil, evil, evil) for i in range(6)]
    report = make_report(
        given(
            rides(100),
            rows=rows,
            name=evil,
            source=evil,
            warnings=[evil],
            set_aside={evil: 3},
            records=4,
            input_settings=InputSettings(session_key=(evil,), message_field=evil),
            alerts=[
                alert("x", entity=evil, action=evil, status=evil, explanation=evil, **{evil: evil})
            ],
        )
    )
    page = parse(render_html(report))
    assert not page.tags["script"]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert text_of(render_html(report)).count(evil) >= 12  # as text it stands as it is


@pytest.mark.parametrize("with_labels", [True, False])
def test_every_number_on_the_page_stands_in_the_json(
    labelled: Mapping[str, Any], with_labels: bool
) -> None:
    report = labelled if with_labels else make_report(given(rides(300), fit=None))
    known: set[str] = set()

    def learn(value: Any) -> None:
        if isinstance(value, str):
            known.update(re.findall(NUMBER, value))
        elif isinstance(value, Mapping):
            learn([*value, *value.values()])
        elif isinstance(value, list):
            known.add(str(len(value)))
            for item in value:
                learn(item)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            known.update(
                f"{scale * value:,.{digits}f}" for scale in (1, 100) for digits in range(4)
            )

    learn(report)
    ours = (report["holdout"] or {})["methods"][0]
    known.update({f"{(ours['found'] or 0) + ours['false_alarms']:,}", str(len(ours["faults"]))})
    numbers = re.findall(NUMBER, text_of(render_html(report)).replace("F1", ""))
    assert len(numbers) > 100
    assert [number for number in numbers if number not in known] == []


NUMBER = r"\d[\d,]*\.?\d*(?<![,.])"


def test_the_page_is_the_same_from_the_file(labelled: Mapping[str, Any]) -> None:
    assert render_html(json.loads(to_json(labelled))) == render_html(labelled)


def test_plots_have_words_and_tables_beside_them(labelled: Mapping[str, Any]) -> None:
    html = render_html(labelled)
    page = parse(html)
    images = [
        value
        for tag, name, value in page.attributes
        if tag == "svg" and name == "role" and value == "img"
    ]
    spoken = [
        value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"
    ]
    silent = [
        value for tag, name, value in page.attributes if tag == "svg" and name == "aria-hidden"
    ]
    assert len(images) == len(spoken) == 2
    assert page.tags["svg"] == len(images) + len(silent)
    assert html.count("The figures as a table") == 2
    assert page.tags["caption"] == page.tags["table"] == 5


def _luminance(colour: str) -> float:
    full = "".join(c * 2 for c in colour) if len(colour) == 3 else colour
    channels = [int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_of_text_stand_out_from_their_ground(
    labelled: Mapping[str, Any], scheme: int
) -> None:
    """WCAG AA: 4.5 to 1, in the light and in the dark."""
    declared = re.findall(r":root\{(.*?)\}", render_html(labelled), re.DOTALL)[scheme].replace(
        "\n", ""
    )
    colours = dict(re.findall(r"--(\w+):#([0-9a-f]{6}|[0-9a-f]{3})(?![0-9a-f])", declared))
    for ground in ("bg", "card", "warn"):
        texts = (
            ["text"]
            if ground == "warn"
            else ["text", "soft", "normal", "abnormal", "entity", "action", "status"]
        )
        for text in texts:
            high, low = sorted(
                (_luminance(colours[text]), _luminance(colours[ground])), reverse=True
            )
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
