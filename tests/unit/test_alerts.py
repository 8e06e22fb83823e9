"""Finding → alert: ids that depend on the right things only, tags, and a record that any format can carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import msgpack
import pytest
from synthetic import GOING, MESSAGES, OPEN, OPENED, STUCK, T0, UNKNOWN, S, event, ride

from fluent_krone.alerts import AlertMaker, alert_tag, check_tag, explain, iso_time
from fluent_krone.config import Config
from fluent_krone.core.templates import template_id
from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import ConfigError
from fluent_krone.types import Evidence, Finding, Seq, Verdict

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
    assert maker.make(unseen).alert_id == contract_id(lift, [stuck], T0 + 3 * S, "unseen_template", 0)
    two_parts = dataclasses.replace(sequence, session=(b"a", b"b"), ordinal=3)
    assert maker.make(two_parts).alert_id == contract_id(lift, [b"a", b"b"], T0, "sequence", 3)


def test_alert_ids_depend_on_nothing_else(lift: Bundle) -> None:
    [_, sequence] = findings(lift)
    maker = AlertMaker(lift, Config())
    assert sequence.verdict is not None
    verdict = dataclasses.replace(sequence.verdict, score=99.0)
    other = dataclasses.replace(sequence, tag=b"other", instance=7, last_ns=1, lines=(), verdict=verdict)
    same = {maker.make(sequence).alert_id, maker.make(other).alert_id}
    same.add(AlertMaker(lift, Config(tag="x")).make(sequence).alert_id)
    assert len(same) == 1


def test_alert_ids_tell_apart_what_differs(lift: Bundle) -> None:
    [_, sequence] = findings(lift)
    maker = AlertMaker(lift, Config())
    changes = ({}, {"ordinal": 1}, {"first_ns": T0 + 1}, {"session": (b"b",)}, {"session": (b"a", b"")})
    ids = {maker.make(dataclasses.replace(sequence, **change)).alert_id for change in changes}
    assert len(ids) == len(changes)


def test_unseen_templates_are_named_by_text_or_shape(lift: Bundle) -> None:
    engine = lift.engine()
    [finding] = engine.feed("app", [event("a", UNKNOWN)], T0)
    alert = AlertMaker(lift, Config()).make(finding)
    assert alert.alert_id == contract_id(lift, [b"fire in the machine room <*>"], T0, "unseen_template", 0)
    assert alert.record["evidence"]["unseen"] == ["fire in the machine room <*>"]
    assert alert.record["explanation"].endswith("a line like this: fire in the machine room <*>")
    assert (alert.record["score"], alert.record["seq"]["templates"]) == (None, ["fire in the machine room <*>"])


def test_the_record_of_a_sequence(lift: Bundle) -> None:
    [_, sequence] = findings(lift, tag="app.lift")
    alert = AlertMaker(lift, Config()).make(sequence)
    record = dict(alert.record)
    explanation = record.pop("explanation")
    assert "lift: stuck at floor <num>" in explanation
    assert record == {
        "alert_id": alert.alert_id,
        "kind": "sequence",
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
        "lines": [MESSAGES[GOING], MESSAGES[STUCK]],
    }
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


def test_lines_are_cut(lift: Bundle) -> None:
    [_, sequence] = findings(lift)
    alert = AlertMaker(lift, Config(max_line_length=4)).make(sequence)
    assert alert.record["lines"] == ["lift", "lift"]


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


@pytest.mark.parametrize("tag", ["${tags}", "${tag_parts[x]}", "${tag_parts}", "a.${", "${tag}.${hostname}"])
def test_placeholders_that_are_none_are_refused(lift: Bundle, tag: str) -> None:
    with pytest.raises(ConfigError, match="is no placeholder"):
        AlertMaker(lift, Config(tag=tag))


def test_placeholders_that_are_some() -> None:
    check_tag(Config(tag="a.${tag}.${tag_parts[0]}.${tag_parts[-2]}.$x"))


# -- words


def verdict(**evidence: object) -> Verdict:
    empty: dict[str, object] = {"extra": {}, "missing": {}, "repeated": {}, "unseen": (), "nearest": ()}
    return Verdict("action", Seq("status", 0, 1, (0,)), 0, "x", 1.0, 0.0, Evidence(**empty | evidence))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "first"),
    [
        ("a", "“a” is a step that normal training never had."),
        ("b", "“b” has no place in the nearest normal session."),
        ("d", "“d” comes 3 more times than in the nearest normal session."),
        ("z", "The session runs otherwise from “z” on."),
    ],
)
def test_explanations_begin_with_the_oddest_step(step: str, first: str) -> None:
    said = explain(verdict(extra={"a": 1, "b": 2}, unseen=("a",), missing={"c": 1}, repeated={"d": 3}), step)
    assert said.startswith(first)
    assert said.count(f"“{step}”") == 1
    others = {
        "a": "ever seen: “a”",
        "b": "ut of place: “b” ×2",
        "d": "ore often than normal: “d” ×3",
        "c": "missing: “c”",
    }
    assert all(words in said for name, words in others.items() if name != step)


def test_where_only_the_order_is_odd_it_is_said() -> None:
    assert "an order that normal training never had" in explain(verdict(), "step")


def test_long_lists_and_long_steps_are_cut() -> None:
    said = explain(verdict(missing=dict.fromkeys("abcdef", 1)), "s" * 200)
    assert said.endswith("Missing: “a”, “b”, “c”, “d” and 2 more.")
    assert len(said) < 200


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
