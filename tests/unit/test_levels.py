"""Levels: how records state them, and which are more severe than a step ever was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fluent_krone.detect.levels import learn_levels, levels_from_json, levels_to_json
from fluent_krone.reading.levels import RANKS, UNKNOWN_RANK, LevelReader
from fluent_krone.reading.records import InputSettings, RecordReader

INFO, WARN, FATAL = RANKS[b"info"], RANKS[b"warn"], RANKS[b"fatal"]


@pytest.mark.parametrize(
    ("record", "rank"),
    [
        ({b"level": b"INFO"}, INFO),
        ({b"severity": b"Warning"}, WARN),
        ({b"sev": b"warn"}, WARN),
        ({b"loglevel": b"fatal "}, FATAL),
        ({b"level": b"blue"}, UNKNOWN_RANK),
        ({b"level": 33}, UNKNOWN_RANK),
        ({b"level": 30}, INFO),
        ({b"PRIORITY": b"4"}, WARN),
        ({b"pri": b"134"}, INFO),
        ({b"pri": 12}, WARN),
        ({b"pri": b"134", b"level": b"fatal"}, FATAL),
        ({b"pri": b"192"}, UNKNOWN_RANK),
        ({b"pri": b"x"}, UNKNOWN_RANK),
        ({b"log": {b"level": b"WARN"}}, WARN),
        ({b"log.level": b"info", b"message": b"x"}, INFO),
        ({b"SeverityText": b"INFO", b"SeverityNumber": 9}, INFO),
        ({b"level": "ПРЕДУПРЕЖДЕНИЕ".encode()}, WARN),
        ({b"s": b"I", b"c": b"NETWORK"}, INFO),
        ({b"s": 4}, UNKNOWN_RANK),
        # Windows counts the other way round than syslog.
        ({b"EventID": b"4624", b"Level": b"4"}, INFO),
        ({b"EventID": 4625, b"Level": 3}, WARN),
        ({b"Level": 4}, WARN),
        ({b"cef_severity": b"5"}, WARN),
        # Wrong before: an object ended the service with an error.
        ({b"cef_severity": {b"value": b"5"}}, UNKNOWN_RANK),
        ({}, UNKNOWN_RANK),
    ],
)
def test_a_level_is_read_from_the_usual_fields(record: dict[bytes, Any], rank: int) -> None:
    assert LevelReader().rank(record) == rank


@pytest.mark.parametrize(
    ("field", "record", "rank"),
    [
        ("$.meta.lv", {b"meta": {b"lv": b"warn"}}, WARN),
        ("$.meta.lv", {b"meta": b"warn"}, UNKNOWN_RANK),
        ("grade", {b"grade": b"FATAL", b"level": b"info"}, FATAL),
        ("$.Event.System.Level", {b"Event": {b"System": {b"EventID": 7, b"Level": 4}}}, INFO),
        ("grade", {b"level": b"info"}, INFO),
    ],
)
def test_the_field_that_is_named_says_the_level(
    field: str, record: dict[bytes, Any], rank: int
) -> None:
    assert LevelReader(level_field=field).rank(record) == rank


def test_a_level_may_stand_in_the_header_of_a_line() -> None:
    settings = InputSettings(
        session_key=("/job-[0-9]+/",), line_format=r"(?<level>\w+) (?<message>.*)"
    )
    reader = LevelReader(RecordReader(settings).fields)
    assert reader.rank({b"message": b"ERROR job-1 failed"}) == RANKS[b"error"]


def test_only_what_is_more_severe_than_ever_scores() -> None:
    levels = learn_levels([((1, 2), (INFO, WARN))] * 100)
    assert levels.score(1, INFO) == 0
    assert levels.score(1, RANKS[b"notice"]) == 0
    assert levels.score(1, FATAL) > levels.score(1, WARN) > 4
    assert levels.score(2, WARN) == 0
    assert levels.score(3, FATAL) == 0
    assert levels.worst((1, 2), (INFO, FATAL)) == levels.score(2, FATAL)


def test_levels_survive_json() -> None:
    levels = learn_levels([((1, 2), (INFO, WARN))] * 100)
    assert levels_from_json(json.loads(json.dumps(levels_to_json(levels)))).seen == levels.seen


def test_a_field_that_is_no_level_hides_no_other_one_however_often_it_came() -> None:
    reader = LevelReader()
    record = {b"level": b"shard", b"severity": b"ERROR"}
    assert [reader.rank(record) for _ in range(3)] == [6, 6, 6]
    assert reader.rank({b"level": b"shard", b"severity": b"INFO"}) == 3
    assert reader.rank({b"level": b"shard"}) == 0


def test_a_named_field_comes_before_the_usual_one_however_often_its_word_was_seen() -> None:
    """Was wrong: where records had the usual field too, that one counted."""
    levels = LevelReader(level_field="grade")
    assert levels.rank({b"level": b"info"}) == RANKS[b"info"]
    assert levels.rank({b"level": b"info", b"grade": b"error"}) == RANKS[b"error"]
