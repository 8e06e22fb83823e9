"""Finding → alert: ids that depend on the right things only, tags, and a record that any format
can carry.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from synthetic import (
    BYE,
    CLOSE,
    GOING,
    MESSAGES,
    OPEN,
    OPENED,
    ROWS,
    STUCK,
    T0,
    UNKNOWN,
    S,
    event,
    ride,
)

from fluent_krone.alerts.records import AlertMaker, alert_tag, check_tag, iso_time, pattern_id
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.errors import ConfigError
from fluent_krone.reading.templates import template_id
from fluent_krone.types import Evidence, Finding, Seq

ABNORMAL = (OPEN, OPENED, GOING, STUCK)


def findings(bundle: Bundle, tag: str = "app", key: str = "a") -> list[Finding]:
    """An unseen template, then the sequence that it spoils."""
    engine = bundle.engine()
    return engine.feed(tag, ride(key, ABNORMAL), T0 + 100 * S) + engine.finish()


def contract_id(bundle: Bundle, about: list[bytes], first_ns: int, kind: str, ordinal: int) -> str:
    """The definition in words: blake2b-128 over these parts, each with its length before it."""
    parts = [bundle.hash.encode(), *about, b"%d" % first_ns, kind.encode(), b"%d" % ordinal]
    whole = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


def test_alert_ids_follow_their_definition(lift: Bundle) -> None:
    maker = AlertMaker(lift, Config())
    unseen, sequence = findings(lift)
    assert maker.make(sequence).alert_id == contract_id(lift, [b"a"], T0, "sequence", 0)
    stuck = template_id("lift: stuck at floor <num>").encode()
    assert maker.make(unseen).alert_id == contract_id(
        lift, [stuck], T0 + 3 * S, "unseen_template", 0
    )
    two_parts = dataclasses.replace(sequence, session=(b"a", b"b"), ordinal=3)
    assert maker.make(two_parts).alert_id == contract_id(lift, [b"a", b"b"], T0, "sequence", 3)


def test_alert_ids_depend_on_nothing_else(lift: Bundle) -> None:
    [_, sequence] = findings(lift)
    maker = AlertMaker(lift, Config())
    assert sequence.verdict is not None
    verdict = dataclasses.replace(sequence.verdict, score=99.0)
    other = dataclasses.replace(
        sequence, tag=b"other", instance=7, last_ns=1, lines=(), verdict=verdict
    )
    same = {maker.make(sequence).alert_id, maker.make(other).alert_id}
    same.add(AlertMaker(lift, Config(tag="x")).make(sequence).alert_id)
    assert len(same) == 1


def test_alert_ids_tell_apart_what_differs(lift: Bundle) -> None:
    [_, sequence] = findings(lift)
    maker = AlertMaker(lift, Config())
    changes = (
        {},
        {"ordinal": 1},
        {"first_ns": T0 + 1},
        {"session": (b"b",)},
        {"session": (b"a", b"")},
    )
    ids = {maker.make(dataclasses.replace(sequence, **change)).alert_id for change in changes}
    assert len(ids) == len(changes)


def test_unseen_templates_are_named_by_text_or_shape(lift: Bundle) -> None:
    engine = lift.engine(Config(change_settle=0.0))
    [finding] = engine.feed("app", [event("a", UNKNOWN)], T0)
    alert = AlertMaker(lift, Config()).make(finding)
    assert alert.alert_id == contract_id(
        lift, [b"fire in the machine room <*>"], T0, "unseen_template", 0
    )
    assert alert.record["evidence"]["unseen"] == ["fire in the machine room <*>"]
    assert alert.record["explanation"] == (
        "New kind of line: “fire in the machine room 9”. No normal session has it."
    )
    without_lines = AlertMaker(lift, Config(max_lines=0)).make(finding)
    assert "“fire in the machine room <*>”" in without_lines.record["explanation"]
    assert (alert.record["score"], alert.record["seq"]["templates"]) == (
        None,
        ["fire in the machine room <*>"],
    )


def test_the_record_of_a_sequence(lift: Bundle) -> None:
    [_, sequence] = findings(lift, tag="app.lift")
    alert = AlertMaker(lift, Config()).make(sequence)
    record = dict(alert.record)
    explanation = record.pop("explanation")
    deviations = record.pop("deviations")
    assert explanation.startswith("“lift: stuck at floor 3” happened after")
    assert record == {
        "alert_id": alert.alert_id,
        "pattern": pattern_of(ABNORMAL),
        "kind": "sequence",
        "severity": "error",
        "p_value": None,
        "decided": "end",
        "tag": "app.lift",
        "bundle": "lift",
        "bundle_hash": lift.hash,
        "session": ["a"],
        "instance": 1,
        "started_at": "2023-11-14T22:13:20.000Z",
        "ended_at": "2023-11-14T22:13:23.000Z",
        "events": 4,
        "level": "status",
        "entity": "lift",
        "action": "move",
        "status": "stuck",
        "detector": "local_context",
        "score": 1.0,
        "threshold": 0.0,
        "explained_by": "evidence",
        "evidence": {
            "extra": {"lift: stuck at floor <num>": 1},
            "missing": {"lift: arrived at floor <num>": 1},
            "repeated": {},
            "unseen": ["lift: stuck at floor <num>"],
            "nearest": ["lift: going to floor <num>", "lift: arrived at floor <num>"],
        },
        "seq": {
            "level": "status",
            "start": 2,
            "end": 4,
            "event": 3,
            "templates": ["lift: going to floor <num>", "lift: stuck at floor <num>"],
        },
        "steps": {
            "rows": [
                ["gate", "open", "asked", "gate: open door <num>"],
                ["gate", "open", "done", "gate: door <num> is open"],
                ["lift", "move", "going", "lift: going to floor <num>"],
                ["lift", "move", "stuck", "lift: stuck at floor <num>"],
            ],
            "session": [0, 1, 2, 3],
            "first": 0,
            "nearest": [],
            "alike": [],
        },
        "lines": [MESSAGES[GOING], MESSAGES[STUCK]],
        "line_times": ["2023-11-14T22:13:22.000Z", "2023-11-14T22:13:23.000Z"],
        "line_levels": [],
        "context": {},
    }
    assert all(re.fullmatch("[0-9a-f]{32}", one.pop("signature")) for one in deviations)
    # The Seq of the step that is odd, and that of the whole ride, which lacks its end.
    place = {"entity": "lift", "action": "move", "status": "stuck", "step": ROWS[STUCK][0]}
    both = {
        **place,
        "witness": "density",
        "direction": "new_pattern",
        "words": "Normal sessions never have these steps in this order.",
        "p_value": None,
        "size": 1,
    }
    assert deviations == [
        {
            **both,
            "level": "status",
            "templates": [template_id(ROWS[key][0]) for key in (STUCK, GOING)],
            "entities": ["lift"],
        },
        {
            **both,
            "level": "entity",
            "templates": [template_id(ROWS[key][0]) for key in (STUCK, OPEN, OPENED, GOING)],
            "entities": ["lift", "gate"],
        },
    ]
    assert (alert.tag, alert.time_ns) == ("krone.app.lift", T0 + 3 * S)


def test_every_kind_has_the_same_fields(lift: Bundle) -> None:
    maker = AlertMaker(lift, Config())
    unseen, sequence = (maker.make(finding).record for finding in findings(lift))
    assert list(unseen) == list(sequence)


def test_records_survive_json_and_msgpack(lift: Bundle) -> None:
    engine = lift.engine()
    record = {b"message": b"\xff\xfe \x00", b"ride": b"\x80"}
    for finding in engine.feed("app\udcff", [(T0, record)], T0) + engine.finish():
        made = AlertMaker(lift, Config()).make(finding).record
        assert json.loads(json.dumps(made)) == made
        assert msgpack.unpackb(msgpack.packb(made)) == made
        assert json.dumps(made, ensure_ascii=False).encode()


def test_without_lines_an_alert_quotes_templates_only(lift: Bundle) -> None:
    [_, sequence] = findings(lift)
    alert = AlertMaker(lift, Config(max_lines=0)).make(sequence)
    assert "lift: stuck at floor <num>" in alert.record["explanation"]


def test_lines_are_cut(lift: Bundle) -> None:
    [_, sequence] = findings(lift)
    alert = AlertMaker(lift, Config(max_line_length=4)).make(sequence)
    assert alert.record["lines"] == ["lift", "lift"]


# -- steps and patterns


def pattern_of(log_keys: Sequence[int]) -> str:
    return pattern_id(
        [template_id(ROWS[log_key][0]) if log_key < UNKNOWN else "unknown" for log_key in log_keys]
    )


def made(bundle: Bundle, keys: Sequence[int], **named: Any) -> dict[str, Any]:
    """The record of a session of these log keys whose verdict is given in part."""
    [_, finding] = findings(bundle)
    assert finding.verdict is not None
    verdict = dataclasses.replace(finding.verdict, **named)
    finding = dataclasses.replace(finding, log_keys=tuple(keys), events=len(keys), verdict=verdict)
    return dict(AlertMaker(bundle, Config()).make(finding).record)


def test_sessions_that_run_alike_deviate_alike_and_share_nothing(lift: Bundle) -> None:
    [_, finding] = findings(lift)
    log_keys = (OPEN, BYE) * len(finding.log_keys)
    finding = dataclasses.replace(finding, log_keys=log_keys, unmatched=())
    maker = AlertMaker(lift, Config())
    first = maker.make(finding).record["deviations"]
    untouched = json.dumps(first)
    assert all(one["templates"] for one in first)
    for one in first:
        one["words"] = ""
        one["templates"].clear()
        one["entities"].clear()
    like = dataclasses.replace(finding, session=(b"another",))
    assert json.dumps(maker.make(like).record["deviations"]) == untouched
    assert json.dumps(AlertMaker(lift, Config()).make(like).record["deviations"]) == untouched


def test_steps_are_the_session_beside_the_nearest_normal_one(lift: Bundle) -> None:
    keys, nearest = (OPEN, BYE, OPEN, UNKNOWN), (OPEN, OPENED, CLOSE)
    evidence = Evidence({}, {}, {}, (), (), nearest)
    steps = made(lift, keys, seq=Seq("status", 1, 2, (0,)), event=1, evidence=evidence)["steps"]
    told = {
        key: [*(None if step == "none" else step for step in ROWS[key][1:4]), ROWS[key][0]]
        for key in range(7)
    }
    told[UNKNOWN] = ["unknown", "unknown", "unknown", "<unknown>"]
    assert [steps["rows"][row] for row in steps["session"]] == [told[key] for key in keys]
    assert [steps["rows"][row] for row in steps["nearest"]] == [told[key] for key in nearest]
    assert len(steps["rows"]) == 5
    assert steps["alike"] == [[0, 0, 1]]
    assert steps["rows"][1] == [None, None, None, "bye <*>"]


@pytest.mark.parametrize(
    ("start", "end", "event", "first"),
    [
        (0, 1, 0, 0),
        (499, 502, 500, 400),
        (999, 1000, 999, 800),
        (0, 1000, 700, 600),  # a Seq that is itself too long: around the odd event
        (0, 1000, 3, 0),
    ],
)
def test_of_a_long_session_the_steps_around_the_seq_are_shown(
    lift: Bundle, start: int, end: int, event: int, first: int
) -> None:
    keys = [OPEN] * 1000
    keys[event] = STUCK
    evidence = Evidence({}, {}, {}, (), (), (CLOSE,) * 300)
    record = made(lift, keys, seq=Seq("status", start, end, ()), event=event, evidence=evidence)
    steps = record["steps"]
    assert (steps["first"], len(steps["session"]), len(steps["nearest"])) == (first, 200, 200)
    assert steps["rows"][steps["session"][event - first]][2] == "stuck"
    assert record["pattern"] == pattern_of(keys)


def test_the_nearest_normal_session_is_one_of_training() -> None:
    bundle = load_bundle("hdfs")
    assert bundle.nested is not None
    golden = next(
        golden
        for golden in bundle.golden
        if any(kind == "sequence" for kind, *_ in golden.findings)
    )
    engine = bundle.engine()
    records = [
        (T0 + i * S, {name.encode(): text.encode() for name, text in record.items()})
        for i, record in enumerate(golden.records)
    ]
    alert = next(
        found
        for found in engine.feed("app", records, T0 + 100 * S) + engine.finish()
        if found.verdict
    )
    assert alert.verdict is not None
    assert alert.verdict.evidence.nearest_keys in [tuple(normal) for normal in bundle.nested.normal]
    record = AlertMaker(bundle, Config()).make(alert).record
    assert len(record["steps"]["session"]) == record["events"]
    assert len(record["steps"]["nearest"]) == len(record["evidence"]["nearest"])


def test_one_pattern_is_the_same_templates_in_the_same_order(lift: Bundle) -> None:
    maker = AlertMaker(lift, Config())
    [unseen, sequence] = findings(lift)
    [_, elsewhere] = findings(lift, tag="other", key="b")
    assert maker.pattern(sequence) == maker.pattern(elsewhere) == pattern_of(ABNORMAL)
    turned = dataclasses.replace(sequence, log_keys=ABNORMAL[::-1])
    patterns = {maker.pattern(sequence), maker.pattern(turned), maker.pattern(unseen)}
    assert len(patterns) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", pattern) for pattern in patterns)
    alone = dataclasses.replace(sequence, log_keys=(STUCK,))
    assert maker.pattern(alone) != maker.pattern(unseen)


# -- tags


@pytest.mark.parametrize(
    ("settings", "tag", "expected"),
    [
        ({}, "app.web", "krone.app.web"),
        ({"tag": "alerts"}, "app.web", "alerts"),
        ({"tag": "a.${tag_parts[0]}.${tag_parts[-1]}"}, "app.web.x", "a.app.x"),
        ({"tag": "a.${tag_parts[7]}b"}, "app.web", "a.b"),
        ({"tag": "${tag}.${tag}"}, "app", "app.app"),
        ({"remove_tag_prefix": "app"}, "app.web", "krone.web"),
        ({"remove_tag_prefix": "app"}, "apple.web", "krone.apple.web"),
        ({"remove_tag_prefix": "app", "tag": "k.${tag_parts[0]}"}, "app.web", "k.web"),
        ({"add_tag_prefix": "krone"}, "app", "krone.app"),
        ({"add_tag_prefix": "krone", "remove_tag_prefix": "app"}, "app", "krone"),
        ({"add_tag_prefix": "k", "remove_tag_prefix": "app"}, "app.${tag}", "k.${tag}"),
        ({}, "app.${tag_parts[0]}", "krone.app.${tag_parts[0]}"),
    ],
)
def test_tags(settings: dict[str, str], tag: str, expected: str) -> None:
    assert alert_tag(Config(**settings), tag) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "tag", ["${tags}", "${tag_parts[x]}", "${tag_parts}", "a.${", "${tag}.${hostname}"]
)
def test_placeholders_that_are_none_are_refused(lift: Bundle, tag: str) -> None:
    with pytest.raises(ConfigError, match="is not a placeholder"):
        AlertMaker(lift, Config(tag=tag))


def test_placeholders_that_are_some() -> None:
    check_tag(Config(tag="a.${tag}.${tag_parts[0]}.${tag_parts[-2]}.$x"))


# -- times


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (T0 + 5_000_000, "2023-11-14T22:13:20.005Z"),
        (T0 + 1, "2023-11-14T22:13:20.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (2**70, "1180591620717.411303424"),
    ],
)
def test_times_in_words(time_ns: int, text: str) -> None:
    assert iso_time(time_ns) == text
