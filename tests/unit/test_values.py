"""The value witness: closed sets and ranges, and slots that are neither."""

from __future__ import annotations

import json
import random

import pytest

from fluent_krone.detect.values import (
    KnownRange,
    KnownSet,
    ValueWitness,
    learn_values,
    values_from_json,
    values_to_json,
)
from fluent_krone.reading.slots import SlotReader


def witness() -> ValueWitness:
    """Slot 0 is one of three hosts, slot 1 a size, slot 2 an id."""
    rng = random.Random(0)
    hosts = [b"web1", b"web2", b"web3"]
    sessions = [
        (
            (4,),
            ((rng.choice(hosts), b"%d" % rng.randint(1000, 2000), b"id%d" % i),),
        )
        for i in range(400)
    ]
    return learn_values(sessions)


def test_only_slots_that_prove_something_are_kept() -> None:
    slots = witness().slots
    assert set(slots) == {(4, 0), (4, 1)}
    assert isinstance(slots[4, 0], KnownSet)
    assert isinstance(slots[4, 1], KnownRange)


@pytest.mark.parametrize(
    ("values", "slot"),
    [
        ((b"evil", b"1500", b"id7"), 0),
        ((b"web1", b"0", b"id7"), 1),
        ((b"web1", b"999999999", b"id7"), 1),
        ((b"web1", b"many", b"id7"), 1),
    ],
)
def test_an_unknown_value_is_found_with_its_place(values: tuple[bytes, ...], slot: int) -> None:
    score, found = witness().worst(4, values)
    assert score > 4
    assert found == slot


def test_known_values_score_nothing() -> None:
    assert witness().worst(4, (b"web2", b"1234", b"id99")) == (0.0, 0)
    assert witness().worst(5, (b"web2",)) == (0.0, 0)
    assert witness().worst(4, ()) == (0.0, 0)


def test_values_survive_json() -> None:
    back = values_from_json(json.loads(json.dumps(values_to_json(witness()))))
    values = (b"evil", b"7", b"")
    assert back.worst(4, values)[0] == pytest.approx(witness().worst(4, values)[0], abs=1e-4)


def test_few_values_prove_nothing() -> None:
    assert not learn_values([((1,), ((b"a",),))] * 10).slots


@pytest.mark.parametrize(
    ("template", "message", "values"),
    [
        ("sent <num> to <*>", b"sent 17 to web 1", (b"17", b"web 1")),
        ("<*> is up", b"web1 is up", (b"web1",)),
        ("took <num> ms at 10", b"took 17 ms at 10", (b"17",)),
        ("no values", b"no values", ()),
        ("sent <num> to <*>", b"something else", ()),
        ("<*>", b"", ()),
    ],
)
def test_values_stand_where_the_wildcards_are(
    template: str, message: bytes, values: tuple[bytes, ...]
) -> None:
    assert SlotReader([template]).values(0, message) == values
    assert SlotReader([template]).values(1, message) == ()


def test_a_bundle_keeps_no_value_of_the_log() -> None:
    rows = values_to_json(witness())
    text = json.dumps(rows)
    assert any("set" in row for row in rows)
    for value in ("web1", "web2", "web3"):
        assert value not in text
    assert values_to_json(values_from_json(rows)) == rows
