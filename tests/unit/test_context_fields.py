"""The export finds the fields that say where a session ran, and alerts show them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from synthetic import CLOSE, GOING, MESSAGES, OPEN, OPENED, T0, S

from export.context_fields import ContextFields
from export.sequences import cut_sessions
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.reading.records import InputSettings

SETTINGS = InputSettings(session_key=("ride",))
RIDE = (OPEN, OPENED, GOING, CLOSE)
Fields = Callable[[int, int], dict[str, Any]]


def found(fields: Fields, *, sessions: int = 60, settings: InputSettings = SETTINGS) -> list[str]:
    """What is found in rides whose records have the fields of (ride, step)."""
    events = []
    for ride in range(sessions):
        for step, key in enumerate(RIDE):
            own = {"ride": f"r{ride}", "message": MESSAGES[key]} | fields(ride, step)
            events.append((T0 + (100 * ride + step) * S, as_record(own)))
    context = ContextFields(settings)
    texts = ["gate: open door <num>", "gate: door <num> is open", "lift: going to floor <num>"]
    cut_sessions(events, texts, settings, SessionSettings(idle_timeout=60.0), context=context)
    return list(context.found())


def as_record(fields: dict[str, Any]) -> dict[bytes, Any]:
    record: dict[bytes, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            record[name.encode()] = as_record(value)
        else:
            record[name.encode()] = value.encode() if isinstance(value, str) else value
    return record


def test_what_is_constant_within_sessions_and_varies_between_them_is_taken() -> None:
    def fields(ride: int, step: int) -> dict[str, Any]:
        return {"tenant": f"t{ride % 3}", "shard": ride % 7, "step": step, "same": "x"}

    assert found(fields) == ["tenant", "shard"]


def test_nested_fields_are_named_by_their_accessor() -> None:
    def fields(ride: int, step: int) -> dict[str, Any]:
        return {"meta": {"labels": {"team.io/name": f"team-{ride % 2}"}, "line": step}}

    assert found(fields) == ["$.meta.labels['team.io/name']"]


def test_few_sessions_that_moved_do_not_matter_and_many_do() -> None:
    def moved(share: float) -> Fields:
        chance = random.Random(5)
        of = {ride: chance.random() < share for ride in range(200)}
        return lambda ride, step: {"node": f"n{ride % 4 + (of[ride] and step > 1)}"}

    assert found(moved(0.02), sessions=200) == ["node"]
    assert found(moved(0.3), sessions=200) == []


def test_usual_names_are_taken_wherever_the_records_have_them() -> None:
    def fields(ride: int, step: int) -> dict[str, Any]:
        return {"host": "one", "hostname": f"h{step}"}

    assert found(fields) == ["host", "hostname"]


def test_times_texts_levels_large_numbers_and_the_key_itself_are_left_out() -> None:
    def fields(ride: int, step: int) -> dict[str, Any]:
        return {
            "begun": f"2024-05-0{ride % 9 + 1}T10:00:00Z",
            "started_ts": f"{ride}",
            "title": f"a long day number {ride}",
            "blob": "x" * (200 + ride % 2),
            "bytes": 5 * 10**9 + ride,
            "level": ["info", "warn"][ride % 2],
            "copy": f"r{ride}",
        }

    assert found(fields) == []


def test_few_sessions_say_nothing() -> None:
    def fields(ride: int, step: int) -> dict[str, Any]:
        return {"tenant": f"t{ride % 3}"}

    assert found(fields, sessions=10) == []
